"""The lineage: a finding that names what is not fresh, an arrow for each input, nothing on top of another."""

from __future__ import annotations

import pandas as pd
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Annotation

from dynaberg import plots

BOXES = pd.DataFrame(
    [
        ("Orders", "source", 0, [], 10, None, "", "fresh"),
        ("orders_changes", "change log", 1, ["Orders"], 40, 5.0, "delivered", "fresh"),
        ("orders", "current table", 2, ["orders_changes"], 10, 65.0, "changes are not merged", "behind"),
        ("merchants", "table", 2, [], 1_000, 90_000.0, "", "fresh"),
        ("by_day", "curated", 3, ["orders"], 3, 7_300.0, "replaced", "behind"),
        ("by_merchant", "curated", 3, ["orders", "merchants"], None, None, "failed: rows > 0", "failed"),
        ("plot_hourly", "chart", 4, ["by_day"], None, None, "", "fresh"),
    ],
    columns=["box", "kind", "depth", "inputs", "rows", "age_seconds", "outcome", "status"],
)


def test_the_title_names_what_is_not_fresh() -> None:
    title = " ".join(plots.plot_lineage(BOXES).get_title(loc="left").split())
    assert title == "4 of 7 stages are fresh; failed: by_merchant; behind: orders and by_day"


def test_each_input_has_an_arrow_and_each_box_its_facts() -> None:
    ax = plots.plot_lineage(BOXES)
    arrows = [text for text in ax.texts if isinstance(text, Annotation)]
    assert len(arrows) == BOXES["inputs"].map(len).sum()
    words = " | ".join(text.get_text() for text in ax.texts)
    for fact in ("1,000 rows", "3 rows, 2 h old", "1 min old", "1 d old", "failed: rows > 0"):
        assert fact in words
    assert "''" not in words


def test_boxes_do_not_cover_each_other() -> None:
    wide = pd.concat([BOXES.assign(box=BOXES["box"] + f" {n}") for n in range(5)])
    boxes = [patch for patch in plots.plot_lineage(wide).patches if isinstance(patch, FancyBboxPatch)]
    corners = {(round(box.get_x(), 3), round(box.get_y(), 3)) for box in boxes}
    assert len(corners) == len(boxes) == 35
    for x, y in corners:
        assert all(x != other_x or y == other_y or abs(y - other_y) >= 0.8 for other_x, other_y in corners)
