"""Decimals and moments are computed as Trino computes them, and come back exactly."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Context, Decimal
from itertools import product
from typing import Any

import pandas as pd
import pytest

from dynaberg import catalog
from dynaberg.errors import QueryError
from dynaberg.sql import query

WIDE = Context(prec=80)
LARGE, RATE, FULL = Decimal("9999999999.99"), Decimal("1.23456789"), Decimal("9" * 36 + ".99")
Digits = tuple[int, int]


def ask(story: Any, sql: str) -> list[Any]:
    """The values of a result's only row."""
    (row,) = query(story.pipeline.session, story.pipeline.settings, sql).df.itertuples(index=False, name=None)
    return list(row)


def literal(value: Decimal) -> str:
    return f"DECIMAL '{value}'"


# An expression, its value, and Trino's type of it.
DECIMALS: dict[str, tuple[Any, str]] = {
    f"{literal(LARGE)} * {literal(LARGE)}": (WIDE.multiply(LARGE, LARGE), "decimal(24,4)"),
    f"{literal(LARGE)} * {literal(RATE)}": (WIDE.multiply(LARGE, RATE), "decimal(21,10)"),
    f"{literal(FULL)} - {literal(FULL)}": (Decimal("0.00"), "decimal(38,2)"),
    f"(SELECT avg(x) FROM (VALUES {literal(FULL)}) AS t(x))": (FULL, "decimal(38,2)"),
    f"(SELECT avg(x) FROM (VALUES {literal(FULL)}, {literal(FULL)}) AS t(x))": (FULL, "decimal(38,2)"),
    f"(SELECT sum(x) FROM (VALUES {literal(LARGE)}, {literal(LARGE)}) AS t(x))": (2 * LARGE, "decimal(38,2)"),
    f"(SELECT approx_percentile(x, 0.5) FROM (VALUES {literal(LARGE)}) AS t(x))": (float(LARGE), "double"),
    f"(SELECT avg(x) FROM (VALUES {2**63 - 1}, {2**63 - 1}) AS t(x))": (2.0**63, "double"),
}


@pytest.mark.parametrize(("expression", "expected"), DECIMALS.items())
def test_decimals_have_trinos_value_and_type(story: Any, expression: str, expected: tuple[Any, str]) -> None:
    assert ask(story, f"SELECT {expression}, typeof({expression})") == list(expected)


def sum_of(a: Digits, b: Digits) -> Digits:
    scale = max(a[1], b[1])
    return max(a[0] - a[1], b[0] - b[1]) + scale + 1, scale


def product_of(a: Digits, b: Digits) -> Digits:
    return a[0] + b[0], a[1] + b[1]


def quotient_of(a: Digits, b: Digits) -> Digits:
    return a[0] + b[1] + max(b[1] - a[1], 0), max(a[1], b[1])


def remainder_of(a: Digits, b: Digits) -> Digits:
    scale = max(a[1], b[1])
    return min(a[0] - a[1], b[0] - b[1]) + scale, scale


# Source: Trino documentation, "Decimal functions and operators".
RULES = {"+": sum_of, "-": sum_of, "*": product_of, "/": quotient_of, "%": remainder_of}
EDGES: list[Digits] = [(1, 0), (1, 1), (12, 2), (18, 0), (19, 19), (38, 0), (38, 2), (38, 19)]


def nonzero(digits: Digits) -> str:
    return f"CAST({'1' if digits[0] > digits[1] else '0.1'} AS decimal({digits[0]},{digits[1]}))"


@pytest.mark.parametrize("operator", RULES)
def test_operators_have_trinos_types(story: Any, operator: str) -> None:
    pairs = [(a, b) for a, b in product(EDGES, EDGES) if RULES[operator](a, b)[1] <= 38]
    typed = ", ".join(f"typeof({nonzero(a)} {operator} {nonzero(b)})" for a, b in pairs)
    results = [RULES[operator](a, b) for a, b in pairs]
    expected = [f"decimal({min(38, precision)},{scale})" for precision, scale in results]
    found = dict(zip(pairs, ask(story, f"SELECT {typed}"), strict=True))
    assert found == dict(zip(pairs, expected, strict=True))


# In Berlin on 2026-10-25 there are two hours after 2 o'clock, and on 2026-03-29 there is none.
MOMENTS = {
    "TIMESTAMP '2026-10-25 02:30:00 Europe/Berlin'": "2026-10-25T00:30:00Z",
    "TIMESTAMP '2026-10-25 02:30:00 +01:00'": "2026-10-25T01:30:00Z",
    "date_add('day', 1, TIMESTAMP '2026-10-24 12:00:00 Europe/Berlin')": "2026-10-25T11:00:00Z",
    "date_add('week', -1, TIMESTAMP '2026-10-31 12:00:00 Europe/Berlin')": "2026-10-24T10:00:00Z",
    "date_add('month', 1, TIMESTAMP '2026-09-25 12:00:00 Europe/Berlin')": "2026-10-25T11:00:00Z",
    "date_add('hour', 24, TIMESTAMP '2026-10-24 12:00:00 Europe/Berlin')": "2026-10-25T10:00:00Z",
    "date_trunc('day', TIMESTAMP '2026-10-25 12:00:00 Europe/Berlin')": "2026-10-24T22:00:00Z",
}


@pytest.mark.parametrize(("expression", "moment"), MOMENTS.items())
def test_the_wall_clock_of_a_zone_is_trinos(story: Any, expression: str, moment: str) -> None:
    assert ask(story, f"SELECT ({expression}) AT TIME ZONE 'UTC'") == [pd.Timestamp(moment)]


@pytest.mark.parametrize(
    "clock", ["2026-03-29 02:30:00 Europe/Berlin", "2026-03-08 02:00:00 America/New_York"]
)
def test_a_wall_clock_that_its_zone_never_shows_is_refused(story: Any, clock: str) -> None:
    with pytest.raises(QueryError, match=clock):
        ask(story, f"SELECT TIMESTAMP '{clock}'")


@pytest.fixture(scope="module")
def nothing(story: Any) -> Iterator[str]:
    """A table with one row; it goes with the tests."""
    pipeline = story.pipeline
    parts, name = (pipeline.session, pipeline.settings), "nothing"
    columns = "id varchar, word varchar, price decimal(12,2), at timestamp with time zone"
    query(*parts, f"CREATE TABLE {name} ({columns}) TBLPROPERTIES ('table_type'='ICEBERG')")
    try:
        query(*parts, f"INSERT INTO {name} VALUES ('a', 'word', DECIMAL '1.50', current_timestamp)")
        yield name
    finally:
        catalog.open_catalog(*parts).purge_table((pipeline.settings.namespace, name))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET word = NULL",
        "UPDATE {table} SET price = NULL, at = NULL WHERE id = 'a'",
    ],
)
def test_a_null_may_be_written_into_every_column(story: Any, nothing: str, statement: str) -> None:
    query(story.pipeline.session, story.pipeline.settings, statement.format(table=nothing))


def test_a_null_that_is_cast_keeps_its_type(story: Any) -> None:
    price = "CAST(NULL AS decimal(12,2))"
    made = {
        price: "decimal(12,2)",
        f"-{price}": "decimal(12,2)",
        f"abs({price})": "decimal(12,2)",
        f"{price} + {price}": "decimal(13,2)",
        f"{price} - 1": "decimal(13,2)",
        f"{price} * {price}": "decimal(24,4)",
    }
    typed = ", ".join(f"typeof({expression})" for expression in made)
    assert ask(story, f"SELECT {typed}") == list(made.values())
