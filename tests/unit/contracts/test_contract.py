"""Table contracts: read, checked, and turned into schemas."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.schema import Schema, assign_fresh_schema_ids
from pyiceberg.types import (
    DateType,
    DecimalType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestamptzType,
)

from dynaberg.contracts.contract import LOG_COLUMNS, Column, Contract, load_contract
from dynaberg.contracts.project import project_contract
from dynaberg.errors import ContractError, NotFoundError
from dynaberg.settings import Settings
from dynaberg.source.transactions_model import Transaction, merchant_categories

DATA = Path(__file__).parents[3] / "data"
TRANSACTIONS = DATA / "tables" / "transactions.yaml"
HEAD = "source_table: s-1\ntable: t\nkey: {partition: id}\ncolumns:\n"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(TRANSACTIONS)


def small(*columns: Column) -> Contract:
    return Contract("t", "source", "id", None, (Column("id", "string"), *columns))


def test_transactions_is_the_published_sample(contract: Contract) -> None:
    assert contract.source_table == "financial-transactions"
    assert (contract.table, contract.log_name) == ("transactions", "transactions_changes")
    assert contract.key == ("transaction_id", "timestamp")
    assert contract.key_attribute_types() == {"transaction_id": "S", "timestamp": "N"}
    assert len(contract.columns) == 22
    assert all(column.description.endswith(".") for column in contract.columns)
    assert not [column.name for column in contract.columns if column.mask]


def test_the_traffic_model_makes_what_the_contract_names(contract: Contract) -> None:
    assert Transaction._fields == tuple(column.name for column in contract.columns)


def test_the_merchants_have_the_categories_of_the_traffic_model() -> None:
    with (DATA / "merchants.csv").open(encoding="utf-8", newline="") as file:
        merchants = list(csv.DictReader(file))
    assert [merchant["merchant_id"] for merchant in merchants] == [f"MERCH_{n:04d}" for n in range(1, 1001)]
    assert [merchant["merchant_category"] for merchant in merchants] == merchant_categories()
    assert len({merchant["merchant_name"] for merchant in merchants}) == 1000


def test_log_schema(contract: Contract) -> None:
    schema = contract.log_schema()
    names = [field.name for field in schema.fields]
    assert names[:5] == ["change_id", "operation", "changed_at", "sequence_number", "received_at"]
    assert names[-3:] == ["old_image", "unmapped", "deleted_by"]
    assert names[5:-3] == [column.name for column in contract.columns]
    assert {f.name for f in schema.fields if f.required} == {"change_id", "operation", "changed_at"}
    assert schema.find_type("changed_at") == TimestamptzType()
    assert schema.find_type("amount") == DecimalType(12, 2)
    assert schema.find_type("date") == DateType()
    assert schema.find_type("hour") == IntegerType()
    assert schema.find_type("timestamp") == LongType()


def test_current_schema_is_identified_by_the_key(contract: Contract) -> None:
    schema = contract.current_schema()
    assert [schema.find_field(n).name for n in schema.identifier_field_ids] == list(contract.key)
    assert {field.name for field in schema.fields if field.required} == set(contract.key)
    assert [field.name for field in schema.fields[-3:]] == [
        "changed_at",
        "sequence_number",
        "unmapped",
    ]


def test_the_log_is_partitioned_by_day_of_arrival(contract: Contract) -> None:
    (field,) = contract.log_partition_spec().fields
    assert str(field.transform) == "day"
    assert field.source_id == contract.log_schema().find_field("received_at").field_id


def test_nested_types_and_ids_as_a_catalog_gives_them() -> None:
    nested = small(Column("m", "map<string, struct<a: list<decimal(3, 1)>, b: json>>"), Column("z", "long"))
    schema = nested.log_schema()
    column = schema.find_type("m")
    assert isinstance(column, MapType)
    assert isinstance(column.value_type, StructType)
    assert isinstance(column.value_type.fields[0].field_type, ListType)
    assert schema.find_type("m.value.b") == StringType()
    assert schema.find_type("m.value.a.element") == DecimalType(3, 1)
    assert assign_fresh_schema_ids(schema) == schema
    ids = Schema(*schema.fields)._lazy_id_to_field  # raises on ids that come twice
    assert len(ids) == len(schema._lazy_id_to_field)


def test_lambda_json_has_the_types_taken_apart(contract: Contract) -> None:
    document = json.loads(contract.to_lambda_json())
    assert document["key"] == ["transaction_id", "timestamp"]
    amount = next(column for column in document["columns"] if column["name"] == "amount")
    assert amount["type"] == {"decimal": [12, 2]}
    assert (amount["attribute"], amount["mask"]) == ("amount", None)


def test_a_missing_contract_names_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match=r"'transaction'. What exists: .*transactions[\s\S]*Did you mean"):
        load_contract(DATA / "tables" / "transaction.yaml")


def test_yaml_errors_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(HEAD + "  - name: id\n   type: string\n")
    with pytest.raises(ContractError, match=r"t\.yaml is not YAML: line 6"):
        load_contract(path)


BAD_FILES = {
    "[1, 2]": r"The contract is \[1, 2\]",
    "table: t\n": "has no `source_table`",
    HEAD + "  []\n": "`columns` is",
    HEAD: "has no `columns`",
    HEAD + "  - {name: id}\n": "Column 1 has no `type`",
    HEAD + "  - {name: id, type: string, typ: string}\n": r"'typ'[\s\S]*Did you mean 'type'",
    HEAD + "  - {name: id, type: strng}\n": r"'strng'[\s\S]*Did you mean 'string'",
    HEAD + "  - {name: id, type: bigint}\n": r"'bigint'[\s\S]*Did you mean 'long'",
    HEAD + "  - {name: on, type: string}\n": r"A name is True[\s\S]*quotation marks",
    HEAD + "  - {name: null, type: string}\n": r"has no `name`[\s\S]*quotation marks",
    HEAD + "  - {name: 2026, type: string}\n": r"A name is 2026[\s\S]*quotation marks",
    HEAD + "  - {name: id, type: string, attribute: no}\n": r"attribute False[\s\S]*quotation marks",
    "source_table: s-1\ntable: t\nkey: id\ncolumns: [{name: id, type: string}]": "`key` is 'id'",
    HEAD.replace("s-1", "s/1") + "  - {name: id, type: string}\n": "`source_table` is",
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.items())
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match=message) as caught:
        load_contract(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["Amount", "risk-score", "1st", "", "a b", "größe"])
def test_names_that_firehose_would_not_write(name: str) -> None:
    with pytest.raises(ContractError, match="cannot be the name"):
        Column(name, "string")


@pytest.mark.parametrize("name", LOG_COLUMNS)
def test_names_of_the_change_log_are_reserved(name: str) -> None:
    with pytest.raises(ContractError, match="column of the change log"):
        Column(name, "string")


BAD_TYPES = [
    "decimal(39,2)",
    "decimal(3,4)",
    "decimal",
    "map<long,string>",
    "map<string>",
    "list<>",
    "struct<a>",
    "struct<A: string>",
    "struct<a: string, a: long>",
    "struct<a from X: string, b from X: long>",
    "struct<a from: string>",
    'struct<a from "": string>',
    'struct<a from "x: string>',
    "list<varchar>",
    "list<string",
    None,
]


@pytest.mark.parametrize("spelled", BAD_TYPES)
def test_types_that_are_none(spelled: str) -> None:
    with pytest.raises(ContractError, match="Column 'c' has the type") as caught:
        Column("c", spelled)
    assert caught.value.hint


def test_columns_come_once() -> None:
    with pytest.raises(ContractError, match="more than once: id"):
        small(Column("id", "long"))


def test_the_key_is_among_the_columns(contract: Contract) -> None:
    with pytest.raises(ContractError, match=r"'timestam'[\s\S]*Did you mean 'timestamp'"):
        replace(contract, sort_key="timestam")


@pytest.mark.parametrize("spelled", ["double", "boolean", "json", "list<string>"])
def test_types_that_no_key_has(spelled: str) -> None:
    with pytest.raises(ContractError, match="which no DynamoDB key can have"):
        Contract("t", "source", "id", None, (Column("id", spelled),))


def test_masks() -> None:
    assert small(Column("card", "string", mask="last4")).columns[1].mask == "last4"
    with pytest.raises(ContractError, match="has the mask 'rot13'"):
        Column("card", "string", mask="rot13")
    with pytest.raises(ContractError, match="turns it into text"):
        Column("card", "long", mask="hash")
    with pytest.raises(ContractError, match="would not be unique"):
        Contract("t", "source", "id", None, (Column("id", "string", mask="hash"),))


def test_a_column_may_be_called_otherwise_than_its_attribute() -> None:
    columns = (Column("pk", "string", attribute="PK"), Column("card", "string", attribute="cardNumber"))
    contract = Contract("t", "source", "pk", None, columns)
    assert contract.key_attribute_types() == {"PK": "S"}
    assert contract.log_schema().find_field("card").name == "card"
    assert [c["attribute"] for c in json.loads(contract.to_lambda_json())["columns"]] == ["PK", "cardNumber"]


def test_a_name_that_iceberg_refuses_comes_with_one_that_it_takes() -> None:
    with pytest.raises(ContractError) as caught:
        Column("cardNumber", "string")
    assert "name: card_number, attribute: 'cardNumber'" in caught.value.hint
    with pytest.raises(ContractError) as caught:
        Column("operation", "string")
    assert "name: item_operation, attribute: operation" in caught.value.hint


def test_columns_of_one_attribute_are_masked_alike() -> None:
    key, number = Column("id", "string"), Column("zip", "long", attribute="zip")
    Contract("t", "source", "id", None, (key, number, Column("zip_text", "string", attribute="zip")))
    with pytest.raises(ContractError, match=r"different masks: zip \(none\), zip_text \(hash\)"):
        Contract(
            "t",
            "source",
            "id",
            None,
            (key, number, Column("zip_text", "string", mask="hash", attribute="zip")),
        )


def test_options_of_moments_belong_to_moments() -> None:
    assert Column("at", "list<timestamptz>", round="microsecond", zone="UTC").zone == "UTC"
    with pytest.raises(ContractError, match="only `zone: UTC` is supported"):
        Column("at", "timestamptz", zone="Europe/Berlin")
    with pytest.raises(ContractError, match="holds no moments"):
        Column("amount", "decimal(12,2)", round="microsecond")


def test_the_table_of_the_walk_follows_the_name() -> None:
    def source(**settings: Any) -> str:
        return project_contract(Settings(root=DATA.parent, **settings)).source_table

    assert source() == "financial-transactions"
    assert source(name="ada") == "ada-financial-transactions"


def test_a_table_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "data" / "tables" / "orders.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "source_table: Shop\ntable: orders\nkey: {partition: id}\ncolumns: [{name: id, type: string}]\n"
    )
    settings = Settings(root=tmp_path, name="ada", table_name="orders")
    assert project_contract(settings).source_table == "Shop"
    assert project_contract(settings, path).source_table == "Shop"
