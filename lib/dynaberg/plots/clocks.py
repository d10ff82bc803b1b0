"""The picture of two clocks: what was known at a moment, next to what was true then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dynaberg.errors import require_moment
from dynaberg.plots.canvas import (
    BLUE,
    GRAY,
    counted,
    draw_nothing,
    finish,
    first_lines,
    fit_words,
    is_null,
    new_axes,
    require,
    shorten,
    write_at,
)

_MOST_VALUES = 20


def plot_two_clocks(
    known: pd.DataFrame, true: pd.DataFrame, *, by: str, when: datetime, ax: Axes | None = None
) -> Axes:
    """Draw what was known at a moment next to what was true then: rows of each value of a column.

    Args:
        known: From `Table.read_as_of`.
        true: From `Table.state_as_of`, of the same moment.
        by: Column whose values are counted in both.
        when: The moment, timezone-aware; the title shows it in its own zone.
        ax: Axes to draw on.

    Raises:
        SettingsError: `when` has no time zone.
    """
    for frame in (known, true):
        require(frame, by)
    require_moment(when)
    before, after = _counts(known[by]), _counts(true[by])
    values = list(dict.fromkeys([*after, *before]))
    if not values:
        return draw_nothing("Nothing was known and nothing was true", ax)
    sides = {"k": [before.get(value, 0) for value in values], "t": [after.get(value, 0) for value in values]}
    counts = pd.DataFrame(sides).assign(value=pd.Series(values, dtype=object))
    counts["apart"] = (counts["t"] - counts["k"]).abs()
    title = _two_clocks_title(counts, by, f"{when:%H:%M:%S %Z}")
    shown, rest = first_lines(
        counts.sort_values("apart", ascending=False, kind="stable"), "value", _MOST_VALUES
    )
    shown = shown.sort_index().reset_index(drop=True)
    ax = ax or new_axes(height=1.4 + 0.55 * len(shown))
    places = shown.index.astype(float)
    ax.barh(places - 0.2, shown["k"], 0.38, color="white", edgecolor=GRAY, hatch="///", label="known then")
    ax.barh(places + 0.2, shown["t"], 0.38, color=BLUE, label="true then")
    for place, (old, new) in enumerate(zip(shown["k"], shown["t"], strict=True)):
        write_at(ax, old, place - 0.2, f"{old:,}", ha="left")
        write_at(ax, new, place + 0.2, f"{new:,}" + (f" ({new - old:+,})" if new != old else ""), ha="left")
    names = ["null" if is_null(value) else shorten(value, 30) for value in shown["value"]]
    ax.set_yticks(places, names)
    ax.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, None))
    ax.grid(visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    fit_words(ax, least=1)
    return finish(ax, title, x="rows", y=shorten(by, 30), counts="x", notes=[rest])


def _counts(values: pd.Series) -> dict[Any, int]:
    """How often each value occurs, the most frequent first; nulls of any kind are one value, None."""
    try:
        found = values.value_counts(dropna=False)
    except TypeError:  # lists and maps
        found = values.map(str).value_counts()
    counts: dict[Any, int] = {}
    for value, count in found.items():
        name = None if is_null(value) else value
        counts[name] = counts.get(name, 0) + int(count)
    return counts


def _two_clocks_title(counts: pd.DataFrame, by: str, when: str) -> str:
    """The finding: how many rows were known and true, and where the counts are farthest apart."""
    known, true = int(counts["k"].sum()), int(counts["t"].sum())
    title = f"At {when}, {counted(known, 'row')} {'was' if known == 1 else 'were'} known"
    title += f", and {true:,} {'was' if true == 1 else 'were'} true"
    if not counts["apart"].any():
        return f"{title}; no difference by {shorten(by, 30)}"
    farthest = counts.loc[counts["apart"] == counts["apart"].max(), "value"]
    if len(farthest) > 2:
        return f"{title}; {len(counts[counts['apart'] > 0])} values differ"
    names = ("null" if is_null(value) else shorten(value) for value in farthest)
    return f"{title}; largest difference: {' and '.join(names)}"
