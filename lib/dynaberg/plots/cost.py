"""The picture of a bill: each pattern's month, service by service."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import BLUE, GRAY, INK, ORANGE, RED, draw_nothing, finish, new_axes, write_at

# Colors and hatches, so that neighbors differ in print, too.
_LOOKS = [
    (BLUE, ""),
    (ORANGE, "///"),
    (GRAY, ""),
    (RED, "..."),
    ("white", "///"),
    (BLUE, "xx"),
    (ORANGE, ""),
    (GRAY, "\\\\\\"),
    (RED, ""),
]
_NAMES = {"dynamodb": "DynamoDB Streams", "kinesis": "Kinesis", "zero-etl": "zero-ETL"}
# A part of the longest bar that is too small for words inside it.
_TOO_SMALL = 0.1


def plot_cost(bill: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw a month's bill for each pattern, stacked by service.

    If the quantities of a pattern are assumed, its label says so.

    Args:
        bill: From `Workbench.estimate_cost`.
        ax: Axes to draw on.
    """
    if bill.empty:
        return draw_nothing("There is no bill to draw", ax)
    parts = bill.astype({"usd_per_month": float}).groupby(["pattern", "service"], sort=False)["usd_per_month"]
    wide = parts.sum().unstack(fill_value=0)
    wide = wide.loc[wide.sum(axis=1).sort_values(ascending=False).index]
    wide = wide[wide.sum().sort_values(ascending=False).index]
    totals = wide.sum(axis=1)
    ax = ax or new_axes(height=1.5 + 0.6 * len(wide))
    left = pd.Series(0.0, wide.index)
    for service, (color, hatch) in zip(wide, _LOOKS, strict=False):
        amounts = wide[service]
        look: dict[str, Any] = {"color": color, "hatch": hatch, "edgecolor": INK, "lw": 0.4, "label": service}
        bars = ax.barh(range(len(wide)), amounts, 0.6, left=left, **look)
        names = [str(service) if amount > _TOO_SMALL * totals.max() else "" for amount in amounts]
        boxes = ax.bar_label(bars, names, label_type="center", fontsize=8, color=INK)
        for box in boxes:
            box.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1})
        left = left + amounts
    for place, total in enumerate(totals):
        write_at(ax, total, place, rf"  \${total:,.2f}", ha="left")
    assumed = set(bill.loc[bill["basis"] == "assumed quantity", "pattern"])
    ax.set_yticks(range(len(wide)), [_label(str(name), str(name) in assumed) for name in wide.index])
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8)
    ax.set_xlim(0, totals.max() * 1.15)
    ax.grid(visible=False, axis="y")
    return finish(ax, _title(wide, assumed), x="US dollars a month, list prices", y="", counts="x")


def _label(pattern: str, assumed: bool) -> str:
    return _NAMES.get(pattern, pattern) + ("\n(assumed)" if assumed else "")


def _title(wide: pd.DataFrame, assumed: set[str]) -> str:
    """The finding: what our own patterns cost, and the largest part of the most expensive one."""
    known = wide.loc[[name for name in wide.index if name not in assumed]]
    totals = known.sum(axis=1).sort_values(ascending=False)
    highest = known.loc[totals.index[0]]
    costs = ", ".join(rf"{_NAMES.get(str(name), name)}: \${total:,.0f}" for name, total in totals.items())
    return f"{costs} a month; {highest.max() / highest.sum():.0%} of the first is for {highest.idxmax()}"
