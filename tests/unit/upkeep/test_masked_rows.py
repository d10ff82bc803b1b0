"""Data files with values to mask are replaced, each in its partition, whatever else is committed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from dynaberg.contracts import Column, Contract
from dynaberg.errors import NotReadyError
from dynaberg.functions.masks import MaskKey
from dynaberg.functions.schedule.lake import keeps_latest
from dynaberg.layers import unmerged_changes
from dynaberg.masks import Masking
from dynaberg.upkeep import masked_rows

KEY = MaskKey("k" * 64)
CONTRACT = Contract(
    "things", "Things", "id", None, (Column("id", "string"), Column("card", "string", mask="hash"))
)
DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)
HASHED = KEY.hash({"S": "4111"})["S"]


def rows(table: Table, *ids: str, day: int = 0, card: str = "4111") -> pa.Table:
    """Rows of the log, received on one day."""
    at = DAY + timedelta(days=day)
    made = [
        {
            "change_id": each,
            "operation": "INSERT",
            "changed_at": at,
            "received_at": at,
            "id": each,
            "card": card,
        }
        for each in ids
    ]
    return pa.Table.from_pylist(made, schema=table.schema().as_arrow())


def append(table: Table, found: pa.Table) -> None:
    """A commit of another writer, of one data file in its partition."""
    days = (found["received_at"][0].as_py() - datetime(1970, 1, 1, tzinfo=UTC)).days
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as snapshot:
        snapshot.append_data_file(masked_rows.write_rows(table, found, table.spec().spec_id, Record(days)))


@pytest.fixture
def log(tmp_path: Path) -> Table:
    catalog = load_catalog("unit", type="in-memory", warehouse=str(tmp_path))
    catalog.create_namespace("n")
    table = catalog.create_table(
        "n.things_changes", CONTRACT.log_schema(), partition_spec=CONTRACT.log_partition_spec()
    )
    for day in range(3):
        append(table, rows(table, f"a{day}", f"b{day}", day=day))
    append(table, rows(table, "masked", card=HASHED))
    return table


def work(table: Table, *, writes: bool = True) -> masked_rows._Work:
    found = masked_rows._Work(table, Masking(CONTRACT, [KEY]), Mock() if writes else None)
    found.run()
    return found


def cards(table: Table) -> dict[str, Any]:
    table.refresh()
    found = table.scan().to_arrow()
    assert found.num_rows == len(set(found["id"].to_pylist())), "no row twice"
    return dict(zip(found["id"].to_pylist(), found["card"].to_pylist(), strict=True))


def test_files_with_something_to_mask_are_replaced_in_their_partitions(log: Table) -> None:
    before = {tuple(t.file.partition): t.file.record_count for t in log.scan().plan_files()}
    preview = work(log, writes=False)
    assert (preview.rows, preview.files, preview.masking.masked["card"]) == (6, 3, 6)
    assert set(cards(log).values()) == {"4111", HASHED}
    done = work(log)
    assert (done.rows, done.files, done.masking.masked["card"]) == (6, 3, 6)
    assert cards(log) == dict.fromkeys(["a0", "b0", "a1", "b1", "a2", "b2", "masked"], HASHED)
    assert {tuple(t.file.partition) for t in log.scan().plan_files()} == set(before)
    pruned = log.scan(row_filter=f"received_at < '{DAY + timedelta(hours=1):%Y-%m-%dT%H:%M:%S+00:00}'")
    assert sorted(pruned.to_arrow()["id"].to_pylist()) == ["a0", "b0", "masked"]
    assert work(log).files == 0


def test_what_is_appended_meanwhile_stays(log: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    other = log.catalog.load_table("n.things_changes")
    read, came = masked_rows._Work._read, iter(["x", "y"])

    def read_and_append(self: Any, task: Any) -> pa.Table:
        for each in came:
            append(other, rows(other, each, card=HASHED))
            break
        return read(self, task)

    monkeypatch.setattr(masked_rows._Work, "_read", read_and_append)
    monkeypatch.setattr(masked_rows, "_PAUSE_SECONDS", 0)
    assert work(log).masking.masked["card"] == 6
    assert cards(log) == dict.fromkeys(["a0", "b0", "a1", "b1", "a2", "b2", "masked", "x", "y"], HASHED)


def test_a_file_that_another_commit_replaced_is_read_again(
    log: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = log.catalog.load_table("n.things_changes")
    read, times = masked_rows._Work._read, iter([1])

    def read_then_delete(self: Any, task: Any) -> pa.Table:
        found = read(self, task)
        for _ in times:
            old = next(t.file for t in other.scan().plan_files() if t.file.file_path == task.file.file_path)
            with other.transaction() as tx, tx.update_snapshot().overwrite() as snapshot:
                snapshot.delete_data_file(old)
        return found

    monkeypatch.setattr(masked_rows._Work, "_read", read_then_delete)
    monkeypatch.setattr(masked_rows, "_PAUSE_SECONDS", 0)
    done = work(log)
    found = cards(log)
    assert set(found.values()) == {HASHED}
    assert done.masking.masked["card"] == len(found) - ("masked" in found), "counted once, what was written"


def test_when_others_are_always_faster_it_says_so(log: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masked_rows._Work, "_replace", lambda *_: None)
    with pytest.raises(NotReadyError, match="came in between 8 times"):
        work(log)


def test_a_refresh_goes_on_as_if_nothing_had_been_added(log: Table) -> None:
    merged = log.current_snapshot()
    assert merged is not None
    append(log, rows(log, "late", day=1))
    work(log)
    log.refresh()
    unmerged = unmerged_changes(log, str(merged.snapshot_id), str(merged.sequence_number))
    assert (unmerged.action, unmerged.since) == ("incremental", DAY + timedelta(days=1))
    now = log.current_snapshot()
    assert now is not None
    append(log, rows(log, "later", card=HASHED))
    work(log)
    assert unmerged_changes(log, str(now.snapshot_id)).action == "incremental"


def test_the_schedule_takes_it_for_a_compaction_too(log: Table) -> None:
    appended = log.current_snapshot()
    work(log)
    masked = log.current_snapshot()
    assert appended is not None
    assert masked is not None
    kept = [keeps_latest(json.loads(each.model_dump_json())) for each in (appended, masked)]
    assert kept == [False, True]
