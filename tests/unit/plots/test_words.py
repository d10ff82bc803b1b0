"""Words are read as they are meant: a figure once, numbers apart, verbs that agree, lines that end well."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from dynaberg import plots
from dynaberg.plots.canvas import name_lines, title_lines, width
from dynaberg.plots.canvas.lines import caption_lines

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
FONT = FontProperties(size=9)
SENTENCES = st.lists(st.sampled_from(["a", "of", "12", "files;", "deliver", "snapshots"]), min_size=1).map(
    " ".join
)


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


# Figures -----------------------------------------------------------------------------------------


def test_no_two_numbers_read_as_one(subject):
    ax = subject.draw(subject.frame(12))
    for text in ax.figure.findobj(Text):
        assert not re.search(r"\d, \d", text.get_text()), text


def test_no_space_stands_before_a_percent_sign():
    for path in Path(plots.__file__).parent.rglob("*.py"):
        assert not re.search(r"[\d}] %[ ;,.:)\"']", path.read_text(encoding="utf-8")), path


def lags(half, most):
    return pd.DataFrame(
        {"hop": ["a", "b", "total"], "p50_seconds": [3.0, 1.0, half], "p95_seconds": [3.04, 2.0, most]}
    )


def test_a_lag_that_half_and_nearly_all_share_is_said_once():
    ax = plots.plot_freshness(lags(5.31, 5.34))
    assert title(ax) == "95% of the changes arrive in 5.3 s; longest: a"
    assert [text.get_text() for text in ax.texts] == ["3.0 s", "1.0 s; 95% within 2.0 s", "5.3 s"]


def test_a_lag_between_two_equal_figures_is_said_once():
    counts = pd.DataFrame({"moment": [START], "operation": "INSERT", "changes": 1})
    snapshots = pd.DataFrame({"operation": "append", "added_records": [1]})
    snapshots["committed_at"] = pd.to_datetime([START + timedelta(seconds=3)], utc=True)
    ended = START + timedelta(seconds=0.01)
    ax = plots.plot_delivery(counts, snapshots, began=START, ended=ended)
    assert title(ax) == "1 snapshot delivered 1 change, after 3.0 s"


def test_a_count_that_is_the_same_at_both_ends_is_said_once():
    moments = pd.to_datetime([START + timedelta(seconds=second) for second in range(3)], utc=True)
    frame = pd.DataFrame({"committed_at": moments, "operation": "append", "total_records": [7, 9, 7]})
    ax = plots.plot_snapshots(frame)
    assert title(ax) == "3 commits, the first and the last of 7 rows; the largest step +2"
    changes = pd.DataFrame({"id": [1, 2], "change": ["added", "removed"]})
    ax = plots.plot_diff(changes, rows_before=1)
    assert title(ax) == "1 row added, 1 removed, 0 changed: 1 row before and after"


# Stages, verbs, labels ---------------------------------------------------------------------------


def resources(*kinds):
    names = {"log": "s.t_changes", "current": "s.t", "Lambda::Function": "the-forwarder"}
    rows = [
        ("Iceberg table" if kind in ("log", "current") else f"AWS::{kind}", names.get(kind, "a-name"))
        for kind in kinds
    ]
    return pd.DataFrame(rows, columns=["kind", "name"])


ALL = ("DynamoDB::Table", "Lambda::Function", "KinesisFirehose::DeliveryStream", "log", "current")
BUCKET = "S3Tables::TableBucket"
REST = ("Lambda forwarder", "Firehose stream", "change log")


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ((*ALL, BUCKET), "5 of 5 stages exist; nothing is missing"),
        (ALL, "5 of 5 stages exist; the table bucket is missing"),
        (
            (ALL[0], BUCKET),
            f"1 of 5 stages exists; still missing: {', '.join(REST)} and current table",
        ),
        (ALL[:4], "4 of 5 stages exist; still missing: current table; the table bucket is missing, too"),
    ],
)
def test_a_stage_is_a_box_of_the_flow(kinds, words):
    ax = plots.plot_flow(resources(*kinds))
    assert title(ax) == words
    *boxes, frame = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    assert f"of {len(boxes)} stages" in words
    assert sum(box.get_linestyle() == "-" for box in boxes) == int(words[0])
    assert (frame.get_linestyle() == "-") == (BUCKET in kinds)
    assert ("table bucket: not yet" in [text.get_text() for text in ax.texts]) == (BUCKET not in kinds)


def test_verbs_agree_with_their_number():
    box = {"box": "a", "kind": "source", "depth": 0, "inputs": [[]], "rows": 1, "age_seconds": 1.0}
    boxes = pd.DataFrame({**box, "outcome": "", "status": "fresh"})
    assert title(plots.plot_lineage(boxes)) == "1 of 1 stage is fresh"
    two = pd.DataFrame({"kind": "AWS::S3::Bucket", "name": ["a", "b"]})
    assert title(plots.plot_resources(two, two[:1])) == "1 of 2 resources was removed; 1 remains"
    assert title(plots.plot_resources(two, two[:0])) == "2 of 2 resources were removed; 0 remain"
    one = pd.DataFrame({"status": ["A"]})
    assert "1 row was known, and 1 was true" in title(
        plots.plot_two_clocks(one, one, by="status", when=START)
    )


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0, "time on 2026-03-01 (UTC)"),
        (40, "day and time in 2026 (UTC)"),
        (400, "day and time (UTC)"),
    ],
)
def test_times_below_an_axis_say_what_they_are(days, words):
    moments = pd.to_datetime([START, START + timedelta(days=days, seconds=5)], utc=True)
    frame = pd.DataFrame({"committed_at": moments, "operation": "append", "total_records": 1})
    assert plots.plot_snapshots(frame).get_xlabel() == f"commits in order, each with its {words}"
    history = pd.DataFrame({"changed_at": moments, "sequence_number": ["1", "2"], "operation": "MODIFY"})
    history = history.assign(attribute="status", after="A")
    assert plots.plot_item_history(history).get_xlabel() == f"version, and its {words}"


def bill(*rows):
    return pd.DataFrame(rows, columns=["pattern", "service", "usd_per_month", "basis"])


def test_each_figure_of_a_bill_says_what_it_is():
    known = [
        ("kinesis", "Kinesis", 30.0, "list price"),
        ("kinesis", "Lambda", 11.0, "unverified price"),
        ("dynamodb", "Lambda", 10.0, "unverified price"),
    ]
    words = r"A month with Kinesis costs \$41, with DynamoDB Streams \$10; Kinesis itself is 73% of the \$41"
    ax = plots.plot_cost(bill(*known))
    assert title(ax) == words
    assert ax.get_xlabel().endswith(";\nthe prices of Lambda are not verified")
    short, long = (bill(*known, ("zero-etl", "Glue", usd, "assumed quantity")) for usd in (5.0, 86.0))
    assert title(plots.plot_cost(short)) == words
    assert title(plots.plot_cost(long)) == f"{words}; the longest bar is a guess"


# Lines -------------------------------------------------------------------------------------------


def test_a_caption_breaks_where_a_clause_ends(subject):
    ax = subject.draw(subject.frame(12))
    for line in ax.get_xlabel().split("\n")[:-1]:
        assert line.endswith(";"), ax.get_xlabel()


@given(SENTENCES, st.floats(100, 400))
def test_lines_hold_all_words_and_fit(words, room):
    for broken in (title_lines(words, room, FONT), caption_lines(words, room, FONT)):
        assert broken.split() == words.split()
        assert all(width(line, FONT) <= room + 1e-6 for line in broken.split("\n"))


def test_the_last_line_of_a_title_is_no_leftover():
    words = "5 snapshots delivered 10,000 changes, the last of them in less than one second"
    lines = title_lines(words, width(words[:-7], FONT), FONT).split("\n")
    assert len(lines) == 2
    assert min(map(len, lines)) > 0.8 * max(map(len, lines))


def test_a_title_breaks_between_clauses_and_not_behind_a_number():
    words = "13 of 19 columns hold at most 10 values; none is nearly unique"
    assert title_lines(words, width(words[:-6], FONT), FONT).split("\n")[1] == "none is nearly unique"
    for letters in range(20, 60):
        lines = title_lines(words.replace(";", ","), width("m" * letters, FONT), FONT).split("\n")
        assert not any(line[-1].isdigit() for line in lines), lines


@given(st.text("aW-_", min_size=1, max_size=60).filter(str.strip), st.floats(40, 200), st.integers(1, 4))
def test_a_name_is_whole_or_ends_in_a_mark_that_says_it_is_not(name, room, most):
    lines = name_lines(name, room, FONT, most).split("\n")
    assert len(lines) <= most
    assert all(width(line, FONT) <= room + 1e-6 for line in lines)
    written = "".join(lines)
    assert written == name or (written[-1] == "…" and name.startswith(written[:-1]) and len(lines) == most)


def test_a_name_breaks_behind_its_marks():
    name = "dynaberg-delivery-DeliveryStream-E4990C12AB34"
    room = width("DeliveryStream-X", FONT)
    lines = ["dynaberg-", "delivery-", "DeliveryStream-", "E4990C12AB34"]
    assert name_lines(name, room, FONT, 4).split("\n") == lines
    assert name_lines("a$b$", room, FONT, 1) == r"a\$b\$"
