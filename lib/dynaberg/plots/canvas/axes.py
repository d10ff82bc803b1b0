"""What all pictures share: the style, the looks, how axes are made and labeled, and the alternative text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from dynaberg.html_tables import use_tables
from dynaberg.plots.canvas.lines import caption_lines, title_lines, width

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
# How an axis of amounts is labeled.
AMOUNT = "{x:,.10g}"
# What surrounds the picture, the label along the vertical axis, and a key of the legend, in points.
_MARGIN, _LABEL, _KEY = 24, 10, 45
# In a smaller picture words are rather too wide than broken into letters.
_LEAST_ROOM = 150.0
# Words next to a point are so many points away from it.
_AWAY = 7
_BESIDE = ("axes fraction", "data")
# Words right of a bar take no more than this part of the picture from it.
_MOST_WORDS = 0.7
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
    """Write the finding, the labels and the notes; an axis of counts has whole numbers.

    Args:
        ax: The axes.
        title: The finding.
        x: Label of the horizontal axis, in clauses.
        y: Label of the vertical axis.
        counts: The axes that show counts: `x`, `y` or neither.
        notes: What was left out, and the like.
    """
    ax.set_ylabel(y)
    for name in counts:
        axis = getattr(ax, f"{name}axis")
        axis.set_major_formatter("{x:,.0f}")
        if axis.get_scale() == "linear":
            axis.set_major_locator(whole_numbers())
    write_title(ax, title)
    write_caption(ax, x, notes)
    return ax


def whole_numbers() -> MaxNLocator:
    """Ticks at round whole numbers; at a single one, if there is no room for more."""
    return MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=1)


def write_title(ax: Axes, title: str, **how: Any) -> int:
    """Write the finding; in several lines if it is longer than the picture is wide. Returns how many.

    matplotlib can wrap titles itself, but not while it lays out a picture whose title is near the edge.
    """
    text = ax.set_title(title, **how)
    lines = title_lines(title, room(ax), text.get_fontproperties())
    text.set_text(lines)
    return len(lines.split("\n"))


def write_caption(ax: Axes, label: str, notes: Iterable[str] = ()) -> None:
    """Write the label below the axes, and each note below it on lines of its own."""
    font, wide = ax.xaxis.label.get_fontproperties(), axes_width(ax)
    parts = [part for part in (label, *notes) if part]
    ended = [*(f"{part};" for part in parts[:-1]), *parts[-1:]]
    ax.set_xlabel("\n".join(caption_lines(part, wide, font) for part in ended))


def room(ax: Axes) -> float:
    """How wide the picture is to the right of the names along its vertical axis, in points."""
    grid = ax.get_subplotspec()
    wide = 72 * ax.figure.get_figure(root=True).get_figwidth() / (grid.get_gridspec().ncols if grid else 1)
    names = [_width(name) for name in ax.get_yticklabels()] if ax.axison else []
    label = _LABEL if ax.axison and ax.get_ylabel() else 0
    return float(max(wide - _MARGIN - label - max(names, default=0), _LEAST_ROOM))


def axes_width(ax: Axes) -> float:
    """How wide the axes are, in points: the room without the legend, or the column of words beside them."""
    legend = ax.get_legend()
    keys = [_KEY + _width(text) for text in legend.get_texts()] if legend else []
    column = [_AWAY + _width(text) for text in ax.texts if getattr(text, "xycoords", None) == _BESIDE]
    return max(room(ax) - max([*keys, *column], default=0), _LEAST_ROOM)


def _width(text: Text) -> float:
    return max(width(line, text.get_fontproperties()) for line in text.get_text().split("\n"))


def fit_words(ax: Axes, *, least: float) -> None:
    """End the horizontal axis where the words right of the bars do; at this value at the earliest."""
    notes: list[Any] = [text for text in ax.texts if getattr(text, "xycoords", None) == "data"]
    words = [text for text in notes if text.get_ha() == "left"]
    scale, free = ax.xaxis.get_transform(), axes_width(ax)
    low, *ends = scale.transform([ax.get_xlim()[0], *(text.xy[0] for text in words)])
    shares = (min((_AWAY + _width(text)) / free, _MOST_WORDS) for text in words)
    high = max(low + (end - low) / (1 - share) for end, share in zip(ends, shares, strict=True))
    ax.set_xlim(right=max(scale.inverted().transform([high])[0], least))


def draw_marks(ax: Axes, x: Any, y: Any, form: str, **look: Any) -> None:
    """Draw marks at data points, if there are any; at the edge of the axes, too, each of them is whole."""
    # matplotlib would lay out a line without a point and without a clip as if it began at the paper's corner.
    if len(x):
        ax.plot(x, y, form, **{"clip_on": False, "zorder": 3, **look})


def write_at(
    ax: Axes, x: float, y: float, words: str, *, ha: str = "center", color: str = INK, below: bool = False
) -> None:
    """Write words at a data point: above it when centered (or `below` it), otherwise next to it."""
    away, lift, va = 0, -7 if below else 5, "top" if below else "bottom"
    if ha != "center":
        away, lift, va = _AWAY if ha == "left" else -_AWAY, 0, "center"
    ax.annotate(
        words, (x, y), (away, lift), textcoords="offset points", ha=ha, va=va, color=color, fontsize=SMALL
    )


def write_beside(ax: Axes, y: float, words: str) -> None:
    """Write words to the right of the axes: a column that no bar pushes aside and no line crosses."""
    look: dict[str, Any] = {"va": "center", "color": INK, "fontsize": SMALL}
    ax.annotate(words, (1, y), (_AWAY, 0), xycoords=_BESIDE, textcoords="offset points", **look)


def counted(number: int, noun: str) -> str:
    """A number of things: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: Any, digits: int = 0) -> str:
    """A share in percent. Only nothing is 0%, and only the whole is 100%."""
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
