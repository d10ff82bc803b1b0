"""Pictures of the pipeline: its stages, the changes that went in, and how they arrived."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from dynaberg.plots.canvas import (
    BLUE,
    CHANGES,
    GRAY,
    INK,
    draw_nothing,
    finish,
    in_utc,
    new_axes,
    seconds_since,
    write_at,
)

# The stages of the flow, in order: the name of each, and the kind of resource that represents it.
STAGES = {
    "DynamoDB table": "AWS::DynamoDB::Table",
    "Lambda forwarder": "AWS::Lambda::Function",
    "Firehose stream": "AWS::KinesisFirehose::DeliveryStream",
    "table bucket": "AWS::S3Tables::TableBucket",
    "change log": "Iceberg table",
    "current table": "Iceberg table",
}

# How many bars a reader can still distinguish, and what one of them may stand for.
MOST_BARS = 150
STEPS_SECONDS = (1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 21_600, 86_400)


def plot_flow(resources: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the flow from the source table to the current table: what exists, and what is still missing.

    Args:
        resources: From `Workbench.list_resources`; `kind` and `name` are read.
        ax: Axes to draw on.
    """
    ax = ax or new_axes(height=2.2)
    names = [_name_of_stage(resources, stage) for stage in STAGES]
    for place, (stage, name) in enumerate(zip(STAGES, names, strict=True)):
        _draw_stage(ax, place, stage, name)
    missing = [stage for stage, name in zip(STAGES, names, strict=True) if not name]
    rest = f"still missing: {', '.join(missing)}" if missing else "nothing is missing"
    ax.set_title(f"{len(STAGES) - len(missing)} of {len(STAGES)} stages exist; {rest}")
    ax.set(xlim=(-0.5, len(STAGES) - 0.5), ylim=(-0.9, 0.4))
    ax.axis("off")
    return ax


def plot_operations(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many changes of each operation were made, second by second; over hours, in longer steps.

    Args:
        counts: `moment` (a whole second, or minute), `operation`, `changes`.
        ax: Axes to draw on.
    """
    if counts.empty:
        return draw_nothing("No change was made", ax)
    ax = ax or new_axes()
    long = in_utc(counts, "moment")
    step = _step_seconds(long["moment"])
    long["moment"] = long["moment"].dt.floor(f"{step}s")
    wide = long.pivot_table(index="moment", columns="operation", values="changes", aggfunc="sum")
    wide = wide[[name for name in CHANGES if name in wide]].fillna(0).astype(float)
    at, bottom = seconds_since(wide.index[0], wide.index), np.zeros(len(wide))
    for operation, values in wide.items():
        color, hatch = CHANGES[str(operation)]
        ax.bar(at, values, 0.9 * step, bottom, color=color, hatch=hatch, edgecolor="white", label=operation)
        bottom += values.to_numpy()
    shares = ", ".join(f"{share:.0%} {name}" for name, share in (wide.sum() / bottom.sum()).items())
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    start = f"seconds since {wide.index[0]:%Y-%m-%d %H:%M:%S} UTC"
    return finish(ax, f"{bottom.sum():,.0f} changes: {shares}", x=start, y=f"changes in {step} s")


def _step_seconds(moments: pd.Series[pd.Timestamp]) -> int:
    """How many seconds a bar covers: the distance of the moments, or more if bars would be too thin."""
    ordered = moments.drop_duplicates().sort_values()
    apart = ordered.diff().min().total_seconds() if len(ordered) > 1 else 1.0
    least = max((ordered.iloc[-1] - ordered.iloc[0]).total_seconds() / MOST_BARS, apart)
    return next((step for step in STEPS_SECONDS if step >= least), STEPS_SECONDS[-1])


def plot_delivery(counts: pd.DataFrame, snapshots: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the changes as they were made, and as snapshots of the change log delivered them.

    Args:
        counts: As for `plot_operations`.
        snapshots: Of the change log, from `Table.snapshots`.
        ax: Axes to draw on.
    """
    if counts.empty:
        return draw_nothing("No change was made, and none arrived", ax)
    ax = ax or new_axes()
    made = in_utc(counts, "moment").groupby("moment")["changes"].sum().cumsum()
    # DynamoDB Streams dates a change to the second, so a second's changes are complete at its end.
    start, last = made.index[0], made.index[-1] + pd.Timedelta(seconds=1)
    arrived = snapshots[snapshots["committed_at"] >= start]
    times = seconds_since(start, arrived["committed_at"])
    at = [0, *(second + 1 for second in seconds_since(start, made.index))]
    totals = arrived["added_records"].cumsum().tolist()
    ax.plot(at, [0, *made], color=BLUE)
    ax.step([0, *times], [0, *totals], where="post", color=INK, linestyle="--")
    ax.plot(times, totals, "o", color=INK)
    write_at(ax, at[-1], made.iloc[-1], "made in DynamoDB", color=BLUE)
    write_at(ax, times[-1], totals[-1] / 2, "in the change log  ", ha="right")
    ax.set_ylim(0, made.iloc[-1] * 1.15)
    lag = max((arrived["committed_at"].iloc[-1] - last).total_seconds(), 0)
    count = "1 snapshot" if len(arrived) == 1 else f"{len(arrived)} snapshots"
    title = f"{count} delivered the changes, the last {lag:.0f} s after the last change"
    start_words = f"seconds since {start:%Y-%m-%d %H:%M:%S} UTC"
    return finish(ax, title, x=start_words, y="changes, running total")


def plot_resources(before: pd.DataFrame, after: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many resources of each kind there were, and how many remain.

    Args:
        before: From `Workbench.list_resources`, before the clean-up.
        after: The same, after it.
        ax: Axes to draw on.
    """
    if before.empty:
        return draw_nothing("There was nothing to remove", ax)
    counts = _kinds(before).value_counts().sort_values(ascending=True)
    left = _kinds(after).value_counts().reindex(counts.index, fill_value=0)
    ax = ax or new_axes(height=1.3 + 0.24 * len(counts))
    ax.barh(counts.index, counts, color="white", edgecolor=GRAY, hatch="///")
    ax.barh(counts.index, left, color=BLUE)
    for place, (then, now) in enumerate(zip(counts, left, strict=True)):
        write_at(ax, then, place, f"  {then} → {now}", ha="left")
    ax.set_xlim(0, max(counts.max(), 1) * 1.15)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(visible=False)
    title = f"{len(before) - len(after)} of {len(before)} resources were removed; {len(after)} remain"
    return finish(ax, title, x="resources (hatched: removed)", y="", counts="x")


def _kinds(resources: pd.DataFrame) -> pd.Series:
    return resources["kind"].astype("string").str.removeprefix("AWS::").str.replace("::", " ")


def _name_of_stage(resources: pd.DataFrame, stage: str) -> str:
    """The name of the resource that represents a stage; empty if there is none yet."""
    found = [str(name) for name in resources.loc[resources["kind"] == STAGES[stage], "name"]]
    logs = [name for name in found if name.endswith("_changes")]
    if stage == "change log":
        found = logs
    if stage == "current table":
        found = [name for name in found if f"{name}_changes" in logs]
    return found[0] if found else ""


def _draw_stage(ax: Axes, place: int, label: str, name: str) -> None:
    """One box of the flow, its name below: filled if it exists, dashed if it does not."""
    box = FancyBboxPatch((place - 0.4, -0.3), 0.8, 0.6, boxstyle="round,pad=0,rounding_size=0.07")
    box.set(facecolor="#e3f0fb" if name else "white", edgecolor=BLUE if name else GRAY)
    box.set_linestyle("-" if name else "--")
    ax.add_patch(box)
    ax.text(place, 0, label.replace(" ", "\n"), ha="center", va="center", weight="bold", color=INK)
    # A table bucket is listed by its ARN, an Iceberg table by its namespace and name.
    short = name.rpartition("/")[2].rpartition(".")[2]
    words = (short if len(short) <= 20 else short.replace("-", "-\n")) or "not yet"
    ax.text(place, -0.38, words, ha="center", va="top", fontsize=8, color=INK)
    if place:
        arrow = {"arrowstyle": "->", "color": INK, "shrinkA": 1, "shrinkB": 1}
        ax.annotate("", (place - 0.4, 0), (place - 0.6, 0), arrowprops=arrow)
