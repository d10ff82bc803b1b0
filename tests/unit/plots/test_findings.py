"""A title is the finding of the rows that are drawn; where there is none, it says so."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg import plots
from dynaberg.errors import SettingsError
from dynaberg.plots.canvas import percent, shorten


def title(ax):
    return ax.get_title(loc="left").replace("\n", " ")


# Answers -----------------------------------------------------------------------------------------


def hours(*counts):
    return pd.DataFrame({"hour": range(len(counts)), "transactions": counts, "declined": 0})


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([100, 104, 98, 101], "No hour is busier than the others beyond chance, in 403 transactions"),
        ([100, 300, 98, 101], "The busiest hour is 1:00, with 50% of 599 transactions"),
        (
            [300, 310, 90],
            "The busiest hours are 0:00 and 1:00, alike within chance, with 87% of 700 transactions",
        ),
        ([7], "All of 7 transactions are of one hour, 0:00"),
        (
            [500] * 4 + [10] * 4,
            "4 hours are the busiest, alike within chance, with 98% of 2,040 transactions",
        ),
    ],
)
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
        (
            sales("A", "B"),
            "M0 sells the most; the 2 largest sell 2 kinds of goods, none of them more often than all others",
        ),
        (
            sales("A", "A", amounts=[5, 5]),
            "2 merchants sell the most, each the same; all of the 2 largest sell A",
        ),
    ],
)
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
    plt.close(ax.figure)
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
        ([2**30], "The only file is 1 GiB, at least 64 MiB"),
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
        ((3.0, 1.0, 4.0), "Half of the changes arrive in 4.0 s and 95% in 5.0 s; longest: a"),
        (
            (2.0, 1.5, 3.5),
            "Half of the changes arrive in 3.5 s and 95% in 4.5 s; no hop is the longest for sure",
        ),
        (
            (3.0, -1.0, 2.0),
            "Half of the changes arrive in 2.0 s and 95% in 3.0 s; a lag below zero: clocks differ",
        ),
    ],
)
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
        (
            ["A", "B", "C"],
            "3 changes wait to be replayed, for 3 reasons, none of them more often than all others",
        ),
        (["A", "A", "B", "C", "D"], "5 changes wait to be replayed, for 4 reasons; 40% for A"),
        ([None, None], "2 changes wait to be replayed, all for no reason recorded"),
    ],
)
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
    assert title(ax) == r"A month with Kinesis costs \$41; A is 98% of the \$41; the longest bar is a guess"
    guess = ax.patches[-1]
    assert (guess.get_linestyle(), guess.get_facecolor()[3]) == ("--", 0)
    assert guess.get_y() > ax.patches[0].get_y()
    only = plots.plot_cost(bill(zero_Glue=90).assign(basis="assumed quantity"))
    assert title(only) == "No pattern has a bill of known quantities"
    assert title(plots.plot_cost(bill(kinesis_A=0))) == r"A month with Kinesis costs \$0"


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
        (
            [("a", "every table", READ), ("b", "logs", WRITE)],
            "Of the 2 principals here, none may write an Iceberg table",
        ),
        ([("a", "every table", READ)], "a is the only principal here, and may write no Iceberg table"),
        (
            [("a", "change log", WRITE), ("b", "every table", WRITE)],
            "Of the 2 principals here, 2 may write Iceberg tables: a (change log) and b (every table)",
        ),
    ],
)
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
