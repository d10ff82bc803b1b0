"""Pictures of answers: what the curated tables and the published queries show about the transactions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from dynaberg.errors import SettingsError
from dynaberg.plots.canvas import (
    AMOUNT,
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    SMALL,
    draw_marks,
    draw_nothing,
    drawable,
    finish,
    first_lines,
    fit_words,
    listed,
    new_axes,
    percent,
    shorten,
    write_at,
    write_beside,
)
from dynaberg.plots.chance import busiest, interval

_HOURS = 24
# So many groups without a high risk would be expected, if there is none, they were left out on purpose.
_SURELY_SOME = 5


def plot_hourly(hourly: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw transactions by hour of the day, and what share of them was declined.

    Hours that are the busiest beyond chance are hatched.

    Args:
        hourly: `hour` (0 to 23), `transactions`, `declined`; several rows of one hour are summed.
        ax: Axes to draw on.
    """
    nothing = "No transaction in any hour"
    if hourly.empty:
        return draw_nothing(nothing, ax)
    rows, note = drawable(hourly, numbers=("hour", "transactions", "declined"))
    by_hour = rows[["hour", "transactions", "declined"]].groupby("hour").sum()
    by_hour = by_hour[by_hour["transactions"] > 0]
    if by_hour.empty:
        return draw_nothing(nothing, ax, note=note)
    ax = ax or new_axes()
    counts = by_hour["transactions"]
    top = busiest(counts)
    for hours, color, hatch in (
        (counts.index.difference(top), BLUE, ""),
        (counts.index.intersection(top), ORANGE, "///"),
    ):
        bars = ax.bar(hours, counts[hours], 0.85, color=color, hatch=hatch, edgecolor="white")
        shares = by_hour.loc[hours, "declined"] / counts[hours]
        ax.bar_label(bars, list(map(percent, shares)), fontsize=8, padding=2, color=INK)
    ax.set_xticks(range(_HOURS))
    ax.set_xlim(min(-0.6, counts.index.min() - 0.6), max(_HOURS - 0.4, counts.index.max() + 0.6))
    words = "hour of the day (UTC); above a bar: the share that was declined"
    return finish(ax, _busy_title(counts, top), x=words, y="transactions", notes=[note])


def _busy_title(counts: pd.Series[float], top: list[float]) -> str:
    """The finding: which hours are busier than others, and whether that is more than chance."""
    total = f"{counts.sum():,.0f} transactions"
    names = [f"{hour:.0f}:00" for hour in top]
    if len(counts) == 1:
        return f"All of {total} are of one hour, {counts.index[0]:.0f}:00"
    if not top:
        return f"No hour is busier than the others beyond chance, in {total}"
    share = percent(counts[top].sum() / counts.sum())
    if len(top) == 1:
        return f"The busiest hour is {names[0]}, with {share} of {total}"
    if len(top) <= 3:
        return f"The busiest hours are {listed(names)}, alike within chance, with {share} of {total}"
    return f"{len(top)} hours are the busiest, alike within chance, with {share} of {total}"


def plot_risk_by_region(risk: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw the rate of high risk by region and merchant category, with the interval that chance leaves open.

    A group is a finding if its interval excludes the rate of all transactions; all intervals together have
    95% confidence. Groups without any high risk count, too: a query must not leave them out.

    Args:
        risk: `region`, `merchant_category`, `high_risk_count`, `total_transactions`; several rows of one
            pair are summed.
        ax: Axes to draw on.
    """
    nothing = "No transaction to rate"
    if risk.empty:
        return draw_nothing(nothing, ax)
    numbers = ["high_risk_count", "total_transactions"]
    rows, note = drawable(risk, numbers=numbers, others=("region", "merchant_category"))
    rows = rows[rows["total_transactions"] > 0].astype({"region": str, "merchant_category": str})
    if rows.empty:
        return draw_nothing(nothing, ax, note=note)
    if (rows["high_risk_count"] > rows["total_transactions"]).any():
        msg = "`high_risk_count` is larger than `total_transactions` in a row; then there is no rate."
        raise SettingsError(msg, hint="Count both over the same transactions.")
    groups = _rated(rows.groupby(["region", "merchant_category"], as_index=False)[numbers].sum())
    overall = groups["high_risk_count"].sum() / groups["total_transactions"].sum()
    groups["side"] = np.where(groups["low"] > overall, 1, np.where(groups["high"] < overall, -1, 0))
    lines = groups.sort_values("total_transactions", ascending=False)
    lines, rest = first_lines(lines.sort_values("side", key=np.abs, ascending=False, kind="stable"), "group")
    lines = lines.sort_values("rate", ignore_index=True)
    ax = ax or new_axes(height=1.6 + 0.2 * len(lines))
    _draw_rates(ax, lines, overall)
    title = _risk_title(groups, overall)
    if _are_selected(rows, overall):
        title = "Every row has a high risk: rows without one were left out, so no rate can be known"
    words = "share of high risk; line: interval (95% for all together); dashed: all groups"
    words += "; filled: beyond chance"
    finish(ax, title, x=words, y="", counts="", notes=[rest, note])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.6g}%"))
    return ax


def _rated(groups: pd.DataFrame) -> pd.DataFrame:
    """Each group with its rate, and with the ends of its interval among all of them."""
    pairs = zip(groups["high_risk_count"], groups["total_transactions"], strict=True)
    ends = [interval(high, total, len(groups)) for high, total in pairs]
    rate = groups["high_risk_count"] / groups["total_transactions"]
    return groups.assign(rate=rate, low=[low for low, _ in ends], high=[high for _, high in ends])


def _draw_rates(ax: Axes, lines: pd.DataFrame, overall: float) -> None:
    ax.hlines(lines.index, lines["low"], lines["high"], color=GRAY, lw=1.5)
    ax.axvline(overall, color=INK, linestyle="--", linewidth=1)
    for beyond, color, face in ((False, BLUE, "white"), (True, RED, RED)):
        some = lines[(lines["side"] != 0) == beyond]
        form = "D" if beyond else "o"
        draw_marks(ax, some["rate"], some.index, form, color=color, markerfacecolor=face, ms=6)
    right = min(max(lines["high"].max(), overall), 1)
    for place, line in enumerate(lines.to_dict("records")):
        words = (
            f"{percent(line['rate'], 1)}: {line['high_risk_count']:,.0f} of {line['total_transactions']:,.0f}"
        )
        write_beside(ax, place, words)
    names = lines["region"] + ", " + lines["merchant_category"]
    ax.set_yticks(range(len(lines)), [shorten(name, 34) for name in names], fontsize=SMALL)
    ax.set(xlim=(-0.02 * right, 1.02 * right), ylim=(-0.7, len(lines) - 0.3))
    ax.grid(visible=False)


def _risk_title(groups: pd.DataFrame, overall: float) -> str:
    """The finding: where the rate differs from that of all transactions by more than chance."""
    total = f"{groups['total_transactions'].sum():,.0f} transactions"
    if len(groups) == 1:
        low, high = groups["low"].iloc[0], groups["high"].iloc[0]
        return f"High risk: {percent(overall, 1)} of {total} ({low:.1%} to {high:.1%}), in one group"
    found = [
        f"{words} in {_places(groups[groups['side'] == side])}"
        for side, words in ((1, "more"), (-1, "less"))
        if (groups["side"] == side).any()
    ]
    if not found:
        found = [f"no difference beyond chance between {len(groups):,} groups"]
    return f"High risk: {percent(overall, 1)} of {total}, {' and '.join(found)}"


def _places(groups: pd.DataFrame) -> str:
    names = [
        shorten(f"{line['region']}, {line['merchant_category']} ({percent(line['rate'], 1)})", 48)
        for line in groups.to_dict("records")
    ]
    return "; ".join(names) if len(names) <= 2 else f"{len(names):,} groups"


def _are_selected(rows: pd.DataFrame, overall: float) -> bool:
    """Whether only rows with a high risk are here, although chance would have left some without."""
    expected = ((1 - overall) ** rows["total_transactions"]).sum()
    return bool((rows["high_risk_count"] > 0).all() and expected > _SURELY_SOME)


def plot_merchants(merchants: pd.DataFrame, *, unit: str = "", ax: Axes | None = None) -> Axes:
    """Draw the sales of the largest merchants, with what they sell and what share was declined.

    Args:
        merchants: `merchant_name`, `merchant_category`, `amount` (of one currency), `declined` (a share).
        unit: The currency, such as `USD`.
        ax: Axes to draw on.
    """
    nothing = "No merchant has any sales"
    if merchants.empty:
        return draw_nothing(nothing, ax)
    others = ("merchant_name", "merchant_category", "declined")
    rows, note = drawable(merchants, numbers=("amount",), others=others)
    if rows.empty:
        return draw_nothing(nothing, ax, note=note)
    lines, rest = first_lines(rows.sort_values("amount", ascending=False, ignore_index=True), "merchant")
    ax = ax or new_axes(height=1.3 + 0.32 * len(lines))
    amounts, kinds = lines["amount"], lines["merchant_category"].value_counts(dropna=False)
    common = kinds.index[0] if len(kinds) == 1 or kinds.iloc[0] > kinds.iloc[1] else None
    for place, line in enumerate(lines.to_dict("records")):
        color, hatch = (BLUE, "") if common in (None, line["merchant_category"]) else (GRAY, "///")
        ax.barh(place, amounts[place], 0.7, color=color, hatch=hatch, edgecolor="white")
        kind = shorten(line["merchant_category"])
        words = f"{amounts[place]:,.0f}  {kind}, {percent(line['declined'])} declined"
        write_at(ax, max(amounts[place], 0), place, words, ha="left")
    ax.set_yticks(range(len(lines)), [shorten(name, 30) for name in lines["merchant_name"]])
    ax.set(ylim=(len(lines) - 0.4, -0.6), xlim=(min(amounts.min(), 0), None))
    fit_words(ax, least=1)
    ax.grid(visible=False)
    words = f"amount ({unit})" if unit else "amount"
    if common is not None and len(kinds) > 1:
        words += f"; hatched: sells something other than {shorten(common)}"
    title = _sales_title(lines, kinds, common)
    finish(ax, title, x=words, y="", counts="", notes=[rest, note])
    ax.xaxis.set_major_formatter(AMOUNT)
    return ax


def _sales_title(lines: pd.DataFrame, kinds: pd.Series[int], common: object) -> str:
    """The finding: who sells the most, and what most of the largest sell."""
    first = shorten(lines["merchant_name"][0], 30)
    if len(lines) == 1:
        return f"One merchant has sales, {first}"
    ties = int((lines["amount"] == lines["amount"][0]).sum())
    most = f"{first} sells the most" if ties == 1 else f"{ties} merchants sell the most, each the same"
    of = f"the {len(lines)} largest"
    if common is None:
        return f"{most}; {of} sell {len(kinds)} kinds of goods, none of them more often than all others"
    share = f"all of {of}" if len(kinds) == 1 else f"{kinds.iloc[0]} of {of}"
    return f"{most}; {share} sell {shorten(common)}"
