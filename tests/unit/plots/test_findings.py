"""A title is the finding of the rows that are drawn; where there is none, it says so."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg import plots
from dynaberg.errors import SettingsError
from dynaberg.plots.canvas import percent, shorten

START = datetime(2026, 3, 1, 9, 0, 0, 250_000, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


# How changes arrived -----------------------------------------------------------------------------


def made(*changes, start=START.replace(microsecond=0)):
    moments = [start + timedelta(seconds=second) for second in range(len(changes))]
    return pd.DataFrame({"moment": moments, "operation": "INSERT", "changes": changes})


def landed(*commits):
    frame = pd.DataFrame(commits, columns=["seconds", "added_records", "operation"])
    return frame.assign(committed_at=pd.to_datetime([at(s) for s in frame["seconds"]], utc=True))


DELIVERIES = {
    "2 snapshots delivered 400 changes, the last 3.0 to 3.2 s after the last change": (
        [(0.5, 100, "append"), (4.5, 300, "append")],
        {"began": at(0), "ended": at(1.5)},
    ),
    "1 snapshot delivered 400 changes, the last at most 0.5 s after the last change": (
        [(1.25, 400, "append")],
        {"began": at(0)},
    ),
    "2 snapshots delivered 400 changes, the last 3.0 to 3.3 s after the last change": (
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
    assert title(whole).endswith("the last 2.8 to 3.8 s after the last change")
    ended = plots.plot_delivery(made(100, 300), snapshots, began=at(0), ended=at(1))
    assert title(ended).endswith("the last 3.5 to 3.8 s after the last change")
    exact = made(100, 300, start=START)
    assert title(plots.plot_delivery(exact, snapshots)).endswith("the last 3.5 s after the last change")


def test_a_snapshot_before_the_change_that_it_holds_shows_two_clocks():
    ax = plots.plot_delivery(made(100, 300, start=at(0)), landed((0.5, 400, "append")))
    assert title(ax) == "1 snapshot delivered 400 changes, 0.5 s before the last is dated: clocks differ"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 9, exclude_max=True), min_size=1, max_size=30),
    st.floats(0, 3),
)
def test_no_change_arrives_before_the_band_says_that_it_may_have_been_made(moments, lag):
    moments = sorted(moments)
    seconds = pd.Series([int(moment) for moment in moments]).value_counts().sort_index()
    counts = pd.DataFrame(
        {"moment": [START.replace(microsecond=0) + timedelta(seconds=s) for s in seconds.index]}
    )
    counts = counts.assign(operation="INSERT", changes=seconds.to_numpy())
    start = START.replace(microsecond=0)
    snapshots = pd.DataFrame({"operation": "append", "added_records": [len(moments)]})
    snapshots["committed_at"] = pd.to_datetime([start + timedelta(seconds=moments[-1] + lag)], utc=True)
    ax = plots.plot_delivery(counts, snapshots, began=start)
    most = ax.lines[0]
    held = np.interp(moments[-1] + lag, most.get_xdata(), most.get_ydata())
    assert most.get_ydata()[np.searchsorted(most.get_xdata(), moments[-1] + lag, side="right") - 1] >= len(
        moments
    )
    assert held
    assert "clocks differ" not in title(ax)
    plots_closed(ax)


def plots_closed(ax):
    import matplotlib.pyplot as plt

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
    frame["written_by"] = "Athena query " + frame["written_by"]
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
    with pytest.raises(SettingsError, match="without a time zone"):
        plots.plot_two_clocks(frame, frame, by="status", when=at(0).replace(tzinfo=None))


def test_a_diff_that_removes_more_than_there_was_is_refused():
    changes = pd.DataFrame({"id": [1, 2], "change": "removed"})
    with pytest.raises(SettingsError, match="2 rows removed and 0 changed are more than the 1"):
        plots.plot_diff(changes, rows_before=1)


def test_resources_are_matched_by_name_and_new_ones_are_no_leftovers():
    before = pd.DataFrame({"kind": "AWS::S3::Bucket", "name": ["a", "b"]})
    after = pd.DataFrame({"kind": "AWS::S3::Bucket", "name": ["b", "c"]})
    ax = plots.plot_resources(before, after)
    assert title(ax) == "1 of 2 resources were removed; 1 remain"
    assert "1 resource that came since" in ax.get_xlabel()


def test_a_pipeline_with_kinesis_has_no_forwarder_to_miss():
    kinds = ["AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::Lambda::Function"]
    ax = plots.plot_flow(pd.DataFrame({"kind": kinds, "name": ["t", "s", "dynaberg-transform"]}))
    assert title(ax).startswith("2 of 6 stages exist; still missing: Firehose stream")
    others = pd.DataFrame({"kind": ["AWS::Lambda::Function"], "name": ["dynaberg-redrive"]})
    assert "Lambda forwarder" in title(plots.plot_flow(others))


# Answers -----------------------------------------------------------------------------------------


def hours(*counts):
    return pd.DataFrame({"hour": range(len(counts)), "transactions": counts, "declined": 0})


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([100, 104, 98, 101], "No hour is busier than the others beyond chance, in 403 transactions"),
        ([100, 300, 98, 101], "The busiest hour is 1:00, with 50% of 599 transactions"),
        ([300, 310, 90], "The busiest hours are 0:00 and 1:00, alike within chance, with 87% of 700 transactions"),
        ([7], "All of 7 transactions are of one hour, 0:00"),
        ([500] * 4 + [10] * 4, "4 hours are the busiest, alike within chance, with 98% of 2,040 transactions"),
    ],
)  # fmt: skip
def test_an_hour_is_the_busiest_only_beyond_chance(counts, words):
    assert title(plots.plot_hourly(hours(*counts))) == words


def risk(*groups, **more):
    names = [f"group {number}" for number in range(len(groups))]
    frame = pd.DataFrame(groups, columns=["high_risk_count", "total_transactions"])
    return frame.assign(region="EU", merchant_category=names, **more)


def test_risk_is_compared_by_rates_with_intervals():
    noise = [(10, 72), (8, 80), (0, 3), (33, 388), (32, 390)]
    found = title(plots.plot_risk_by_region(risk(*noise)))
    assert found == "High risk: 8.9% of 933 transactions, no difference beyond chance between 5 groups"
    large = [(330, 3_880), (320, 3_900), (40, 100)]
    found = title(plots.plot_risk_by_region(risk(*large)))
    assert found == "High risk: 8.8% of 7,880 transactions, more in EU, group 2 (40.0%)"


def test_rates_without_the_groups_of_none_are_no_rates():
    some = pd.DataFrame({"high_risk_count": 1, "total_transactions": [5] * 60})
    ax = plots.plot_risk_by_region(some.assign(region="EU", merchant_category="A"))
    assert title(ax).startswith("Every row has a high risk: rows without one were left out")
    with pytest.raises(SettingsError, match="larger than `total_transactions`"):
        plots.plot_risk_by_region(risk((5, 4)))


def sales(*kinds, amounts=None):
    names = [f"M{number}" for number in range(len(kinds))]
    amounts = amounts or [9 - number for number in range(len(kinds))]
    return pd.DataFrame(
        {"merchant_name": names, "merchant_category": kinds, "amount": amounts, "declined": None}
    )


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (sales("A"), "One merchant has sales, M0"),
        (sales("A", "A"), "M0 sells the most; all of the 2 largest sell A"),
        (sales("A", "B"), "M0 sells the most; the 2 largest sell 2 kinds of goods, none of them more often than all others"),
        (sales("A", "A", amounts=[5, 5]), "2 merchants sell the most, each the same; all of the 2 largest sell A"),
    ],
)  # fmt: skip
def test_merchants_have_a_common_kind_only_if_one_is(frame, words):
    ax = plots.plot_merchants(frame, unit="USD")
    assert title(ax) == words
    assert ax.get_xlabel().startswith("amount (USD)")


def test_refunds_are_not_cut_off():
    ax = plots.plot_merchants(sales("A", "A", amounts=[5, -3]))
    assert ax.get_xlim()[0] <= -3


# Profiles ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-50, 5_000), min_size=1, max_size=80))
def test_what_a_distribution_says_is_true_of_its_values(values):
    numbers = pd.Series(values, name="amount")
    ax = plots.plot_distribution(numbers)
    said = title(ax).replace(",", "")
    plots_closed(ax)
    if said.startswith("Every"):
        assert numbers.nunique() == 1
        return
    middle = float(said.partition("at most ")[2].partition(";")[0])
    share = (numbers <= middle).mean()
    assert share >= 0.5
    assert said.startswith("Half" if share < 0.51 else percent(share))
    if "above " in said:
        above = (numbers > float(said.partition("above ")[2])).mean()
        assert 0 < above <= 0.05
        assert ("one in twenty" in said) == (above >= 0.045)
    else:
        assert float(said.partition("largest is ")[2]) == numbers.max()


def test_values_say_null_where_null_is_what_a_column_holds():
    frame = pd.DataFrame({"column": ["a", "b"], "rows": 100, "nulls": [95, 0]})
    frame["top"] = [[("x", 5)], [("y", 60)]]
    assert title(plots.plot_top_values(frame)) == "a is nearly always the same: 95% null"
    frame["nulls"], frame["top"] = 0, [[("x", 999)], [("y", 600)]]
    frame["rows"] = 1_000
    assert title(plots.plot_top_values(frame)) == "a is nearly always the same: >99% x"


def test_few_rows_tell_nothing_of_columns():
    frame = pd.DataFrame({"column": ["a"], "rows": 3, "nulls": 0, "approx_distinct": 3})
    assert title(plots.plot_profile(frame)) == "With 3 rows, no column can have many values"


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([9, 10, 2**30], "2 of 3 files are smaller than 64 MiB, half are 10 B or less"),
        ([2**30, 2**31], "All of 2 files have at least 64 MiB"),
        ([2**30], "The only file has 1 GiB, at least 64 MiB"),
    ],
)
def test_files_are_small_only_if_they_are(sizes, words):
    assert title(plots.plot_file_sizes(pd.DataFrame({"content": "data", "bytes": sizes}))) == words


def test_drift_that_chance_explains_is_none():
    frame = pd.DataFrame(
        {"column": ["a", "b"], "distance": [0.4, 0.02], "measured_on": "nulls", "top": [[], []]}
    )
    frame = frame.assign(nulls_before=0.0, nulls_after=0.3, p50_before=None, p50_after=None)
    assert title(plots.plot_drift(frame, rows=(4_000, 5_000))) == "1 of 2 columns has shifted, a the most"
    few = plots.plot_drift(frame, rows=(10, 12))
    assert title(few) == "None of 2 columns has shifted; with so few rows, chance explains the distance of 1"
    assert {bar.get_hatch() for bar in few.patches} == {""}


# Delivery, cost, grants --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lags", "words"),
    [
        ((3.0, 1.0, 4.0), "Half of the changes arrive in 4.0 s, 95 % in 5.0 s; longest: a"),
        ((2.0, 1.5, 3.5), "Half of the changes arrive in 3.5 s, 95 % in 4.5 s; no hop is the longest for sure"),
        ((3.0, -1.0, 2.0), "Half of the changes arrive in 2.0 s, 95 % in 3.0 s; a lag below zero: clocks differ"),
    ],
)  # fmt: skip
def test_a_hop_is_the_longest_only_beyond_the_second_to_which_changes_are_dated(lags, words):
    frame = pd.DataFrame(
        {"hop": ["a", "b", "total"], "p50_seconds": lags, "note": "DynamoDB rounds times down to the second"}
    )
    ax = plots.plot_freshness(frame.assign(p95_seconds=frame["p50_seconds"] + 1))
    assert title(ax) == words
    assert [bar.get_width() for bar in ax.patches] == list(lags), "nothing is cut off at zero"


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (["A", "A", "B"], "3 changes wait to be replayed, most for A"),
        (["A", "B", "C"], "3 changes wait to be replayed, for 3 reasons, none of them more often than all others"),
        (["A", "A", "B", "C", "D"], "5 changes wait to be replayed, for 4 reasons; 40% for A"),
        ([None, None], "2 changes wait to be replayed, all for no reason recorded"),
    ],
)  # fmt: skip
def test_most_is_more_than_half(codes, words):
    ax = plots.plot_failures(pd.DataFrame({"error_code": codes, "where": "a new place"}))
    assert title(ax) == words
    assert sum(bar.get_width() for bar in ax.patches) == len(codes), "unknown places count, too"


def bill(**usd):
    rows = [(*name.split("_"), amount) for name, amount in usd.items()]
    return pd.DataFrame(rows, columns=["pattern", "service", "usd_per_month"]).assign(basis="list price")


def test_a_guess_is_an_empty_dashed_box_below_what_is_known():
    frame = pd.concat([bill(kinesis_A=40, kinesis_B=1), bill(zero_Glue=90).assign(basis="assumed quantity")])
    ax = plots.plot_cost(frame)
    assert title(ax) == r"Kinesis: \$41 a month; 98% of the first is for A"
    guess = ax.patches[-1]
    assert (guess.get_linestyle(), guess.get_facecolor()[3]) == ("--", 0)
    assert guess.get_y() > ax.patches[0].get_y()
    only = plots.plot_cost(bill(zero_Glue=90).assign(basis="assumed quantity"))
    assert title(only) == "No pattern has a bill of known quantities"
    assert title(plots.plot_cost(bill(kinesis_A=0))) == r"Kinesis: \$0 a month"


def test_no_two_services_of_a_bill_look_alike():
    frame = bill(**{f"kinesis_S{number}": 10 + number for number in range(9)})
    looks = [(bar.get_facecolor(), bar.get_hatch()) for bar in plots.plot_cost(frame).patches]
    assert len(set(looks)) == len(looks) == 6


def granted(*rows):
    frame = pd.DataFrame(rows, columns=["principal", "what", "permission"])
    return frame.assign(enforced=True)


READ, WRITE = "s3tables:GetTableData", "s3tables:PutTableData"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", "every table", READ), ("b", "logs", WRITE)], "Of the 2 principals here, none may write an Iceberg table"),
        ([("a", "every table", READ)], "a is the only principal here, and may write no Iceberg table"),
        ([("a", "change log", WRITE), ("b", "every table", WRITE)],
         "Of the 2 principals here, 2 may write Iceberg tables: a (change log) and b (every table)"),
    ],
)  # fmt: skip
def test_grants_speak_of_the_principals_that_are_shown(rows, words):
    said = title(plots.plot_grants(granted(*rows)))
    assert said == words
    assert "Only" not in said


# Words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0%"), (1e-9, "<1%"), (0.004, "<1%"), (0.5, "50%"), (0.996, ">99%"), (1, "100%"), (None, "unknown")],
)
def test_a_share_is_nothing_or_all_only_if_it_is(share, words):
    assert percent(share) == words


def test_dollars_in_a_name_are_no_formula():
    assert shorten("a$b$c\nd") == r"a\$b\$c d"
