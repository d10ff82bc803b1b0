"""Contracts of tables that somebody else made, inferred over the wire."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg.cli import main
from dynaberg.contracts.contract import load_contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import ContractError, NotFoundError, SettingsError
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.layers.refresh import refresh
from dynaberg.proof.reconcile import reconcile
from dynaberg.settings import Settings
from dynaberg.source.infer import InferredContract, infer_contract
from dynaberg.source.items import scan_items
from local_aws import Status

ROOT = Path(__file__).resolve().parents[3]
Item = dict[str, Any]
Make = Callable[..., str]
USERS = 40


def shop() -> list[Item]:
    """Users, their orders and a few strange items, in one table."""
    items: list[Item] = []
    for user in range(USERS):
        pk = {"S": f"USER#{user:04d}"}
        items.append(
            {
                "PK": pk,
                "SK": {"S": "PROFILE"},
                "entityType": {"S": "User"},
                "email": {"S": f"user{user}@example.com"},
                "createdAt": {"S": f"2026-01-{user % 28 + 1:02d}T12:00:00.000Z"},
                "address": {"M": {"city": {"S": "Berlin"}, "zip": {"N": str(10_000 + user)}}},
            }
        )
        for order in range(user % 5):
            lines = [{"M": {"sku": {"S": f"AB-{line}"}, "price": {"N": f"{line}.99"}}} for line in range(3)]
            items.append(
                {
                    "PK": pk,
                    "SK": {"S": f"ORDER#{order}"},
                    "entityType": {"S": "Order"},
                    "lineItems": {"L": lines},
                    "total": {"N": f"{order * 10}.5"},
                    "zip": {"N": "1"} if order % 2 else {"S": "EC1A"},
                    "picture": {"B": b"\x00\xff"},
                    "tags": {"SS": ["a", "b"]},
                }
            )
    return items


@pytest.fixture
def make_table(local_aws: Status) -> Iterator[Make]:
    client, made = boto3.client("dynamodb"), []

    def make(*items: Item, keys: tuple[str, ...] = ("PK", "SK")) -> str:
        name = f"Shop-{time.time_ns()}"
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": n, "KeyType": r} for n, r in zip(keys, ("HASH", "RANGE"))],  # type: ignore[typeddict-item]  # noqa: B905
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        made.append(name)
        for item in items:
            client.put_item(TableName=name, Item=item)
        return name

    yield make
    for name in made:
        client.delete_table(TableName=name)


@pytest.fixture
def infer(tmp_path: Path) -> Callable[..., InferredContract]:
    settings = Settings(root=tmp_path)

    def infer(table: str, **options: Any) -> InferredContract:
        return infer_contract(boto3.Session(), settings, table, **options)

    return infer


def convert(contract: dynaberg.Contract, items: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    converter = ChangeConverter(json.loads(contract.to_lambda_json()))
    head = {"eventID": "e", "eventName": "INSERT", "tableName": contract.source_table}
    change = {"ApproximateCreationDateTime": 1_764_000_000_000}
    records = [{**head, "dynamodb": {**change, "NewImage": item}} for item in items]
    return [json.loads(converter.to_row(record, 1_764_000_000_000_000)) for record in records]


def test_a_contract_takes_every_item_of_its_table(
    make_table: Make, infer: Callable[..., InferredContract], tmp_path: Path
) -> None:
    table = make_table(*shop())
    inferred = infer(table, sample=None)
    assert inferred.path == tmp_path / "data" / "tables" / f"shop_{table[5:]}.yaml"
    assert load_contract(inferred.path) == inferred.contract
    assert (inferred.written, inferred.diff, inferred.items) == (True, "", len(shop()))
    assert inferred.read_units > 0
    rows = convert(inferred.contract, scan_items(boto3.Session(), table))
    assert [row["unmapped"] for row in rows] == [None] * len(rows)
    types = {column.name: column.type for column in inferred.contract.columns}
    assert types == {
        "pk": "string",
        "sk": "string",
        "address": "struct<city: string, zip: int>",
        "created_at": "timestamptz",
        "email": "string",
        "entity_type": "string",
        "line_items": "list<struct<price: decimal(7,2), sku: string>>",
        "picture": "binary",
        "tags": "list<string>",
        "total": "decimal(8,2)",
        "zip": types["zip"],
        **{name: kind for name, kind in types.items() if name.startswith("zip_")},
    }
    assert "#   USER#, PROFILE: 40 items\n" in inferred.text
    assert "# mask: hash  # 40 of 40 values look like mail addresses" in inferred.text


def test_the_tables_of_an_inferred_contract_hold_every_attribute(
    make_table: Make, infer: Callable[..., InferredContract], make_pipeline: Callable[..., Any]
) -> None:
    strange = {
        "noWords": {"M": {"emptyList": {"L": []}, "both": {"SS": ["a"]}}},
        "mixed": {"L": [{"N": "1"}, {"S": "x"}, {"NULL": True}]},
        "emptyMap": {"M": {}},
        "stock": {"M": {"berlin 2": {"N": "1.50"}}},
        "operation": {"S": "an attribute that is called like a column of the log"},
        "at": {"S": "2026-01-31T12:00:00.1234567"},
        "nothing": {"NULL": True},
        "huge": {"N": "1E+100"},
    }
    items = [*shop()[:20], {"PK": {"S": "X#1"}, "SK": {"S": "1"}, **strange}]
    inferred = infer(make_table(*items), sample=None).contract
    # The pipeline of the tests has this table.
    contract = replace(inferred, source_table="inferred-source", table="transactions")
    pipeline = make_pipeline("inferred", contract)
    pipeline.write(*items)
    where = pipeline.session, pipeline.settings, contract
    wait_for_delivery(*where, timeout=60)
    refresh(*where)
    report = reconcile(*where)
    assert report.matches, report.summary
    assert pipeline.load(contract.table).scan().to_arrow()["unmapped"].null_count == len(items)


def test_a_file_that_exists_is_compared_and_replaced_only_when_asked(
    make_table: Make, infer: Callable[..., InferredContract]
) -> None:
    table = make_table(*shop())
    first = infer(table, sample=None)
    edited = first.text.replace("    # mask: hash", "    mask: hash")
    first.path.write_text(edited, encoding="utf-8")
    item = {"PK": {"S": "USER#0001"}, "SK": {"S": "CART"}, "coupon": {"S": "SPRING-26"}}
    boto3.client("dynamodb").put_item(TableName=table, Item=item)

    second = infer(table, sample=None)
    assert not second.written
    assert first.path.read_text(encoding="utf-8") == edited
    assert second.diff.startswith(f"--- {first.path}\n+++ inferred now\n")
    assert "+  - name: coupon\n" in second.diff
    assert second.contract.column("email").mask == "hash"
    assert "-    mask: hash" not in second.diff

    third = infer(table, sample=None, overwrite=True)
    assert third.written
    assert first.path.read_text(encoding="utf-8") == second.text == third.text
    fourth = infer(table, sample=None, overwrite=True)
    assert (fourth.diff, fourth.written) == ("", False)


def test_a_sample_reads_no_more_than_was_asked_for(
    make_table: Make, infer: Callable[..., InferredContract]
) -> None:
    table = make_table(*shop())
    samples = [infer(table, sample=50, overwrite=True) for _ in range(2)]
    assert [sample.items for sample in samples] == [50, 50]
    assert samples[1].diff == ""
    assert "from 50 items" in samples[0].text


def test_large_items_and_long_names(make_table: Make, infer: Callable[..., InferredContract]) -> None:
    large = {"PK": {"S": "1"}, "blob": {"S": "x" * 390_000}}
    wide = {"PK": {"S": "2"}, "n" * 65_535: {"N": "1"}, "a.b c 😀": {"S": "x"}, "no": {"BOOL": True}}
    table = make_table(large, wide, {"PK": {"S": "3"}, "NO": {"N": "1"}, "No": {"N": "2"}}, keys=("PK",))
    contract = infer(table).contract
    assert load_contract(infer(table).path) == contract
    assert convert(contract, scan_items(boto3.Session(), table))
    assert {column.attribute for column in contract.columns} == {"blob", "NO", "No", *wide}


def test_what_cannot_be_inferred_is_explained(
    make_table: Make, infer: Callable[..., InferredContract], tmp_path: Path
) -> None:
    empty = make_table()
    filled = make_table({"PK": {"S": "a"}, "SK": {"S": "b"}})
    other = infer(filled).path
    cases: list[tuple[type[Exception], str, str, dict[str, Any]]] = [
        (NotFoundError, f"What exists: .*{filled}", "Nothing-Like-It", {}),
        (NotFoundError, "There is no DynamoDB table 'a b'", "a b", {}),
        (NotFoundError, "has no items", empty, {}),
        (ContractError, f"is the contract of the DynamoDB table '{filled}'", empty, {"path": other}),
        (SettingsError, "`sample` is 0", filled, {"sample": 0}),
        (SettingsError, "is a folder", filled, {"path": tmp_path}),
        (SettingsError, "cannot be written", filled, {"path": other / "below.yaml"}),
    ]
    for kind, message, table, options in cases:
        with pytest.raises(kind, match=message) as caught:
            infer(table, **options)
        assert isinstance(caught.value, dynaberg.DynabergError)
        assert caught.value.hint
    assert not list(tmp_path.rglob(".*.part"))


def test_on_the_workbench_and_on_the_command_line(
    make_table: Make,
    local_aws: Status,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = make_table(*shop()[:30])
    shutil.copytree(ROOT / "data" / "tables", tmp_path / "data" / "tables")
    contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    wb = dynaberg.Workbench(replace(Settings(), root=tmp_path), boto3.Session(), contract)
    inferred = wb.infer_contract(table, path=tmp_path / "shop.yaml")
    assert inferred.contract.key == ("pk", "sk")
    assert repr(inferred) == (
        f"InferredContract(path={tmp_path / 'shop.yaml'!r}, items=30, "
        f"read_units={inferred.read_units!r}, written=True)"
    )

    monkeypatch.setattr("dynaberg.cli.load_settings", lambda **_: wb.settings)
    monkeypatch.setattr("dynaberg.aws.open_session", lambda _: wb.session)
    path = tmp_path / "cli.yaml"
    assert main(["contract", "infer", table, "--sample", "all", "--path", str(path)]) == 0
    assert f"{path} is written." in capsys.readouterr().err
    assert main(["contract", "infer", table, "--sample", "10", "--path", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"--- {path}\n")
    assert "10 items were read" in err
    assert "stays as it is (--overwrite replaces it)" in err
    assert main(["contract", "infer", table, "--path", str(path)]) == 0
    assert "is up to date" in capsys.readouterr().err
    assert main(["contract", "infer", "Nothing-Like-It"]) == 1
    assert "Hint: " in capsys.readouterr().err
