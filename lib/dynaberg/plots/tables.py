"""Pictures of a table's history: snapshots, differences, and an item's history."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dynaberg.errors import SettingsError
from dynaberg.plots.canvas import (
    BLUE,
    CHANGES,
    GRAY,
    INK,
    ORANGE,
    RED,
    SMALL,
    counted,
    draw_marks,
    draw_nothing,
    drawable,
    finish,
    is_null,
    new_axes,
    require,
    shorten,
    write_at,
    write_caption,
    write_title,
)

MARKERS = {"append": ("o", BLUE), "overwrite": ("s", ORANGE), "delete": ("v", RED), "replace": ("D", INK)}
_OTHER = ("P", GRAY)
LABELED = 8
# Below this part of the height there is no room for words.
_LOW = 0.08
# With more versions than this the values of an item no longer fit next to each other.
_VERSIONS_WITH_VALUES = 12
_TEXT_OF_WIDTH = 90
_MOST_VALUES = 20


def plot_snapshots(snapshots: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the commits of a table in order, and how many rows the table had after each of them.

    The local Athena leaves two snapshots for one MERGE, of which only the second is a state that could be
    read; such a pair is one mark.

    Args:
        snapshots: From `Table.snapshots`.
        ax: Axes to draw on.
    """
    nothing = "The table has no snapshot yet"
    if snapshots.empty:
        return draw_nothing(nothing, ax)
    clean, note = drawable(
        snapshots, numbers=("total_records",), moments=("committed_at",), others=("operation",)
    )
    if clean.empty:
        return draw_nothing(nothing, ax, note=note)
    ax = ax or new_axes()
    lines = _commits(clean)
    rows, moments = lines["total_records"], lines["committed_at"]
    ax.step(rows.index, rows, where="post", color=GRAY, zorder=1)
    for operation, group in lines.groupby(lines["operation"].astype(str)):
        marker, color = MARKERS.get(str(operation), _OTHER)
        look = {"color": color, "ms": 8, "ls": "", "label": shorten(operation, 16)}
        draw_marks(ax, group.index, rows[group.index], marker, **look)
    shown = _spread(len(rows))
    for place in shown:
        # After a drop the line comes from above, so the words go below, or left if there is no room.
        fell = place > 0 and rows[place] < rows[place - 1]
        is_low = rows[place] < _LOW * rows.max()
        side = "right" if fell and is_low else "center"
        write_at(ax, place, rows[place], f"{rows[place]:,.0f}", ha=side, below=fell)
    form, times = _dates(moments)
    ax.set_xticks(shown, [moments[place].strftime(form) for place in shown])
    top = max(rows.max(), 1)
    ax.set_ylim(-0.04 * top, 1.2 * top)
    ax.legend(title="operation", loc="upper left", bbox_to_anchor=(1, 1), alignment="left")
    return finish(ax, _story(rows), x=f"commits in order, each with its {times}", y="rows", notes=[note])


def _commits(snapshots: pd.DataFrame) -> pd.DataFrame:
    """One line per commit: of the snapshots that one query left, the last, which it leaves to be read."""
    if "written_by" not in snapshots:
        return snapshots
    by = snapshots["written_by"].astype(object).where(snapshots["written_by"].notna(), "")
    follows = (by == by.shift(1)) & by.str.startswith("Trino query")
    lines = snapshots.assign(operation=snapshots["operation"].mask(follows, "overwrite"))
    return lines[~follows.shift(-1, fill_value=False)].reset_index(drop=True)


def _dates(moments: pd.Series[pd.Timestamp]) -> tuple[str, str]:
    """How moments are written below an axis, and what its label says once for all of them."""
    if moments.dt.date.nunique() == 1:
        return "%H:%M:%S", f"time on {moments.iloc[0]:%Y-%m-%d} (UTC)"
    if moments.dt.year.nunique() == 1:
        return "%m-%d\n%H:%M", f"day and time in {moments.iloc[0]:%Y} (UTC)"
    return "%Y-%m-%d\n%H:%M", "day and time (UTC)"


def _spread(count: int) -> list[int]:
    """Places to label, including the first and the last, at most `LABELED`, and no two of them close."""
    last = count - 1
    fitting = (steps for steps in range(min(last, LABELED - 1), 0, -1) if last // steps * LABELED >= last)
    steps = next(fitting, 0)
    return [0] if not steps else [round(step * last / steps) for step in range(steps + 1)]


def _story(rows: pd.Series[float]) -> str:
    if len(rows) == 1:
        return f"1 commit, of {counted(int(rows.iloc[0]), 'row')}"
    steps = rows.diff().dropna()
    widest = steps.iloc[int(steps.abs().to_numpy().argmax())]
    if not widest:
        return f"{len(rows):,} commits, each of {counted(int(rows.iloc[0]), 'row')}"
    first, last = (f"{count:,.0f}" for count in (rows.iloc[0], rows.iloc[-1]))
    title = f"{len(rows):,} commits, from {first} to {last} rows"
    if first == last:
        title = f"{len(rows):,} commits, the first and the last of {counted(int(rows.iloc[0]), 'row')}"
    return f"{title}; the largest step {widest:+,.0f}" if len(steps) > 1 else title


def plot_diff(changes: pd.DataFrame, *, rows_before: int, ax: Axes | None = None) -> Axes:
    """Draw how one snapshot became another: rows before, added, removed, after, and those changed.

    Args:
        changes: From `Table.changes_between`.
        rows_before: Rows of the earlier snapshot.
        ax: Axes to draw on.
    """
    if rows_before < 0:
        msg = f"`rows_before` is {rows_before}; a snapshot has 0 or more rows."
        raise SettingsError(msg, hint="Pass the rows of the earlier of the two snapshots.")
    if changes.empty:
        return draw_nothing(f"Nothing added, removed or changed: {counted(rows_before, 'row')} as before", ax)
    require(changes, "change")
    key = list(changes.columns[: list(changes.columns).index("change")])
    count = changes.drop_duplicates([*key, "change"])["change"].value_counts()
    added, removed, changed = (int(count.get(change, 0)) for change in ("added", "removed", "changed"))
    after, plain = rows_before + added - removed, (GRAY, "")
    if removed + changed > rows_before:
        msg = (
            f"{removed:,} rows removed and {changed:,} changed are more than the {rows_before:,} there were."
        )
        raise SettingsError(msg, hint="Pass as `rows_before` the rows of the earlier of the two snapshots.")
    ax = ax or new_axes()
    bars = (
        ("before", 0, rows_before, f"{rows_before:,}", plain),
        ("added", rows_before, added, f"+{added:,}", CHANGES["added"]),
        ("removed", after, removed, f"-{removed:,}", CHANGES["removed"]),
        ("after", 0, after, f"{after:,}", plain),
        ("of these, changed", 0, changed, f"{changed:,}", CHANGES["changed"]),
    )
    for place, (_, bottom, height, words, (color, hatch)) in enumerate(bars):
        ax.bar(place, height, 0.6, bottom, color=color, hatch=hatch, edgecolor="white")
        write_at(ax, place, bottom + height, words)
    for place, level in enumerate((rows_before, rows_before + added, after)):
        ax.hlines(level, place + 0.3, place + 0.7, color=INK, linewidth=0.8, linestyle=":")
    ax.set_xticks(range(len(bars)), [label for label, *_ in bars])
    ax.set_ylim(0, max(rows_before + added, 1) * 1.15)
    title = f"{counted(added, 'row')} added, {removed:,} removed, {changed:,} changed"
    end = f"{rows_before:,} became {after:,}"
    if rows_before == after:
        end = f"{counted(after, 'row')} before and after"
    return finish(ax, f"{title}: {end}", x="", y="rows")


def plot_item_history(history: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the life of one item: a line for each attribute that an update changed, its value at each version.

    Args:
        history: From `Table.item_history`.
        ax: Axes to draw on.
    """
    if history.empty:
        return draw_nothing("No version of this item is known", ax)
    columns = ("sequence_number", "operation", "attribute", "after")
    edits, note = drawable(history, moments=("changed_at",), others=columns)
    if edits.empty:
        return draw_nothing("No version of this item is known", ax, note=note)
    # DynamoDB Streams dates changes to the second: within one second the sequence number gives the order.
    versions = edits[["changed_at", "sequence_number", "operation"]].drop_duplicates(ignore_index=True)
    edits = edits.merge(versions.reset_index(names="version"))
    updated = edits.loc[edits["operation"] == "MODIFY", "attribute"]
    attributes = [name for name in dict.fromkeys(edits["attribute"]) if name in set(updated)]
    if not attributes:
        return draw_nothing(f"{_lived(versions)}; none of its attributes changed", ax)
    title = f"{_lived(versions)}; {len(attributes)} of its attributes changed"
    rest = f"not drawn: {counted(len(attributes) - _MOST_VALUES, 'attribute')} more"
    rest = rest if len(attributes) > _MOST_VALUES else ""
    attributes = attributes[:_MOST_VALUES]
    ax = ax or new_axes(height=1.6 + 0.45 * len(attributes))
    for row, attribute in enumerate(attributes):
        lines = edits[(edits["attribute"] == attribute) & (edits["operation"] != "REMOVE")]
        _draw_values(ax, row, lines, len(versions))
    for place in versions.index[versions["operation"] == "REMOVE"]:
        ax.axvline(place, color=RED, linestyle="--")
        write_at(ax, place, -0.72, "deleted", ha="right", color=RED)
    shown = _spread(len(versions))
    form, times = _dates(versions["changed_at"])
    ax.set_xticks(
        shown, [f"{place + 1:,}\n{versions['changed_at'][place].strftime(form)}" for place in shown]
    )
    ax.set_yticks(range(len(attributes)), [shorten(name, 30) for name in attributes])
    ax.set(xlim=(-0.2, len(versions) - 0.3), ylim=(len(attributes) - 0.5, -0.9))
    write_title(ax, title)
    write_caption(ax, f"version, and its {times}", [rest, note])
    return ax


def _lived(versions: pd.DataFrame) -> str:
    count = counted(len(versions), "version")
    gone = versions["operation"].iloc[-1] == "REMOVE"
    return f"{count} of one item{', the last its deletion' if gone else ''}"


def _draw_values(ax: Axes, row: int, lines: pd.DataFrame, versions: int) -> None:
    """One attribute: a mark at each version that touched it, and above it the value from then on."""
    draw_marks(ax, lines["version"], [row] * len(lines), "o-", color=BLUE, lw=1)
    if versions <= _VERSIONS_WITH_VALUES:
        for place, value in zip(lines["version"], lines["after"], strict=True):
            words = shorten(_value(value), max(_TEXT_OF_WIDTH // versions, 5))
            ax.text(place, row - 0.16, words, ha="left", va="bottom", fontsize=SMALL, color=INK)


def _value(value: Any) -> str:
    return "none" if is_null(value) else str(value)
