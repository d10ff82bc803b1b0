"""Athena's text becomes columns of exact types, whatever the version of pandas."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from dynaberg.errors import QueryError
from dynaberg.sql.types import AS_TEXT, ResultColumn, to_frame


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


def noted(type_: str, *texts: str | None) -> tuple[list[Any], str]:
    """A column's values, and why it stays text."""
    table = pa.table([pa.chunked_array([pa.array(texts, pa.string())])], names=["f0"])
    frame = to_frame(table, [ResultColumn("c", type_)])
    return frame["c"].astype(object).tolist(), frame.attrs.get(AS_TEXT, {}).get("c", "")


@pytest.mark.parametrize(
    ("type_", "text"), [("array", "[red, green]"), ("array", "[1]"), ("map", "{a=x}"), ("row", "{a=1}")]
)
def test_what_athena_writes_of_nested_values_is_never_guessed(type_: str, text: str) -> None:
    values, why = noted(type_, text, None)
    assert values[0] == text
    assert "CAST(c AS JSON)" in why
    assert noted(type_, None) == ([None], "")


BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    "clock", ["2026-10-25 02:30:00.000", "2026-10-25 02:00:00", "2026-03-29 02:30:00.000"]
)
def test_a_clock_that_a_zone_shows_twice_or_never_stays_text(clock: str) -> None:
    values, why = noted("timestamp with time zone", f"{clock} {BERLIN}", "2026-10-25 12:00:00 UTC", None)
    assert values[:2] == [f"{clock} {BERLIN}", "2026-10-25 12:00:00 UTC"]
    assert "AT TIME ZONE 'UTC'" in why
    assert BERLIN in why


def test_clocks_around_the_change_are_moments() -> None:
    texts = [f"2026-10-25 {time} {BERLIN}" for time in ("01:59:59.999999", "03:00:00.000")]
    values, why = noted("timestamp with time zone", *texts, "2026-10-25 02:30:00.000 +01:00")
    assert [str(value) for value in values] == [
        "2026-10-24 23:59:59.999999+00:00", "2026-10-25 02:00:00+00:00", "2026-10-25 01:30:00+00:00",
    ]  # fmt: skip
    assert not why


def test_an_unknown_zone_is_no_guess() -> None:
    values, why = noted("timestamp with time zone", "2026-10-25 12:00:00 Mars/Base")
    assert values == ["2026-10-25 12:00:00 Mars/Base"]
    assert "Mars/Base" in why


def test_all_of_the_calendar() -> None:
    ends = ["0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"]
    series = read("timestamp with time zone", *(f"{end} UTC" for end in ends))
    assert [str(value) for value in series] == [
        "0001-01-01 00:00:00+00:00",
        "9999-12-31 23:59:59.999999+00:00",
    ]
    assert [str(value) for value in read("timestamp", *ends)] == ["0001-01-01 00:00:00", ends[1]]
    assert read("date", "0001-01-01", "9999-12-31").tolist() == [date.min, date.max]


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("timestamp with time zone", "+58000-01-01 00:00:00.000 UTC"),
        ("timestamp with time zone", "+58000-01-01 00:00:00.000 Europe/Berlin"),
        ("timestamp with time zone", "0001-01-01 00:00:00.000 +14:00"),
        ("timestamp", "+58000-01-01 00:00:00.000"),
        ("date", "+58000-01-01"),
        ("date", "-0044-03-15"),
    ],
)
def test_a_moment_beyond_the_calendar_is_named(type_: str, text: str) -> None:
    with pytest.raises(QueryError, match="'c'") as caught:
        read(type_, text)
    assert "from_unixtime(x / 1000)" in caught.value.hint


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
