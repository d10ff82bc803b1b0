"""Pictures of Iceberg tables: snapshots, differences, an item's history, columns and files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from dynaberg.plots.canvas import (
    BLUE,
    CHANGES,
    GRAY,
    INK,
    RED,
    finish,
    in_utc,
    new_axes,
    write_at,
)

MARKERS = {"append": "o", "overwrite": "s", "delete": "v", "replace": "D"}
# The smallest target size of compaction: Amazon S3 Tables, "Maintenance for tables".
GOOD_FILE = 64 * 2**20
LABELED = 12


def plot_snapshots(snapshots: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the snapshots of a table in their order, by how many rows the table then held.

    Args:
        snapshots: From `Workbench.snapshots`.
        ax: Axes to draw on.
    """
    ax = ax or new_axes()
    lines = in_utc(snapshots, "committed_at").reset_index(drop=True)
    rows, moments = lines["total_records"].astype(float), lines["committed_at"]
    ax.step(rows.index, rows, where="post", color=GRAY, zorder=1)
    for operation, group in lines.groupby("operation"):
        ax.plot(group.index, rows[group.index], MARKERS.get(str(operation), "o"), ms=8, label=operation)
    shown = range(0, len(rows), -(-len(rows) // LABELED))
    for place in shown:
        write_at(ax, place, rows[place], f"{rows[place]:,.0f}")
    ax.set_xticks(list(shown), [f"{moments[place]:%H:%M:%S}" for place in shown])
    ax.set_ylim(0, max(rows.max(), 1) * 1.2)
    ax.legend(title="operation", loc="upper left", bbox_to_anchor=(1, 1), alignment="left")
    title = f"{len(rows)} snapshots, from {rows.iloc[0]:,.0f} to {rows.iloc[-1]:,.0f} rows"
    day = f"{moments[0]:%Y-%m-%d}"
    return finish(ax, title, x=f"snapshots in their order, committed on {day} at (UTC)", y="rows")


def plot_diff(changes: pd.DataFrame, *, rows_before: int, ax: Axes | None = None) -> Axes:
    """Draw the way from one snapshot to another: rows before, added, removed, after, and those changed.

    Args:
        changes: From `Workbench.changes_between`.
        rows_before: Rows of the earlier snapshot.
        ax: Axes to draw on.
    """
    ax = ax or new_axes()
    key = list(changes.columns[: list(changes.columns).index("change")])
    count = changes.drop_duplicates([*key, "change"])["change"].value_counts()
    added, removed, changed = (int(count.get(change, 0)) for change in ("added", "removed", "changed"))
    after, plain = rows_before + added - removed, (GRAY, "")
    bars = (
        ("before", 0, rows_before, f"{rows_before:,}", plain),
        ("added", rows_before, added, f"+{added:,}", CHANGES["added"]),
        ("removed", after, removed, f"-{removed:,}", CHANGES["removed"]),
        ("after", 0, after, f"{after:,}", plain),
        ("of these changed", 0, changed, f"{changed:,}", CHANGES["changed"]),
    )
    for place, (_, bottom, height, words, (color, hatch)) in enumerate(bars):
        ax.bar(place, height, 0.6, bottom, color=color, hatch=hatch, edgecolor="white")
        write_at(ax, place, bottom + height, words)
    ax.set_xticks(range(len(bars)), [label for label, *_ in bars])
    ax.set_ylim(0, max(rows_before + added, 1) * 1.15)
    title = f"{added:,} rows came, {removed:,} went, {changed:,} changed"
    return finish(ax, f"{title}: {rows_before:,} became {after:,}", x="", y="rows")


def plot_item_history(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the life of one item: a line for each attribute that changed, its value at each version.

    Args:
        history: From `Workbench.item_history`.
        ax: Axes to draw on.
    """
    edits = in_utc(history, "changed_at")
    versions = sorted(edits["changed_at"].unique())
    later = edits[edits["changed_at"] > versions[0]]["attribute"]
    attributes = [name for name in dict.fromkeys(edits["attribute"]) if name in set(later)]
    ax = ax or new_axes(height=1.5 + 0.34 * len(attributes))
    for row, attribute in enumerate(attributes):
        lines = edits[edits["attribute"] == attribute]
        places = [versions.index(moment) for moment in lines["changed_at"]]
        ax.plot(places, [row] * len(places), "o-", color=BLUE, lw=1)
        for place, value in zip(places, lines["after"], strict=True):
            ax.text(place, row - 0.16, _short(value), ha="left", va="bottom", fontsize=8.5, color=INK)
    ax.set_xticks(range(len(versions)), [f"{n}\n{at:%H:%M:%S}" for n, at in enumerate(versions, start=1)])
    ax.set_yticks(range(len(attributes)), attributes)
    ax.set(
        xlim=(-0.2, len(versions) - 0.3), ylim=(len(attributes) - 0.5, -0.8), xlabel="version, made at (UTC)"
    )
    ax.set_title(f"{len(versions)} versions of one item; {len(attributes)} of its attributes changed")
    return ax


def plot_profile(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw about how many different values, and what share of nulls, each column holds.

    Args:
        profile: From `Workbench.profile_columns`.
        ax: Axes to draw on.
    """
    lines = profile.dropna(subset="approx_distinct").sort_values("approx_distinct").reset_index(drop=True)
    ax = ax or new_axes(height=1.2 + 0.19 * len(lines))
    rows, distinct = float(lines["rows"].max()), lines["approx_distinct"].astype(float)
    ax.hlines(lines.index, 0.8, distinct.clip(lower=0.8), color=GRAY, lw=1)
    ax.plot(distinct.clip(lower=0.8), lines.index, "o", color=BLUE)
    for place, (count, nulls) in enumerate(zip(distinct, lines["nulls"].astype(float), strict=True)):
        words = f"  {count:,.0f}" + (f", {nulls:,.0f} null" if nulls else "")
        write_at(ax, max(count, 0.8), place, words, ha="left", color=RED if nulls > 0.01 * rows else INK)
    few, whole = int((distinct <= 10).sum()), int((distinct > 0.95 * rows).sum())
    ax.set_yticks(lines.index, lines["column"], fontsize=8.5)
    ax.set(xscale="log", xlim=(0.8, max(rows, 1) * 8))
    ax.grid(visible=False)
    title = f"{few} of {len(lines)} columns hold at most 10 values; {whole} tell nearly every row apart"
    return finish(
        ax, title, x=f"different values, about, among {rows:,.0f} rows (log scale)", y="", counts="x"
    )


def plot_distribution(values: pd.Series, *, unit: str = "", ax: Axes | None = None) -> Axes:
    """Draw how the numbers of one column are spread; widely spread ones on a log scale.

    Args:
        values: Numbers; nulls are left out.
        unit: Unit of the numbers, such as `USD`.
        ax: Axes to draw on.
    """
    ax = ax or new_axes()
    numbers = values.dropna().astype(float)
    low, middle, high, top = (float(numbers.quantile(share)) for share in (0, 0.5, 0.95, 1))
    wide = low > 0 and top > 20 * middle
    ax.hist(numbers, bins=np.geomspace(low, top, 41).tolist() if wide else 40, color=BLUE, edgecolor="white")
    if wide:
        ax.set_xscale("log")
    ceiling = ax.get_ylim()[1]
    for value, words, style in ((middle, "half", "-"), (high, "95 %", "--")):
        ax.axvline(value, color=INK, linestyle=style, linewidth=1.2)
        write_at(ax, value, ceiling * 0.97, f"  {words} below {value:,.0f}", ha="left")
    name = f"{values.name} ({unit})" if unit else str(values.name)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    title = f"Half of all {values.name} values are below {middle:,.0f}; one in twenty is above {high:,.0f}"
    return finish(ax, title, x=f"{name}, log scale" if wide else name, y="rows")


def plot_file_sizes(files: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the size of every data file beside the size that compaction would aim at.

    Args:
        files: From `Workbench.profile_files`.
        ax: Axes to draw on.
    """
    ax = ax or new_axes()
    sizes = files["bytes"].astype(float).sort_values(ascending=False).reset_index(drop=True)
    small, half = int((sizes < GOOD_FILE).sum()), _in_bytes(sizes.median())
    ax.bar(sizes.index + 1, sizes, 0.8, color=BLUE)
    ax.axhline(GOOD_FILE, color=INK, linestyle="--", linewidth=1.2)
    ax.text(0.5, GOOD_FILE * 1.2, f"{_in_bytes(GOOD_FILE)}: the least that compaction aims at", color=INK)
    ax.set_yscale("log", base=2)
    ax.set(ylim=(sizes.min() / 3, GOOD_FILE * 5), xlim=(0.4, max(len(sizes), 8) + 0.6))
    title = (
        f"{small} of {len(sizes)} files are smaller than {_in_bytes(GOOD_FILE)}, half of them {half} or less"
    )
    finish(ax, title, x="data files, largest first", y="size (log scale)", counts="x")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda size, _: _in_bytes(size)))
    return ax


def _in_bytes(size: float) -> str:
    """A number of bytes in the unit that a reader would take."""
    power = min(int(np.log2(max(size, 1)) // 10), 4)
    return f"{size / 2 ** (10 * power):,.0f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def _short(value: Any) -> str:
    words = "gone" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)
    return f"{words[:21]}…" if len(words) > 22 else words
