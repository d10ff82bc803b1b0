"""Both sides of a reconciliation are brought into the same types and spellings."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from dynaberg.contracts import Column, Contract
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.past.differences import compare
from dynaberg.proof.comparison import _align, _name_differences

CONTRACT = Contract(
    "t",
    "source",
    "id",
    None,
    (
        Column("id", "string"),
        Column("n", "decimal(5,2)"),
        Column("tags", "list<string>"),
        Column("j", "json"),
    ),
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("n", pa.decimal128(5, 2)),
        ("tags", pa.list_(pa.string())),
        ("j", pa.string()),
        ("unmapped", pa.string()),
    ]
)


def reconciled(items: list[dict[str, Any]], rows: list[dict[str, Any]]) -> pd.DataFrame:
    stored = pa.Table.from_pylist(rows, schema=SCHEMA)
    dynamodb, iceberg = _align(items, stored, CONTRACT)
    return _name_differences(compare(dynamodb, iceberg, CONTRACT.key), CONTRACT)


def test_spellings_that_mean_the_same_are_equal() -> None:
    nested = {"M": {"b": {"N": "1"}, "a": {"NS": ["2", "1"]}}}
    spelled = '{"M": {"a": {"NS": ["1", "2"]}, "b": {"N": "1"}}}'
    items = [
        {"id": {"S": "a"}, "n": {"N": "1.1"}, "tags": {"SS": ["y", "x"]}, "j": nested},
        {"id": {"S": "b"}, "n": {"NULL": True}},
    ]
    rows = [
        {"id": "b"},
        {"id": "a", "n": Decimal("1.10"), "tags": ["x", "y"], "j": spelled},
    ]
    assert reconciled(items, rows).empty


@pytest.mark.parametrize(
    ("spelled", "attribute"),
    [
        ("list<json>", lambda given: {"L": [given, {"NULL": True}]}),
        ("map<string,json>", lambda given: {"M": {"x": given}}),
        ("struct<x from X: json, y: long>", lambda given: {"M": {"X": given}}),
        ("list<map<string,struct<x: json>>>", lambda given: {"L": [{"M": {"k": {"M": {"x": given}}}}]}),
    ],
)
def test_json_inside_a_column_is_compared_by_its_meaning(spelled: str, attribute: Any) -> None:
    contract = Contract("t", "source", "id", None, (Column("id", "string"), Column("n", spelled)))
    stored = attribute({"M": {"b": {"SS": ["y", "x"]}, "a": {"N": "1"}}})
    read = attribute({"M": {"a": {"N": "1"}, "b": {"SS": ["x", "y"]}}})
    image = {"id": {"S": "a"}, "n": stored}
    change = {"ApproximateCreationDateTime": 1_764_000_000, "SequenceNumber": "1", "NewImage": image}
    record = {"eventID": "1", "eventName": "INSERT", "tableName": "source", "dynamodb": change}
    row = json.loads(ChangeConverter(json.loads(contract.to_lambda_json())).to_row(record, 1))
    value = {"id": "a", "n": row["n"], "unmapped": row["unmapped"]}
    rows = pa.Table.from_pylist([value], schema=contract.current_schema().as_arrow())

    def problems(item: dict[str, Any]) -> list[str]:
        dynamodb, iceberg = _align([item], rows, contract)
        found = _name_differences(compare(dynamodb, iceberg, contract.key), contract)
        return [str(problem) for problem in found["problem"]]

    assert problems({"id": {"S": "a"}, "n": read}) == []
    assert problems({"id": {"S": "a"}, "n": attribute({"M": {"a": {"N": "2"}}})}) == ["stale"]


def test_a_list_has_an_order() -> None:
    items = [{"id": {"S": "a"}, "tags": {"L": [{"S": "y"}, {"S": "x"}]}}]
    found = reconciled(items, [{"id": "a", "tags": ["x", "y"]}])
    assert found[["problem", "column"]].to_numpy().tolist() == [["stale", "tags"]]


def test_a_value_that_does_not_fit_equals_nothing_not_even_null() -> None:
    items = [
        {"id": {"S": "a"}, "n": {"N": "1000"}},
        {"id": {"S": "b"}, "n": {"S": "x"}},
        {"id": {"S": "c"}, "n": {"N": "2"}},
    ]
    found = reconciled(items, [{"id": "a"}, {"id": "b"}, {"id": "c", "n": Decimal("2.00")}])
    assert found[["id", "column", "dynamodb"]].to_numpy().tolist() == [
        ["a", "n", '{"N":"1000"}'],
        ["b", "n", '{"S":"x"}'],
    ]


def test_no_rows_on_either_side() -> None:
    assert reconciled([], []).empty
    assert reconciled([{"id": {"S": "a"}}], [])["problem"].tolist() == ["missing"]
    assert reconciled([], [{"id": "a"}])["problem"].tolist() == ["extra"]


def test_what_has_no_column_is_compared_too() -> None:
    items = [{"id": {"S": "a"}, "extra": {"N": "1"}}, {"id": {"S": "b"}, "extra": {"N": "2"}}]
    found = reconciled(items, [{"id": "a", "unmapped": '{"extra":{"N":"1"}}'}, {"id": "b"}])
    assert found[["id", "problem", "column"]].to_numpy().tolist() == [["b", "stale", "unmapped"]]
