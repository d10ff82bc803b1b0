"""The picture of the lineage: from the source tables to the charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch

from dynaberg.plots.canvas import (
    BLUE,
    GRAY,
    INK,
    ORANGE,
    RED,
    SMALL,
    counted,
    draw_nothing,
    first_lines,
    listed,
    name_lines,
    new_axes,
    require,
    room,
    shorten,
    title_lines,
    write_title,
)

# By status: the color of the edge, its line, and how the box is filled; never by color alone.
_LOOKS = {
    "fresh": (BLUE, "-", "#e8f1fa"),
    "behind": (ORANGE, "--", "white"),
    "failed": (RED, "-.", "#fbe9e6"),
    "missing": (GRAY, ":", "white"),
}
_UNITS = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_WIDTH, _HEIGHT = 0.86, 0.8
# The height of a line of text, how many lines a box holds, and those that its name and an outcome may take.
_LINE, _MOST_LINES, _NAME_LINES, _OUTCOME_LINES = 0.12, 6, 3, 2
# Between words and the edge of their box, in points, on both sides together.
_PADDING = 12
_COLUMNS = ("box", "kind", "depth", "inputs", "rows", "age_seconds", "outcome", "status")
Place = tuple[float, float]


def plot_lineage(boxes: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw where every number comes from, with rows, age and the last outcome at each box.

    Args:
        boxes: From `dynaberg.curated.lineage`: box, kind, depth, inputs, rows, age_seconds, outcome, status.
        ax: Axes to draw on.
    """
    if boxes.empty:
        return draw_nothing("There is nothing to draw", ax)
    require(boxes, *_COLUMNS)
    drawn, note = first_lines(boxes.sort_values("depth", kind="stable").reset_index(drop=True), "stage")
    places = _places(drawn)
    columns = sorted({x for x, _ in places.values()})
    tallest = max(sum(x == column for x, _ in places.values()) for column in columns)
    title = "; ".join(filter(None, (_finding(boxes), note)))
    ax = _new_axes(title, tallest, len(columns)) if ax is None else ax
    ax.axis("off")
    write_title(ax, title)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-tallest / 2, tallest / 2))
    inside = room(ax) / len(columns) * _WIDTH - _PADDING
    for row in drawn.to_dict("records"):
        _draw_arrows(ax, row, places)
        _draw_box(ax, row, places[str(row["box"])], inside)
    return ax


def _new_axes(title: str, tallest: int, columns: int) -> Axes:
    """Axes of a picture that has room for so many boxes, and for its title above them."""
    ax = new_axes()
    picture = ax.figure.get_figure(root=True)
    picture.set_figwidth(max(8, 2.1 * columns))
    ax.axis("off")
    picture.set_figheight(0.7 + 0.2 * write_title(ax, title) + 1.05 * tallest)
    return ax


def _places(drawn: pd.DataFrame) -> dict[str, Place]:
    """Where each box stands: a column for each depth, and within it near what it reads."""
    places: dict[str, Place] = {}
    for x, (_, group) in enumerate(drawn.groupby("depth", sort=True)):
        heights = {
            str(row["box"]): _mean([places[str(name)][1] for name in row["inputs"] if str(name) in places])
            for row in group.to_dict("records")
        }
        names = sorted(heights, key=lambda name: -heights[name])
        for n, name in enumerate(names):
            places[name] = float(x), (len(names) - 1) / 2 - n
    return places


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _draw_box(ax: Axes, row: Mapping[Any, Any], place: Place, inside: float) -> None:
    """One box, with its words in lines that are not wider than what is inside it, in points."""
    x, y = place
    edge, line, fill = _LOOKS.get(str(row["status"]), _LOOKS["missing"])
    shape = f"round,pad=0,rounding_size={0.04 if row['kind'] != 'chart' else 0.3}"
    box = FancyBboxPatch((x - _WIDTH / 2, y - _HEIGHT / 2), _WIDTH, _HEIGHT, boxstyle=shape)
    box.set(facecolor=fill, edgecolor=edge, linestyle=line, linewidth=1.5)
    ax.add_patch(box)
    bold, plain = FontProperties(size=SMALL, weight="bold"), FontProperties(size=SMALL)
    words = [str(row["kind"]), *title_lines(_facts(row), inside, plain).splitlines()]
    outcome = _outcome(row)
    most = _MOST_LINES - len(words) - bool(outcome)
    name = name_lines(row["box"], inside, bold, min(most, _NAME_LINES)).split("\n")
    if outcome:
        most = _MOST_LINES - len(words) - len(name)
        words += name_lines(outcome, inside, plain, min(most, _OUTCOME_LINES)).split("\n")
    middle = y + (len(words) - len(name)) / 2 * _LINE
    look: dict[str, Any] = {"ha": "center", "color": INK, "fontsize": SMALL}
    ax.text(x, middle, "\n".join(name), va="bottom", weight="bold", **look)
    ax.text(x, middle, "\n".join(words), va="top", **look)


def _facts(row: Mapping[Any, Any]) -> str:
    facts = [] if pd.isna(row["rows"]) else [counted(int(row["rows"]), "row")]
    facts += [] if pd.isna(row["age_seconds"]) else [_age(float(row["age_seconds"]))]
    return ", ".join(facts)


def _outcome(row: Mapping[Any, Any]) -> str:
    """The last outcome, without what the box says already of the table itself."""
    return str(row["outcome"] or "").replace(f"{row['box']} was not built, because checks failed: ", "")


def _draw_arrows(ax: Axes, row: Mapping[Any, Any], places: Mapping[str, Place]) -> None:
    x, y = places[str(row["box"])]
    for name in row["inputs"]:
        if str(name) in places:
            from_x, from_y = places[str(name)]
            arrow = {"arrowstyle": "->", "color": GRAY, "shrinkA": 1, "shrinkB": 1}
            ax.annotate("", (x - _WIDTH / 2, y), (from_x + _WIDTH / 2, from_y), arrowprops=arrow)


def _age(seconds: float) -> str:
    unit, size = next((pair for pair in _UNITS.items() if seconds >= pair[1]), ("s", 1))
    return f"{max(seconds, 0) / size:,.0f} {unit} old"


def _finding(boxes: pd.DataFrame) -> str:
    status = boxes["status"].astype(object).where(boxes["status"].notna(), "missing")
    count = int((status == "fresh").sum())
    fresh = f"{count:,} of {counted(len(boxes), 'stage')} {'is' if count == 1 else 'are'} fresh"
    others = []
    for kind, words in (("failed", "failed"), ("behind", "behind"), ("missing", "missing")):
        names = [shorten(name) for name in boxes["box"][status == kind]]
        if names:
            more = [f"{len(names) - 3} more"] if len(names) > 3 else []
            others.append(f"{words}: {listed([*names[:3], *more])}")
    return "; ".join([fresh, *others])
