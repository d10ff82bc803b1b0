"""Pictures of the delivery: what the lag of a change consists of, and how many changes failed and why."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dynaberg.plots.canvas import BLUE, GRAY, INK, ORANGE, RED, draw_nothing, finish, new_axes, write_at

_PLACES = {"error bucket": (BLUE, ""), "dead-letter queue": (ORANGE, "///"), "parked queue": (RED, "...")}
_TOTAL = "total"


def plot_freshness(lags: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the lag of each hop as a waterfall: the bar is the median, the line reaches to 95 %.

    Each hop starts where the median of the one before ends; medians do not add up exactly, so the total is
    drawn from zero.

    Args:
        lags: From `Table.freshness`.
        ax: Axes to draw on.
    """
    known = lags.dropna(subset=["p50_seconds"]).reset_index(drop=True)
    if known.empty:
        return draw_nothing("The change log has no change of this time", ax)
    ax = ax or new_axes(height=1.3 + 0.55 * len(known))
    begin = 0.0
    for place, (hop, p50, p95) in enumerate(
        known[["hop", "p50_seconds", "p95_seconds"]].itertuples(index=False, name=None)
    ):
        start = 0.0 if hop == _TOTAL else begin
        half = start + max(p50, 0.0)
        most = start + max(p95, 0.0)
        ax.barh(
            place, half - start, 0.55, left=start, color=GRAY if hop == _TOTAL else BLUE, edgecolor="white"
        )
        ax.plot([half, most], [place, place], "|-", color=INK, markersize=9)
        write_at(ax, most, place, f"  {p50:,.1f} s; 95 % within {p95:,.1f} s", ha="left")
        begin = half
    ax.set_yticks(range(len(known)), known["hop"])
    ax.set_ylim(len(known) - 0.4, -0.6)
    ax.set_xlim(0, ax.get_xlim()[1] * 1.45)
    ax.grid(visible=False, axis="y")
    return finish(ax, _title(known), x="seconds since the time of the change", y="", counts="x")


def _title(known: pd.DataFrame) -> str:
    """The finding: how long a change takes, and which hop takes most of that."""
    hops = known[known["hop"] != _TOTAL]
    total = known[known["hop"] == _TOTAL]
    by_hop = hops.set_index("hop")["p50_seconds"].astype(float)
    longest = str(by_hop.idxmax()) if len(by_hop) else "unknown"
    if total.empty:
        return f"Half of the changes take {by_hop.max():,.1f} s: {longest}"
    half, most = float(total["p50_seconds"].iloc[0]), float(total["p95_seconds"].iloc[0])
    return f"Half of the changes arrive in {half:,.1f} s, 95 % in {most:,.1f} s; longest: {longest}"


def plot_failures(failed: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many changes failed for each reason, and where they wait.

    Args:
        failed: From `Table.failures`.
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
    share = "all" if left.max() == len(failed) else "most"
    title = f"{count} to be replayed, {share} for {left.idxmax()}"
    return finish(ax, title, x="changes", y="", counts="x")
