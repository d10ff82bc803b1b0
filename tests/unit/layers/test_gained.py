"""Columns that a contract gained, filled from `unmapped` in memory."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dynaberg.contracts import Column, Contract
from dynaberg.functions.packing import pack
from dynaberg.layers.gained import fill_gained, filled, gained_columns
from dynaberg.layers.latest import latest_changes
from dynaberg.layers.packed import unpack_rows

CASES: dict[str, tuple[Column, pa.DataType, dict[str, Any], Any]] = {
    "exact": (Column("x", "decimal(5,2)"), pa.decimal128(5, 2), {"N": "1.5"}, Decimal("1.50")),
    "zeros": (Column("x", "decimal(5,2)"), pa.decimal128(5, 2), {"N": "1.500"}, Decimal("1.50")),
    "too fine": (Column("x", "decimal(5,2)"), pa.decimal128(5, 2), {"N": "1.234"}, None),
    "too wide": (Column("x", "decimal(5,2)"), pa.decimal128(5, 2), {"N": "1234.5"}, None),
    "too large": (Column("x", "int"), pa.int32(), {"N": "2147483648"}, None),
    "masked": (Column("x", "string", mask="last4"), pa.string(), {"S": "123456789"}, None),
    "another type": (Column("x", "long"), pa.int64(), {"S": "7"}, None),
}


def rows_of(kind: pa.DataType, unmapped: str) -> pa.Table:
    columns = {"x": pa.array([None, None], kind), "unmapped": pa.array([unmapped, None], pa.string())}
    return pa.table(columns)


@pytest.mark.parametrize("name", CASES)
def test_a_value_is_exact_and_masked_or_nothing(name: str) -> None:
    column, kind, attribute, value = CASES[name]
    contract = Contract("orders", "Orders", "id", None, (Column("id", "string"), column))
    text = json.dumps({"x": attribute})
    found = fill_gained(rows_of(kind, text), contract, ["x"])
    assert found.column("x").to_pylist() == [value, None]
    unpacked = unpack_rows(rows_of(kind, pack(text)), contract).column("x").to_pylist()
    assert unpacked == [value, None] or column.mask


def test_a_column_is_read_by_the_name_that_it_had() -> None:
    columns = (Column("id", "string"), Column("new", "long"), Column("total", "long"))
    contract = Contract("orders", "Orders", "id", None, columns)
    stored = {"new": None, "total": "amount"}
    sql = latest_changes(contract, ["new", "total"], "log", gained=["new"], stored=stored)
    taken = """TRY_CAST(json_extract_scalar(unmapped, '$["new"].N') AS bigint)"""
    assert f'{taken} AS "new", "amount" AS "total"' in sql
    assert f'coalesce("old", {taken}) AS "new"' == filled(columns[1], "old")


def test_what_a_mask_drops_is_no_column_of_sql() -> None:
    column = Column("pin", "string", mask="drop")
    assert filled(column, None) == 'CAST(NULL AS varchar) AS "pin"'
    assert "pin" not in filled(column, "old").replace('AS "pin"', "")


def test_gained_columns_are_told_by_field_ids() -> None:
    """A column that was dropped and added again is another one; a renamed one is the same."""
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField, StringType

    first = Schema(NestedField(1, "id", StringType()), NestedField(2, "x", StringType()), schema_id=0)
    now = Schema(
        NestedField(1, "id", StringType()),
        NestedField(3, "x", StringType()),
        NestedField(2, "y", StringType()),
        schema_id=1,
    )

    class Log:
        def schemas(self) -> dict[int, Schema]:
            return {0: first, 1: now}

        def schema(self) -> Schema:
            return now

    columns = (Column("id", "string"), Column("x", "string"), Column("y", "string"))
    contract = Contract("orders", "Orders", "id", None, columns)
    assert gained_columns(Log(), contract) == ["x"]  # type: ignore[arg-type]
