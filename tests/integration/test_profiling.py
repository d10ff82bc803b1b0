"""Profiles: exact where they say so, and files and partitions without reading a data file."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from dynaberg import profiling


def test_the_columns(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    profile = profiling.profile_columns(pipeline.session, pipeline.settings, table)
    assert profile["column"].tolist() == [field.name for field in table.schema().fields]
    by_name = profile.set_index("column")
    assert (by_name["rows"] == 39).all()
    assert by_name["nulls"].to_dict() == {**dict.fromkeys(by_name.index, 0), "place": 1}
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


def test_the_columns_of_a_snapshot(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    for snapshot in (story.first, story.between):
        profile = profiling.profile_columns(pipeline.session, pipeline.settings, table, snapshot=snapshot)
        assert set(profile["rows"]) == {40}
        assert profile.set_index("column").loc["status", "top"] == [("open", 40)]


def test_files_and_partitions_come_from_metadata_alone(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    original = PyArrowFileIO.new_input
    monkeypatch.setattr(
        PyArrowFileIO,
        "new_input",
        lambda self, location: (opened.append(location), original(self, location))[1],
    )
    log, table = story.pipeline.load("transactions_changes"), story.pipeline.load("transactions")
    files, partitions = profiling.profile_files(log), profiling.profile_partitions(log)
    assert files["records"].sum() == story.pipeline.log_records()
    assert (files["bytes"] > 0).all()
    assert partitions[["files", "records", "bytes"]].sum().tolist() == [
        len(files),
        files["records"].sum(),
        files["bytes"].sum(),
    ]
    assert partitions["partition"].str.fullmatch(r"received_at_day=\d{4}-\d\d-\d\d").all()
    current = profiling.profile_files(table)
    assert set(current["content"]) == {"data", "position deletes"}
    assert profiling.profile_partitions(table)["delete_files"].tolist() == [
        (current["content"] != "data").sum()
    ]
    assert opened
    assert not [location for location in opened if location.endswith(".parquet")]
