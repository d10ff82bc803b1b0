"""What all pictures share: the style, the colors of changes, and how axes are made and labeled."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

BLUE, ORANGE, RED, GRAY, INK = "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#333333"
# Color and hatch of a change, so that they also differ in print and for the color-blind.
CHANGES = {
    "INSERT": (BLUE, ""),
    "MODIFY": (ORANGE, "///"),
    "REMOVE": (RED, "..."),
    "added": (BLUE, ""),
    "changed": (ORANGE, "///"),
    "removed": (RED, "..."),
}


def use_style() -> None:
    """Use Dynaberg's matplotlib style from here on."""
    plt.style.use(Path(__file__).parents[1] / "dynaberg.mplstyle")


def new_axes(height: float = 3.5) -> Axes:
    """Axes of a new figure, 8 inches wide."""
    return plt.subplots(figsize=(8, height))[1]


def draw_nothing(title: str, ax: Axes | None = None) -> Axes:
    """The picture of an empty frame: a sentence without axes."""
    ax = ax or new_axes(height=0.7)
    ax.set_title(title)
    ax.axis("off")
    return ax


def finish(ax: Axes, title: str, *, x: str, y: str, counts: str = "y") -> Axes:
    """Write the finding and the labels; use thousands separators on the axis of the counts."""
    ax.set_title(title)
    ax.set(xlabel=x, ylabel=y)
    getattr(ax, f"{counts}axis").set_major_formatter("{x:,.0f}")
    return ax


def write_at(
    ax: Axes, x: float, y: float, words: str, *, ha: str = "center", color: str = INK, below: bool = False
) -> None:
    """Write words at a data point: above it when centered (or `below` it), otherwise next to it."""
    lift, va = (5, "bottom") if ha == "center" else (0, "center")
    if below:
        lift, va = -7, "top"
    ax.annotate(words, (x, y), (0, lift), textcoords="offset points", ha=ha, va=va, color=color, fontsize=8.5)


def counted(number: int, noun: str) -> str:
    """A number of things: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shorten(value: object, length: int = 22) -> str:
    """A value as text of at most this many characters."""
    words = str(value)
    return words if len(words) <= length else f"{words[: length - 1]}…"


def in_utc(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The frame, with a column of moments in UTC."""
    return frame.assign(**{column: pd.to_datetime(frame[column], utc=True)})


def seconds_since(start: pd.Timestamp, moments: Iterable[pd.Timestamp]) -> list[float]:
    """Moments as seconds after a start."""
    return [(moment - start).total_seconds() for moment in moments]
