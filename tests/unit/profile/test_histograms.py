"""Histograms: every row in one bin, bins in order, values of the column's own type."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.profile.histograms import PARTS, SHARES, histogram, histogram_of_counts

FINITE = st.floats(-1e9, 1e9)


@given(values=st.lists(FINITE, min_size=1, max_size=300))
def test_every_row_is_in_one_bin_and_bins_follow_each_other(values: list[float]) -> None:
    found = histogram(min(values), max(values), list(np.quantile(values, SHARES)), len(values))
    assert sum(rows for *_, rows in found) == len(values)
    assert len(found) <= PARTS
    assert all(rows > 0 and low <= high for low, high, rows in found)
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    assert found[0][0] >= min(values)
    assert found[-1][1] <= max(values)


@given(values=st.lists(st.integers(0, 5), min_size=100, max_size=400))
def test_a_bin_holds_about_the_rows_that_lie_in_it(values: list[int]) -> None:
    """No bin is off by more than the rows at its two ends and one part for what rounding moves."""
    found = histogram(
        min(values), max(values), list(np.quantile(values, SHARES, method="lower")), len(values)
    )
    for low, high, rows in found:
        inside = sum(low < value < high for value in values)
        touching = sum(low <= value <= high for value in values)
        assert inside - len(values) / PARTS <= rows <= touching + len(values) / PARTS


def test_a_value_that_many_rows_have_is_one_bin() -> None:
    assert histogram(0, 9, [0.0] * 15 + [3.0, 5.0, 6.0, 8.0], 200) == [
        (0, 0, 150), (0, 3, 10), (3, 5, 10), (5, 6, 10), (6, 8, 10), (8, 9, 10),
    ]  # fmt: skip
    assert histogram(7, 7, [7.0] * 19, 3) == [(7, 7, 3)]


def test_a_sketch_that_wavers_is_straightened() -> None:
    quantiles = [1.0, 0.9999999, 1.2, -5.0, *[2.0] * 13, 99.0, 1.5]
    found = histogram(1.0, 3.0, quantiles, 20)
    assert [low for low, *_ in found] == sorted(low for low, *_ in found)
    assert found[-1][1] == 3.0
    assert sum(rows for *_, rows in found) == 20


@pytest.mark.parametrize(
    ("least", "greatest", "quantiles", "wanted"),
    [
        (Decimal("0.10"), Decimal("99.90"), [33.333333333333336] * 19, Decimal("33.33")),
        (date(2026, 1, 1), date(2026, 1, 3), [1767312000.0] * 19, date(2026, 1, 2)),
        (
            pd.Timestamp("2026-01-01", tz="UTC"),
            pd.Timestamp("2026-01-03", tz="UTC"),
            [1767312000.5] * 19,
            pd.Timestamp("2026-01-02 00:00:00.5", tz="UTC"),
        ),
        (
            pd.Timestamp("2026-01-01"),
            pd.Timestamp("2026-01-03"),
            [1767312000.0] * 19,
            pd.Timestamp("2026-01-02"),
        ),
        (1, 9, [5.0] * 19, 5),
    ],
)
def test_values_are_of_the_columns_type(
    least: object, greatest: object, quantiles: list[float], wanted: object
) -> None:
    found = histogram(least, greatest, quantiles, 40)
    assert found[0][1] == wanted
    assert {type(value) for low, high, _ in found for value in (low, high)} == {type(least)}


@given(values=st.lists(st.integers(-200, 200), min_size=1, max_size=200))
def test_counted_values_lie_in_bins_of_one_width(values: list[int]) -> None:
    for unit, zero in ((1, 0), (timedelta(days=1), date(2026, 1, 1))):
        typed: list[Any] = [zero + value * unit for value in values]
        found = histogram_of_counts(Counter(typed))
        assert len(found) <= PARTS
        assert len({high - low for low, high, _ in found}) == 1
        assert [sum(low <= value < high for value in typed) for low, high, _ in found] == [
            n for *_, n in found
        ]
        assert sum(n for *_, n in found) == len(values)


def test_nothing_counted_has_no_bins() -> None:
    assert histogram_of_counts({}) == []


def test_without_values_or_order_there_is_none() -> None:
    quantiles = [1.0] * 19
    assert histogram(None, None, None, 0) == []
    assert histogram(1, 2, quantiles, 0) == []
    assert histogram("a", "b", None, 5) == []
    assert histogram(float("-inf"), 1.0, quantiles, 5) == []
    assert histogram(1.0, float("nan"), quantiles, 5) == []


def test_the_ends_of_the_calendar_and_of_decimals() -> None:
    quantiles = [-62135596800.0, *[0.0] * 17, 253402300800.0]
    for least, greatest in (
        (date.min, date.max),
        (pd.Timestamp("0001-01-01"), pd.Timestamp("9999-12-31 23:59:59")),
    ):
        found = histogram(least, greatest, quantiles, 40)
        assert (found[0][0], found[-1][1]) == (least, greatest)
        assert sum(rows for *_, rows in found) == 40
    found = histogram_of_counts({date.min: 1, date.max: 2})
    assert [rows for *_, rows in found] == [1, 2]
    widest = Decimal("9" * 38)
    found = histogram(Decimal(0), widest, [1e38] * 19, 40)
    assert found[-1][:2] == (widest, widest)
