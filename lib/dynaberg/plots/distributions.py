"""Pictures of distributions: of all ordered columns, from a profile alone, and of the numbers of one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import (
    BLUE,
    INK,
    ORANGE,
    SMALL,
    as_numbers,
    counted,
    draw_marks,
    draw_nothing,
    finish,
    first_lines,
    is_null,
    new_axes,
    percent,
    require,
    shorten,
    whole_numbers,
    write_at,
)

_LABEL_LENGTH = 30
# A value that many rows share has no width; it is drawn as this much of the range.
_LEAST_WIDTH = 0.004
_TALLEST = 0.56
# The median of a column that is not skewed is near the middle of its range.
_LEANING = 0.2
_LONG = 10**10
# Of fewer values, none is one in twenty.
_TWENTY = 20

Bins = Sequence[tuple[Any, Any, int]]


def plot_histograms(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the histogram of every column that has one, each from its smallest value to its largest.

    Args:
        profile: From `Table.profile_columns`; columns with fewer than two bins are left out.
        ax: Axes to draw on.
    """
    nothing = "No column with a range of values"
    if profile.empty:
        return draw_nothing(nothing, ax)
    require(profile, "column", "approx_histogram", "min", "max")
    # A column may lack its histogram, and one bin has no range.
    found = profile[[isinstance(bins, Sequence) and len(bins) > 1 for bins in profile["approx_histogram"]]]
    if found.empty:
        return draw_nothing(nothing, ax)
    found = found.assign(middle=found["approx_histogram"].map(_middle))
    skewed = found.sort_values("middle", key=lambda middle: -(middle - 0.5).abs(), kind="stable")
    shown, rest = first_lines(skewed, "column that is less skewed")
    lines: list[Any] = shown.sort_values("middle", kind="stable").to_dict("records")
    ax = ax or new_axes(height=1.5 + 0.5 * len(lines))
    for place, line in enumerate(lines):
        _draw(ax, place, line)
    names = [shorten(line["column"], _LABEL_LENGTH) for line in lines]
    ax.set_yticks(np.arange(len(lines)) + _TALLEST / 2, names, fontsize=SMALL)
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.45, len(lines) - 0.3))
    ax.grid(visible=False)
    words = "each column's range; taller: denser; dotted top: one value of many rows; line: the median"
    finish(ax, _finding(skewed.iloc[0]), x=words, y="", counts="", notes=[rest])
    ax.set_xticks([0, 1], ["least", "greatest"])
    return ax


def _finding(first: Any) -> str:
    middle, name = first["middle"], shorten(first["column"], _LABEL_LENGTH)
    if abs(middle - 0.5) < _LEANING:
        return f"No column is strongly skewed; {name} is the most"
    share, side = (middle, "lowest") if middle < 0.5 else (1 - middle, "highest")
    part = f"{share:.0%}" if share >= 0.01 else "hundredth"
    return f"{name} is the most skewed: half of its rows lie in the {side} {part} of its range"


def _draw(ax: Axes, place: int, line: Any) -> None:
    """One column: bars over its baseline, the median, and the smallest and the largest value.

    The last bin may end past the largest value, as 24 is past the hour 23; what is written is the value.
    """
    bins: Bins = line["approx_histogram"]
    least, greatest = bins[0][0], bins[-1][1]
    lows, highs = (np.array([_position(bin_[end], least, greatest) for bin_ in bins]) for end in (0, 1))
    widths = np.maximum(highs - lows, _LEAST_WIDTH)
    rows = np.array([float(count) for *_, count in bins])
    heights = rows / widths
    tall = _TALLEST * heights / heights.max()
    for is_single, color, edge in ((False, BLUE, "white"), (True, ORANGE, ORANGE)):
        some = (lows == highs) == is_single
        look: dict[str, Any] = {"color": color, "edgecolor": edge, "linewidth": 0.3}
        ax.bar(lows[some], tall[some], widths[some], place, align="edge", **look)
        if is_single:
            draw_marks(ax, lows[some], place + tall[some], "o", color=ORANGE, ms=4, mec=INK, mew=0.6)
    middle = line["middle"]
    ax.plot([middle, middle], [place, place + _TALLEST], color=INK, linewidth=1.2)
    for end, value, side in ((0.0, line["min"], "left"), (1.0, line["max"], "right")):
        write_at(ax, end, place - 0.16, _written(value), ha=side)


def _position(value: Any, least: Any, greatest: Any) -> float:
    """Where a value lies in its column's range, from 0 to 1."""
    return float((value - least) / (greatest - least)) if greatest > least else 0.0


def _middle(bins: Bins) -> float:
    """Where in the range the median lies, interpolated within a bin."""
    half, passed = sum(count for *_, count in bins) / 2, 0
    for low, high, count in bins:
        if passed + count >= half:
            begin, end = (_position(value, bins[0][0], bins[-1][1]) for value in (low, high))
            return begin + (end - begin) * (half - passed) / count
        passed += count
    return 1.0


def _written(value: Any) -> str:
    """A value as the end of an axis shows it; long whole numbers are rather keys and clocks than amounts."""
    if is_null(value):
        return "unknown"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return str(value)
    return f"{value}" if abs(value) >= _LONG and value == int(value) else f"{value:,}"


def plot_distribution(values: pd.Series, *, unit: str = "", ax: Axes | None = None) -> Axes:
    """Draw the distribution of the numbers of one column, on a log scale if they spread widely.

    Args:
        values: Numbers; nulls and infinite ones are left out, with a note.
        unit: Unit of the numbers, such as `USD`.
        ax: Axes to draw on.
    """
    found = as_numbers(values)
    numbers = found.dropna()
    name = shorten(values.name, 40)
    odd = len(values) - len(numbers)
    note = f"left out: {counted(odd, 'value')}, null or not finite" if odd else ""
    if numbers.empty:
        return draw_nothing(f"No value of {name}", ax, note=note)
    ax = ax or new_axes()
    low, middle, high, top = (_quantile(numbers, share) for share in (0, 0.5, 0.95, 1))
    wide = low > 0 and top > 20 * middle
    ax.hist(numbers, bins=np.geomspace(low, top, 41).tolist() if wide else 40, color=BLUE, edgecolor="white")
    if wide:
        ax.set_xscale("log")
    digits = 0 if top - low > 20 or low == top == round(top) else 2
    ceiling = ax.get_ylim()[1] * 1.15
    ax.set_ylim(0, ceiling)
    marks = [(middle, "half", "-", 0.97)] + [(high, "95%", "--", 0.89)] * (len(numbers) >= _TWENTY)
    for value, words, style, height in marks:
        ax.axvline(value, color=INK, linestyle=style, linewidth=1.2)
        write_at(ax, value, ceiling * height, f"{words} up to {value:,.{digits}f}", ha="left")
    ax.xaxis.set_major_formatter(f"{{x:,.{digits}f}}")
    if not wide and not digits:
        ax.xaxis.set_major_locator(whole_numbers())
    words = f"{name} ({unit})" if unit else name
    title = _distribution_title(numbers, name, digits)
    return finish(ax, title, x=f"{words}, log scale" if wide else words, y="rows", notes=[note])


def _quantile(numbers: pd.Series[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return float(np.quantile(numbers, share, method="inverted_cdf"))


def _distribution_title(numbers: pd.Series[float], name: str, digits: int) -> str:
    """The finding: the value in the middle, and the tail, with the shares that are really there."""
    if numbers.min() == numbers.max():
        return f"Every value of {name} is {numbers.iloc[0]:,.{digits}f}"
    middle, high = _quantile(numbers, 0.5), _quantile(numbers, 0.95)
    share, above = (numbers <= middle).mean(), (numbers > high).mean()
    half = "Half" if share < 0.51 else percent(share)
    title = f"{half} of {counted(len(numbers), 'value')} of {name} are at most {middle:,.{digits}f}"
    if len(numbers) < _TWENTY or not above:
        return f"{title}; the largest is {numbers.max():,.{digits}f}"
    tail = "one in twenty is" if above >= 0.045 else f"{percent(above)} are"
    return f"{title}; {tail} above {high:,.{digits}f}"
