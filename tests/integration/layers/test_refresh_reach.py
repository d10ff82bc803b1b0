"""What a refresh reads follows the changes and how late they came, not how long the change log is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow

from dynaberg import layers
from dynaberg.contracts import Contract
from dynaberg.functions.statements.merges import MERGED_SNAPSHOT
from dynaberg.layers import log_progress, reach
from dynaberg.layers.refresh import merge_statement
from dynaberg.sql import commit
from local_aws.firehose.append.appender import TableAppender
from local_aws.firehose.append.data_files import DataFiles
from local_aws.s3tables.maintenance.compaction import compact

pytestmark = pytest.mark.thorough

LAST = datetime(2026, 1, 31, tzinfo=UTC)
ITEMS = 500
A_DAY = 600
CHANGES = 200
MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    return make_pipeline("reach", is_delivered=False)


def changes(day: datetime, numbers: Iterable[int], late: timedelta = timedelta(0)) -> list[dict[str, Any]]:
    """Changes of some items, all within an hour and a half of a day."""
    return [
        {
            "change_id": f"{day:%Y%m%d}-{number}-{late}",
            "operation": "MODIFY",
            "changed_at": (moment := day + timedelta(hours=12, seconds=2 * number)),
            "sequence_number": f"{int(moment.timestamp()):040d}",
            "received_at": moment + late,
            "id": f"item-{number % ITEMS}",
            "at": 1,
            "status": f"{number} of {day:%d %B %Y}" + "-" * 40,
        }
        for number in numbers
    ]


def append(log: Any, rows: list[dict[str, Any]]) -> None:
    schema = schema_to_pyarrow(log.schema(), include_field_ids=False)
    appender = TableAppender(log, log.io.fs_by_scheme("s3", log.location().split("/")[2]))
    files = DataFiles(appender.table)
    files.add(pa.Table.from_pylist(rows, schema=schema).combine_chunks().to_batches()[0])
    appender.append(files.finish(), {})


def table_of(pipeline: Any, name: str) -> Contract:
    contract = replace(pipeline.contract, table=name)
    layers.create_tables(pipeline.session, pipeline.settings, contract)
    return contract


def refresh(pipeline: Any, contract: Contract) -> Any:
    return layers.refresh(pipeline.session, pipeline.settings, contract).iloc[0]


def statuses(pipeline: Any, contract: Contract) -> dict[str, str]:
    rows = pipeline.load(contract.table).scan(selected_fields=("id", "status")).to_arrow().to_pylist()
    return {row["id"]: row["status"] for row in rows}


def with_history(pipeline: Any, name: str, days: int) -> Contract:
    contract = table_of(pipeline, name)
    before = [LAST - timedelta(days=number) for number in range(1, days + 1)]
    append(pipeline.load(contract.log_name), [row for day in before for row in changes(day, range(A_DAY))])
    assert refresh(pipeline, contract)["action"] == "full"
    return contract


def test_ten_times_the_history_is_read_no_more(pipeline: Any) -> None:
    scanned = {}
    for days in (3, 30):
        contract = with_history(pipeline, f"of_{days}_days", days)
        append(pipeline.load(contract.log_name), changes(LAST, range(CHANGES)))
        report = refresh(pipeline, contract)
        assert (report["action"], report["rows_written"]) == ("incremental", CHANGES)
        scanned[days] = report["bytes_scanned"]
    assert scanned[30] == pytest.approx(scanned[3], rel=0.2)


def test_a_late_change_is_read_with_all_that_came_after_it(pipeline: Any) -> None:
    contract = with_history(pipeline, "with_late_ones", 8)
    log = pipeline.load(contract.log_name)
    early = LAST - timedelta(days=6)
    newer = statuses(pipeline, contract)
    # Items 300 to 499 have newer changes; the deleted one has a newer deletion.
    removal = changes(LAST - timedelta(days=2), [4_000])[0] | {"operation": "REMOVE", "id": "gone"}
    append(log, [removal])
    refresh(pipeline, contract)
    late = changes(early, range(300, ITEMS), timedelta(days=6))
    append(log, [*late, late[0] | {"id": "gone"}, late[0] | {"id": "new"}])
    compact(pipeline.load(contract.log_name), target_bytes=64 * MEBIBYTE)
    report = refresh(pipeline, contract)
    assert (report["action"], report["rows_written"], report["rows_deleted"]) == ("incremental", 1, 0)
    assert statuses(pipeline, contract) == newer | {"new": late[0]["status"]}


def test_a_refresh_that_comes_late_brings_nothing_back(pipeline: Any) -> None:
    contract = with_history(pipeline, "with_two_at_once", 2)
    merged = pipeline.load(contract.table).properties[MERGED_SNAPSHOT]
    append(pipeline.load(contract.log_name), changes(LAST, range(50)))
    log = pipeline.load(contract.log_name)
    (planned,) = reach.plan_merges(log, log_progress.unmerged_changes(log, merged))
    # Meanwhile the items change again, one is removed, and another refresh takes all of that in.
    newer = changes(LAST + timedelta(hours=1), range(40))
    append(log, [*newer, newer[-1] | {"id": "item-45", "operation": "REMOVE"}])
    refresh(pipeline, contract)
    found = statuses(pipeline, contract)
    assert (found["item-3"], "item-45" in found) == (newer[3]["status"], False)
    commit(pipeline.session, pipeline.settings, merge_statement(contract, planned))
    assert statuses(pipeline, contract) == found


def test_a_long_log_is_merged_in_steps(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = statuses(pipeline, with_history(pipeline, "in_one", 5))
    monkeypatch.setattr(reach, "STEP_BYTES", 1)
    contract = table_of(pipeline, "in_steps")
    days = [LAST - timedelta(days=number) for number in range(1, 6)]
    append(pipeline.load(contract.log_name), [row for day in days for row in changes(day, range(A_DAY))])
    assert refresh(pipeline, contract)["action"] == "full"
    assert statuses(pipeline, contract) == whole
    commits = [s for s in pipeline.load(contract.table).snapshots() if s.summary]
    assert len(commits) >= len(days)
