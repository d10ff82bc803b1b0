"""Pictures of answers: what the curated tables and the published queries show about the transactions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dynaberg.plots.canvas import BLUE, GRAY, INK, ORANGE, draw_nothing, finish, new_axes, shorten, write_at


def plot_hourly(hourly: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw transactions by hour of the day, and what share of them was declined.

    Args:
        hourly: `hour` (0 to 23), `transactions`, `declined`; several rows of one hour are summed.
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
    """Draw high-risk transactions by region and merchant category, as a heat map with its numbers.

    Args:
        risk: `region`, `merchant_category`, `high_risk_count`; several rows of one pair are summed.
        ax: Axes to draw on.
    """
    if risk.empty:
        return draw_nothing("No high-risk transaction", ax)
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
        f"Most high risk is in {wide.index[row]}, {wide.columns[column]}: "
        f"{counts.max():,.0f} of {counts.sum():,.0f} transactions"
    )
    ax.grid(visible=False)
    return ax


def plot_merchants(merchants: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the sales of the largest merchants, with what they sell and what share was declined.

    Args:
        merchants: `merchant_name`, `merchant_category`, `amount` (of one currency), `declined` (a share).
        ax: Axes to draw on.
    """
    if merchants.empty:
        return draw_nothing("No merchant has any sales", ax)
    lines = merchants.sort_values("amount", ascending=False, ignore_index=True)
    ax = ax or new_axes(height=1.3 + 0.32 * len(lines))
    amounts = lines["amount"].astype(float)
    kinds = lines["merchant_category"].value_counts()
    for place, line in enumerate(lines.to_dict("records")):
        common = line["merchant_category"] == kinds.index[0]
        color, hatch = (BLUE, "") if common else (GRAY, "///")
        ax.barh(place, amounts[place], 0.7, color=color, hatch=hatch, edgecolor="white")
        words = f"  {amounts[place]:,.0f}  {line['merchant_category']}, {line['declined']:.0%} declined"
        write_at(ax, amounts[place], place, words, ha="left")
    ax.set_yticks(range(len(lines)), [shorten(name, 30) for name in lines["merchant_name"]])
    ax.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, max(amounts.max(), 1) * 1.55))
    ax.grid(visible=False)
    title = f"{shorten(lines['merchant_name'][0], 30)} sells the most; "
    title += f"{kinds.iloc[0]} of the {len(lines)} largest sell {kinds.index[0]}"
    return finish(
        ax, title, x=f"amount (hatched: sells something other than {kinds.index[0]})", y="", counts="x"
    )
