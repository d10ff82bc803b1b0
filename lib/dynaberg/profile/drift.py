"""Drift: how far the columns of a table have drifted from one profile to another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# The smallest share that counts: an empty bin would otherwise be infinitely far from a full one.
_LEAST_SHARE = 1e-4
_TOP_VALUES = 5
_METRICS = {
    "approx_distinct": "distinct",
    "mean": "mean",
    "approx_p25": "p25",
    "approx_p50": "p50",
    "approx_p75": "p75",
}
_COLUMNS = [
    "column", "distance", "measured_on", "nulls_before", "nulls_after", "nulls_change",
    *(f"{name}_{side}" for name in _METRICS.values() for side in ("before", "after", "change")), "top",
]  # fmt: skip

Bins = list[tuple[float, float]]


def drift(profile_a: pd.DataFrame, profile_b: pd.DataFrame) -> pd.DataFrame:
    """Compare two profiles of a table, column by column, those that drifted most first.

    The distance is the population stability index: the sum over bins of (after - before) · ln(after / before)
    of their shares. The bins are the nulls, and the most frequent values with one bin for the rest, or, for
    numbers without frequent values, the quarters between the earlier quantiles. As a rule of thumb, up to 0.1
    is noise and more than 0.25 is a shift. Bins are coarse, so the true distance is at least this one.

    Args:
        profile_a: The earlier profile, from `profile_columns`.
        profile_b: The later one.

    Returns:
        One row per column of either profile: column, distance, measured_on (`top values`, `quantiles`,
        `nulls`), and before, after, change of nulls (a share of the rows), distinct, mean, p25, p50, p75;
        top: a list of (value, share before, share after), an unknown share is None. A column that is missing
        from one of the profiles counts as null there.

    Example:
        >>> drift(table.profile_columns(snapshot=yesterday), table.profile_columns())
    """
    import pandas as pd

    before, after = _by_column(profile_a), _by_column(profile_b)
    names = [*before, *(name for name in after if name not in before)]
    rows = [_row(name, before.get(name, {}), after.get(name, {})) for name in names]
    frame = pd.DataFrame(rows, columns=_COLUMNS, dtype=object)
    floats = dict.fromkeys(["distance", "nulls_before", "nulls_after", "nulls_change"], "float64")
    return frame.astype(floats).sort_values("distance", ascending=False, kind="stable", ignore_index=True)


def _by_column(profile: pd.DataFrame) -> dict[str, dict[str, Any]]:
    import pandas as pd

    lines: list[dict[str, Any]] = profile.to_dict("records")  # type: ignore[assignment]
    return {
        line["column"]: {
            name: None if pd.api.types.is_scalar(value) and pd.isna(value) else value
            for name, value in line.items()
        }
        for line in lines
    }


def _row(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    nulls = _null_share(before), _null_share(after)
    measured_on, bins = _bins(before, after)
    row: dict[str, Any] = {
        "column": name,
        "distance": _distance([nulls, *bins]),
        "measured_on": measured_on,
        "nulls_before": nulls[0],
        "nulls_after": nulls[1],
        "nulls_change": nulls[1] - nulls[0],
        "top": list(_top_shares(before, after)),
    }
    for metric, short in _METRICS.items():
        old, new = before.get(metric), after.get(metric)
        change = _change(old, new)
        row |= {f"{short}_before": old, f"{short}_after": new, f"{short}_change": change}
    return row


def _change(old: Any, new: Any) -> Any:
    """The difference, if both are there and of types that have one: a column may have changed its type."""
    try:
        return new - old
    except (ArithmeticError, TypeError):
        return None


def _null_share(line: Mapping[str, Any]) -> float:
    return float(line["nulls"] / line["rows"]) if line.get("rows") else 1.0


def _distance(bins: Bins) -> float:
    """The population stability index of shares before and after."""
    floored = [(max(old, _LEAST_SHARE), max(new, _LEAST_SHARE)) for old, new in bins]
    return math.fsum((new - old) * math.log(new / old) for old, new in floored)


def _bins(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, Bins]:
    """What a column's drift is measured on, and the shares of its bins in all rows, without the nulls."""
    if before.get("top") or after.get("top"):
        known = [
            (old, new) for _, old, new in _top_shares(before, after) if old is not None and new is not None
        ]
        rest = [
            max(1 - _null_share(line) - math.fsum(pair[side] for pair in known), 0)
            for side, line in enumerate((before, after))
        ]
        return "top values", [*known, (rest[0], rest[1])]
    quantiles = _quantiles(before), _quantiles(after)
    filled = 1 - _null_share(before), 1 - _null_share(after)
    if quantiles[0] and quantiles[1]:
        edges = sorted({value for value, share in quantiles[0] if 0 < share < 1})
        shares = [_between(_cumulative(q, edges), part) for q, part in zip(quantiles, filled, strict=True)]
        return "quantiles", list(zip(*shares, strict=True))
    return "nulls", [filled]


def _top_shares(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, float | None, float | None]]:
    """The frequent values of either profile with their shares; None if the other may hold a value unseen."""
    counts = [dict(line.get("top") or []) for line in (before, after)]
    for value in dict.fromkeys([*counts[0], *counts[1]]):
        old, new = (
            found.get(value, 0) / line["rows"] if line.get("rows") else 0.0
            for found, line in zip(counts, (before, after), strict=True)
        )
        unseen = [value not in found and len(found) >= _TOP_VALUES for found in counts]
        yield value, None if unseen[0] else old, None if unseen[1] else new


def _quantiles(line: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Points of the distribution that are known: a finite value, and the share of values up to it."""
    shares = {"min": 0.0, "approx_p25": 0.25, "approx_p50": 0.5, "approx_p75": 0.75, "max": 1.0}
    if line.get("approx_p50") is None:
        return []
    known = {name: float(line[name]) for name in shares if line.get(name) is not None}
    return [(value, shares[name]) for name, value in known.items() if math.isfinite(value)]


def _cumulative(points: list[tuple[float, float]], edges: list[float]) -> list[float]:
    """The share of values up to each edge, interpolated between the known points."""
    import numpy as np

    # If several quantiles have the same value, the largest share counts.
    last = dict(sorted(points))
    found = np.interp(edges, list(last), list(last.values()), left=0.0, right=1.0)
    return [float(share) for share in found]


def _between(cumulative: list[float], part: float) -> list[float]:
    return [(high - low) * part for low, high in pairwise([0.0, *cumulative, 1.0])]
