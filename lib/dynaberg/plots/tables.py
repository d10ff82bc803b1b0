"""Pictures of a table's history: snapshots, two clocks, differences, and an item's history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import (
    BLUE,
    CHANGES,
    GRAY,
    INK,
    RED,
    counted,
    draw_nothing,
    finish,
    in_utc,
    new_axes,
    shorten,
    write_at,
)

MARKERS = {"append": "o", "overwrite": "s", "delete": "v", "replace": "D"}
LABELED = 8
# With more versions than this the values of an item no longer fit next to each other.
_VERSIONS_WITH_VALUES = 12
_TEXT_OF_WIDTH = 90


def plot_snapshots(snapshots: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the snapshots of a table in order, and how many rows the table had at each of them.

    Args:
        snapshots: From `Table.snapshots`.
        ax: Axes to draw on.
    """
    if snapshots.empty:
        return draw_nothing("The table has no snapshot yet", ax)
    ax = ax or new_axes()
    lines = in_utc(snapshots, "committed_at").reset_index(drop=True)
    rows, moments = lines["total_records"].astype(float), lines["committed_at"]
    ax.step(rows.index, rows, where="post", color=GRAY, zorder=1)
    for operation, group in lines.groupby("operation"):
        ax.plot(group.index, rows[group.index], MARKERS.get(str(operation), "o"), ms=8, label=operation)
    shown = _spread(len(rows))
    for place in shown:
        # After a drop the line comes from above, so the words go below.
        fell = place > 0 and rows[place] < rows[place - 1]
        write_at(ax, place, rows[place], f"{rows[place]:,.0f}", below=fell)
    one_day = moments.dt.date.nunique() == 1
    form = "%H:%M:%S" if one_day else "%m-%d\n%H:%M"
    ax.set_xticks(shown, [moments[place].strftime(form) for place in shown])
    ax.set_ylim(0, max(rows.max(), 1) * 1.2)
    ax.legend(title="operation", loc="upper left", bbox_to_anchor=(1, 1), alignment="left")
    day = f"on {moments[0]:%Y-%m-%d} at" if one_day else f"in {moments.iloc[-1]:%Y} on"
    words = f"snapshots in order, committed {day} (UTC)"
    return finish(ax, _story(rows), x=words, y="rows")


def _spread(count: int) -> list[int]:
    """Places to label, including the first and the last, at most `LABELED`."""
    steps = min(count, LABELED) - 1
    return [0] if steps < 1 else [round(step * (count - 1) / steps) for step in range(steps + 1)]


def _story(rows: pd.Series[float]) -> str:
    if len(rows) == 1:
        return f"1 snapshot, of {counted(int(rows.iloc[0]), 'row')}"
    steps = rows.diff().dropna()
    widest = steps.iloc[int(steps.abs().to_numpy().argmax())]
    title = f"{len(rows)} snapshots, from {rows.iloc[0]:,.0f} to {rows.iloc[-1]:,.0f} rows"
    return f"{title}; the largest step {widest:+,.0f}" if widest else title


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
    """
    sides = (known[by].value_counts(dropna=False), true[by].value_counts(dropna=False))
    values = list(dict.fromkeys([*sides[1].index, *sides[0].index]))
    if not values:
        return draw_nothing("Nothing was known and nothing was true", ax)
    ax = ax or new_axes(height=1.4 + 0.55 * len(values))
    before, after = (side.reindex(values, fill_value=0) for side in sides)
    places = pd.Series(range(len(values)), dtype=float)
    ax.barh(places - 0.2, before, 0.38, color="white", edgecolor=GRAY, hatch="///", label="known then")
    ax.barh(places + 0.2, after, 0.38, color=BLUE, label="true then")
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        write_at(ax, old, place - 0.2, f"  {old:,}", ha="left")
        write_at(ax, new, place + 0.2, f"  {new:,}" + (f" ({new - old:+,})" if new != old else ""), ha="left")
    ax.set_yticks(places, ["null" if pd.isna(value) else shorten(value, 30) for value in values])
    ax.set(ylim=(len(values) - 0.4, -0.6), xlim=(0, max(before.max(), after.max(), 1) * 1.2))
    ax.grid(visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    farthest = (after - before).abs().to_numpy().argmax()
    title = f"At {when:%H:%M:%S %Z}, {counted(len(known), 'row')} were known, and {len(true):,} were true"
    if before.iloc[farthest] != after.iloc[farthest]:
        title += f"; largest difference: {shorten(values[farthest])}"
    return finish(ax, title, x="rows", y=by, counts="x")


def plot_diff(changes: pd.DataFrame, *, rows_before: int, ax: Axes | None = None) -> Axes:
    """Draw how one snapshot became another: rows before, added, removed, after, and those changed.

    Args:
        changes: From `Table.changes_between`.
        rows_before: Rows of the earlier snapshot.
        ax: Axes to draw on.
    """
    if changes.empty:
        return draw_nothing(f"Nothing added, removed or changed: {counted(rows_before, 'row')} as before", ax)
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
    for place, level in enumerate((rows_before, rows_before + added, after)):
        ax.hlines(level, place + 0.3, place + 0.7, color=INK, linewidth=0.8, linestyle=":")
    ax.set_xticks(range(len(bars)), [label for label, *_ in bars])
    ax.set_ylim(0, max(rows_before + added, 1) * 1.15)
    title = f"{counted(added, 'row')} added, {removed:,} removed, {changed:,} changed"
    return finish(ax, f"{title}: {rows_before:,} became {after:,}", x="", y="rows")


def plot_item_history(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the life of one item: a line for each attribute that an update changed, its value at each version.

    Args:
        history: From `Table.item_history`.
        ax: Axes to draw on.
    """
    if history.empty:
        return draw_nothing("No version of this item is known", ax)
    edits = in_utc(history, "changed_at")
    # DynamoDB Streams dates changes to the second: within one second the sequence number gives the order.
    versions = edits[["changed_at", "sequence_number", "operation"]].drop_duplicates(ignore_index=True)
    edits = edits.merge(versions.reset_index(names="version"))
    updated = edits.loc[edits["operation"] == "MODIFY", "attribute"]
    attributes = [name for name in dict.fromkeys(edits["attribute"]) if name in set(updated)]
    if not attributes:
        return draw_nothing(f"{_lived(versions)}; none of its attributes changed", ax)
    ax = ax or new_axes(height=1.6 + 0.45 * len(attributes))
    for row, attribute in enumerate(attributes):
        lines = edits[(edits["attribute"] == attribute) & (edits["operation"] != "REMOVE")]
        _draw_values(ax, row, lines, len(versions))
    for place in versions.index[versions["operation"] == "REMOVE"]:
        ax.axvline(place, color=RED, linestyle="--")
        write_at(ax, place, -0.62, "deleted", color=RED)
    shown = _spread(len(versions))
    ax.set_xticks(shown, [f"{place + 1}\n{versions['changed_at'][place]:%H:%M:%S}" for place in shown])
    ax.set_yticks(range(len(attributes)), [shorten(name, 30) for name in attributes])
    ax.set(xlim=(-0.2, len(versions) - 0.3), ylim=(len(attributes) - 0.5, -0.9))
    ax.set(xlabel=f"version, made on {versions['changed_at'][0]:%Y-%m-%d} at (UTC)")
    ax.set_title(f"{_lived(versions)}; {len(attributes)} of its attributes changed")
    return ax


def _lived(versions: pd.DataFrame) -> str:
    count = "1 version" if len(versions) == 1 else f"{len(versions)} versions"
    gone = versions["operation"].iloc[-1] == "REMOVE"
    return f"{count} of one item{', the last its deletion' if gone else ''}"


def _draw_values(ax: Axes, row: int, lines: pd.DataFrame, versions: int) -> None:
    """One attribute: a mark at each version that touched it, and above it the value from then on."""
    ax.plot(lines["version"], [row] * len(lines), "o-", color=BLUE, lw=1)
    if versions <= _VERSIONS_WITH_VALUES:
        for place, value in zip(lines["version"], lines["after"], strict=True):
            words = shorten(_value(value), max(_TEXT_OF_WIDTH // versions, 5))
            ax.text(place, row - 0.16, words, ha="left", va="bottom", fontsize=8.5, color=INK)


def _value(value: Any) -> str:
    return "none" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)
