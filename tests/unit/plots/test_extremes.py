"""No row, one, ten thousand, nulls, long names, wrong frames: a picture is honest or says what is wrong."""

import time

import numpy as np
import pandas as pd
import pytest

from dynaberg import plots
from dynaberg.errors import SettingsError

pytestmark = pytest.mark.thorough

LONG = "a_name_that_nobody_would_type$" * 8
MOST_PIXELS = 2**15


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


def looked_at(ax, *, painted=False):
    """Lay it out, or paint it, too; every word of the title and of the axes must be on the paper."""
    figure = ax.figure
    figure.canvas.draw() if painted else figure.draw_without_rendering()
    assert max(figure.bbox.size) < MOST_PIXELS
    paper = figure.bbox.padded(2)
    words = [ax._left_title]
    if ax.axison:
        low, high = sorted(ax.get_ylim())
        ticks = zip(ax.get_yticks(), ax.get_yticklabels(), strict=True)
        words += [ax.xaxis.label, ax.yaxis.label, *(label for at, label in ticks if low <= at <= high)]
    for text in words:
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert paper.contains(box.x0, box.y0), text
            assert paper.contains(box.x1, box.y1), text
    assert title(ax)
    return ax


def test_every_picture_has_a_subject(every_subject):
    assert len(every_subject) == len([name for name in plots.__all__ if name.startswith("plot_")])


def test_no_row_is_a_sentence_without_axes(subject):
    assert not looked_at(subject.draw(subject.frame(3).head(0))).axison


def test_one_row_is_drawn_and_words_are_in_the_singular(subject):
    words = f" {title(looked_at(subject.draw(subject.frame(1))))} "
    for plural in (" 1 rows", " 1 columns", " 1 files", " 1 snapshots", " 1 resources were", "the 1 largest"):
        assert plural not in words


def test_ten_thousand_rows_are_drawn_in_seconds_or_some_of_them_with_a_note(subject):
    frame = subject.frame(10_000)
    began = time.process_time()
    looked_at(subject.draw(frame), painted=True)
    assert time.process_time() - began < 20


def test_a_number_that_is_not_known_is_left_out_with_a_note(subject):
    for column, null in zip(subject.numbers, (None, np.inf, pd.NA, np.nan), strict=False):
        frame = subject.frame(6)
        frame[column] = pd.Series([*frame[column][:5], null], dtype=object)
        ax = looked_at(subject.draw(frame))
        assert any(word in ax.get_xlabel() for word in ("left out: 1", "not measured")), column
        frame[column] = pd.Series([null] * 6, dtype=object)
        assert not looked_at(subject.draw(frame)).axison


def test_nulls_among_names_are_drawn_as_such(subject):
    if subject.names:
        frame = subject.frame(6)
        frame[subject.names] = pd.Series([*frame[subject.names][:5], None], dtype=object)
        looked_at(subject.draw(frame))


def test_long_names_leave_room_for_the_picture(subject):
    if subject.names:
        frame = subject.frame(6)
        frame[subject.names] = [f"{number}{LONG}" for number in range(6)]
        assert looked_at(subject.draw(frame)).get_position().width > 0.35


def test_a_frame_without_a_column_is_refused_with_what_it_has(subject):
    for column in (*subject.numbers, *subject.others):
        frame = subject.frame(6).drop(columns=column)
        if len(frame.columns) == 0 or column == "bytes":
            continue
        with pytest.raises(SettingsError, match=f"`{column}`") as raised:
            subject.draw(frame)
        assert raised.value.hint
        assert frame.columns[0] in str(raised.value)


def test_a_column_of_text_where_numbers_belong_is_refused(subject):
    for column in subject.numbers:
        frame = subject.frame(6).assign(**{column: "PENDING"})
        with pytest.raises(SettingsError, match="'PENDING', which is not a number"):
            subject.draw(frame)


def test_moments_are_no_numbers_and_words_no_moments():
    moments = pd.Series(pd.date_range("2026-01-01", periods=3), name="changed_at")
    with pytest.raises(SettingsError, match="'changed_at' holds '2026-01-01 00:00:00'"):
        plots.plot_distribution(moments)
    counts = pd.DataFrame({"moment": ["noon"], "operation": "INSERT", "changes": 1})
    with pytest.raises(SettingsError, match="not a moment"):
        plots.plot_operations(counts)


def test_what_is_no_frame_is_refused():
    with pytest.raises(SettingsError, match="was given a dict"):
        plots.canvas.require({}, "column")
