"""A picture of the distribution of all ordered columns of a table, from its profile alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import BLUE, INK, ORANGE, draw_nothing, new_axes, shorten, write_at

_LABEL_LENGTH = 30
# A value that many rows share has no width; it is drawn as this much of the range.
_LEAST_WIDTH = 0.004
_TALLEST = 0.56
# The median of a column that is not skewed is near the middle of its range.
_LEANING = 0.2

Bins = Sequence[tuple[Any, Any, int]]


def plot_histograms(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the histogram of every column that has one, each from its smallest value to its largest.

    Args:
        profile: From `Table.profile_columns`; columns with fewer than two bins are left out.
        ax: Axes to draw on.
    """
    lines = [line for line in profile.to_dict("records") if len(line["approx_histogram"]) > 1]
    if not lines:
        return draw_nothing("No column with a range of values", ax)
    lines.sort(key=lambda line: _middle(line["approx_histogram"]))
    ax = ax or new_axes(height=1.5 + 0.5 * len(lines))
    for place, line in enumerate(lines):
        _draw(ax, place, line["approx_histogram"])
    ax.set_yticks(
        np.arange(len(lines)) + _TALLEST / 2,
        [shorten(line["column"], _LABEL_LENGTH) for line in lines],
        fontsize=8.5,
    )
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.45, len(lines) - 0.3))
    ax.set_xticks([0, 1], ["least", "greatest"])
    ax.grid(visible=False)
    words = "each column's range; taller: denser; orange: one value of many rows; line: the median"
    ax.set_title(_finding(lines))
    ax.set(xlabel=words, ylabel="")
    return ax


def _finding(lines: Sequence[Any]) -> str:
    first = max(lines, key=lambda line: abs(_middle(line["approx_histogram"]) - 0.5))
    middle, name = _middle(first["approx_histogram"]), shorten(first["column"], _LABEL_LENGTH)
    if abs(middle - 0.5) < _LEANING:
        return f"No column is strongly skewed; {name} is the most"
    share, side = (middle, "lowest") if middle < 0.5 else (1 - middle, "highest")
    part = f"{share:.0%}" if share >= 0.01 else "hundredth"
    return f"{name} is the most skewed: half of its rows lie in the {side} {part} of its range"


def _draw(ax: Axes, place: int, bins: Bins) -> None:
    """One column: bars over its baseline, the median, and the values at both ends."""
    least, greatest = bins[0][0], bins[-1][1]
    lows, highs = (np.array([_position(bin_[end], least, greatest) for bin_ in bins]) for end in (0, 1))
    widths = np.maximum(highs - lows, _LEAST_WIDTH)
    rows = np.array([float(count) for *_, count in bins])
    heights = rows / widths
    tall = _TALLEST * heights / heights.max()
    for is_single, color, edge in ((False, BLUE, "white"), (True, ORANGE, ORANGE)):
        some = (lows == highs) == is_single
        ax.bar(
            lows[some],
            tall[some],
            widths[some],
            place,
            align="edge",
            color=color,
            edgecolor=edge,
            linewidth=0.3,
        )
    middle = _middle(bins)
    ax.plot([middle, middle], [place, place + _TALLEST], color=INK, linewidth=1.2)
    for end, value, side in ((0.0, least, "left"), (1.0, greatest, "right")):
        write_at(ax, end, place - 0.16, _written(value), ha=side)


def _position(value: Any, least: Any, greatest: Any) -> float:
    """Where a value lies in its column's range, from 0 to 1."""
    return float((value - least) / (greatest - least))


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
    """A value as the end of an axis shows it."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value) if isinstance(value, date) else f"{value:,}"
