"""Athena's text becomes columns of exact types, whatever the version of pandas."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from dynaberg.sql.types import ResultColumn, to_frame


def read(type_: str, *texts: str | None, precision: int = 0, scale: int = 0) -> pd.Series[Any]:
    table = pa.table([pa.chunked_array([pa.array(texts, pa.string())])], names=["f0"])
    return to_frame(table, [ResultColumn("c", type_, precision, scale)])["c"]


@pytest.mark.parametrize(
    ("type_", "text", "dtype", "value"),
    [
        ("tinyint", "-128", "Int8", -128),
        ("integer", "2147483647", "Int32", 2**31 - 1),
        ("bigint", "9223372036854775807", "Int64", 2**63 - 1),
        ("boolean", "true", "boolean", True),
        ("double", "-Infinity", "float64", float("-inf")),
        ("double", "1.0E-5", "float64", 1e-5),
        ("date", "2026-01-31", "object", date(2026, 1, 31)),
        ("varbinary", "00 ff", "object", b"\x00\xff"),
        ("array", "[a, b]", "object", ["a", "b"]),
        ("map", "{a=x}", "object", {"a": "x"}),
        (
            "timestamp",
            "2026-01-31 12:00:00.123456789",
            "datetime64[us]",
            pd.Timestamp("2026-01-31 12:00:00.123456"),
        ),
        (
            "timestamp with time zone",
            "2026-01-31 12:00:00.123456 UTC",
            "datetime64[us, UTC]",
            datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
        ),
        (
            "timestamp with time zone",
            "2026-01-31 12:00:00.000 America/New_York",
            "datetime64[us, UTC]",
            datetime(2026, 1, 31, 17, tzinfo=UTC),
        ),
        (
            "timestamp with time zone",
            "2026-01-31 12:00:00.000 -05:30",
            "datetime64[us, UTC]",
            datetime(2026, 1, 31, 17, 30, tzinfo=UTC),
        ),
    ],
)
def test_a_value_and_a_null(type_: str, text: str, dtype: str, value: Any) -> None:
    series = read(type_, text, None)
    assert str(series.dtype) == dtype
    assert series[0] == value
    assert pd.isna(series[1])


def test_decimals_are_exact() -> None:
    series = read("decimal", "0.10", "9" * 36 + ".99", None, precision=38, scale=2)
    assert series.tolist() == [Decimal("0.10"), Decimal("9" * 36 + ".99"), None]
    assert str(series[0]) == "0.10"


def test_an_empty_text_is_no_null() -> None:
    series = read("varchar", "", None)
    assert series[0] == ""
    assert pd.isna(series[1])


def test_no_rows_keep_their_types_and_names_may_repeat() -> None:
    table = pa.table([pa.chunked_array([pa.array([], pa.string())])] * 2, names=["f0", "f1"])
    frame = to_frame(table, [ResultColumn("n", "bigint"), ResultColumn("n", "date")])
    assert list(frame.columns) == ["n", "n"]
    assert [str(dtype) for dtype in frame.dtypes] == ["Int64", "object"]
    assert frame.empty
