"""Decimals are computed as Trino does: exact values, compared with Python's, and the types of results."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_aws.athena.dialect import QueryError

Ask = Callable[[str], tuple[list[tuple[str | None, ...]], list[str]]]
EDGES = [
    (1, 0),
    (1, 1),
    (9, 2),
    (18, 0),
    (18, 18),
    (19, 0),
    (19, 4),
    (37, 1),
    (38, 0),
    (38, 2),
    (38, 19),
    (38, 38),
]
KINDS = st.sampled_from(EDGES) | st.integers(1, 38).flatmap(
    lambda p: st.tuples(st.just(p), st.integers(0, p))
)
LIMIT = 10**38
Number = tuple[tuple[int, int], int]


def near(digits: int) -> st.SearchStrategy[int]:
    """Whole numbers of some digits, the ends first."""
    most = 10**digits - 1
    return st.sampled_from([most, -most, 1, -1, most // 2 + 1]) | st.integers(-most, most)


NUMBERS = KINDS.flatmap(lambda kind: st.tuples(st.just(kind), near(kind[0])))


def text(units: int, scale: int) -> str:
    """A decimal as it is written."""
    digits = str(abs(units)).rjust(scale + 1, "0")
    written = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return ("-" if units < 0 else "") + written


def sql(number: Number) -> str:
    (precision, scale), units = number
    return f"CAST('{text(units, scale)}' AS decimal({precision}, {scale}))"


def half_up(value: Fraction) -> int:
    """A whole number, rounded half away from zero."""
    whole, rest = divmod(abs(value.numerator), value.denominator)
    return (whole + (2 * rest >= value.denominator)) * (-1 if value < 0 else 1)


def expected(left: Number, right: Number) -> dict[str, tuple[str | None, str]]:
    """Value and type of each operation, None where it overflows; Trino documentation, "Decimal functions"."""
    ((p1, s1), a), ((p2, s2), b) = left, right
    scale = max(s1, s2)
    x, y = a * 10 ** (scale - s1), b * 10 ** (scale - s2)
    fits = max(abs(x), abs(y)) < LIMIT
    results: dict[str, tuple[int | None, int, int]] = {
        "+": (x + y if fits else None, min(38, max(p1 - s1, p2 - s2) + scale + 1), scale),
        "-": (x - y if fits else None, min(38, max(p1 - s1, p2 - s2) + scale + 1), scale),
    }
    if s1 + s2 <= 38:
        results["*"] = a * b, min(38, p1 + p2), s1 + s2
    if b:
        quotient = half_up(Fraction(a, 10**s1) / Fraction(b, 10**s2) * 10**scale)
        results["/"] = quotient, min(38, p1 + s2 + max(0, s2 - s1)), scale
        rest = abs(x) % abs(y) * (-1 if a < 0 else 1)
        results["%"] = rest, min(p1 - s1, p2 - s2) + scale, scale
    return {
        sign: (
            None if units is None or abs(units) >= LIMIT else text(units, scale),
            f"decimal({precision},{scale})",
        )
        for sign, (units, precision, scale) in results.items()
    }


@settings(max_examples=20)
@given(left=NUMBERS, right=NUMBERS)
@example(left=((12, 2), 999999999999), right=((12, 2), 999999999999))
@example(left=((38, 3), LIMIT - 1), right=((38, 38), 7))
@example(left=((38, 38), LIMIT - 1), right=((38, 0), LIMIT - 1))
def test_operators(ask: Ask, left: Number, right: Number) -> None:
    wanted = expected(left, right)
    tried = ", ".join(f"TRY({sql(left)} {sign} {sql(right)})" for sign in wanted)
    ((row,), kinds) = ask(f"SELECT {tried}")
    assert dict(zip(wanted, zip(row, kinds, strict=True), strict=True)) == wanted


@settings(max_examples=30)
@given(kind=KINDS, data=st.data())
@example(kind=(38, 2), data=None)
def test_aggregates(ask: Ask, kind: tuple[int, int], data: Any) -> None:
    precision, scale = kind
    most = 10**precision - 1
    values = [most, most] if data is None else data.draw(st.lists(near(precision), min_size=1, max_size=5))
    rows = ", ".join(sql((kind, value)) for value in values)
    mean = half_up(Fraction(sum(values), len(values)))
    query = f"SELECT avg(x), min(x), max(x), avg(x) OVER () FROM (VALUES {rows}) AS t(x) GROUP BY () "
    ((row,), kinds) = ask(query.replace(", avg(x) OVER ()", ""))
    assert (row, kinds) == (
        tuple(text(units, scale) for units in (mean, min(values), max(values))),
        [f"decimal({precision},{scale})"] * 3,
    )
    if max(abs(sum(values)), *map(abs, values)) < LIMIT // 10:
        assert ask(f"SELECT sum(x) FROM (VALUES {rows}) AS t(x)") == (
            [(text(sum(values), scale),)],
            [f"decimal(38,{scale})"],
        )


@pytest.mark.parametrize(
    ("expression", "value", "kind"),
    [
        ("typeof(0.05)", "decimal(2,2)", "varchar"),
        ("0.05 * 2", "0.10", "decimal(12,2)"),
        ("sum(1.5)", "1.5", "decimal(38,1)"),
        ("avg(CAST('9' AS real))", "9.0", "real"),
        ("sum(CAST(1 AS real))", "1.0", "real"),
        ("sum(7) / 2", "3", "bigint"),
        ("sum(7) * 1.0", "7.0", "decimal(21,1)"),
        ("approx_percentile(DECIMAL '1.5', 0.5)", "1.5", "double"),
        ("approx_percentile(1, 0.5)", "1", "bigint"),
        ("round(DECIMAL '9.95')", "10", "decimal(2,0)"),
        ("round(DECIMAL '-9.95', 1)", "-10.00", "decimal(4,2)"),
        ("ceil(DECIMAL '9.01')", "10", "decimal(2,0)"),
        ("floor(DECIMAL '-9.01')", "-10", "decimal(2,0)"),
        ("truncate(DECIMAL '-9.99')", "-9", "decimal(1,0)"),
        ("truncate(DECIMAL '9.99', 1)", "9.90", "decimal(3,2)"),
        ("abs(DECIMAL '-9.95')", "9.95", "decimal(3,2)"),
        ("CAST(1.005e0 AS decimal(10,2))", "1.01", "decimal(10,2)"),
        ("CAST(CAST(1.1 AS real) AS decimal(10,2))", "1.10", "decimal(10,2)"),
        ("CAST(DECIMAL '0.05' AS varchar)", "0.05", "varchar"),
    ],
)
def test_functions(ask: Ask, expression: str, value: str, kind: str) -> None:
    assert ask(f"SELECT {expression}") == ([(value,)], [kind])


@pytest.mark.parametrize(
    "expression",
    [
        "sum(x) FROM (VALUES CAST('99999999999999999999999999999999999999' AS decimal(38,0)), 1) AS t(x)",
        "CAST('99999999999999999999999999999999999999' AS decimal(38,0)) + 1",
        "CAST('99999999999999999999999999999999999999' AS decimal(38,0)) * 2",
        "CAST('0.4' AS decimal(38,38)) = CAST('5' AS decimal(38,0))",
        "CAST('0.4' AS decimal(38,38)) UNION SELECT CAST('5' AS decimal(38,0))",
        "CAST('0.4' AS decimal(38,38)) * CAST('0.1' AS decimal(1,1))",
    ],
)
def test_overflow_is_an_error(ask: Ask, expression: str) -> None:
    import duckdb

    with pytest.raises((duckdb.Error, QueryError)):
        ask(f"SELECT {expression}")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CAST('0.4' AS decimal(38,38)) = CAST('0' AS decimal(38,0))", "false"),
        ("CAST('0.4' AS decimal(38,38)) IN (CAST('0' AS decimal(38,0)))", "false"),
        ("coalesce(CAST(NULL AS decimal(38,0)), CAST('0.4' AS decimal(38,38)))", f"0.4{'0' * 37}"),
        ("IF(true, CAST('0.4' AS decimal(38,38)), CAST('0' AS decimal(38,0)))", f"0.4{'0' * 37}"),
        ("greatest(CAST('0.4' AS decimal(38,38)), CAST('0' AS decimal(38,0)))", f"0.4{'0' * 37}"),
    ],
)
def test_fractions_are_not_cut_for_whole_digits(ask: Ask, expression: str, value: str) -> None:
    assert ask(f"SELECT {expression}")[0] == [(value,)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "transform(ARRAY[DECIMAL '1234567890123456789.12'], x -> CAST(x AS varchar))",
            "[1234567890123456789.12]",
        ),
        ("transform(ARRAY[1.50, 2.25], x -> x / 3)", "[0.50, 0.75]"),
        ("reduce(ARRAY[1.5, 2.5], DECIMAL '0.00', (s, x) -> s + x, s -> s / 3)", "1.33"),
        (
            "transform(ARRAY[ARRAY[1.50]], x -> transform(x, y -> y / 4 * CAST(12345678 AS decimal(18, 0))))",
            "[[4691357.64]]",
        ),
        ("zip_with(ARRAY[1.50], ARRAY[7], (x, y) -> y / x)", "[4.67]"),
        (
            "transform_values(MAP(ARRAY['a'], ARRAY[1.50]), (k, v) -> CAST(v / 4 AS varchar) || k)",
            "{a=0.38a}",
        ),
    ],
)
def test_variables_of_lambdas_have_types(ask: Ask, expression: str, value: str) -> None:
    assert ask(f"SELECT {expression}")[0] == [(value,)]
