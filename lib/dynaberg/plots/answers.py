"""Pictures of answers: what the curated tables and the published queries say about the transactions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import BLUE, INK, ORANGE, draw_nothing, finish, new_axes


def plot_hourly(hourly: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw transactions by hour of the day, and what share of them was declined.

    Args:
        hourly: `hour` (0 to 23), `transactions`, `declined`; several rows an hour are summed.
        ax: Axes to draw on.
    """
    if hourly.empty:
        return draw_nothing("No transaction in any hour", ax)
    ax = ax or new_axes()
    by_hour = hourly[["hour", "transactions", "declined"]].astype(float).groupby("hour").sum()
    counts = by_hour["transactions"]
    peak = counts.idxmax()
    bars = ax.bar(by_hour.index, counts, 0.85, color=np.where(by_hour.index == peak, ORANGE, BLUE))
    ax.bar_label(bars, [f"{share:.0%}" for share in by_hour["declined"] / counts], fontsize=8, padding=2)
    ax.set_xticks(by_hour.index)
    title = f"The busiest hour is {peak:.0f}:00, with {counts.max() / counts.sum():.0%}"
    words = "hour of the day (UTC); above a bar: the share that was declined"
    return finish(ax, f"{title} of {counts.sum():,.0f} transactions", x=words, y="transactions")


def plot_risk_by_region(risk: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw high-risk transactions by region and merchant category, as a map with its numbers.

    Args:
        risk: `region`, `merchant_category`, `high_risk_count`; several rows a pair are summed.
        ax: Axes to draw on.
    """
    if risk.empty:
        return draw_nothing("No transaction of high risk", ax)
    ax = ax or new_axes()
    wide = risk.astype({"high_risk_count": float}).pivot_table(
        index="region", columns="merchant_category", values="high_risk_count", aggfunc="sum", fill_value=0
    )
    counts = wide.to_numpy()
    ax.imshow(counts, cmap="Blues", aspect="auto", vmin=0, vmax=counts.max() * 1.25)
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if count > 0.75 * counts.max() else INK
        ax.text(column, row, f"{count:,.0f}", ha="center", va="center", color=ink)
    row, column = divmod(int(counts.argmax()), counts.shape[1])
    ax.set_xticks(
        range(len(wide.columns)), [str(name).replace("_", "\n") for name in wide.columns], fontsize=8
    )
    ax.set_yticks(range(len(wide.index)), list(wide.index))
    ax.set(xlabel="merchant category; in each cell: high-risk transactions", ylabel="region")
    ax.set_title(
        f"High risk gathers in {wide.index[row]}, {wide.columns[column]}: "
        f"{counts.max():,.0f} of {counts.sum():,.0f} transactions"
    )
    ax.grid(visible=False)
    return ax
