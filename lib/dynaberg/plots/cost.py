"""The picture of a bill: each pattern's month, service by service."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    SMALL,
    draw_nothing,
    drawable,
    finish,
    first_lines,
    listed,
    new_axes,
    percent,
    shorten,
    write_at,
)

# Each a color and a hatch of its own; services beyond these are one part.
_LOOKS = [(BLUE, ""), (ORANGE, "///"), (GRAY, "..."), (RED, "\\\\\\"), ("#6b4c9a", "xx")]
_OTHERS = "all others"
_OTHERS_LOOK = ("white", "")
_NAMES = {"dynamodb": "DynamoDB Streams", "kinesis": "Kinesis", "zero-etl": "zero-ETL"}
# Parts of the longest bar that are too small for words inside them, and for a look of their own.
_TOO_SMALL, _SLIVER = 0.1, 0.02
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
    for place, (total, guess) in enumerate(shown.itertuples(index=False)):
        write_at(ax, total, place, rf"{'about ' if guess else ''}\${total:,.2f}", ha="left")
    names = [_label(name) + ("\n(assumed)" if guess else "") for name, guess in shown["guess"].items()]
    ax.set_yticks(range(len(shown)), names)
    ax.set(xlim=(0, max(shown["usd"].max(), 0.01) * 1.25), ylim=(len(shown) - 0.4, -0.6))
    ax.grid(visible=False, axis="y")
    known = lines[lines["pattern"].isin(guessed.index[~guessed])]
    guess_words = "; empty and dashed: the quantity is our guess" if guessed.any() else ""
    words = f"US dollars a month, list prices{guess_words}"
    unsure = lines.loc[lines["basis"] == _UNSURE, "service"].unique()
    prices = f"price from memory, not verified: {shorten(listed(unsure), 90)}" if len(unsure) else ""
    return finish(ax, _title(known), x=words, y="", counts="x", notes=[prices, rest, note])


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
    longest = lines.groupby("pattern")["usd_per_month"].sum().max()
    left = pd.Series(0.0, patterns)
    for service, (color, hatch) in looks.items():
        edge = INK if color == "white" else "white"
        look = {"color": color, "hatch": hatch, "edgecolor": edge, "lw": 0.6, "label": shorten(service)}
        _draw_part(ax, left, known[service], look, longest)
        left = left + known[service]
    guess = lines[lines["guess"]].groupby("pattern")["usd_per_month"].sum().reindex(patterns).fillna(0.0)
    if guess.any():
        look = {"color": "none", "edgecolor": INK, "ls": "--", "lw": 1, "label": _GUESS}
        _draw_part(ax, left, guess, look, longest)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=SMALL)


def _draw_part(
    ax: Axes, left: pd.Series[float], amounts: pd.Series[float], look: dict[str, Any], longest: float
) -> None:
    """One part of each bar that has it, with its name where there is room: on white."""
    has = (amounts > 0).to_numpy()
    bars = ax.barh(np.flatnonzero(has), amounts[has], 0.6, left=left[has], **look)
    names = [look["label"] if amount > _TOO_SMALL * longest else "" for amount in amounts[has]]
    for label in ax.bar_label(bars, names, label_type="center", fontsize=SMALL, color=INK):
        if label.get_text():
            label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})


def _label(pattern: object) -> str:
    return _NAMES.get(str(pattern), shorten(pattern, 30))


def _title(known: pd.DataFrame) -> str:
    """The finding: what our own patterns cost, and the largest part of the most expensive one."""
    if known.empty:
        return "No pattern has a bill of known quantities"
    totals = known.groupby("pattern")["usd_per_month"].sum().sort_values(ascending=False)
    costs = ", ".join(rf"{_label(name)}: \${total:,.0f}" for name, total in totals.head(3).items())
    parts = known[known["pattern"] == totals.index[0]].groupby("service")["usd_per_month"].sum()
    if not totals.iloc[0]:
        return f"{costs} a month"
    share = percent(parts.max() / totals.iloc[0])
    return f"{costs} a month; {share} of the first is for {shorten(parts.idxmax(), 30)}"
