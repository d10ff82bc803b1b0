"""Pictures of the pipeline: its stages, the changes that went in, and what a clean-up removed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch

from dynaberg.plots.canvas import (
    BLUE,
    CHANGES,
    GRAY,
    INK,
    SMALL,
    counted,
    draw_nothing,
    drawable,
    finish,
    first_lines,
    fit_words,
    listed,
    name_lines,
    new_axes,
    percent,
    require,
    room,
    seconds_since,
    shorten,
    whole_numbers,
    write_at,
    write_title,
)

_BUCKET = "table bucket"
# The stages of the flow, in order, and the kind of resource of each. The bucket holds the tables.
STAGES = {
    "DynamoDB table": "AWS::DynamoDB::Table",
    "Lambda forwarder": "AWS::Lambda::Function",
    "Firehose stream": "AWS::KinesisFirehose::DeliveryStream",
    _BUCKET: "AWS::S3Tables::TableBucket",
    "change log": "Iceberg table",
    "current table": "Iceberg table",
}
_INSIDE = ("change log", "current table")
# Of a stage, half the width of its box and of the name below it, and how far the frame reaches.
_HALF_BOX, _HALF_NAME, _HALF_FRAME = 0.38, 0.42, 0.46
_NAME_LINES, _FRAME_LINES = 4, 2

# How many bars a reader can still distinguish, and what one of them may stand for.
MOST_BARS = 150
STEPS_SECONDS = (
    *(1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 21_600, 86_400, 604_800, 2_592_000, 31_536_000),
)
_OTHERS = [("#6b4c9a", "\\\\\\"), ("#5b6b2f", "++"), (INK, "oo")]


def plot_flow(resources: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the flow from the source table to the current table: what exists, and what is still missing.

    Args:
        resources: From `Workbench.list_resources`; `kind` and `name` are read.
        ax: Axes to draw on.
    """
    if not resources.empty:
        require(resources, "kind", "name")
    ax = ax or new_axes(height=2.5)
    ax.axis("off")
    names = _names_of_stages(resources)
    boxes = [stage for stage in names if stage != _BUCKET]
    ax.set(xlim=(-0.5, len(boxes) - 0.4), ylim=(-1, 0.8))
    for place, stage in enumerate(boxes):
        _draw_stage(ax, place, stage, names[stage])
    _draw_bucket(ax, [boxes.index(stage) for stage in _INSIDE], names[_BUCKET])
    write_title(ax, _flow_title({stage: names[stage] for stage in boxes}, names[_BUCKET]))
    return ax


def _flow_title(names: Mapping[str, str], bucket: str) -> str:
    """The finding: how many of the boxes exist, which do not, and whether their frame does."""
    missing = [stage for stage, name in names.items() if not name]
    count = len(names) - len(missing)
    exist = f"{count} of {len(names)} stages {'exists' if count == 1 else 'exist'}"
    if missing and not bucket:
        return f"{exist}; still missing: {listed(missing)}; the {_BUCKET} is missing, too"
    if missing:
        return f"{exist}; still missing: {listed(missing)}"
    return f"{exist}; {'nothing' if bucket else f'the {_BUCKET}'} is missing"


def _names_of_stages(resources: pd.DataFrame) -> dict[str, str]:
    """The name of the resource that represents each stage; empty if there is none yet."""
    if resources.empty:
        return dict.fromkeys(STAGES, "")
    of_kind = {
        kind: [str(name) for name in group["name"].dropna()] for kind, group in resources.groupby("kind")
    }
    names = {stage: next(iter(of_kind.get(kind, [])), "") for stage, kind in STAGES.items()}
    tables = of_kind.get("Iceberg table", [])
    logs = [name for name in tables if name.endswith("_changes")]
    current = [name for name in tables if f"{name}_changes" in logs]
    names["current table"] = next(iter(current), "")
    names["change log"] = f"{current[0]}_changes" if current else next(iter(logs), "")
    functions = of_kind.get(STAGES["Lambda forwarder"], [])
    names["Lambda forwarder"] = next((name for name in functions if "orward" in name), "")
    if stream := next(iter(of_kind.get("AWS::Kinesis::Stream", [])), ""):
        # Then Firehose reads the Kinesis stream itself, and no forwarder is missing.
        names = {
            ("Kinesis stream" if key == "Lambda forwarder" else key): name for key, name in names.items()
        }
        names["Kinesis stream"] = stream
    return names


def _draw_stage(ax: Axes, place: int, label: str, name: str) -> None:
    """One box of the flow, its name below: filled if it exists, dashed if it does not."""
    left, width = place - _HALF_BOX, 2 * _HALF_BOX
    box = FancyBboxPatch((left, -0.3), width, 0.6, boxstyle="round,pad=0,rounding_size=0.07")
    box.set(facecolor="#cfe3f6" if name else "white", edgecolor=BLUE if name else GRAY)
    box.set_linestyle("-" if name else "--")
    ax.add_patch(box)
    ax.text(place, 0, label.replace(" ", "\n"), ha="center", va="center", weight="bold", color=INK)
    words = _fitted(ax, _short(name), 2 * _HALF_NAME, _NAME_LINES)
    ax.text(place, -0.36, words, ha="center", va="top", fontsize=SMALL, color=INK)
    if place:
        arrow = {"arrowstyle": "->", "color": INK, "shrinkA": 1, "shrinkB": 1}
        ax.annotate("", (left, 0), (place - 1 + _HALF_BOX, 0), arrowprops=arrow)


def _draw_bucket(ax: Axes, places: list[int], name: str) -> None:
    """The frame of the table bucket, around the tables that it holds."""
    left, right = places[0] - _HALF_FRAME, places[-1] + _HALF_FRAME
    box = FancyBboxPatch((left, -0.95), right - left, 1.7, boxstyle="round,pad=0,rounding_size=0.07")
    box.set(facecolor="none", edgecolor=BLUE if name else GRAY, linestyle="-" if name else "--")
    ax.add_patch(box)
    words = _fitted(ax, f"{_BUCKET}: {_short(name)}", right - left - 0.1, _FRAME_LINES)
    ax.text((left + right) / 2, 0.7, words, ha="center", va="top", fontsize=SMALL, color=INK)


def _short(name: str) -> str:
    """A name without its place: a bucket is listed by its ARN, an Iceberg table by namespace and name."""
    return name.rpartition("/")[2].rpartition(".")[2] if name else "not yet"


def _fitted(ax: Axes, name: str, wide: float, most: int) -> str:
    """A name in lines that are as wide as so many boxes stand apart."""
    left, right = ax.get_xlim()
    return name_lines(name, room(ax) * wide / (right - left), FontProperties(size=SMALL), most)


def plot_operations(counts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many changes of each operation were made, second by second; over hours, in longer steps.

    Args:
        counts: `moment` (a whole second, or minute), `operation`, `changes`.
        ax: Axes to draw on.
    """
    nothing = "No change was made"
    if counts.empty:
        return draw_nothing(nothing, ax)
    long, note = drawable(counts, numbers=("changes",), moments=("moment",), others=("operation",))
    if not long["changes"].sum():
        return draw_nothing(nothing, ax, note=note)
    ax = ax or new_axes()
    step = _step_seconds(long["moment"])
    long["moment"] = long["moment"].dt.floor(f"{step}s")
    long["operation"] = long["operation"].astype(object).where(long["operation"].notna(), "unknown").map(str)
    wide = long.pivot_table(index="moment", columns="operation", values="changes", aggfunc="sum").fillna(0)
    looks = _looks([str(name) for name in wide])
    at, bottom = seconds_since(wide.index[0], wide.index), np.zeros(len(wide))
    for operation, (color, hatch) in looks.items():
        values = wide[operation]
        label = shorten(operation)
        ax.bar(at, values, 0.9 * step, bottom, color=color, hatch=hatch, edgecolor="white", label=label)
        bottom += values.to_numpy()
    shares = ", ".join(f"{percent(wide[name].sum() / bottom.sum())} {shorten(name)}" for name in looks)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    ax.xaxis.set_major_locator(whole_numbers())
    most = f", at most {bottom.max():,.0f} in {step:,} s" if len(wide) > 1 else ""
    title = f"{counted(int(bottom.sum()), 'change')}{most}: {shares}"
    start = f"seconds since {wide.index[0]:%Y-%m-%d %H:%M:%S} UTC"
    return finish(ax, title, x=start, y=f"changes in {step} s", notes=[note])


def _looks(operations: list[str]) -> Mapping[str, tuple[str, str]]:
    """How each operation looks, in the order of the bars: those that are known first."""
    known = [name for name in CHANGES if name in operations]
    others = [name for name in operations if name not in CHANGES]
    return {name: CHANGES[name] for name in known} | {
        name: _OTHERS[place % len(_OTHERS)] for place, name in enumerate(others)
    }


def _step_seconds(moments: pd.Series[pd.Timestamp]) -> int:
    """How many seconds a bar covers: the distance of the moments, or more if bars would be too thin."""
    ordered = moments.drop_duplicates().sort_values()
    apart = ordered.diff().min().total_seconds() if len(ordered) > 1 else 1.0
    least = max((ordered.iloc[-1] - ordered.iloc[0]).total_seconds() / MOST_BARS, apart)
    return next((step for step in STEPS_SECONDS if step >= least), STEPS_SECONDS[-1])


def plot_resources(before: pd.DataFrame, after: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how many resources of each kind were removed, and how many remain.

    Args:
        before: From `Workbench.list_resources`, before the clean-up.
        after: The same, after it.
        ax: Axes to draw on.
    """
    if before.empty:
        return draw_nothing("There was nothing to remove", ax)
    old, new = (_kinds(frame) for frame in (before, after))
    remain = old[old.index.isin(new.index)]
    by_kind = old.value_counts().sort_values(ascending=False, kind="stable").to_frame("then")
    by_kind["now"] = remain.value_counts().reindex(by_kind.index, fill_value=0)
    largest, rest = first_lines(by_kind, "kind")
    counts = largest[::-1]
    ax = ax or new_axes(height=1.3 + 0.24 * len(counts))
    places, gone = range(len(counts)), counts["then"] - counts["now"]
    ax.barh(places, counts["now"], color=BLUE)
    ax.barh(places, gone, left=counts["now"], color="white", edgecolor=GRAY, hatch="///")
    for place, (then, now) in enumerate(counts.itertuples(index=False)):
        write_at(ax, then, place, f"{then:,} → {now:,}", ha="left")
    ax.set_yticks(places, [shorten(kind, 40) for kind in counts.index])
    ax.set(xlim=(0, None), ylim=(-0.6, len(counts) - 0.4))
    fit_words(ax, least=1)
    ax.grid(visible=False)
    title = _removed(len(old) - len(remain), len(remain))
    came = len(new) - int(new.index.isin(old.index).sum())
    notes = [rest, f"not drawn: {counted(came, 'resource')} that came since" if came else ""]
    return finish(ax, title, x="resources; hatched: removed", y="", counts="x", notes=notes)


def _removed(gone: int, left: int) -> str:
    """The finding: how many resources were removed, and how many are left."""
    were, remain = ("was" if gone == 1 else "were"), ("remains" if left == 1 else "remain")
    return f"{gone:,} of {counted(gone + left, 'resource')} {were} removed; {left:,} {remain}"


def _kinds(resources: pd.DataFrame) -> pd.Series[str]:
    """The kind of each resource in a reader's words, by kind and name."""
    if resources.empty:
        return pd.Series(dtype=object)
    require(resources, "kind", "name")
    kinds = resources["kind"].astype(str)
    words = kinds.str.removeprefix("AWS::").str.replace("::", " ")
    return pd.Series(words.to_numpy(), pd.MultiIndex.from_arrays([kinds, resources["name"].astype(str)]))
