"""Pictures say in their title what the data says, and keep the difference where color is lost."""

from datetime import UTC, datetime, timedelta

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from dynaberg import plots

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.use_style()
        yield
        plt.close("all")


@pytest.fixture
def counts() -> pd.DataFrame:
    rows = [(at(s), op, n) for s in range(4) for op, n in (("INSERT", 60), ("MODIFY", 25), ("REMOVE", 15))]
    return pd.DataFrame(rows, columns=["moment", "operation", "changes"])


@pytest.fixture
def snapshots() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "committed_at": pd.to_datetime([at(2), at(8), at(13)], utc=True),
            "snapshot_id": [11, 22, 33],
            "operation": ["append", "append", "overwrite"],
            "added_records": [150, 250, 10],
            "total_records": [150, 400, 390],
        }
    )


def title(ax) -> str:
    return ax.get_title(loc="left")


def texts(ax) -> list[str]:
    return [text.get_text().strip() for text in ax.texts]


def test_the_style_is_ours_and_its_colors_are_written_out():
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"][0] == "#3f90da"
    assert mpl.rcParams["figure.dpi"] == 110


def test_flow_names_what_exists_and_what_is_missing():
    resources = pd.DataFrame(
        {
            "kind": ["AWS::DynamoDB::Table", "Iceberg table", "Iceberg table", "Iceberg table"],
            "name": ["orders", "sales.hourly", "sales.orders_changes", "sales.orders"],
        }
    )
    ax = plots.plot_flow(resources)
    assert title(ax).startswith("3 of 6 stages stand; still missing: Lambda forwarder, Firehose stream")
    assert texts(ax).count("not yet") == 3
    assert texts(ax).count("orders") == 2
    assert "hourly" not in texts(ax)
    assert [patch.get_linestyle() for patch in ax.patches].count("--") == 3


def test_flow_of_nothing_is_drawn_too():
    assert title(plots.plot_flow(pd.DataFrame({"kind": [], "name": []}))).startswith("0 of 6")


def test_operations_are_stacked_with_hatches_and_shares(counts):
    ax = plots.plot_operations(counts)
    assert title(ax) == "400 changes: 60% INSERT, 25% MODIFY, 15% REMOVE"
    assert {bar.get_hatch() for bar in ax.patches} == {"", "///", "..."}
    assert max(bar.get_y() + bar.get_height() for bar in ax.patches) == 100


def test_delivery_counts_from_the_first_change_and_states_the_lag(counts, snapshots):
    ax = plots.plot_delivery(counts, snapshots.iloc[:2])
    assert title(ax) == "2 snapshots brought the changes in, the last 4 s after the last change"
    assert ax.lines[0].get_ydata()[-1] == ax.lines[1].get_ydata()[-1] == 400


def test_snapshots_are_marked_by_operation_and_labeled_with_rows(snapshots):
    ax = plots.plot_snapshots(snapshots)
    assert title(ax) == "3 snapshots, from 150 to 390 rows"
    assert {line.get_marker() for line in ax.lines} >= {"o", "s"}
    assert texts(ax) == ["150", "400", "390"]


def test_hourly_sums_rows_of_an_hour_and_names_the_peak():
    rows = {"hour": [9, 9, 10], "transactions": [3, 4, 3], "declined": [1, 0, 1]}
    ax = plots.plot_hourly(pd.DataFrame(rows))
    assert title(ax) == "The busiest hour is 9:00, with 70% of 10 transactions"
    assert texts(ax) == ["14%", "33%"]


def test_risk_map_writes_every_number():
    risk = pd.DataFrame(
        {
            "region": ["EU", "EU", "APAC"],
            "merchant_category": ["TRAVEL", "RETAIL", "TRAVEL"],
            "high_risk_count": [9, 2, 4],
        }
    )
    ax = plots.plot_risk_by_region(risk)
    assert title(ax) == "High risk gathers in EU, TRAVEL: 9 of 15 transactions"
    assert sorted(texts(ax)) == ["0", "2", "4", "9"]


def test_diff_counts_a_row_once_however_many_columns_changed():
    changes = pd.DataFrame(
        {
            "transaction_id": ["a", "b", "c", "c"],
            "timestamp": [1, 2, 3, 3],
            "change": ["added", "removed", "changed", "changed"],
            "column": [None, None, "status", "amount"],
            "before": [None, None, "X", "1"],
            "after": [None, None, "Y", "2"],
        }
    )
    ax = plots.plot_diff(changes, rows_before=10)
    assert title(ax) == "1 rows came, 1 went, 1 changed: 10 became 10"
    assert texts(ax) == ["10", "+1", "-1", "10", "1"]


def test_item_history_draws_only_attributes_that_changed_later():
    history = pd.DataFrame(
        {
            "changed_at": [at(0), at(0), at(5), at(9)],
            "operation": ["INSERT", "INSERT", "MODIFY", "REMOVE"],
            "attribute": ["status", "amount", "status", "status"],
            "before": [None, None, "PENDING_REVIEW", "APPROVED"],
            "after": ["PENDING_REVIEW", "9.99", "APPROVED", None],
        }
    )
    ax = plots.plot_item_history(history)
    assert title(ax) == "3 versions of one item; 1 of its attributes changed"
    assert texts(ax) == ["PENDING_REVIEW", "APPROVED", "gone"]


def test_profile_tells_key_columns_and_nulls():
    profile = pd.DataFrame(
        {
            "column": ["id", "status", "note"],
            "rows": 200,
            "nulls": [0, 0, 50],
            "approx_distinct": [199, 4, 80],
        }
    )
    ax = plots.plot_profile(profile)
    assert title(ax) == "1 of 3 columns hold at most 10 values; 1 tell nearly every row apart"
    assert "80, 50 null" in texts(ax)


def test_distribution_marks_half_and_the_tail():
    ax = plots.plot_distribution(pd.Series(np.arange(101), name="amount"), unit="USD")
    assert title(ax) == "Half of all amount values are below 50; one in twenty is above 95"
    assert ax.get_xlabel() == "amount (USD)"


def test_widely_spread_numbers_are_drawn_on_a_log_scale():
    ax = plots.plot_distribution(pd.Series([1, 2, 3, 4, 5, 900], name="amount"))
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "amount, log scale"
    assert sum(bar.get_height() for bar in ax.patches) == 6


@pytest.mark.parametrize(("size", "words"), [(900, "900 B"), (40 * 1024, "40 KiB"), (3 * 2**20, "3 MiB")])
def test_file_sizes_are_read_in_the_unit_of_a_reader(size, words):
    ax = plots.plot_file_sizes(pd.DataFrame({"bytes": [size, size, size]}))
    assert title(ax) == f"3 of 3 files are smaller than 64 MiB, half of them {words} or less"


def test_resources_removed_and_left():
    before = pd.DataFrame(
        {"kind": ["AWS::S3::Bucket", "AWS::S3::Bucket", "Iceberg table"], "name": list("abc")}
    )
    ax = plots.plot_resources(before, before.iloc[:1])
    assert title(ax) == "2 of 3 resources were removed; 1 are left"
    assert sorted(texts(ax)) == ["1 → 0", "2 → 1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Iceberg table", "S3 Bucket"]
