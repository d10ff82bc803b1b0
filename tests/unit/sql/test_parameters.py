"""Parameters are found outside of text and comments, and become the literals that Athena binds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dynaberg.errors import QueryError
from dynaberg.sql.parameters import bind, literal

LITERALS = [
    ("O'Hara", "'O''Hara'"),
    ("", "''"),
    (True, "true"),
    (7, "7"),
    (-(2**62), "-4611686018427387904"),
    (np.int64(7), "7"),
    (Decimal("12.30"), "DECIMAL '12.30'"),
    (Decimal("1E+3"), "DECIMAL '1000'"),
    (0.1, "DOUBLE '0.1'"),
    (float("nan"), "nan()"),
    (date(2026, 1, 31), "DATE '2026-01-31'"),
    (datetime(2026, 1, 31, 12, tzinfo=UTC), "TIMESTAMP '2026-01-31 12:00:00.000000 UTC'"),
    (
        datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))),
        "TIMESTAMP '2026-01-31 10:00:00.000005 UTC'",
    ),
    (datetime(1, 1, 1, tzinfo=UTC), "TIMESTAMP '0001-01-01 00:00:00.000000 UTC'"),
    (pd.Timestamp(1_700_000_000_123_456_000, tz="UTC"), "TIMESTAMP '2023-11-14 22:13:20.123456 UTC'"),
    (pd.Timestamp(1_700_000_000_123_456_789, tz="UTC"), "TIMESTAMP '2023-11-14 22:13:20.123456789 UTC'"),
    (b"\x00\xff", "X'00ff'"),
    (None, "NULL"),
]


@pytest.mark.parametrize(("value", "expected"), LITERALS)
def test_literal(value: Any, expected: str) -> None:
    assert literal(value) == expected


BEFORE_THE_YEAR_1 = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))


@pytest.mark.parametrize(
    "value",
    [[1], {"a": 1}, object(), datetime(2026, 1, 31), Decimal("NaN"), BEFORE_THE_YEAR_1],  # noqa: DTZ001
)
def test_what_has_no_literal_is_refused_with_a_hint(value: Any) -> None:
    with pytest.raises(QueryError) as caught:
        literal(value)
    assert caught.value.hint


def test_names_become_places_in_the_order_of_the_statement() -> None:
    sql = "SELECT :b, ':a', \":a\", x -- :a\nFROM t /* :a */ WHERE y = :a AND z = :b"
    rewritten, literals = bind(sql, {"a": 1, "b": "two"})
    assert rewritten == "SELECT ?, ':a', \":a\", x -- :a\nFROM t /* :a */ WHERE y = ? AND z = ?"
    assert literals == ["'two'", "1", "'two'"]


def test_a_value_never_becomes_part_of_the_statement() -> None:
    rewritten, literals = bind("SELECT * FROM t WHERE id = :id", {"id": "x'; DROP TABLE t; --"})
    assert rewritten == "SELECT * FROM t WHERE id = ?"
    assert literals == ["'x''; DROP TABLE t; --'"]


def test_what_is_too_long_to_be_bound_is_written() -> None:
    """A key of DynamoDB has up to 2,048 bytes, a parameter of Athena 1,024 characters."""
    key = "it's ? :a -- " * 157
    assert len(key.encode()) == 2041
    sql = "SELECT '?' FROM t WHERE a = :a AND b = :key AND c = :a -- ?"
    written = "'" + key.replace("'", "''") + "'"
    assert bind(sql, {"a": 1, "key": key}) == (
        f"SELECT '?' FROM t WHERE a = ? AND b = {written} AND c = ? -- ?",
        ["1", "1"],
    )
    assert bind("SELECT ?, ?", [b"\0" * 2048, "é" * 511]) == (
        f"SELECT X'{'00' * 2048}', ?",
        [f"'{'é' * 511}'"],
    )
    assert bind("SELECT ?", ["é" * 512]) == (f"SELECT '{'é' * 512}'", [])


def test_places_are_kept() -> None:
    assert bind("SELECT ?, '?'", [1]) == ("SELECT ?, '?'", ["1"])
    assert bind("SELECT 1", None) == ("SELECT 1", [])


@pytest.mark.parametrize(
    ("sql", "params", "words"),
    [
        ("SELECT :name", {"nam": 1}, ":name"),
        ("SELECT :name", None, ":name"),
        ("SELECT 1", {"name": 1}, "'name'"),
        ("SELECT ':name'", {"name": 1}, "'name'"),
        ("SELECT ?", [], "1 question marks, but 0 values"),
        ("SELECT ?", [1, 2], "1 question marks, but 2 values"),
        ("SELECT ?", "x", "'x'"),
        ("SELECT ?, :a", {"a": 1}, "question mark"),
    ],
)
def test_placeholders_and_values_must_meet(sql: str, params: Any, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        bind(sql, params)
    assert words in caught.value.message
    assert caught.value.hint
