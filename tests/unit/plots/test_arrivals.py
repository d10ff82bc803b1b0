"""How changes arrived and what tables were: no artifact of an engine or a clock is told as a fact."""

from datetime import UTC, datetime, timedelta

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg import plots
from dynaberg.errors import SettingsError

START = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


# How changes arrived -----------------------------------------------------------------------------


WHOLE = START.replace(microsecond=0)


def made(*changes, start=WHOLE):
    moments = [start + timedelta(seconds=second) for second in range(len(changes))]
    return pd.DataFrame({"moment": moments, "operation": "INSERT", "changes": changes})


def landed(*commits):
    frame = pd.DataFrame(commits, columns=["seconds", "added_records", "operation"])
    return frame.assign(committed_at=pd.to_datetime([at(s) for s in frame["seconds"]], utc=True))


DELIVERIES = {
    "2 snapshots delivered 400 changes, the last after 3.0 to 3.2 s": (
        [(0.5, 100, "append"), (4.5, 300, "append")],
        {"began": at(0), "ended": at(1.5)},
    ),
    "1 snapshot delivered 400 changes, the last after at most 0.5 s": (
        [(1.25, 400, "append")],
        {"began": at(0)},
    ),
    "2 snapshots delivered 400 changes, the last after 3.0 to 3.3 s": (
        [(-0.2, 1, "append"), (1.7, 250, "append"), (4.5, 150, "append"), (6, 400, "replace")],
        {"began": at(0), "ended": at(1.5)},
    ),
    "None of 400 changes has arrived": ([(-0.2, 400, "append")], {"began": at(0)}),
    "1 snapshot delivered 300 of 400 changes": ([(2, 300, "append")], {}),
    "1 snapshot delivered 410 rows, 10 more than the changes that were counted": ([(2, 410, "append")], {}),
}


@pytest.mark.parametrize("words", DELIVERIES)
def test_delivery_says_what_arrived_and_how_late(words):
    commits, moments = DELIVERIES[words]
    ax = plots.plot_delivery(made(100, 300), landed(*commits), **moments)
    said = title(ax)
    if " to " in words:  # the last change was made between its second's beginning and the end of the writing
        said, words = said.partition(", the last")[0], words.partition(", the last")[0]
    assert said == words


def test_a_lag_is_between_the_last_second_and_the_end_of_the_writing():
    snapshots = landed((0.5, 100, "append"), (4.5, 300, "append"))
    whole = plots.plot_delivery(made(100, 300), snapshots, began=at(0))
    assert title(whole).endswith("the last after 2.8 to 3.8 s")
    ended = plots.plot_delivery(made(100, 300), snapshots, began=at(0), ended=at(1))
    assert title(ended).endswith("the last after 3.5 to 3.8 s")
    exact = made(100, 300, start=START)
    assert title(plots.plot_delivery(exact, snapshots)).endswith("the last after 3.5 s")


def test_a_snapshot_before_the_change_that_it_holds_shows_two_clocks():
    ax = plots.plot_delivery(made(100, 300, start=at(0)), landed((0.5, 400, "append")))
    assert title(ax) == "1 snapshot delivered 400 changes, 0.5 s before the last is dated: clocks differ"


@pytest.mark.parametrize("added", [(200, 200), (390, 10), (10, 390), (100, 100, 200), (400,), (1, 1, 398)])
def test_no_step_crosses_the_words_that_name_the_steps(added):
    commits = [(1 + second, rows, "append") for second, rows in enumerate(added)]
    ax = plots.plot_delivery(made(100, 300), landed(*commits), began=at(0))
    (words,) = [text for text in ax.texts if text.get_text() == "in the change log"]
    x, y = words.xy
    steps = [0, *np.cumsum(added)]
    assert min(abs(y - level) for level in steps) >= 0.1 * steps[-1]
    times = list(ax.lines[-1].get_xdata())
    assert x in times
    if words.get_ha() == "left":
        assert y < steps[times.index(x) + 1], "right of a step and below it nothing is drawn"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 9, exclude_max=True), min_size=1, max_size=30),
    st.floats(0, 3),
)
def test_no_change_arrives_before_the_band_says_that_it_may_have_been_made(moments, lag):
    moments = sorted(moments)
    seconds = pd.Series([int(moment) for moment in moments]).value_counts().sort_index()
    counts = pd.DataFrame({"moment": [WHOLE + timedelta(seconds=s) for s in seconds.index]})
    counts = counts.assign(operation="INSERT", changes=seconds.to_numpy())
    snapshots = pd.DataFrame({"operation": "append", "added_records": [len(moments)]})
    snapshots["committed_at"] = pd.to_datetime([WHOLE + timedelta(seconds=moments[-1] + lag)], utc=True)
    ax = plots.plot_delivery(counts, snapshots, began=WHOLE)
    most = ax.lines[0]
    assert most.get_ydata()[np.searchsorted(most.get_xdata(), moments[-1] + lag, side="right") - 1] >= len(
        moments
    )
    assert "clocks differ" not in title(ax)
    plt.close(ax.figure)


# Snapshots, two clocks, resources ----------------------------------------------------------------


def test_the_two_snapshots_of_one_merge_are_one_mark():
    rows = [
        ("append", 4_501, "q1"),
        ("append", 4_951, "q2"),
        ("delete", 4_451, "q3"),
        ("append", 4_851, "q3"),
    ]
    frame = pd.DataFrame(rows, columns=["operation", "total_records", "written_by"])
    frame["committed_at"] = pd.to_datetime([at(second) for second in range(4)], utc=True)
    frame["written_by"] = "Trino query " + frame["written_by"]
    ax = plots.plot_snapshots(frame)
    assert title(ax) == "3 commits, from 4,501 to 4,851 rows; the largest step +450"
    assert [text.get_text() for text in ax.texts] == ["4,501", "4,951", "4,851"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["append", "overwrite"]
    others = frame.assign(written_by="Firehose stream s")
    assert title(plots.plot_snapshots(others)).startswith("4 commits"), "these are commits of their own"
    same = frame.assign(total_records=7, written_by="")
    assert title(plots.plot_snapshots(same)) == "4 commits, each of 7 rows"


def test_years_and_days_are_told_apart_below_snapshots_and_versions():
    frame = pd.DataFrame({"operation": "append", "total_records": [1, 2], "written_by": ""})
    frame["committed_at"] = pd.to_datetime([at(0), at(86_400 * 400)], utc=True)
    labels = [label.get_text() for label in plots.plot_snapshots(frame).get_xticklabels()]
    assert labels == ["2026-03-01\n09:00", "2027-04-05\n09:00"]


def test_two_clocks_that_agree_say_so():
    frame = pd.DataFrame({"status": ["A", None, "B"]})
    ax = plots.plot_two_clocks(frame, frame.replace({None: np.nan}), by="status", when=at(0))
    assert title(ax) == "At 09:00:00 UTC, 3 rows were known, and 3 were true; no difference by status"
    with pytest.raises(SettingsError, match="no time zone"):
        plots.plot_two_clocks(frame, frame, by="status", when=at(0).replace(tzinfo=None))


def test_a_diff_that_removes_more_than_there_was_is_refused():
    changes = pd.DataFrame({"id": [1, 2], "change": "removed"})
    with pytest.raises(SettingsError, match="2 rows removed and 0 changed are more than the 1"):
        plots.plot_diff(changes, rows_before=1)


def test_resources_are_matched_by_name_and_new_ones_are_no_leftovers():
    before = pd.DataFrame({"kind": "AWS::S3::Bucket", "name": ["a", "b"]})
    after = pd.DataFrame({"kind": "AWS::S3::Bucket", "name": ["b", "c"]})
    ax = plots.plot_resources(before, after)
    assert title(ax) == "1 of 2 resources was removed; 1 remains"
    assert "1 resource that came since" in ax.get_xlabel()


def test_a_pipeline_with_kinesis_has_no_forwarder_to_miss():
    kinds = ["AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::Lambda::Function"]
    ax = plots.plot_flow(pd.DataFrame({"kind": kinds, "name": ["t", "s", "dynaberg-transform"]}))
    assert title(ax).startswith("2 of 5 stages exist; still missing: Firehose stream")
    others = pd.DataFrame({"kind": ["AWS::Lambda::Function"], "name": ["dynaberg-redrive"]})
    assert "Lambda forwarder" in title(plots.plot_flow(others))
