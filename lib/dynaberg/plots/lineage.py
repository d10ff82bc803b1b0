"""The picture of the lineage: from the source tables to the charts."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
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
    new_axes,
    require,
    shorten,
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
_WIDTH, _HEIGHT, _LETTERS = 0.86, 0.8, 20
# The height of a line of text.
_LINE = 0.12
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
    if ax is None:
        ax = new_axes(height=1 + 1.05 * tallest)
        ax.figure.get_figure(root=True).set_figwidth(max(8, 2.1 * len(columns)))
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-tallest / 2, tallest / 2))
    for row in drawn.to_dict("records"):
        _draw_arrows(ax, row, places)
        _draw_box(ax, row, places[str(row["box"])])
    ax.axis("off")
    write_title(ax, "; ".join(filter(None, (_finding(boxes), note))))
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


def _draw_box(ax: Axes, row: Mapping[Any, Any], place: Place) -> None:
    x, y = place
    edge, line, fill = _LOOKS.get(str(row["status"]), _LOOKS["missing"])
    shape = f"round,pad=0,rounding_size={0.04 if row['kind'] != 'chart' else 0.3}"
    box = FancyBboxPatch((x - _WIDTH / 2, y - _HEIGHT / 2), _WIDTH, _HEIGHT, boxstyle=shape)
    box.set(facecolor=fill, edgecolor=edge, linestyle=line, linewidth=1.5)
    ax.add_patch(box)
    name = "\n".join(textwrap.wrap(shorten(row["box"], 2 * _LETTERS), _LETTERS))
    facts = [] if pd.isna(row["rows"]) else [counted(int(row["rows"]), "row")]
    facts += [] if pd.isna(row["age_seconds"]) else [_age(float(row["age_seconds"]))]
    # What a failure says of the table itself, the box says already.
    outcome = str(row["outcome"] or "").replace(f"{row['box']} was not built, because checks failed: ", "")
    last = shorten(outcome, _LETTERS + 4) if outcome else ""
    words = [*filter(None, [str(row["kind"]), ", ".join(facts), last])]
    middle = y + (len(words) - name.count("\n") - 1) / 2 * _LINE
    ax.text(x, middle, name, ha="center", va="bottom", weight="bold", color=INK, fontsize=SMALL)
    ax.text(x, middle, "\n".join(words), ha="center", va="top", color=INK, fontsize=SMALL)


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
    fresh = f"{int((status == 'fresh').sum())} of {counted(len(boxes), 'stage')} are fresh"
    others = []
    for kind, words in (("failed", "failed"), ("behind", "behind"), ("missing", "missing")):
        names = [shorten(name) for name in boxes["box"][status == kind]]
        if names:
            more = [f"{len(names) - 3} more"] if len(names) > 3 else []
            others.append(f"{words}: {listed([*names[:3], *more])}")
    return "; ".join([fresh, *others])
