"""The schedule plans from metadata what a notebook plans with pyiceberg, whatever happened to the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.integration.layers.test_refresh_reach import append, changes

from dynaberg import catalog
from dynaberg.functions.schedule import unmerged as planning
from dynaberg.functions.schedule.lake import GoneError, Lake, current_snapshot
from dynaberg.layers import log_progress, reach
from dynaberg.sql import query
from local_aws.s3tables.maintenance.compaction import compact

pytestmark = pytest.mark.thorough

LAST = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    return make_pipeline("planned", is_delivered=False)


@pytest.fixture(scope="module")
def lake(pipeline: Any) -> Lake:
    arn = catalog.table_bucket_arn(pipeline.session, pipeline.settings)
    return Lake(arn, pipeline.settings.namespace, pipeline.session)


def histories(pipeline: Any) -> Iterator[str]:
    """Change the log, and say how."""
    log = pipeline.contract.log_name
    for number in range(4):
        append(pipeline.load(log), changes(LAST - timedelta(days=number), range(50)))
        yield f"append {number}"
    compact(pipeline.load(log), target_bytes=2**26)
    yield "compaction"
    append(pipeline.load(log), changes(LAST - timedelta(days=9), range(20), timedelta(days=9)))
    yield "late changes"
    query(pipeline.session, pipeline.settings, f"DELETE FROM {log} WHERE id = 'item-1'")
    yield "removed rows"
    append(pipeline.load(log), changes(LAST, range(100, 120)))
    yield "append"


def by_notebook(log: Any, merged: str | None, number: str | None) -> tuple[Any, ...]:
    found = log_progress.unmerged_changes(log, merged, number)
    reaches = [] if found.action == "none" else reach.plan_merges(log, found)
    return found.snapshot_id, found.sequence_number, found.action, reaches


def by_schedule(lake: Lake, name: str, merged: str | None, number: str | None) -> tuple[Any, ...]:
    found = planning.find_unmerged(lake, lake.load(name), merged, number)
    return found.snapshot_id, found.sequence_number, found.action, list(found.reaches)


@pytest.mark.parametrize("most_bytes", [reach.STEP_BYTES, 1])
def test_both_plan_the_same(
    pipeline: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch, most_bytes: int
) -> None:
    monkeypatch.setattr(reach, "STEP_BYTES", most_bytes)
    monkeypatch.setattr(planning, "STEP_BYTES", most_bytes)
    log = pipeline.contract.log_name
    known: list[tuple[str | None, str | None]] = [(None, None)]
    actions = set()
    for what in histories(pipeline):
        snapshot = pipeline.load(log).current_snapshot()
        known.append((str(snapshot.snapshot_id), str(snapshot.sequence_number)))
        # A snapshot that has expired is known by its sequence number alone.
        gone = [("1", number) for _, number in known]
        for merged, number in [*known, *gone]:
            expected = by_notebook(pipeline.load(log), merged, number)
            assert by_schedule(lake, log, merged, number) == expected, (what, merged, number)
            actions.add(expected[2])
    assert actions == {"none", "incremental", "full"}


def test_an_empty_log_has_nothing_to_merge(pipeline: Any, lake: Lake) -> None:
    query(
        pipeline.session,
        pipeline.settings,
        "CREATE TABLE nothing (id int) TBLPROPERTIES ('table_type' = 'ICEBERG')",
    )
    assert current_snapshot(lake.load("nothing")) is None
    assert by_schedule(lake, "nothing", None, None) == (None, 0, "none", [])


def test_properties_are_those_that_pyiceberg_sees(pipeline: Any, lake: Lake) -> None:
    name = pipeline.contract.table
    lake.set_properties(name, {"dynaberg.a": 'x "y" ü', "dynaberg.b": "2"})
    lake.set_properties(name, {"dynaberg.b": "3"}, ["dynaberg.a"])
    found = pipeline.load(name).properties
    assert (found.get("dynaberg.a"), found["dynaberg.b"]) == (None, "3")
    assert name in lake.names()


def test_what_is_not_there_is_said(lake: Lake) -> None:
    assert lake.find("nowhere") is None
    with pytest.raises(GoneError, match="nowhere"):
        lake.load("nowhere")
    lake.drop("nowhere")
