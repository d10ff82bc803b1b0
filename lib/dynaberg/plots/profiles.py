"""Pictures of profiles: what the columns of a table hold, and how large its files are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter

from dynaberg.plots.canvas import (
    BLUE,
    GRAY,
    INK,
    RED,
    SMALL,
    counted,
    draw_marks,
    draw_nothing,
    drawable,
    finish,
    first_lines,
    fit_words,
    name_lines,
    new_axes,
    percent,
    room,
    shorten,
    write_at,
)

# The most frequent value is the darkest; ink on the first two is white.
_RANKS = ("#17528a", "#3273b3", "#8dbbe8", "#b5d4f2", "#d9e9fa")
_LABEL_LENGTH = 30
# Of a longer value that does not fit into its bar, at least this many characters are written.
_LEAST_CHARACTERS = 6
# Between a value and the ends of its bar, in points, on both sides together.
_PADDING = 4
_FEW = 10
_NEARLY_ALL = 0.9
_MOST_COLUMNS = 60
# On a log scale nothing is at 0: a column without a value stands left of 1, and the axis begins before it.
_NO_VALUE, _SCALE_BEGINS = 0.72, 0.6
# The smallest target size of compaction: Amazon S3 Tables, "Maintenance for tables".
GOOD_FILE = 64 * 2**20
# Every picture of files has this scale, so that two of them compare; larger and smaller files extend it.
_SCALE = (2**8, 2**30)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def plot_profile(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw approximately how many different values, and how many nulls, each column holds.

    Args:
        profile: From `Table.profile_columns`.
        ax: Axes to draw on.
    """
    nothing = "No column to profile"
    if profile.empty:
        return draw_nothing(nothing, ax)
    numbers = ("approx_distinct", "rows", "nulls")
    known, note = drawable(profile, numbers=numbers, others=("column",), unit="column")
    if known.empty:
        return draw_nothing(nothing, ax, note=note)
    lines, rest = first_lines(known.sort_values("approx_distinct", kind="stable"), "column", _MOST_COLUMNS)
    lines = lines.reset_index(drop=True)
    ax = ax or new_axes(height=1.2 + 0.19 * len(lines))
    rows, distinct = _table_rows(known), lines["approx_distinct"]
    # The line only leads from the name to the dot: on a log scale its length means nothing.
    at = distinct.clip(lower=_NO_VALUE)
    ax.hlines(lines.index, _SCALE_BEGINS, at, color=GRAY, lw=0.8, linestyles=":")
    draw_marks(ax, at, lines.index, "o", color=BLUE)
    for place, (count, nulls) in enumerate(zip(distinct, lines["nulls"], strict=True)):
        words = f"{count:,.0f}" + (f" ({nulls:,.0f} null)" if nulls else "")
        write_at(ax, at[place], place, words, ha="left", color=RED if nulls > 0.01 * rows else INK)
    ax.set_yticks(lines.index, [shorten(name, _LABEL_LENGTH) for name in lines["column"]], fontsize=SMALL)
    ax.set(xscale="log", xlim=(_SCALE_BEGINS, None), ylim=(-0.7, len(lines) - 0.3))
    fit_words(ax, least=10)
    ax.grid(visible=False)
    words = f"approximate number of different values in {counted(int(rows), 'row')} (log scale)"
    return finish(
        ax,
        _profile_title(known),
        x=words,
        y="",
        counts="x",
        notes=[rest, note.replace("approx_distinct", "a count")],
    )


def _table_rows(lines: pd.DataFrame) -> float:
    """Rows of the table; what is inside a list has a line of its own, and may be more."""
    whole = lines.loc[~lines["column"].astype(str).str.contains(".", regex=False), "rows"]
    return float((whole if len(whole) else lines["rows"]).max())


def _profile_title(lines: pd.DataFrame) -> str:
    """The finding: how many columns are good for groups, and how many for joins."""
    rows, distinct = _table_rows(lines), lines["approx_distinct"]
    if rows <= _FEW:
        return f"With {counted(int(rows), 'row')}, no column can have many values"
    filled = lines["rows"] - lines["nulls"]
    few, whole = int((distinct <= _FEW).sum()), int(((filled > _FEW) & (distinct > 0.95 * filled)).sum())
    title = (
        f"{few:,} of {counted(len(lines), 'column')} {'holds' if few == 1 else 'hold'} at most {_FEW} values"
    )
    unique = f"{whole:,} are" if whole > 1 else "1 is" if whole else "none is"
    return f"{title}; {unique} nearly unique"


def plot_top_values(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what each column mostly consists of: the shares of its most frequent values, others and nulls.

    Args:
        profile: From `Table.profile_columns`; columns without frequent values are left out.
        ax: Axes to draw on.
    """
    nothing = "No column with frequent values"
    if profile.empty:
        return draw_nothing(nothing, ax)
    known, note = drawable(profile, numbers=("rows", "nulls"), others=("column", "top"), unit="column")
    found = known[(known["top"].str.len() > 0) & (known["rows"] > 0)]
    if found.empty:
        return draw_nothing(nothing, ax, note=note)
    found = found.assign(share=[_share_of_first(line) for line in found.to_dict("records")])
    found = found.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    shown, rest = first_lines(found, "column")
    ax = ax or new_axes(height=1.4 + 0.24 * len(shown))
    names = [shorten(name, _LABEL_LENGTH) for name in shown["column"]]
    ax.set_yticks(range(len(shown)), names, fontsize=SMALL)
    for place, line in enumerate(shown.to_dict("records")):
        _draw_shares(ax, place, line)
    ax.set(ylim=(len(shown) - 0.4, -0.6), xlim=(0, 1))
    ax.grid(visible=False)
    words = "share of the rows, the most frequent values first; hatched: all others; dotted: nulls"
    finish(ax, _values_title(found), x=words, y="", counts="", notes=[rest, note])
    ax.xaxis.set_major_formatter("{x:.0%}")
    return ax


def _values_title(lines: pd.DataFrame) -> str:
    """The finding: the column that is nearly always the same, be it a value or null; or that none is."""
    if lines["rows"].max() == 1:
        return "With 1 row, no value is more frequent than another"
    first, empty = lines.iloc[0], lines["nulls"] / lines["rows"]
    name, share, words = first["column"], first["share"], first["top"][0][0]
    if empty.max() > share:
        name, share, words = lines["column"].iloc[int(empty.argmax())], empty.max(), "null"
    name = shorten(name, _LABEL_LENGTH)
    if share < _NEARLY_ALL:
        return f"No column is nearly always the same; {name} comes closest"
    return f"{name} is nearly always the same: {percent(share)} {shorten(words)}"


def _share_of_first(line: Mapping[Any, Any]) -> float:
    return float(line["top"][0][1] / line["rows"])


def _draw_shares(ax: Axes, place: int, line: Mapping[Any, Any]) -> None:
    """One full-width bar: frequent values, with their names where they fit, then others, then nulls."""
    left = 0.0
    for rank, (value, count) in enumerate(line["top"]):
        share = count / line["rows"]
        color = _RANKS[min(rank, len(_RANKS) - 1)]
        ax.barh(place, share, 0.75, left=left, color=color, edgecolor=INK, linewidth=0.5)
        words = name_lines(value, share * room(ax) - _PADDING, FontProperties(size=8), 1)
        if len(words) >= min(len(str(value)), _LEAST_CHARACTERS):
            ink = "white" if rank < 2 else INK
            ax.text(left + share / 2, place, words, ha="center", va="center", color=ink, fontsize=8)
        left += share
    nulls = line["nulls"] / line["rows"]
    for share, color, hatch in ((max(1 - left - nulls, 0.0), GRAY, "///"), (nulls, RED, "...")):
        if share > 0:
            ax.barh(place, share, 0.75, left=left, color="white", edgecolor=color, hatch=hatch, linewidth=0.6)
        left += share


def plot_file_sizes(files: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the size of every file and the size that compaction would aim for; delete files are triangles.

    Args:
        files: From `Table.profile_files`.
        ax: Axes to draw on.
    """
    nothing = "No file: the table is empty"
    if files.empty:
        return draw_nothing(nothing, ax)
    rows, note = drawable(files, numbers=("bytes",), others=("content",), unit="file")
    if rows.empty:
        return draw_nothing(nothing, ax, note=note)
    ax = ax or new_axes()
    lines = rows.sort_values("bytes", ascending=False, ignore_index=True)
    sizes = lines["bytes"].clip(lower=1)
    for content, group in lines.groupby(lines["content"].astype(str), sort=False):
        is_data = content == "data"
        marker, color, face = ("o", BLUE, BLUE) if is_data else ("v", RED, "white")
        where = group.index + 1
        look = {"color": color, "markerfacecolor": face, "label": shorten(content)}
        draw_marks(ax, where, sizes[group.index], marker, **look)
    if lines["content"].nunique() > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    ax.axhline(GOOD_FILE, color=GRAY, linestyle="--", linewidth=1.2)
    words = f"{_in_bytes(GOOD_FILE)}: the smallest target of compaction"
    ax.annotate(
        words, (0, GOOD_FILE), (4, 4), ("axes fraction", "data"), "offset points", color=INK, fontsize=SMALL
    )
    ax.set_yscale("log", base=2)
    ax.set(ylim=(min(sizes.min() / 2, _SCALE[0]), max(sizes.max() * 2, _SCALE[1])), xlim=(0, len(sizes) + 1))
    finish(ax, _files_title(lines), x="files, largest first", y="size (log scale)", counts="x", notes=[note])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda size, _: _in_bytes(size)))
    return ax


def _files_title(lines: pd.DataFrame) -> str:
    """The finding: how many files are small, how small half of them are, and how many hold deletes."""
    sizes, target = lines["bytes"], _in_bytes(GOOD_FILE)
    small, deletes = int((sizes < GOOD_FILE).sum()), int((lines["content"] != "data").sum())
    if len(lines) == 1:
        side = "smaller than" if small else "at least"
        return f"The only file is {_in_bytes(sizes[0])}, {side} {target}" + ("; it holds deletes" * deletes)
    if not small:
        title = f"All of {counted(len(sizes), 'file')} have at least {target}"
    else:
        # A file that exists, so that half of the files are in truth no larger.
        half = _in_bytes(float(np.quantile(sizes, 0.5, method="higher")))
        verb = "is" if small == 1 else "are"
        title = f"{small:,} of {counted(len(sizes), 'file')} {verb} smaller than {target}"
        title += f", half are {half} or less"
    return title + (f"; {deletes:,} {'holds' if deletes == 1 else 'hold'} deletes" if deletes else "")


def _in_bytes(size: float) -> str:
    """A number of bytes in a readable unit."""
    power = min(int(np.log2(max(size, 1)) // 10), len(_UNITS) - 1)
    return f"{size / 2 ** (10 * power):,.0f} {_UNITS[power]}"
