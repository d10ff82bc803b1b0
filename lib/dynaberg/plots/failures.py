"""The picture of what failed: how many changes wait where, and why."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dynaberg.plots.canvas import BLUE, ORANGE, RED, draw_nothing, finish, new_axes, write_at

_PLACES = {"error bucket": (BLUE, ""), "dead-letter queue": (ORANGE, "///"), "parked queue": (RED, "...")}


def plot_failures(failed: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many changes failed for each reason, and where they wait.

    Args:
        failed: From `Workbench.failures`.
        ax: Axes to draw on.
    """
    if failed.empty:
        return draw_nothing("Nothing failed, or all of it was replayed", ax)
    counts = failed.groupby(["error_code", "where"]).size().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values().index]
    ax = ax or new_axes(height=1.5 + 0.35 * len(counts))
    left = pd.Series(0, counts.index)
    for place, (color, hatch) in _PLACES.items():
        if place in counts:
            values = counts[place]
            ax.barh(
                counts.index, values, 0.6, left=left, color=color, hatch=hatch, edgecolor="white", label=place
            )
            left = left + values
    for row, total in enumerate(left):
        write_at(ax, total, row, f"  {total:,}", ha="left")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    ax.set_xlim(0, left.max() * 1.15)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False, axis="y")
    count = "1 change waits" if len(failed) == 1 else f"{len(failed):,} changes wait"
    title = f"{count} to be replayed, most for {left.idxmax()}"
    return finish(ax, title, x="changes", y="", counts="x")
