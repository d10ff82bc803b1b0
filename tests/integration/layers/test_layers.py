"""Refresh is exact under duplicates, reordering and repetition."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from dynaberg import deploy, layers
from dynaberg.contracts import Column
from dynaberg.errors import ContractError
from dynaberg.upkeep import maintenance

SECOND = 1_000_000
NOON = 1_769_860_800 * SECOND  # 2026-01-31 12:00 UTC in microseconds


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[[str], Any]) -> Any:
    return make_pipeline("layers")


def change(number: int, operation: str, key: str, **values: Any) -> dict[str, Any]:
    """A change row; its number is its place in the order of changes."""
    return {
        "change_id": f"{key}-{number}",
        "operation": operation,
        "changed_at": NOON + number * SECOND,
        "sequence_number": f"{number:040d}",
        "received_at": NOON + number * SECOND,
        "id": key,
        "at": 1,
        **values,
    }


def current(pipeline: Any) -> dict[str, tuple[Any, ...]]:
    rows = pipeline.load("transactions").scan().to_arrow().to_pylist()
    return {row["id"]: (row["status"], row["amount"]) for row in rows}


def test_tables_are_made_once_and_gain_the_columns_of_the_contract(pipeline: Any) -> None:
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    again = layers.create_tables(session, settings, contract)
    assert again["table"].tolist() == ["transactions_changes", "transactions"]
    assert again["status"].tolist() == ["unchanged", "unchanged"]
    wider = replace(contract, columns=(*contract.columns, Column("channel", "string")))
    evolved = layers.create_tables(session, settings, wider)
    assert evolved["status"].tolist() == ["evolved", "evolved"]
    assert evolved["columns_added"].tolist() == [["channel"], ["channel"]]
    assert layers.create_tables(session, settings, contract)["status"].tolist() == ["unchanged"] * 2
    assert "channel" in pipeline.load("transactions").schema().column_names


def test_snapshots_of_the_change_log_are_kept_for_a_day(pipeline: Any) -> None:
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    for name, hours in ((contract.log_name, 24), (contract.table, 120)):
        found = maintenance(session, settings, pipeline.load(name)).set_index("setting")["value"]
        assert (found["max_age_hours"], found["min_snapshots"]) == (hours, 1)


def test_a_type_that_cannot_be_widened_is_refused(pipeline: Any) -> None:
    contract = pipeline.contract
    columns = tuple(Column("status", "boolean") if c.name == "status" else c for c in contract.columns)
    with pytest.raises(ContractError) as caught:
        layers.create_tables(pipeline.session, pipeline.settings, replace(contract, columns=columns))
    assert "status" in caught.value.message
    assert caught.value.hint


def test_refresh_is_exact(pipeline: Any) -> None:
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    assert layers.refresh(session, settings, contract)["action"].tolist() == ["none"]

    first = [
        change(3, "MODIFY", "a", status="third", amount="3.00"),
        change(1, "INSERT", "a", status="first", amount="1.00"),
        change(2, "MODIFY", "a", status="second", amount="2.00"),
        change(1, "INSERT", "b", status="first", amount="0.10"),
        change(2, "REMOVE", "b"),
        change(2, "INSERT", "c", status="kept", amount="99999999.99"),
    ]
    pipeline.send([*first, *first])
    report = layers.refresh(session, settings, contract).iloc[0]
    assert (report["action"], report["rows_written"], report["rows_deleted"]) == ("full", 2, 0)
    assert current(pipeline) == {"a": ("third", Decimal("3.00")), "c": ("kept", Decimal("99999999.99"))}

    repeated = layers.refresh(session, settings, contract).iloc[0]
    assert (repeated["action"], repeated["snapshot_id"]) == ("none", report["snapshot_id"])

    # A late change of the past, a removal, a return, an update; and the first batch once more.
    pipeline.send([change(1, "MODIFY", "c", status="late"), change(9, "REMOVE", "a"), *first])
    pipeline.send([change(10, "INSERT", "b", status="back"), change(11, "MODIFY", "c", status="last")])
    report = layers.refresh(session, settings, contract).iloc[0]
    assert report["action"] == "incremental"
    assert report["since"].isoformat() == "2026-01-31T12:00:01+00:00"
    assert (report["rows_written"], report["rows_deleted"]) == (2, 2)
    assert current(pipeline) == {"b": ("back", None), "c": ("last", None)}


def test_a_crash_before_the_merged_snapshot_is_stored_changes_nothing(pipeline: Any) -> None:
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    layers.refresh(session, settings, contract)
    before = pipeline.load("transactions")
    with before.transaction() as transaction:
        transaction.remove_properties(layers.MERGED_SNAPSHOT)
    report = layers.refresh(session, settings, contract).iloc[0]
    assert report["action"] == "full"
    assert (report["rows_written"], report["rows_deleted"]) == (0, 0)
    assert report["snapshot_id"] == before.current_snapshot().snapshot_id


def test_what_changed_is_merged_from_the_first_new_change_on(pipeline: Any) -> None:
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    layers.refresh(session, settings, contract)
    pipeline.send([change(60, "INSERT", "d", status="new")])
    report = layers.refresh(session, settings, contract).iloc[0]
    assert (report["action"], report["rows_written"], report["rows_deleted"]) == ("incremental", 1, 0)
    assert report["since"].isoformat() == "2026-01-31T12:01:00+00:00"


def test_the_doctor_warns_of_metadata_that_grows(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> Any:
        report = deploy.doctor(pipeline.session, pipeline.settings)
        return report.set_index("check").loc["metadata of the tables"]

    assert (check()["ok"], check()["fix"]) == (True, "")
    monkeypatch.setattr(importlib.import_module("dynaberg.deploy.doctor"), "MOST_METADATA_BYTES", 1_000)
    assert not check()["ok"]
    assert "max_age_hours=24" in check()["fix"]
