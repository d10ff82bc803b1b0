"""Nothing is cut off, hidden or in the way: marks are whole, words stay in their box, axes end with bars."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Patch

from dynaberg import plots

WIDE = "WWWW_MMMM-a_wide_name."
# How much of an axis may be empty, and by how many pixels a letter may reach over an edge.
EMPTY, TOUCHING = 0.15, 1


def drawn(ax):
    ax.figure.draw_without_rendering()
    return ax


@pytest.fixture(scope="module")
def drawn_before():
    return {}


@pytest.fixture
def picture(subject, drawn_before):
    """Draws each picture in turn, of so many rows, whose numbers may be zeros; once for all tests."""

    def of(rows, *zeros):
        key = (subject, rows, zeros)
        if key not in drawn_before:
            frame = subject.frame(rows).assign(**dict.fromkeys(zeros, 0))
            drawn_before[key] = drawn(subject.draw(frame))
        return drawn_before[key]

    return of


@pytest.fixture
def pictures(subject, picture):
    """Each picture in turn, with few rows and many, and with zeros; not those without axes."""
    found = [picture(1), picture(12), picture(12, *subject.numbers)]
    return [ax for ax in found if ax.get_title(loc="left") and (ax.axison or ax.patches)]


def points(line):
    return line.get_transform().transform(np.column_stack(line.get_data()).astype(float))


def assert_marks_are_whole(ax):
    for line in ax.lines:
        if line.get_marker() not in ("None", "none", "", None) and line.get_clip_on():
            radius = line.get_markersize() / 2 * ax.figure.dpi / 72
            box = ax.bbox.padded(-radius)
            assert all(box.contains(x, y) for x, y in points(line)), line


def test_no_mark_is_cut_by_the_axes(subject, pictures):
    for ax in (*pictures, drawn(subject.draw(subject.frame(300)))):
        assert_marks_are_whole(ax)


@pytest.mark.parametrize(
    "name", ["profile", "risk", "snapshots", "delivery", "freshness", "history", "file sizes"]
)
def test_marks_at_the_edge_are_drawn_over_it(every_subject, name):
    ax = every_subject[name].draw(every_subject[name].frame(12))
    marked = [line for line in ax.lines if line.get_marker() not in ("None", "none", "", None)]
    assert marked
    assert not any(line.get_clip_on() for line in marked)


def test_a_picture_stays_as_it_is_when_it_is_drawn_again(pictures):
    for ax in pictures:
        before = ax.bbox.extents
        assert drawn(ax).bbox.extents == pytest.approx(before, abs=TOUCHING)


def test_no_line_is_hidden_behind_an_axis(pictures):
    for ax in pictures:
        for line in ax.lines:
            where = points(line)
            if line.get_linestyle() == "None" or len(where) < 2:
                continue
            for column, edge in ((0, ax.bbox.x0), (1, ax.bbox.y0)):
                near = np.abs(where[:, column] - edge) < 2 * TOUCHING
                assert not (near[1:] & near[:-1]).any(), line


def crosses(text, patch):
    """Whether words lie over the edge of a box: partly inside it and partly not."""
    words, box = text.get_window_extent(), patch.get_window_extent()
    inside = box.padded(TOUCHING)
    within = inside.contains(words.x0, words.y0) and inside.contains(words.x1, words.y1)
    return words.padded(-TOUCHING).overlaps(box) and not within


@pytest.mark.parametrize("name", ["flow", "lineage", "grants", "top values", "cost"])
@pytest.mark.parametrize("wide", ["", WIDE, WIDE * 6])
def test_no_words_cross_the_edge_of_a_box(every_subject, name, wide):
    subject = every_subject[name]
    frame = subject.frame(12)
    if wide and name == "top values":
        frame["top"] = [[(wide, 120), (f"b{wide}", 30), (wide.lower(), 20)]] * len(frame)
    elif wide:
        frame[subject.names] = wide + frame[subject.names].astype(str)
    ax = drawn(subject.draw(frame))
    boxes = [patch for patch in ax.patches if isinstance(patch, Patch)]
    words = [text for text in ax.texts if text.get_text()]
    assert [(text, box) for text in words for box in boxes if crosses(text, box)] == []
    for place, text in enumerate(words):
        extent = text.get_window_extent().padded(-TOUCHING)
        assert not any(extent.overlaps(other.get_window_extent()) for other in words[place + 1 :]), text


def test_the_boxes_of_real_names_hold_their_words_whole():
    names = ["financial-transactions", "transactions_changes", "day_two_payments", "hourly_activity"]
    boxes = pd.DataFrame({"box": names, "kind": "curated", "depth": range(4), "inputs": [[]] * 4})
    boxes = boxes.assign(rows=12_345_678, age_seconds=3_500.0, outcome="does not exist", status="missing")
    ax = drawn(plots.plot_lineage(boxes))
    words = " ".join(text.get_text() for text in ax.texts).replace("\n", "")
    assert "…" not in words
    assert all(name in words for name in names)
    assert not any(crosses(text, box) for text in ax.texts for box in ax.patches)


def test_the_names_below_a_flow_are_whole():
    kinds = ["AWS::DynamoDB::Table", "AWS::Lambda::Function", "AWS::KinesisFirehose::DeliveryStream"]
    stream = "dynaberg-delivery-DeliveryStream-E4990C12AB34"
    rows = [*zip(kinds, ["financial-transactions", "dynaberg-forwarder", stream], strict=True)]
    rows += [("Iceberg table", "s.transactions"), ("Iceberg table", "s.transactions_changes")]
    ax = drawn(plots.plot_flow(pd.DataFrame(rows, columns=["kind", "name"])))
    texts = [text.get_text().replace("\n", "") for text in ax.texts]
    assert {stream, "transactions_changes", "transactions", "dynaberg-forwarder"} <= set(texts)


@pytest.mark.parametrize(
    "name",
    ["cost", "drift", "failures", "freshness", "merchants", "profile", "resources", "risk", "two clocks"],
)
@pytest.mark.parametrize("rows", [3, 12])
def test_an_axis_ends_where_its_bars_and_their_words_do(every_subject, name, rows):
    ax = drawn(every_subject[name].draw(every_subject[name].frame(rows)))
    extents = [item.get_window_extent() for item in (*ax.patches, *ax.lines, *ax.texts, *ax.collections)]
    ends = max(min(extent.x1, ax.bbox.x1) for extent in extents)
    assert ends >= ax.bbox.x1 - EMPTY * ax.bbox.width
    assert max(text.get_window_extent().x1 for text in ax.texts) <= ax.figure.bbox.x1 + TOUCHING


def test_the_words_of_a_drift_stand_in_one_column_beside_the_limits(every_subject):
    ax = drawn(every_subject["drift"].draw(every_subject["drift"].frame(12)))
    lefts = {round(text.get_window_extent().x0) for text in ax.texts}
    assert len(lefts) == 1
    assert lefts.pop() > ax.bbox.x1


def test_bars_begin_near_the_ends_of_their_axis(every_subject):
    for name in ("cost", "resources", "failures", "drift", "merchants"):
        ax = drawn(every_subject[name].draw(every_subject[name].frame(12)))
        boxes = [bar.get_window_extent() for bar in ax.patches]
        pitch = ax.bbox.height / len(ax.get_yticks())
        for gap in (min(box.y0 for box in boxes) - ax.bbox.y0, ax.bbox.y1 - max(box.y1 for box in boxes)):
            assert gap < 0.4 * pitch, name


def test_titles_and_captions_are_on_the_paper(pictures):
    for ax in pictures:
        paper = ax.figure.bbox.padded(TOUCHING)
        for text in [ax._left_title, *[ax.xaxis.label] * ax.axison]:
            if text.get_text():
                extent = text.get_window_extent()
                assert paper.contains(extent.x0, extent.y0), text
                assert paper.contains(extent.x1, extent.y1), text


def test_no_two_ticks_of_a_number_have_the_same_label(picture):
    for ax in map(picture, (1, 2, 12)):
        for axis, limits in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            low, high = sorted(limits)
            ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            labels = [label.get_text() for at, label in ticks if low <= at <= high]
            numbers = [label for label in labels if label.replace(",", "").replace(".", "").isdigit()]
            assert len(set(numbers)) == len(numbers), labels


@pytest.mark.parametrize("rows", [2, 8, 9, 10, 12, 15, 29])
def test_labels_of_times_do_not_run_into_each_other(every_subject, rows):
    for name in ("snapshots", "history"):
        ax = drawn(every_subject[name].draw(every_subject[name].frame(rows)))
        extents = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert all(one.x1 < other.x0 for one, other in pairwise(extents))


def test_the_line_of_a_deletion_crosses_no_word(every_subject):
    ax = drawn(every_subject["history"].draw(every_subject["history"].frame(3)))
    (line,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    extents = [text.get_window_extent() for text in ax.texts]
    assert not any(extent.x0 < points(line)[0][0] < extent.x1 for extent in extents)
