"""Pictures of profiles: what columns hold, how a column is distributed, and how large the files are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dynaberg.plots.canvas import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    counted,
    draw_nothing,
    finish,
    new_axes,
    shorten,
    write_at,
)

# The smallest target size of compaction: Amazon S3 Tables, "Maintenance for tables".
GOOD_FILE = 64 * 2**20
# The most frequent value is the darkest; ink on the first two is white.
_RANKS = ("#1f5f9e", "#3f7fc0", "#7fb2e5", "#abcdf0", "#d3e5f8")
_LABEL_LENGTH = 30
# How many characters of a label fit into a bar of the whole width.
_BAR_CHARACTERS = 80


def plot_profile(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw approximately how many different values, and how many nulls, each column holds.

    Args:
        profile: From `Table.profile_columns`.
        ax: Axes to draw on.
    """
    lines = profile.dropna(subset="approx_distinct").sort_values("approx_distinct").reset_index(drop=True)
    if lines.empty:
        return draw_nothing("No column to profile", ax)
    ax = ax or new_axes(height=1.2 + 0.19 * len(lines))
    rows, distinct = float(lines["rows"].max()), lines["approx_distinct"].astype(float)
    ax.hlines(lines.index, 0.8, distinct.clip(lower=0.8), color=GRAY, lw=1)
    ax.plot(distinct.clip(lower=0.8), lines.index, "o", color=BLUE)
    for place, (count, nulls) in enumerate(zip(distinct, lines["nulls"].astype(float), strict=True)):
        words = f"  {count:,.0f}" + (f", {nulls:,.0f} null" if nulls else "")
        write_at(ax, max(count, 0.8), place, words, ha="left", color=RED if nulls > 0.01 * rows else INK)
    few, whole = int((distinct <= 10).sum()), int((distinct > 0.95 * rows).sum())
    ax.set_yticks(lines.index, [shorten(name, _LABEL_LENGTH) for name in lines["column"]], fontsize=8.5)
    ax.set(xscale="log", xlim=(0.8, max(rows, 1) * 8), ylim=(-0.7, len(lines) - 0.3))
    ax.grid(visible=False)
    title = f"{few} of {counted(len(lines), 'column')} hold at most 10 values"
    title += f"; {whole} {'is' if whole == 1 else 'are'} nearly unique"
    words = f"approximate number of different values in {counted(int(rows), 'row')} (log scale)"
    return finish(ax, title, x=words, y="", counts="x")


def plot_top_values(profile: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw what each column mostly consists of: the shares of its most frequent values, others and nulls.

    Args:
        profile: From `Table.profile_columns`; columns without frequent values are left out.
        ax: Axes to draw on.
    """
    lines = [line for line in profile.to_dict("records") if line["top"] and line["rows"]]
    if not lines:
        return draw_nothing("No column with frequent values", ax)
    lines.sort(key=lambda line: _share_of_first(line), reverse=True)
    ax = ax or new_axes(height=1.4 + 0.24 * len(lines))
    for place, line in enumerate(lines):
        _draw_shares(ax, place, line)
    ax.set_yticks(range(len(lines)), [shorten(line["column"], _LABEL_LENGTH) for line in lines], fontsize=8.5)
    ax.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, 1))
    ax.grid(visible=False)
    first = lines[0]
    name, value = shorten(first["column"], _LABEL_LENGTH), shorten(first["top"][0][0])
    title = f"{name} is nearly always the same: {_share_of_first(first):.0%} {value}"
    if _share_of_first(first) < 0.9:
        title = f"No column is nearly always the same; {name} comes closest"
    words = "share of the rows, the most frequent values first (hatched: all others; dotted: nulls)"
    finish(ax, title, x=words, y="", counts="x")
    ax.xaxis.set_major_formatter("{x:.0%}")
    return ax


def _share_of_first(line: Mapping[Any, Any]) -> float:
    return float(line["top"][0][1] / line["rows"])


def _draw_shares(ax: Axes, place: int, line: Mapping[Any, Any]) -> None:
    """One full-width bar: frequent values, with their names where they fit, then others, then nulls."""
    left = 0.0
    for rank, (value, count) in enumerate(line["top"]):
        share = count / line["rows"]
        ax.barh(place, share, 0.75, left, color=_RANKS[min(rank, len(_RANKS) - 1)], edgecolor="white")
        room = int(share * _BAR_CHARACTERS)
        if room >= min(len(str(value)), 6):
            ink = "white" if rank < 2 else INK
            words = shorten(value, room)
            ax.text(left + share / 2, place, words, ha="center", va="center", color=ink, fontsize=7.5)
        left += share
    nulls = line["nulls"] / line["rows"]
    for share, color, hatch in ((max(1 - left - nulls, 0.0), GRAY, "///"), (nulls, RED, "...")):
        ax.barh(place, share, 0.75, left, color="white", edgecolor=color, hatch=hatch, linewidth=0.6)
        left += share


def plot_distribution(values: pd.Series, *, unit: str = "", ax: Axes | None = None) -> Axes:
    """Draw the distribution of the numbers of one column, on a log scale if they spread widely.

    Args:
        values: Numbers; nulls are left out.
        unit: Unit of the numbers, such as `USD`.
        ax: Axes to draw on.
    """
    numbers = values.dropna().astype(float)
    if numbers.empty:
        return draw_nothing(f"No value of {values.name}", ax)
    ax = ax or new_axes()
    low, middle, high, top = (float(numbers.quantile(share)) for share in (0, 0.5, 0.95, 1))
    wide = low > 0 and top > 20 * middle
    ax.hist(numbers, bins=np.geomspace(low, top, 41).tolist() if wide else 40, color=BLUE, edgecolor="white")
    if wide:
        ax.set_xscale("log")
    digits = 0 if top - low > 20 or low == top == round(top) else 2
    ceiling = ax.get_ylim()[1] * 1.15
    ax.set_ylim(0, ceiling)
    for value, words, style, height in ((middle, "half", "-", 0.97), (high, "95 %", "--", 0.89)):
        ax.axvline(value, color=INK, linestyle=style, linewidth=1.2)
        write_at(ax, value, ceiling * height, f"  {words} below {value:,.{digits}f}", ha="left")
    name = f"{values.name} ({unit})" if unit else str(values.name)
    ax.xaxis.set_major_formatter(f"{{x:,.{digits}f}}")
    title = f"Half of {counted(len(numbers), 'value')} of {values.name} are below {middle:,.{digits}f}; "
    title += f"one in twenty is above {high:,.{digits}f}"
    if low == top:
        title = f"Every value of {values.name} is {low:,.{digits}f}"
    return finish(ax, title, x=f"{name}, log scale" if wide else name, y="rows")


def plot_file_sizes(files: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the size of every file and the size that compaction would aim for; delete files are hatched.

    Args:
        files: From `Table.profile_files`.
        ax: Axes to draw on.
    """
    if files.empty:
        return draw_nothing("No file: the table is empty", ax)
    ax = ax or new_axes()
    lines = files.sort_values("bytes", ascending=False, ignore_index=True)
    sizes = lines["bytes"].astype(float).clip(lower=1)
    small, half = int((sizes < GOOD_FILE).sum()), _in_bytes(sizes.median())
    for content, group in lines.groupby("content", sort=False):
        look = (BLUE, "") if content == "data" else (ORANGE, "///")
        where, heights = group.index + 1, sizes[group.index]
        ax.bar(where, heights, 0.8, color=look[0], hatch=look[1], edgecolor="white", label=content)
    if lines["content"].nunique() > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    ax.axhline(GOOD_FILE, color=INK, linestyle="--", linewidth=1.2)
    ax.text(0.5, GOOD_FILE * 1.2, f"{_in_bytes(GOOD_FILE)}: the smallest target of compaction", color=INK)
    ax.set_yscale("log", base=2)
    ax.set(ylim=(sizes.min() / 3, max(sizes.max(), GOOD_FILE) * 5), xlim=(0.4, max(len(sizes), 8) + 0.6))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"{small} of {counted(len(sizes), 'file')} {'is' if small == 1 else 'are'} smaller than "
    title += f"{_in_bytes(GOOD_FILE)}, half of all are {half} or less"
    if deletes := int((lines["content"] != "data").sum()):
        title += f"; {deletes} hold deletes"
    finish(ax, title, x="files, largest first", y="size (log scale)", counts="x")
    ax.yaxis.set_major_formatter(FuncFormatter(lambda size, _: _in_bytes(size)))
    return ax


def _in_bytes(size: float) -> str:
    """A number of bytes in a readable unit."""
    power = min(int(np.log2(max(size, 1)) // 10), 4)
    return f"{size / 2 ** (10 * power):,.0f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
