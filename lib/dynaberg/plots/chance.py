"""What chance alone explains: intervals of a share, and which of several counts is the largest beyond it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

CONFIDENCE = 0.95
# With more of both sorts than this, the normal distribution is near enough; below it, every term is added up.
_MANY = 100
_HALVINGS = 50


@lru_cache(maxsize=4096)
def interval(part: float, whole: float, comparisons: int = 1) -> tuple[float, float]:
    """The interval in which a share lies, with 95% confidence in all of several intervals together.

    It is Clopper and Pearson's exact interval, or Wilson's if there is much of both; for several, each is
    widened as Bonferroni says, so that the largest of many is not taken for a finding.

    Args:
        part: How many of the whole.
        whole: How many there are.
        comparisons: How many intervals are compared.

    Example:
        >>> interval(5, 10)
        (0.187..., 0.812...)
    """
    if whole <= 0:
        return 0.0, 1.0
    risk = (1 - CONFIDENCE) / max(comparisons, 1)
    k, n = round(part), round(whole)
    if min(k, n - k) > _MANY:
        return _wilson(k, n, NormalDist().inv_cdf(1 - risk / 2))
    low = 0.0 if k == 0 else _solve(_at_least(k, n), risk / 2)
    high = 1.0 if k == n else 1 - _solve(_at_least(n - k, n), risk / 2)
    return low, high


def busiest(counts: pd.Series[float]) -> list[Any]:
    """The counts that are the largest beyond chance: the largest, and those not told from it; or none.

    Each count is compared with an even share of all, and with the largest one.
    """
    largest, total, compared = counts.max(), counts.sum(), len(counts)
    if compared < 2 or interval(largest, total, compared)[0] <= 1 / compared:
        return []
    return [name for name, count in counts.items() if interval(largest, largest + count, compared)[0] <= 0.5]


def drift_by_chance(bins: int, before: int, after: int) -> float:
    """The population stability index that samples of one distribution exceed in 5% of all cases.

    It is close to a chi-square of `bins - 1` degrees of freedom times (1 / before + 1 / after): B. Yurdakul,
    "Statistical Properties of Population Stability Index" (2018). The quantile is Wilson and Hilferty's.

    Args:
        bins: How many bins were compared.
        before: Rows of the first sample.
        after: Rows of the second one.
    """
    if min(before, after) < 1:
        return math.inf
    free = max(bins - 1, 1)
    spread = 2 / (9 * free)
    quantile = free * (1 - spread + NormalDist().inv_cdf(CONFIDENCE) * math.sqrt(spread)) ** 3
    return quantile * (1 / before + 1 / after)


def _wilson(k: int, n: int, z: float) -> tuple[float, float]:
    """Wilson's score interval (1927)."""
    share, scale = k / n, 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / scale
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    return middle - reach, middle + reach


def _at_least(k: int, n: int) -> Callable[[float], float]:
    """The chance of at least k of n by its share, from whichever side has fewer terms."""
    counts = np.arange(k, n + 1) if k > n - k else np.arange(k)
    ways = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in counts.tolist()]

    def chance(share: float) -> float:
        terms = np.exp(ways + counts * math.log(share) + (n - counts) * math.log1p(-share))
        return float(terms.sum()) if k > n - k else 1 - float(terms.sum())

    return chance


def _solve(chance: Callable[[float], float], most: float) -> float:
    """The share beyond which a chance, which grows with it, is more than so much."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) > most else (middle, high)
    return low
