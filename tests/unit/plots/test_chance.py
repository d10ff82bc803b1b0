"""What chance alone explains is no finding: intervals have their confidence, noise has no largest."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg.plots.chance import busiest, drift_by_chance, interval


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 10, 0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1), (1, 100, 0.0003, 0.0545)],
)
def test_small_samples_have_the_intervals_of_clopper_and_pearson(part, whole, low, high):
    assert interval(part, whole) == pytest.approx((low, high), abs=1e-4)


def test_large_samples_have_wilson_s_interval():
    assert interval(4_000, 10_000) == pytest.approx((0.39043, 0.40964), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.integers(2, 40))
def test_an_interval_holds_the_share_and_grows_with_the_comparisons(counts, comparisons):
    part, whole = counts
    (low, high), (lower, higher) = interval(part, whole), interval(part, whole, comparisons)
    assert 0 <= lower <= low <= part / whole <= high <= higher <= 1


def test_groups_of_one_rate_are_seldom_told_apart():
    random = np.random.default_rng(7)
    sizes = random.integers(5, 400, 28)
    found = 0
    for _ in range(100):
        ends = [interval(random.binomial(n, 0.05), n, len(sizes)) for n in sizes]
        found += any(not low <= 0.05 <= high for low, high in ends)
    assert found <= 10, "5 in 100 are expected"


def test_even_hours_have_no_busiest_one_and_a_peak_is_found():
    random = np.random.default_rng(7)
    tables = [pd.Series(random.multinomial(4_500, [1 / 24] * 24)).astype(float) for _ in range(100)]
    assert sum(bool(busiest(counts)) for counts in tables) <= 10
    assert busiest(tables[0].add(pd.Series({19: 400.0}), fill_value=0)) == [19]
    twins = pd.Series([100.0] * 22 + [400.0, 410.0])
    assert busiest(twins) == [22, 23], "which of the two is the larger is chance"


def test_drift_by_chance_is_what_samples_of_one_distribution_show():
    random = np.random.default_rng(7)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    before, after = (random.multinomial(size, shares, 2_000) / size for size in (300, 200))
    distances = ((after - before) * np.log(after / before)).sum(axis=1)
    assert (distances > drift_by_chance(4, 300, 200)).mean() == pytest.approx(0.05, abs=0.02)
    assert drift_by_chance(4, 0, 10) == float("inf")
