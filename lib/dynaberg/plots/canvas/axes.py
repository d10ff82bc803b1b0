"""What all pictures share: the style, the looks, how axes are made and labeled, and the alternative text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynaberg.html_tables import use_tables

# Each has a contrast of at least 3 to white, as WCAG 2.2 (1.4.11) asks of marks; blue, red and ink have 4.5,
# as it asks of text (1.4.3). `tests/unit/plots/test_seeing.py` computes this for every picture.
BLUE, ORANGE, RED, GRAY, INK = "#2f78bd", "#d47a00", "#a81c00", "#859294", "#333333"
# Color and hatch of a change, so that they also differ in print and for the color-blind.
CHANGES = {
    "INSERT": (BLUE, ""),
    "MODIFY": (ORANGE, "///"),
    "REMOVE": (RED, "..."),
    "SNAPSHOT": (GRAY, "xx"),
    "added": (BLUE, ""),
    "changed": (ORANGE, "///"),
    "removed": (RED, "..."),
}
# How wide a letter is, in points: of a title, of a label, of the names along an axis.
_TITLE_LETTER, _LETTER, _NAME_LETTER = 6.6, 5.8, 5.6
# How much wider a capital is, or another wide letter.
_WIDER = 0.35
# The smallest text that is comfortable to read on paper, in points.
SMALL = 8.5


class Picture(Figure):
    """A figure that says in words what it shows, for readers who cannot see it."""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        """What a notebook keeps next to the image: these words as its text and as its alternative text."""
        words = alt_text(self)
        return {"text/plain": words}, {"image/png": {"alt": words}}


def alt_text(picture: Figure) -> str:
    """What a picture shows, in words: the finding, and what is drawn against what."""
    sentences = []
    for ax in picture.axes:
        sentences.append(ax.get_title(loc="left") or ax.get_title())
        labels = {"Upward": ax.get_ylabel(), "Across": ax.get_xlabel()} if ax.axison else {}
        sentences += [f"{way}: {label}" for way, label in labels.items() if label]
    plain = (" ".join(words.replace(r"\$", "$").split()).rstrip(".") for words in sentences if words)
    return "".join(f"{words}. " for words in plain).strip()


def use_style() -> None:
    """Use Dynaberg's matplotlib style from here on, and in a notebook its tables, too."""
    use_tables()
    plt.style.use(Path(__file__).parents[2] / "dynaberg.mplstyle")


def new_axes(height: float = 3.5) -> Axes:
    """Axes of a new picture, 8 inches wide."""
    return plt.subplots(figsize=(8, height), FigureClass=Picture)[1]


def draw_nothing(title: str, ax: Axes | None = None, *, note: str = "") -> Axes:
    """The picture without anything to draw: a sentence without axes, and a note on what was left out."""
    ax = ax or new_axes(height=0.7)
    ax.axis("off")
    write_title(ax, "; ".join(filter(None, (title, note))))
    return ax


def finish(ax: Axes, title: str, *, x: str, y: str, counts: str = "y", notes: Iterable[str] = ()) -> Axes:
    """Write the finding, the labels and the notes; use thousands separators on the axis of the counts."""
    write_title(ax, title)
    legend = ax.get_legend()
    beside = max((len(text.get_text()) for text in legend.get_texts()), default=0) if legend else -6
    letters = (_room(ax) - _LETTER * (beside + 6)) / _LETTER
    parts = [part for part in (x, *notes) if part]
    ended = [*(f"{part};" for part in parts[:-1]), *parts[-1:]]
    lines = [line for part in ended for line in textwrap.wrap(part, max(int(letters), 30))]
    ax.set_xlabel("\n".join(lines))
    ax.set_ylabel(y)
    getattr(ax, f"{counts}axis").set_major_formatter("{x:,.0f}")
    return ax


def write_title(ax: Axes, title: str, **how: Any) -> None:
    """Write the finding; in several lines if it is longer than the picture is wide.

    matplotlib can wrap titles itself, but not while it lays out a picture whose title is near the edge.
    """
    wide = sum(letter.isupper() or letter in "mw_%…" for letter in title) / max(len(title), 1)
    letters = _room(ax) / (_TITLE_LETTER * (1 + _WIDER * wide))
    ax.set_title(textwrap.fill(title, max(int(letters), 30)), **how)


def _room(ax: Axes) -> float:
    """How wide the picture is to the right of the names along its vertical axis, in points."""
    grid = ax.get_subplotspec()
    width = 72 * ax.figure.get_figure(root=True).get_figwidth() / (grid.get_gridspec().ncols if grid else 1)
    longest = max((len(name.get_text()) for name in ax.get_yticklabels()), default=0) if ax.axison else 0
    return float(width - 24 - _NAME_LETTER * longest)


def write_at(
    ax: Axes, x: float, y: float, words: str, *, ha: str = "center", color: str = INK, below: bool = False
) -> None:
    """Write words at a data point: above it when centered (or `below` it), otherwise next to it."""
    away, lift, va = 0, -7 if below else 5, "top" if below else "bottom"
    if ha != "center":
        away, lift, va = 7 if ha == "left" else -7, 0, "center"
    ax.annotate(
        words, (x, y), (away, lift), textcoords="offset points", ha=ha, va=va, color=color, fontsize=SMALL
    )


def counted(number: int, noun: str) -> str:
    """A number of things: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: Any, digits: int = 0) -> str:
    """A share in percent. Only nothing is 0 %, and only the whole is 100 %."""
    if pd.isna(share):
        return "unknown"
    words, step = f"{share:.{digits}%}", 10.0**-digits
    if share > 0 and words == f"{0:.{digits}%}":
        return f"<{step:.{digits}f}%"
    if share < 1 and words == f"{1:.{digits}%}":
        return f">{100 - step:.{digits}f}%"
    return words


def shorten(value: object, length: int = 22) -> str:
    """A value as text of one line, of at most this many characters, and never read as a formula."""
    words = " ".join(str(value).split()) or "''"
    return (words if len(words) <= length else f"{words[: length - 1]}…").replace("$", r"\$")


def listed(names: Iterable[object]) -> str:
    """Names as a reader lists them: `a`, `a and b`, `a, b and c`."""
    words = [str(name) for name in names]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def seconds_since(start: pd.Timestamp, moments: Iterable[pd.Timestamp]) -> list[float]:
    """Moments as seconds after a start."""
    return [(moment - start).total_seconds() for moment in moments]
