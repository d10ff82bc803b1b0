"""Pictures say in their title what the data says, and keep the difference where color is lost."""

from datetime import UTC, date, datetime, timedelta

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from dynaberg import plots

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


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
    return ax.get_title(loc="left").replace("\n", " ")


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
    assert title(ax).startswith("3 of 5 stages exist; still missing: Lambda forwarder and Firehose stream;")
    assert texts(ax).count("not yet") == 2
    assert "table bucket: not yet" in texts(ax)
    assert texts(ax).count("orders") == 2
    assert "hourly" not in texts(ax)
    assert [patch.get_linestyle() for patch in ax.patches].count("--") == 3


def test_flow_of_nothing_is_drawn_too():
    assert title(plots.plot_flow(pd.DataFrame({"kind": [], "name": []}))).startswith("0 of 5")


def test_operations_are_stacked_with_hatches_and_shares(counts):
    ax = plots.plot_operations(counts)
    assert title(ax) == "400 changes, at most 100 in 1 s: 60% INSERT, 25% MODIFY, 15% REMOVE"
    assert {bar.get_hatch() for bar in ax.patches} == {"", "///", "..."}
    assert max(bar.get_y() + bar.get_height() for bar in ax.patches) == 100


@pytest.mark.parametrize(
    ("apart", "rows", "step"), [(1, 4, 1), (60, 4, 60), (1, 900, 10), (3600, 24, 3600), (1, 1, 1)]
)
def test_a_bar_of_operations_is_never_too_thin_to_be_seen(apart, rows, step):
    moments = [at(apart * number) for number in range(rows)]
    ax = plots.plot_operations(pd.DataFrame({"moment": moments, "operation": "INSERT", "changes": 2}))
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.9 * step] * len(ax.patches))
    assert sum(bar.get_height() for bar in ax.patches) == 2 * rows
    assert ax.get_ylabel() == f"changes in {step} s"
    assert len(ax.patches) <= 150


def test_each_picture_is_drawn_on_the_axes_that_it_is_given(snapshots, counts, history, profile):
    frames = {
        plots.plot_snapshots: (snapshots, {}),
        plots.plot_operations: (counts, {}),
        plots.plot_item_history: (history, {}),
        plots.plot_profile: (profile, {}),
        plots.plot_top_values: (profile, {}),
        plots.plot_histograms: (spread((0, 1, 2), (1, 2, 2)), {}),
        plots.plot_file_sizes: (files(1, 2), {}),
        plots.plot_freshness: (lags("total"), {}),
        plots.plot_drift: (drifted("amount"), {}),
        plots.plot_diff: (pd.DataFrame({"id": [1], "change": "added"}), {"rows_before": 3}),
        plots.plot_distribution: (pd.Series([1, 2], name="amount"), {}),
    }
    for draw, (frame, more) in frames.items():
        ax = plt.subplots()[1]
        before = len(plt.get_fignums())
        assert draw(frame, ax=ax, **more) is ax
        assert draw(frame.head(0), ax=ax, **more) is ax
        assert len(plt.get_fignums()) == before


def test_delivery_counts_from_the_first_change_and_states_the_lag(counts, snapshots):
    ax = plots.plot_delivery(counts, snapshots.iloc[:2])
    assert title(ax) == "2 snapshots delivered 400 changes, the last after 4.0 to 5.0 s"
    assert {line.get_ydata()[-1] for line in ax.lines} == {400}


def test_snapshots_are_marked_by_operation_and_labeled_with_rows(snapshots):
    ax = plots.plot_snapshots(snapshots)
    assert title(ax) == "3 commits, from 150 to 390 rows; the largest step +250"
    assert {line.get_marker() for line in ax.lines} >= {"o", "s"}
    assert texts(ax) == ["150", "400", "390"]
    assert [text.get_va() for text in ax.texts] == ["bottom", "bottom", "top"], "below where rows fell"


def test_of_a_hundred_snapshots_eight_are_labeled_the_first_and_the_last_among_them(snapshots):
    many = pd.concat([snapshots.iloc[[0]]] * 100, ignore_index=True)
    many["committed_at"] = [START + timedelta(hours=hour) for hour in range(100)]
    many["total_records"] = range(100)
    ax = plots.plot_snapshots(many)
    assert (len(texts(ax)), texts(ax)[0], texts(ax)[-1]) == (8, "0", "99")
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == "03-05\n12:00"


def test_two_clocks_stand_side_by_side_with_the_difference():
    known = pd.DataFrame({"status": ["APPROVED"] * 5})
    true = pd.DataFrame({"status": ["APPROVED"] * 2 + ["FLAGGED"] * 3 + [None]})
    ax = plots.plot_two_clocks(known, true, by="status", when=at(30))
    assert (
        title(ax)
        == "At 09:00:30 UTC, 5 rows were known, and 6 were true; largest difference: FLAGGED and APPROVED"
    )
    assert texts(ax) == ["0", "3 (+3)", "5", "2 (-3)", "0", "1 (+1)"]
    assert {bar.get_hatch() for bar in ax.patches} == {"///", None}


def test_hourly_sums_rows_of_an_hour_and_names_the_peak():
    rows = {"hour": [9, 9, 10], "transactions": [30, 40, 30], "declined": [10, 0, 10]}
    ax = plots.plot_hourly(pd.DataFrame(rows))
    assert title(ax) == "The busiest hour is 9:00, with 70% of 100 transactions"
    assert texts(ax) == ["33%", "14%"]
    assert [bar.get_hatch() for bar in ax.patches] == ["", "///"]


def test_risk_is_a_rate_and_its_counts_are_written():
    risk = pd.DataFrame(
        {
            "region": ["EU", "EU", "APAC"],
            "merchant_category": ["TRAVEL", "RETAIL", "TRAVEL"],
            "high_risk_count": [90, 2, 4],
            "total_transactions": [200, 200, 200],
        }
    )
    ax = plots.plot_risk_by_region(risk)
    assert title(ax) == (
        "High risk: 16.0% of 600 transactions, more in EU, TRAVEL (45.0%) "
        "and less in APAC, TRAVEL (2.0%); EU, RETAIL (1.0%)"
    )
    assert texts(ax) == ["1.0%: 2 of 200", "2.0%: 4 of 200", "45.0%: 90 of 200"]


def merchants(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["merchant_name", "merchant_category", "amount", "declined"])


def test_merchants_are_ordered_and_the_common_kind_is_the_finding():
    ax = plots.plot_merchants(
        merchants(("Small", "TRAVEL", 5, 0.25), ("Large", "TRAVEL", 90, 0), ("Other", "RETAIL", 7, 0))
    )
    assert title(ax) == "Large sells the most; 2 of the 3 largest sell TRAVEL"
    assert texts(ax) == ["90  TRAVEL, 0% declined", "7  RETAIL, 0% declined", "5  TRAVEL, 25% declined"]
    assert [bar.get_hatch() for bar in ax.patches] == ["", "///", ""]


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
    assert title(ax) == "1 row added, 1 removed, 1 changed: 10 rows before and after"
    assert texts(ax) == ["10", "+1", "-1", "10", "1"]


@pytest.fixture
def history() -> pd.DataFrame:
    rows = [
        (at(0), "1", "INSERT", "status", None, "PENDING_REVIEW"),
        (at(0), "1", "INSERT", "amount", None, "9.99"),
        (at(5), "2", "MODIFY", "status", "PENDING_REVIEW", "FLAGGED"),
        (at(5), "3", "MODIFY", "status", "FLAGGED", "APPROVED"),
        (at(9), "4", "REMOVE", "status", "APPROVED", None),
        (at(9), "4", "REMOVE", "amount", "9.99", None),
    ]
    columns = ["changed_at", "sequence_number", "operation", "attribute", "before", "after"]
    return pd.DataFrame(rows, columns=columns)


def test_item_history_draws_what_updates_changed_and_the_deletion_once(history):
    ax = plots.plot_item_history(history)
    assert title(ax) == "4 versions of one item, the last its deletion; 1 of its attributes changed"
    assert texts(ax) == ["PENDING_REVIEW", "FLAGGED", "APPROVED", "deleted"]
    assert list(ax.lines[0].get_xdata()) == [0, 1, 2]


def test_item_history_without_an_update_says_so(history):
    made = history[history["operation"] == "INSERT"]
    assert title(plots.plot_item_history(made)) == "1 version of one item; none of its attributes changed"


def test_item_history_of_many_versions_leaves_the_values_out(history):
    updates = pd.concat([history.iloc[[2]]] * 100, ignore_index=True)
    updates["sequence_number"] = [f"{number:040}" for number in range(100)]
    ax = plots.plot_item_history(updates)
    assert texts(ax) == []
    assert len(ax.get_xticks()) == 8


@pytest.fixture
def profile() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "column": ["id", "status", "note"],
            "rows": 200,
            "nulls": [0, 0, 50],
            "approx_distinct": [199, 4, 80],
            "top": [[], [("APPROVED", 150), ("DECLINED", 30), ("FLAGGED", 15), ("OPEN", 5)], [("so", 10)]],
        }
    )


def test_profile_tells_key_columns_and_nulls(profile):
    ax = plots.plot_profile(profile)
    assert title(ax) == "1 of 3 columns holds at most 10 values; 1 is nearly unique"
    none = plots.plot_profile(profile.assign(approx_distinct=20))
    assert title(none) == "0 of 3 columns hold at most 10 values; none is nearly unique"
    assert "80 (50 null)" in texts(ax)
    # Nulls are no values that repeat.
    half = profile.assign(nulls=profile["rows"] // 2, approx_distinct=profile["rows"] // 2)
    assert title(plots.plot_profile(half)).endswith("3 are nearly unique")


def test_top_values_are_shares_of_the_whole_with_their_names_where_these_fit(profile):
    ax = plots.plot_top_values(profile)
    assert title(ax) == "No column is nearly always the same; status comes closest"
    assert texts(ax) == ["APPROVED", "DECLINED", "so"]
    widths = [bar.get_width() for bar in ax.patches]
    assert sum(widths[:4]) == pytest.approx(1)
    assert sum(widths[4:]) == pytest.approx(1)
    assert widths[-1] == 0.25


def spread(*bins: tuple[float, float, int], column: str = "amount") -> pd.DataFrame:
    ends = {"min": [bins[0][0]], "max": [bins[-1][1]]}
    return pd.DataFrame({"column": [column], "approx_histogram": [list(bins)], **ends})


def test_histograms_tell_which_column_leans():
    skewed, even = spread((0, 1, 90), (1, 100, 10)), spread((0, 5, 50), (5, 10, 50), column="hour")
    ax = plots.plot_histograms(pd.concat([even, skewed], ignore_index=True))
    assert title(ax) == "amount is the most skewed: half of its rows lie in the lowest hundredth of its range"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["amount", "hour"]
    assert texts(ax) == ["0", "100", "0", "10"]
    left = plots.plot_histograms(spread((0, 99, 10), (99, 100, 90)))
    assert (
        title(left) == "amount is the most skewed: half of its rows lie in the highest hundredth of its range"
    )
    assert title(plots.plot_histograms(even)) == "No column is strongly skewed; hour is the most"


def test_histograms_draw_rows_by_width_and_mark_one_value_of_many_rows():
    ax = plots.plot_histograms(spread((0, 0, 50), (0, 5, 40), (5, 10, 10)))
    *others, single = ax.patches
    assert single.get_facecolor() != others[0].get_facecolor() == others[1].get_facecolor()
    assert [len(line.get_xdata()) for line in ax.lines if line.get_marker() == "o"] == [1]
    assert others[0].get_height() == pytest.approx(4 * others[1].get_height())
    days = [(date(2026, 1, day), date(2026, 1, day + 1), day) for day in (1, 2)]
    frame = spread(*days, column="day").assign(max=date(2026, 1, 2))
    assert texts(plots.plot_histograms(frame)) == ["2026-01-01", "2026-01-02"], "not the end of the last bin"


def test_a_column_that_is_nearly_always_the_same_is_the_finding(profile):
    profile.at[1, "top"] = [("APPROVED", 190)]
    assert title(plots.plot_top_values(profile)) == "status is nearly always the same: 95% APPROVED"


def test_distribution_marks_half_and_the_tail():
    ax = plots.plot_distribution(pd.Series(np.arange(101), name="amount"), unit="USD")
    assert title(ax) == "Half of 101 values of amount are at most 50; one in twenty is above 95"
    assert ax.get_xlabel() == "amount (USD)"


def test_a_distribution_of_shares_keeps_its_digits():
    ax = plots.plot_distribution(pd.Series([0.1, 0.2, 0.6], name="ratio"))
    assert title(ax) == "67% of 3 values of ratio are at most 0.20; the largest is 0.60"


def test_widely_spread_numbers_are_drawn_on_a_log_scale():
    ax = plots.plot_distribution(pd.Series([1, 2, 3, 4, 5, 900], name="amount"))
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "amount, log scale"
    assert sum(bar.get_height() for bar in ax.patches) == 6


def files(*sizes: int) -> pd.DataFrame:
    return pd.DataFrame({"content": "data", "bytes": sizes})


@pytest.mark.parametrize(("size", "words"), [(900, "900 B"), (40 * 1024, "40 KiB"), (3 * 2**20, "3 MiB")])
def test_file_sizes_are_read_in_the_unit_of_a_reader(size, words):
    ax = plots.plot_file_sizes(files(size, size, size))
    assert title(ax) == f"3 of 3 files are smaller than 64 MiB, half are {words} or less"


def test_delete_files_are_told_from_data_files():
    mixed = pd.concat([files(5000), files(700).assign(content="position deletes")])
    ax = plots.plot_file_sizes(mixed)
    assert title(ax).endswith("; 1 holds deletes")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["data", "position deletes"]
    assert [line.get_marker() for line in ax.lines][:2] == ["o", "v"]


def test_pictures_of_files_share_their_scale():
    scales = {
        plots.plot_file_sizes(files(*sizes)).get_ylim() for sizes in ((900,), (2**20, 2**24), (5000, 9000))
    }
    assert len(scales) == 1


def lags(*hops: str) -> pd.DataFrame:
    return pd.DataFrame({"hop": hops, "p50_seconds": 1.0, "p95_seconds": 2.0})


def drifted(*columns: str) -> pd.DataFrame:
    sides = {f"{name}_{side}": None for name in ("p50", "nulls") for side in ("before", "after")}
    frame = pd.DataFrame({"column": columns}).assign(distance=0.5, measured_on="top values", **sides)
    return frame.assign(nulls_before=0.0, nulls_after=0.0, top=[[("a", 0.5, 0.1)]] * len(columns))


def test_an_empty_frame_is_a_sentence_and_no_picture(snapshots, counts, history, profile):
    empty = {
        "The table has no snapshot yet": plots.plot_snapshots(snapshots.head(0)),
        "No change was made": plots.plot_operations(counts.head(0)),
        "No change was made, and none arrived": plots.plot_delivery(counts.head(0), snapshots.head(0)),
        "Nothing added, removed or changed: 1 row as before": plots.plot_diff(
            pd.DataFrame(columns=["id", "change", "column", "before", "after"]), rows_before=1
        ),
        "Nothing was known and nothing was true": plots.plot_two_clocks(
            profile.head(0), profile.head(0), by="column", when=START
        ),
        "No version of this item is known": plots.plot_item_history(history.head(0)),
        "No column to profile": plots.plot_profile(profile.head(0)),
        "No column with frequent values": plots.plot_top_values(profile.head(1)),
        "No column with a range of values": plots.plot_histograms(spread((1, 1, 5))),
        "No value of amount; left out: 1 value, null or not finite": plots.plot_distribution(
            pd.Series([None], name="amount", dtype="Float64")
        ),
        "No column to compare": plots.plot_drift(drifted()),
        "No file: the table is empty": plots.plot_file_sizes(files()),
        "The change log has no change of this time": plots.plot_freshness(lags()),
        "No transaction in any hour": plots.plot_hourly(
            pd.DataFrame(columns=["hour", "transactions", "declined"])
        ),
        "No merchant has any sales": plots.plot_merchants(merchants()),
        "No transaction to rate": plots.plot_risk_by_region(
            pd.DataFrame(columns=["region", "merchant_category", "high_risk_count"])
        ),
    }
    for words, ax in empty.items():
        ax.figure.canvas.draw()
        assert title(ax) == words
        assert not ax.axison


def test_one_row_is_drawn(snapshots, counts, history, profile):
    one = {
        "1 commit, of 150 rows": plots.plot_snapshots(snapshots.head(1)),
        "60 changes: 100% INSERT": plots.plot_operations(counts.head(1)),
        "1 version of one item; 1 of its attributes changed": plots.plot_item_history(history.iloc[[2]]),
        "0 of 1 column hold at most 10 values; 1 is nearly unique": plots.plot_profile(profile.head(1)),
        "Every value of amount is 5": plots.plot_distribution(pd.Series([5], name="amount")),
        "1 of 1 column has shifted, amount the most": plots.plot_drift(drifted("amount")),
        "The only file is 9 B, smaller than 64 MiB": plots.plot_file_sizes(files(9)),
        "Half of the changes take 1.0 s: item → stream": plots.plot_freshness(lags("item → stream")),
    }
    for words, ax in one.items():
        ax.figure.canvas.draw()
        assert title(ax) == words


def test_long_names_leave_room_for_the_picture(profile):
    name = "a_struct_of_many_fields." * 8
    pictures = [
        plots.plot_drift(drifted(name, "b")),
        plots.plot_profile(profile.assign(column=name)),
        plots.plot_top_values(profile.assign(column=name)),
        plots.plot_two_clocks(
            pd.DataFrame({"at": [name]}), pd.DataFrame({"at": [name]}), by="at", when=START
        ),
    ]
    for ax in pictures:
        ax.figure.canvas.draw()
        assert ax.get_position().width > 0.45


def test_resources_removed_and_left():
    before = pd.DataFrame(
        {"kind": ["AWS::S3::Bucket", "AWS::S3::Bucket", "Iceberg table"], "name": list("abc")}
    )
    ax = plots.plot_resources(before, before.iloc[:1])
    assert title(ax) == "2 of 3 resources were removed; 1 remains"
    assert sorted(texts(ax)) == ["1 → 0", "2 → 1"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["Iceberg table", "S3 Bucket"]


def test_nothing_to_remove_is_a_picture_too():
    nothing = pd.DataFrame(columns=["kind", "name"])
    assert title(plots.plot_resources(nothing, nothing)) == "There was nothing to remove"


def test_lines_inside_a_list_are_no_rows_of_the_table(profile):
    lines = profile.head(2).assign(column=["lines", "lines.element.sku"], rows=[100, 900], nulls=0)
    ax = plots.plot_profile(lines.assign(approx_distinct=[100, 40]))
    assert "100 rows" in ax.get_xlabel()
    assert "1 is nearly unique" in ax.get_title(loc="left")
