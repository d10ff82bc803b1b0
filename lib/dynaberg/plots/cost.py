"""The picture of a bill: each pattern's month, service by service."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties

from dynaberg.plots.canvas import (
    AMOUNT,
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    SMALL,
    axes_width,
    draw_nothing,
    drawable,
    finish,
    first_lines,
    fit_words,
    listed,
    new_axes,
    percent,
    shorten,
    width,
    write_at,
)

# Each a color and a hatch of its own; services beyond these are one part.
_LOOKS = [(BLUE, ""), (ORANGE, "///"), (GRAY, "..."), (RED, "\\\\\\"), ("#6b4c9a", "xx")]
_OTHERS = "all others"
_OTHERS_LOOK = ("white", "")
_NAMES = {"dynamodb": "DynamoDB Streams", "kinesis": "Kinesis", "zero-etl": "zero-ETL"}
# A part of the longest bar that is too small for a look of its own.
_SLIVER = 0.02
# Between a name and the ends of its part, in points, on both sides together.
_PADDING = 6
_GUESS, _UNSURE = "assumed quantity", "unverified price"


def plot_cost(bill: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a month's bill for each pattern, stacked by service; what is only assumed is an empty dashed box.

    Args:
        bill: From `Workbench.estimate_cost`.
        ax: Axes to draw on.
    """
    nothing = "There is no bill to draw"
    if bill.empty:
        return draw_nothing(nothing, ax)
    lines, note = drawable(bill, numbers=("usd_per_month",), others=("pattern", "service", "basis"))
    if lines.empty:
        return draw_nothing(nothing, ax, note=note)
    lines["guess"] = lines["basis"] == _GUESS
    lines["part"] = _parts(lines)
    guessed = lines.groupby("pattern")["guess"].any()
    totals = lines.groupby("pattern")["usd_per_month"].sum().sort_values(ascending=False)
    # What is known comes first, so that a guess is never the bar that the others are compared with.
    order = sorted(totals.index, key=lambda name: (guessed[name], -totals[name]))
    shown, rest = first_lines(totals[order].to_frame("usd").assign(guess=guessed), "pattern")
    ax = ax or new_axes(height=1.5 + 0.6 * len(shown))
    _draw_parts(ax, lines, list(shown.index))
    _write_totals(ax, shown)
    _name_parts(ax)
    title = _title(lines[lines["pattern"].isin(guessed.index[~guessed])])
    if not guessed.all() and shown["guess"].iloc[int(shown["usd"].argmax())]:
        title += "; the longest bar is a guess"
    words = "US dollars a month, list prices"
    words += "; empty and dashed: the quantity is our guess" if guessed.any() else ""
    unsure = lines.loc[lines["basis"] == _UNSURE, "service"].unique()
    prices = f"the prices of {shorten(listed(unsure), 90)} are not verified" if len(unsure) else ""
    finish(ax, title, x=words, y="", counts="", notes=[prices, rest, note])
    ax.xaxis.set_major_formatter(AMOUNT)
    return ax


def _parts(lines: pd.DataFrame) -> pd.Series[str]:
    """The part of the bar that each line belongs to: its service, if that is large enough to have a look."""
    longest = lines.groupby("pattern")["usd_per_month"].sum().max()
    sums = lines[~lines["guess"]].groupby(["service", "pattern"])["usd_per_month"].sum()
    widest = sums.groupby("service").max()
    largest = widest[widest > _SLIVER * longest].nlargest(len(_LOOKS)).index
    return lines["service"].where(lines["service"].isin(largest), _OTHERS)


def _draw_parts(ax: Axes, lines: pd.DataFrame, patterns: list[str]) -> None:
    sums = lines[~lines["guess"]].groupby(["pattern", "part"])["usd_per_month"].sum()
    known: Any = sums.unstack("part").reindex(patterns).fillna(0.0)
    services = known.drop(columns=_OTHERS, errors="ignore").sum().sort_values(ascending=False).index
    looks = dict(zip(services, _LOOKS, strict=False))
    if _OTHERS in known:
        looks[_OTHERS] = _OTHERS_LOOK
    left = pd.Series(0.0, patterns)
    for service, (color, hatch) in looks.items():
        edge = INK if color == "white" else "white"
        look = {"color": color, "hatch": hatch, "edgecolor": edge, "lw": 0.6, "label": shorten(service)}
        _draw_part(ax, left, known[service], look)
        left = left + known[service]
    guess = lines[lines["guess"]].groupby("pattern")["usd_per_month"].sum().reindex(patterns).fillna(0.0)
    if guess.any():
        look = {"color": "none", "edgecolor": INK, "ls": "--", "lw": 1, "label": _GUESS}
        _draw_part(ax, left, guess, look)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=SMALL)


def _draw_part(ax: Axes, left: pd.Series[float], amounts: pd.Series[float], look: dict[str, Any]) -> None:
    """One part of each bar that has it."""
    has = (amounts > 0).to_numpy()
    ax.barh(np.flatnonzero(has), amounts[has], 0.6, left=left[has], **look)


def _write_totals(ax: Axes, shown: pd.DataFrame) -> None:
    """The name of each pattern, and behind its bar what it costs."""
    for place, (total, guess) in enumerate(shown[["usd", "guess"]].itertuples(index=False)):
        write_at(ax, total, place, rf"{'about ' if guess else ''}\${total:,.2f}", ha="left")
    names = [_label(name) + ("\n(assumed)" if guess else "") for name, guess in shown["guess"].items()]
    ax.set_yticks(range(len(shown)), names)
    ax.set(xlim=(0, None), ylim=(len(shown) - 0.55, -0.45))
    ax.grid(visible=False, axis="y")
    fit_words(ax, least=0.01)


def _name_parts(ax: Axes) -> None:
    """The name of each part, on white, where it fits into the part."""
    points, font = axes_width(ax) / ax.get_xlim()[1], FontProperties(size=SMALL)
    drawn: list[Any] = ax.containers
    for bars in drawn:
        name = str(bars.get_label())
        least = width(name, font) + _PADDING
        names = [name if bar.get_width() * points > least else "" for bar in bars]
        for label in ax.bar_label(bars, names, label_type="center", fontsize=SMALL, color=INK):
            if label.get_text():
                label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})


def _label(pattern: object) -> str:
    return _NAMES.get(str(pattern), shorten(pattern, 30))


def _title(known: pd.DataFrame) -> str:
    """The finding: what our own patterns cost, and the largest part of the most expensive one."""
    if known.empty:
        return "No pattern has a bill of known quantities"
    totals = known.groupby("pattern")["usd_per_month"].sum().sort_values(ascending=False).head(3)
    with_each = [rf"with {_label(name)} costs \${total:,.0f}" for name, total in totals.items()]
    costs = ", ".join([with_each[0], *(words.replace(" costs", "") for words in with_each[1:])])
    if not totals.iloc[0]:
        return f"A month {costs}"
    parts = known[known["pattern"] == totals.index[0]].groupby("service")["usd_per_month"].sum()
    service, first = shorten(parts.idxmax(), 30), _label(totals.index[0])
    largest = f"{service} itself" if service == first else service
    share = percent(parts.max() / totals.iloc[0])
    return rf"A month {costs}; {largest} is {share} of the \${totals.iloc[0]:,.0f}"
