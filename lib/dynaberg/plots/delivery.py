"""Pictures of the delivery: how changes arrived, what their lag consists of, which failed and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dynaberg.errors import require_moments
from dynaberg.plots.canvas import (
    AMOUNT,
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    counted,
    draw_marks,
    draw_nothing,
    drawable,
    finish,
    first_lines,
    fit_words,
    new_axes,
    percent,
    require,
    seconds_since,
    shorten,
    write_at,
)

_PLACES = {"error bucket": (BLUE, ""), "dead-letter queue": (ORANGE, "///"), "parked queue": (RED, "...")}
_ELSEWHERE = (GRAY, "xx")
_TOTAL = "total"
# Up to this long, a whole second matters: DynamoDB Streams date a change to the second.
_SECOND = 1.0
# Words that begin before this part of the time end within the axes, and fit into such a part of the height.
_ROOM, _HEIGHT = 0.75, 0.2


def plot_delivery(
    counts: pd.DataFrame,
    snapshots: pd.DataFrame,
    *,
    began: datetime | None = None,
    ended: datetime | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the changes as they were made, and as snapshots of the change log delivered them.

    DynamoDB Streams date a change to the second, so it was made at any moment of that second: the band
    reaches from the fewest changes that may have been made by a moment to the most.

    Args:
        counts: As for `plot_operations`.
        snapshots: Of the change log, from `Table.snapshots`.
        began: When the writing began: earlier snapshots are left out; `TrafficReport.started_at`.
        ended: When the writing ended; `TrafficReport.finished_at`.
        ax: Axes to draw on.

    Raises:
        SettingsError: `began` or `ended` has no time zone.
    """
    require_moments(began, ended)
    nothing = "No change was made, and none arrived"
    if counts.empty:
        return draw_nothing(nothing, ax)
    rows, note = drawable(counts, numbers=("changes",), moments=("moment",))
    made = rows.groupby("moment")["changes"].sum().cumsum()
    if made.empty or not made.iloc[-1]:
        return draw_nothing(nothing, ax, note=note)
    ax = ax or new_axes()
    early, late = _when_made(list(made.index), began, ended)
    start = early[0] if began is None else min(pd.Timestamp(began).tz_convert("UTC"), early[0])
    arrived, gone = _arrived(snapshots, start)
    times, totals = seconds_since(start, arrived["committed_at"]), arrived["total"].tolist()
    _draw_band(ax, seconds_since(start, early), seconds_since(start, late), made.to_numpy(), times)
    ax.step([0, *times], [0, *totals], where="post", color=INK, linestyle="--")
    draw_marks(ax, times, totals, "o", color=INK)
    write_at(ax, seconds_since(start, late)[-1], made.iloc[-1], "made in DynamoDB", color=BLUE)
    if times:
        _name_steps(ax, times, totals, max(times[-1], *seconds_since(start, late)))
    top = max(made.iloc[-1], *totals, 1)
    ax.set_ylim(-0.04 * top, 1.15 * top)
    title = _delivered(int(made.iloc[-1]), arrived, early[-1], late[-1])
    words = f"seconds since {start:%Y-%m-%d %H:%M:%S} UTC"
    return finish(ax, title, x=words, y="changes, running total", notes=[note, gone])


def _name_steps(ax: Axes, times: Sequence[float], totals: Sequence[int], end: float) -> None:
    """Name the steps right of a large one: nothing is drawn there, below what arrived later."""
    rises = [after - before for before, after in zip([0, *totals], totals, strict=False)]
    steps = list(enumerate(times))
    with_room = [n for n, t in steps if t < _ROOM * end and rises[n] >= _HEIGHT * totals[-1]]
    largest = max(with_room or range(len(rises)), key=rises.__getitem__)
    side = "left" if with_room else "right"
    write_at(ax, times[largest], totals[largest] - rises[largest] / 2, "in the change log", ha=side)


def _when_made(
    moments: Sequence[pd.Timestamp], began: datetime | None, ended: datetime | None
) -> tuple[list[pd.Timestamp], list[pd.Timestamp]]:
    """The earliest and the latest that the changes of each moment can have been made."""
    unit = _resolution(pd.DatetimeIndex(list(moments)))
    early, late = list(moments), [moment + unit for moment in moments]
    # Where the clock differs from DynamoDB's, its moments must not turn the two around.
    if began is not None:
        first = pd.Timestamp(began)
        early = [max(moment, min(first, end)) for moment, end in zip(early, late, strict=True)]
    if ended is not None:
        last = pd.Timestamp(ended)
        late = [min(end, max(last, moment)) for moment, end in zip(early, late, strict=True)]
    return early, late


def _resolution(moments: pd.DatetimeIndex) -> pd.Timedelta:
    """How exactly changes are dated: to the hour, minute or second that they all share, or exactly."""
    if len(moments) > 1:
        for unit in ("h", "min"):
            if (moments == moments.floor(unit)).all():
                return pd.Timedelta(f"1{unit}")
    return pd.Timedelta(seconds=int((moments == moments.floor("s")).all()))


def _arrived(snapshots: pd.DataFrame, start: pd.Timestamp) -> tuple[pd.DataFrame, str]:
    """The appends since a moment, with their running total: a compaction adds files, and no change."""
    if snapshots.empty:
        return pd.DataFrame({"committed_at": [], "total": []}), ""
    rows, note = drawable(
        snapshots, numbers=("added_records",), moments=("committed_at",), others=("operation",)
    )
    is_append = (rows["operation"] == "append") & (rows["added_records"] > 0)
    found = rows[is_append & (rows["committed_at"] >= start)].sort_values("committed_at")
    return found.assign(total=found["added_records"].cumsum()), note


def _draw_band(ax: Axes, early: list[float], late: list[float], made: np.ndarray, more: list[float]) -> None:
    """The most and the fewest changes that may have been made by each moment; a line if they are equal."""
    if early == late:
        ax.step([0, *early], [0, *made], where="post", color=BLUE)
        return
    at = np.unique([0, *early, *late, *more])
    counts = np.array([0, *made])
    most, fewest = (counts[np.searchsorted(moments, at, side="right")] for moments in (early, late))
    ax.fill_between(at, fewest, most, step="post", color=BLUE, alpha=0.25, linewidth=0)
    for edge in (most, fewest):
        ax.step(at, edge, where="post", color=BLUE, linewidth=1)


def _delivered(made: int, arrived: pd.DataFrame, early: pd.Timestamp, late: pd.Timestamp) -> str:
    """The finding: how many of the changes arrived, and how long after the last one was made."""
    if arrived.empty:
        return f"None of {counted(made, 'change')} has arrived"
    rows, snapshots = int(arrived["total"].iloc[-1]), counted(len(arrived), "snapshot")
    if rows < made:
        return f"{snapshots} delivered {rows:,} of {counted(made, 'change')}"
    if rows > made:
        return f"{snapshots} delivered {rows:,} rows, {rows - made:,} more than the changes that were counted"
    last = arrived["committed_at"].iloc[-1]
    least, most = ((last - moment).total_seconds() for moment in (late, early))
    if most < 0:
        return (
            f"{snapshots} delivered {made:,} changes, {-most:.1f} s before the last is dated: clocks differ"
        )
    lag = f"{most:.1f} s" if f"{least:.1f}" == f"{most:.1f}" else f"{least:.1f} to {most:.1f} s"
    if least < 0:
        lag = f"at most {most:.1f} s"
    which = "" if made == 1 else "the last "
    return f"{snapshots} delivered {counted(made, 'change')}, {which}after {lag}"


def plot_freshness(lags: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the lag of each hop as a waterfall: the bar is the median, the line reaches to 95%.

    Each hop starts where the median of the one before ends; medians do not add up exactly, so the total is
    drawn from zero. A lag below zero, of two clocks that differ, is drawn as it is.

    Args:
        lags: From `Table.freshness`.
        ax: Axes to draw on.
    """
    nothing = "The change log has no change of this time"
    if lags.empty:
        return draw_nothing(nothing, ax)
    require(lags, "hop", "p50_seconds", "p95_seconds")
    known, _ = drawable(lags, numbers=("p50_seconds", "p95_seconds"))
    unknown = lags.loc[~lags["hop"].isin(known["hop"]), "hop"]
    if known.empty:
        return draw_nothing(nothing, ax)
    title, is_total = _freshness_title(known), known["hop"] == _TOTAL
    shown, rest = first_lines(known[~is_total], "hop", 20)
    known = pd.concat([shown, known[is_total]], ignore_index=True)
    ax = ax or new_axes(height=1.3 + 0.55 * len(known))
    begin = 0.0
    for place, line in enumerate(known.to_dict("records")):
        p50, p95 = line["p50_seconds"], line["p95_seconds"]
        start, color, hatch = (0.0, GRAY, "///") if line["hop"] == _TOTAL else (begin, BLUE, "")
        ax.barh(place, p50, 0.55, left=start, color=color, hatch=hatch, edgecolor="white")
        draw_marks(ax, [start + p50, start + p95], [place, place], "|-", color=INK, markersize=9)
        half, most = (f"{lag:,.1f} s" for lag in (p50, p95))
        words = half if half == most else f"{half}; 95% within {most}"
        write_at(ax, max(start + p95, start + p50, start), place, words, ha="left")
        begin = start + p50
    ax.set_yticks(range(len(known)), [shorten(hop, 40) for hop in known["hop"]])
    ax.set_ylim(len(known) - 0.4, -0.6)
    ax.set_xlim(left=min(ax.get_xlim()[0], 0))
    fit_words(ax, least=0.1)
    ax.grid(visible=False, axis="y")
    gone = f"not measured: {shorten(', '.join(map(str, unknown)), 90)}" if len(unknown) else ""
    words = "seconds since the time of the change; bar: half of the changes; line: 95%"
    finish(ax, title, x=words, y="", counts="", notes=[rest, gone])
    ax.xaxis.set_major_formatter(AMOUNT)
    return ax


def _freshness_title(known: pd.DataFrame) -> str:
    """The finding: how long a change takes, and which hop takes most of that, if one does."""
    total = known[known["hop"] == _TOTAL]
    by_hop = known[known["hop"] != _TOTAL].set_index("hop")["p50_seconds"].sort_values(ascending=False)
    if total.empty:
        return f"Half of the changes take {by_hop.iloc[0]:,.1f} s: {shorten(by_hop.index[0], 40)}"
    half, most = (f"{total[name].iloc[0]:,.1f} s" for name in ("p50_seconds", "p95_seconds"))
    found = f"Half of the changes arrive in {half} and 95% in {most}"
    if half == most:
        found = f"95% of the changes arrive in {most}"
    if known["p50_seconds"].min() < 0:
        return f"{found}; a lag below zero: clocks differ"
    if len(by_hop) < 2:
        return found
    rounded = "note" in known and known["note"].astype(str).str.contains("down to the second").any()
    if by_hop.iloc[0] - by_hop.iloc[1] <= (_SECOND if rounded else 0):
        return f"{found}; no hop is the longest for sure"
    return f"{found}; longest: {shorten(by_hop.index[0], 40)}"


def plot_failures(failed: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many changes failed for each reason, and where they wait.

    Args:
        failed: From `Table.failures`.
        ax: Axes to draw on.
    """
    if failed.empty:
        return draw_nothing("Nothing failed, or all of it was replayed", ax)
    require(failed, "error_code", "where")
    reasons = failed["error_code"].astype(object).where(failed["error_code"].notna(), "no reason recorded")
    places = failed["where"].astype(object).where(failed["where"].notna(), "unknown place")
    counts = pd.crosstab(reasons, places)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    shown, rest = first_lines(counts, "reason", 20)
    shown = shown[::-1]
    ax = ax or new_axes(height=1.5 + 0.35 * len(shown))
    left = pd.Series(0, shown.index)
    for place in sorted(map(str, shown), key=lambda name: [*_PLACES, name].index(name)):
        color, hatch = _PLACES.get(place, _ELSEWHERE)
        look: dict[str, Any] = {"color": color, "hatch": hatch, "edgecolor": "white", "label": shorten(place)}
        ax.barh(range(len(shown)), shown[place], 0.6, left=left, **look)
        left = left + shown[place]
    for row, total in enumerate(left):
        write_at(ax, total, row, f"{total:,}", ha="left")
    ax.set_yticks(range(len(shown)), [shorten(reason, 32) for reason in shown.index])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    fit_words(ax, least=1)
    ax.grid(visible=False, axis="y")
    return finish(ax, _failures_title(counts.sum(axis=1)), x="changes", y="", counts="x", notes=[rest])


def _failures_title(by_reason: pd.Series[int]) -> str:
    """The finding: how many changes wait, and whether one reason explains them."""
    total, first = int(by_reason.sum()), int(by_reason.iloc[0])
    waiting = f"{'1 change waits' if total == 1 else f'{total:,} changes wait'} to be replayed"
    reason = shorten(by_reason.index[0], 40)
    if first == total:
        return f"{waiting}, all for {reason}"
    if 2 * first > total:
        return f"{waiting}, most for {reason}"
    ties = int((by_reason == first).sum())
    if ties > 1:
        return f"{waiting}, for {len(by_reason):,} reasons, none of them more often than all others"
    return f"{waiting}, for {len(by_reason):,} reasons; {percent(first / total)} for {reason}"
