"""`when` and parts of keys in a contract: what is refused, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynaberg.contracts import (
    Column,
    Contract,
    column_reader,
    key_attribute,
    load_contract,
    project_contracts,
)
from dynaberg.contracts.conditions import Condition, read_conditions
from dynaberg.errors import ContractError
from dynaberg.settings import Settings

CONTRACT = """\
source_table: Shop
table: {table}
key: {{partition: pk, sort: sk}}
when: {when}
columns:
  - {{name: pk, attribute: PK, type: string}}
  - {{name: sk, attribute: SK, type: string}}
"""
ORDER = '{attribute: SK, begins_with: "ORDER#"}'


def contracts(root: Path, **when: str) -> list[Contract]:
    folder = root / "data" / "tables"
    folder.mkdir(parents=True)
    for table, conditions in when.items():
        text = CONTRACT.format(table=table, when=conditions)
        text = text if conditions else text.replace("when: \n", "")
        (folder / f"{table}.yaml").write_text(text)
    return project_contracts(Settings(root=root))


def test_tables_of_one_source_know_each_other_and_the_rest(tmp_path: Path) -> None:
    found = contracts(tmp_path, orders=ORDER, customers="[{attribute: SK, equals: PROFILE}]")
    assert [each.table for each in found] == ["customers", "orders", "shop_other"]
    assert all([c.table for c in each.of_source] == ["customers", "orders", "shop_other"] for each in found)
    assert found[2].is_rest


@pytest.mark.parametrize(
    "second",
    [
        "",
        ORDER,
        '{attribute: SK, begins_with: "ORDER#1"}',
        "{attribute: SK, exists: true}",
        '{attribute: SK, equals: "ORDER#7"}',
        '[{attribute: SK, begins_with: "ORDER#"}, {attribute: entity, equals: Order}]',
        '{attribute: SK, matches: "ORDER.*"}',
    ],
)
def test_two_contracts_of_the_same_items_are_refused(tmp_path: Path, second: str) -> None:
    with pytest.raises(ContractError, match="'again' and 'orders' claim the same items") as caught:
        contracts(tmp_path, orders=ORDER, again=second)
    assert "`when`" in caught.value.hint


@pytest.mark.parametrize(
    "second",
    [
        '{attribute: SK, begins_with: "USER#"}',
        "{attribute: SK, equals: PROFILE}",
        "{attribute: SK, equals: 7}",
        "{attribute: SK, exists: false}",
        "{attribute: entity, equals: Customer}",
    ],
)
def test_contracts_that_may_exclude_each_other_are_accepted(tmp_path: Path, second: str) -> None:
    assert len(contracts(tmp_path, orders=ORDER, again=second)) == 3


def test_tables_of_one_source_have_its_key(tmp_path: Path) -> None:
    contracts(tmp_path, orders=ORDER)
    other = CONTRACT.format(table="other", when="{attribute: PK, equals: x}").replace(
        "attribute: SK", "attribute: T"
    )
    (tmp_path / "data" / "tables" / "other.yaml").write_text(other)
    with pytest.raises(ContractError, match=r"other keys: PK, SK; and PK, T"):
        project_contracts(Settings(root=tmp_path))


@pytest.mark.parametrize(
    "given",
    [
        [],
        "SK",
        {"attribute": "SK"},
        {"begins_with": "ORDER#"},
        {"attribute": "SK", "starts_with": "ORDER#"},
        {"attribute": "SK", "begins_with": "a", "equals": "b"},
        {"attribute": True, "exists": True},
        {"attribute": "SK", "exists": "yes"},
        {"attribute": "SK", "begins_with": 7},
        {"attribute": "SK", "equals": None},
        {"attribute": "SK", "equals": ""},
        {"attribute": "SK", "matches": "("},
    ],
)
def test_conditions_that_cannot_be_used_are_refused(given: Any) -> None:
    with pytest.raises(ContractError) as caught:
        list(read_conditions(given))
    assert "when" in caught.value.message
    assert caught.value.hint


ORDER_ID = Column("order_id", "string", attribute="SK", after="ORDER#")
PK = Column("pk", "string", attribute="PK")
WHEN = (Condition("SK", "begins_with", "ORDER#"),)


def test_a_part_of_a_key_is_read_and_written_back() -> None:
    contract = Contract("orders", "Shop", "pk", "order_id", (PK, ORDER_ID), when=WHEN)
    assert column_reader(ORDER_ID)({"S": "ORDER#7"}) == "7"
    assert key_attribute(ORDER_ID, "7") == {"S": "ORDER#7"}
    assert contract.key_attribute_types() == {"PK": "S", "SK": "S"}


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        (Column("a", "string", attribute="SK", before="#"), "ORDER#1#ITEM#2", "ORDER"),
        (Column("a", "string", attribute="SK", after="#"), "ORDER#1#ITEM#2", "1#ITEM#2"),
        (Column("a", "long", attribute="SK", after="ORDER#", before="#"), "ORDER#007#ITEM#2", 7),
        (Column("a", "int", attribute="SK", after="#ITEM#"), "ORDER#1#ITEM#2", 2),
        (Column("a", "string", attribute="SK", after="#", before="|"), "ORDER#1", "1"),
    ],
)
def test_parts_are_the_same_for_the_lambda_and_the_comparison(column: Column, text: str, value: Any) -> None:
    from dynaberg.functions.attributes import converter_for, part_converter

    convert = part_converter(
        converter_for(column.parsed_type), column.parsed_type, column.after, column.before
    )
    assert convert({"S": text}) == column_reader(column)({"S": text}) == value
    assert convert({"NULL": True}) is column_reader(column)({"NULL": True}) is None


@pytest.mark.parametrize(
    ("columns", "when"),
    [
        ((PK, ORDER_ID), ()),
        ((PK, ORDER_ID), (Condition("SK", "begins_with", "ORD"),)),
        ((PK, Column("order_id", "string", attribute="SK", after="ORDER#", before="#")), WHEN),
        ((PK, Column("order_id", "long", attribute="SK", after="ORDER#")), WHEN),
        ((PK, ORDER_ID, Column("state", "string", attribute="gsi", after="STATE#")), WHEN),
        ((PK, ORDER_ID, Column("n", "string", attribute="SK", after="#", mask="hash")), WHEN),
    ],
)
def test_parts_that_lose_something_are_refused(
    columns: tuple[Column, ...], when: tuple[Condition, ...]
) -> None:
    with pytest.raises(ContractError) as caught:
        Contract("orders", "Shop", "pk", "order_id", columns, when=when)
    assert caught.value.hint


def test_a_part_is_of_a_type_that_texts_can_hold() -> None:
    with pytest.raises(ContractError, match="takes a part of a text"):
        Column("a", "boolean", after="#")


def test_a_contract_in_yaml_has_both(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    text = CONTRACT.format(table="orders", when=ORDER).replace(
        "name: sk, attribute: SK", 'name: sk, attribute: SK, after: "ORDER#"'
    )
    path.write_text(text)
    contract = load_contract(path)
    assert contract.when == WHEN
    assert contract.column("sk").after == "ORDER#"
