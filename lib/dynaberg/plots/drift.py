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
    counted,
    draw_nothing,
    finish,
    new_axes,
    shorten,
    write_at,
)

NOISE, SHIFT = 0.1, 0.25
# Columns that drifted no farther than this count as stable; only a few of them are drawn.
_STILL = 0.01
_SHOWN, _LEAST_SHOWN = 20, 6


def plot_drift(drift: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how far each column has drifted, the farthest on top, with what changed most in it.

    Args:
        drift: From `Table.drift`.
        ax: Axes to draw on.
    """
    if drift.empty:
        return draw_nothing("No column to compare", ax)
    moved = int((drift["distance"] > _STILL).sum())
    lines = drift.head(min(max(moved, _LEAST_SHOWN), _SHOWN)).reset_index(drop=True)
    ax = ax or new_axes(height=1.5 + 0.28 * len(lines))
    for place, line in enumerate(lines.to_dict("records")):
        color, hatch = _look(line["distance"])
        ax.barh(place, line["distance"], 0.65, color=color, hatch=hatch, edgecolor="white")
        words = f"  {line['distance']:.2f}  {_words(line)}".rstrip()
        # To the right of both limits, whose lines would cross the words.
        write_at(ax, max(line["distance"], SHIFT), place, words, ha="left")
    for limit, style in ((NOISE, ":"), (SHIFT, "--")):
        ax.axvline(limit, color=INK, linestyle=style, linewidth=1)
    ax.set_yticks(range(len(lines)), [shorten(name, 30) for name in lines["column"]], fontsize=8.5)
    ax.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, max(lines["distance"].max(), SHIFT) * 1.9))
    ax.grid(visible=False)
    words = "population stability index (dotted: noise up to 0.1; dashed: a shift from 0.25, hatched)"
    if rest := len(drift) - len(lines):
        words += f"\nnot drawn: {counted(rest, 'column')} that drifted less"
    finish(ax, _title(drift), x=words, y="", counts="x")
    ax.xaxis.set_major_formatter("{x:.2f}")
    return ax


def _look(distance: float) -> tuple[str, str]:
    if distance > SHIFT:
        return ORANGE, "///"
    return (BLUE, "") if distance > NOISE else (GRAY, "")


def _title(drift: pd.DataFrame) -> str:
    shifted, columns = drift[drift["distance"] > SHIFT], counted(len(drift), "column")
    if shifted.empty:
        return f"None of {columns} has shifted"
    have = "has" if len(shifted) == 1 else "have"
    farthest = shifted["column"].iloc[0]
    return f"{len(shifted)} of {columns} {have} shifted, {shorten(farthest, 30)} the most"


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
    return f"{shorten(value, 18)} {old:.0%} → {new:.0%}"
