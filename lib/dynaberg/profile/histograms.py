"""Histograms: bins of a column's values with row counts, from a sketch or from the count of each value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from itertools import pairwise
from typing import Any

PARTS = 20
SHARES = tuple(part / PARTS for part in range(1, PARTS))

Bin = tuple[Any, Any, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A double has more digits before the point than a decimal of 38.
_WIDE = Context(prec=400, rounding=ROUND_HALF_UP)


def histogram_of_counts(counts: Mapping[Any, int]) -> list[Bin]:
    """The bins of a column of whole numbers or dates whose values were counted: exact, and of equal width.

    Args:
        counts: Row count of each value.

    Returns:
        (low, high, rows) of at most 20 bins: rows with low <= value < high.

    Example:
        >>> histogram_of_counts({3: 10, 4: 30, 7: 1})
        [(3, 4, 10), (4, 5, 30), (7, 8, 1)]
    """
    if not counts:
        return []
    least, greatest = min(counts), max(counts)
    unit: Any = timedelta(days=1) if isinstance(least, date) else 1
    width = -(-((greatest - least) // unit + 1) // PARTS)
    rows: dict[int, int] = {}
    for value, count in counts.items():
        place = (value - least) // unit // width
        rows[place] = rows.get(place, 0) + count
    return [
        (_shifted(least, place * width, unit), _shifted(least, (place + 1) * width, unit), rows[place])
        for place in sorted(rows)
    ]


def _shifted(least: Any, steps: int, unit: Any) -> Any:
    """A bound; the calendar ends with the year 9999."""
    try:
        return least + steps * unit
    except OverflowError:
        return date.max


def histogram(least: Any, greatest: Any, quantiles: Sequence[float] | None, rows: int) -> list[Bin]:
    """The bins of a column: each starts where the one before ends, and holds about a twentieth of the rows.

    If many rows have the same value, bins that start and end with it are merged. The row counts of all bins
    add up exactly to the given number; how many rows are in each bin, and where it ends, is approximate.

    Args:
        least: The smallest value: a number, a date or a moment.
        greatest: The largest value.
        quantiles: The values at `SHARES` of the rows; of dates and moments, as seconds since 1970.
        rows: How many rows have a value.

    Returns:
        (low, high, rows) of each bin that holds rows, low and high of the type of `least`; empty if there is
        no value, or the values have no order.

    Example:
        >>> histogram(0, 100, [5.0 * part for part in range(1, 20)], 40)[:2]
        [(0, 5, 2), (5, 10, 2)]
    """
    if not quantiles or not rows or least is None or _is_endless(least) or _is_endless(greatest):
        return []
    inner = map(from_sketch(least, greatest), quantiles)
    bounds = [least, *_never_falling(list(inner)), greatest]
    ends = [round(rows * part / PARTS) for part in range(PARTS + 1)]
    counts = [after - before for before, after in pairwise(ends)]
    return list(_merged(zip(pairwise(bounds), counts, strict=True)))


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def from_sketch(least: Any, greatest: Any) -> Callable[[float], Any]:
    """The function that turns a number from the sketch into a value of the column's type, within its range.

    Args:
        least: The smallest value: a number, a date or a moment.
        greatest: The largest value.
    """
    read = _reader(least)
    if _is_endless(least) or _is_endless(greatest):
        return read

    def value(number: float) -> Any:
        try:
            return min(max(read(number), least), greatest)
        except OverflowError:
            return least if number < 0 else greatest

    return value


def _reader(least: Any) -> Callable[[float], Any]:
    if isinstance(least, Decimal):
        unit = Decimal(1).scaleb(int(least.as_tuple().exponent))
        return lambda value: Decimal(repr(value)).quantize(unit, context=_WIDE)
    if isinstance(least, datetime):
        return lambda value: _moment(value, like=least)
    if isinstance(least, date):
        return lambda value: (_EPOCH + timedelta(seconds=value)).date()
    return type(least)


def _moment(seconds: float, like: datetime) -> Any:
    """A moment of the type that pandas returns, with a zone if the column has one."""
    import pandas as pd

    moment = _EPOCH + timedelta(seconds=seconds)
    return pd.Timestamp(moment if like.tzinfo else moment.replace(tzinfo=None))


def _never_falling(values: Sequence[Any]) -> Iterator[Any]:
    """The values, each at least the one before: a sketch may waver by an ulp."""
    highest = values[0]
    for value in values:
        highest = max(highest, value)
        yield highest


def _merged(bins: Iterator[tuple[tuple[Any, Any], int]]) -> Iterator[Bin]:
    """Bins, with those of zero width at the same value merged, and those without rows left out."""
    held: Bin | None = None
    for (low, high), count in bins:
        if held is not None and low == high == held[0] == held[1]:
            held = low, high, held[2] + count
            continue
        if held is not None and held[2]:
            yield held
        held = low, high, count
    if held is not None and held[2]:
        yield held
