"""Profiles: exact where they say so, and files and partitions without reading a data file."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from dynaberg import catalog, plots
from dynaberg.errors import NotFoundError
from dynaberg.profile import columns, profile_columns, profile_files, profile_partitions
from dynaberg.profile.drift import drift
from dynaberg.upkeep import compaction_saving


def test_the_columns(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    profile = profile_columns(pipeline.session, pipeline.settings, table)
    whole = profile[~profile["column"].str.contains(".", regex=False)]
    assert whole["column"].tolist() == [field.name for field in table.schema().fields]
    by_name = whole.set_index("column")
    assert (by_name["rows"] == 39).all()
    assert by_name["nulls"].to_dict() == {**dict.fromkeys(by_name.index, 0), "place": 1, "unmapped": 38}
    amount = by_name.loc["amount"]
    assert (amount["min"], amount["max"]) == (Decimal("0.10"), Decimal("100.00"))
    assert isinstance(amount["mean"], Decimal)
    assert (
        amount["min"] < amount["approx_p25"] <= amount["approx_p50"] <= amount["approx_p75"] < amount["max"]
    )
    assert by_name.loc["status", "approx_distinct"] == 2
    assert by_name.loc["status", "top"] == [("open", 38), ("closed", 1)]
    assert by_name.loc["active", "top"] == [("true", 20), ("false", 19)]
    assert by_name.loc["id", "top"] == [], "keys have no frequent values"
    assert by_name.loc["tags", "min"] is None


def test_in_a_large_table_the_values_of_columns_with_many_are_not_counted(
    story: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    small = profile_columns(pipeline.session, pipeline.settings, table).set_index("column")
    monkeypatch.setattr(columns, "_MANY_ROWS", 0)
    monkeypatch.setattr(columns, "_MANY_VALUES", 1)
    large = profile_columns(pipeline.session, pipeline.settings, table).set_index("column")
    assert large.loc["day", "top"] == small.loc["day", "top"] == [("2026-01-31", 39)]
    assert [large.loc[name, "top"] for name in ("status", "tags.element", "prices.key")] == [[], [], []]
    exact = ["type", "rows", "nulls", "min", "max"]
    assert large[exact].astype(str).equals(small[exact].astype(str))


def test_the_histograms(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    profile = profile_columns(pipeline.session, pipeline.settings, table).set_index("column")
    rows = table.scan().to_arrow().to_pylist()
    for column in ("amount", "at", "ratio", "day", "seen", "place.zip"):
        bins, line = profile.loc[column, "approx_histogram"], profile.loc[column]
        assert sum(count for *_, count in bins) == line["rows"] - line["nulls"]
        assert bins[0][0] == line["min"]
        assert bins[-1][1] >= line["max"]
    assert profile.loc["day", "approx_histogram"] == [(date(2026, 1, 31), date(2026, 2, 1), 39)]
    for low, high, count in profile.loc["amount", "approx_histogram"]:
        assert isinstance(low, Decimal)
        inside = sum(low < row["amount"] < high for row in rows)
        assert abs(inside - count) <= 3, "A twentieth of 39 rows, and what lies on the bounds."
    assert profile.loc["status", "approx_histogram"] == profile.loc["tags", "approx_histogram"] == []
    assert sum(count for *_, count in profile.loc["prices.value", "approx_histogram"]) == 77


def test_nested_columns_by_path(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    profile = profile_columns(pipeline.session, pipeline.settings, table)
    nested = profile[profile["column"].str.contains(".", regex=False)].set_index("column")
    rows = table.scan().to_arrow().to_pylist()
    tags = [tag for row in rows for tag in row["tags"]]
    prices = [pair for row in rows for pair in row["prices"]]
    assert list(nested.index) == [
        "tags.length", "tags.element", "prices.length", "prices.key", "prices.value",
        "place.city", "place.zip",
    ]  # fmt: skip
    assert nested["rows"].tolist() == [39, len(tags), 39, len(prices), len(prices), 39, 39]
    assert nested["nulls"].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert nested.loc["tags.element", "top"] == [("x", 39), ("y", 39)]
    assert nested.loc["prices.key", "top"] == [("a", 39), ("b", 38)]
    assert nested.loc["place.city", "top"] == [("Bern", 38)]
    assert nested.loc["prices.length", ["min", "max"]].tolist() == [1, 2]
    assert nested.loc["prices.value", ["min", "max"]].tolist() == [Decimal("0.10"), Decimal("3.00")]
    assert nested.loc["prices.key", "approx_distinct"] == 2


def test_the_columns_of_a_snapshot(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    for snapshot in (story.first, story.between):
        profile = profile_columns(pipeline.session, pipeline.settings, table, snapshot=snapshot)
        assert set(profile.loc[~profile["column"].str.contains("element|key|value"), "rows"]) == {40}
        assert profile.set_index("column").loc["status", "top"] == [("open", 40)]


def test_a_table_without_rows(story: Any) -> None:
    pipeline = story.pipeline
    name = (pipeline.settings.namespace, "nothing_yet")
    opened = catalog.open_catalog(pipeline.session, pipeline.settings)
    table = opened.create_table(name, pipeline.contract.current_schema())
    try:
        profile = profile_columns(pipeline.session, pipeline.settings, table)
        assert (profile["rows"] == 0).all()
        assert (profile["nulls"] == 0).all()
        assert profile["mean"].isna().all()
        assert not any(profile["approx_histogram"])
        with pytest.raises(NotFoundError, match="'nothing_yet' has no snapshot yet"):
            profile_columns(pipeline.session, pipeline.settings, table, snapshot=story.between)
        assert profile_files(table).empty
        assert profile_partitions(table).empty
        assert compaction_saving(profile_files(table)).empty
        assert drift(profile, profile)["distance"].max() == 0
    finally:
        opened.purge_table(name)


def test_the_drift_between_two_snapshots(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    arguments = pipeline.session, pipeline.settings, table
    before, after = (profile_columns(*arguments, snapshot=s) for s in (story.first, story.second))
    found = drift(before, after)
    assert set(found["column"]) == set(before["column"])
    assert found["distance"].is_monotonic_decreasing
    by_name = found.set_index("column")
    assert by_name.loc["status", "top"] == [("open", 1.0, 38 / 39), ("closed", 0.0, 1 / 39)]
    assert by_name.loc["status", "distance"] > 0.1
    assert by_name.loc["day", "distance"] == 0
    assert by_name.loc["place.city", "nulls_after"] == 1 / 39
    assert (
        by_name.loc["amount", "mean_change"]
        == after.set_index("column").loc["amount", "mean"]
        - (before.set_index("column").loc["amount", "mean"])
    )
    assert "columns" in plots.plot_drift(found).get_title(loc="left") + plots.plot_drift(found).get_title()
    assert (drift(after, after)["distance"] == 0).all()


def test_files_and_partitions_come_from_metadata_alone(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = PyArrowFileIO.new_input
    monkeypatch.setattr(
        PyArrowFileIO,
        "new_input",
        lambda self, location: (opened.append(location), original(self, location))[1],
    )
    log, table = story.pipeline.load("transactions_changes"), story.pipeline.load("transactions")
    files, partitions = profile_files(log), profile_partitions(log)
    saving = compaction_saving(files)
    assert saving[["files", "files_after"]].sum().tolist() == [len(files), len(partitions)]
    assert files["records"].sum() == story.pipeline.log_records()
    assert (files["bytes"] > 0).all()
    assert partitions[["files", "records", "bytes"]].sum().tolist() == [
        len(files),
        files["records"].sum(),
        files["bytes"].sum(),
    ]
    assert partitions["partition"].str.fullmatch(r"received_at_day=\d{4}-\d\d-\d\d").all()
    current = profile_files(table)
    assert set(current["content"]) == {"data", "position deletes"}
    assert profile_partitions(table)["delete_files"].tolist() == [(current["content"] != "data").sum()]
    assert opened
    assert not [location for location in opened if location.endswith(".parquet")]
