"""The picture of drift: which columns drifted between two profiles, how far, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    SMALL,
    counted,
    draw_nothing,
    drawable,
    finish,
    new_axes,
    percent,
    shorten,
    write_beside,
)
from dynaberg.plots.chance import drift_by_chance

NOISE, SHIFT = 0.1, 0.25
# Columns that drifted no farther than this count as stable; only a few of them are drawn.
_STILL = 0.01
_SHOWN, _LEAST_SHOWN = 20, 6


def plot_drift(drift: pd.DataFrame, *, rows: tuple[int, int] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how far each column has drifted, the farthest on top, with what changed most in it.

    Args:
        drift: From `Table.drift`.
        rows: Rows before and after. With few rows, chance alone moves shares far: with these, a drift that
            chance explains is none.
        ax: Axes to draw on.
    """
    nothing = "No column to compare"
    if drift.empty:
        return draw_nothing(nothing, ax)
    found, note = drawable(
        drift, numbers=("distance",), others=("column", "measured_on", "top"), unit="column"
    )
    if found.empty:
        return draw_nothing(nothing, ax, note=note)
    found["chance"] = [_chance(line, rows) for line in found.to_dict("records")]
    found = found.sort_values("distance", ascending=False, kind="stable", ignore_index=True)
    moved = int((found["distance"] > _STILL).sum())
    lines = found.head(min(max(moved, _LEAST_SHOWN), _SHOWN))
    ax = ax or new_axes(height=1.5 + 0.28 * len(lines))
    for place, line in enumerate(lines.to_dict("records")):
        color, hatch = _look(line)
        ax.barh(place, line["distance"], 0.65, color=color, hatch=hatch, edgecolor="white")
        words = f"{line['distance']:.2f}  {_words(line)}".rstrip()
        write_beside(ax, place, words)
    for limit, style in ((NOISE, ":"), (SHIFT, "--")):
        ax.axvline(limit, color=INK, linestyle=style, linewidth=1)
    ax.set_yticks(range(len(lines)), [shorten(name, 30) for name in lines["column"]], fontsize=SMALL)
    ax.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, max(lines["distance"].max(), SHIFT) * 1.03))
    ax.grid(visible=False)
    words = "population stability index; dotted: noise up to 0.1; dashed, hatched: a shift from 0.25"
    rest = len(found) - len(lines)
    less = f"not drawn: {counted(rest, 'column')} that drifted less" if rest else ""
    finish(ax, _title(found), x=words, y="", counts="", notes=[less, note])
    ax.xaxis.set_major_formatter("{x:.2f}")
    return ax


def _chance(line: Mapping[Any, Any], rows: tuple[int, int] | None) -> float:
    """The distance that chance alone reaches: the more bins and the fewer rows, the farther."""
    if rows is None:
        return 0.0
    # As `profile.drift` measures it: the nulls, and the values with one bin for the rest, or the quarters.
    bins = {"top values": len(line["top"]) + 2, "quantiles": 5}.get(line["measured_on"], 2)
    return drift_by_chance(bins, *rows)


def _has_shifted(line: Mapping[Any, Any]) -> bool:
    return bool(line["distance"] > max(SHIFT, line["chance"]))


def _look(line: Mapping[Any, Any]) -> tuple[str, str]:
    if _has_shifted(line):
        return ORANGE, "///"
    return (BLUE, "") if line["distance"] > max(NOISE, line["chance"]) else (GRAY, "")


def _title(found: pd.DataFrame) -> str:
    """The finding: how many columns have shifted, and which the most; or that chance explains it."""
    shifted, columns = (
        found[[_has_shifted(line) for line in found.to_dict("records")]],
        counted(len(found), "column"),
    )
    if shifted.empty:
        far = int((found["distance"] > SHIFT).sum())
        chance = f"; with so few rows, chance explains the distance of {far:,}" if far else ""
        return f"None of {columns} has shifted{chance}"
    have = "has" if len(shifted) == 1 else "have"
    farthest = shifted["column"].iloc[0]
    return f"{len(shifted):,} of {columns} {have} shifted, {shorten(farthest, 30)} the most"


def _words(line: Mapping[Any, Any]) -> str:
    """What changed most in a column: a value's share, the median, or the nulls."""
    if line["distance"] <= NOISE:
        return ""
    shares = [(value, old, new) for value, old, new in line["top"] if old is not None and new is not None]
    shares.append(("null", line["nulls_before"], line["nulls_after"]))
    value, old, new = max(shares, key=lambda share: abs(share[2] - share[1]))
    middle = line["p50_before"], line["p50_after"]
    if line["measured_on"] == "quantiles" and None not in middle:
        return f"median {middle[0]:,.4g} → {middle[1]:,.4g}"
    return f"{shorten(value, 18)} {percent(old)} → {percent(new)}"
