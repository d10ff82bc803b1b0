"""Which snapshot a moment means, and what is shown of each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadataV2
from pyiceberg.table.snapshots import Operation, Summary

from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.past.snapshots import resolve_snapshot, snapshot_at, snapshots

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIRST, SECOND, THIRD = 2**62 + 1, 2**62 + 3, 2**62 + 5


def table(*ids: int, log: tuple[tuple[int, int], ...] | None = None) -> Table:
    """A table with a snapshot each second from noon on; `log` gives (second, snapshot)."""
    begun = int(NOON.timestamp() * 1000)
    listed = [
        {
            "snapshot-id": snapshot,
            "sequence-number": index + 1,
            "timestamp-ms": begun + index * 1000,
            "manifest-list": "s3://b/l",
            "summary": {
                "operation": "append",
                "added-records": "5",
                "total-records": str(5 * index + 5),
                "added-data-files": "1",
                "added-files-size": "70",
                "total-files-size": str(70 * index + 70),
            },
            "schema-id": 0,
            **({"parent-snapshot-id": ids[index - 1]} if index else {}),
        }
        for index, snapshot in enumerate(ids)
    ]
    times = log if log is not None else tuple(enumerate(ids))
    metadata = {
        "format-version": 2,
        "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
        "location": "s3://b/t",
        "last-sequence-number": len(ids),
        "last-updated-ms": begun,
        "last-column-id": 1,
        "schemas": [{"type": "struct", "schema-id": 0, "fields": []}],
        "current-schema-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0,
        "last-partition-id": 999,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "default-sort-order-id": 0,
        "snapshots": listed,
        "snapshot-log": [{"timestamp-ms": begun + second * 1000, "snapshot-id": s} for second, s in times],
        **({"current-snapshot-id": ids[-1]} if ids else {}),
    }  # fmt: skip
    parsed = TableMetadataV2.model_validate(metadata)
    return Table(("ns", "t"), parsed, "s3://b/t/metadata.json", PyArrowFileIO(), NoopCatalog("none"))


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, FIRST), (0.999, FIRST), (1, SECOND), (1.5, SECOND), (9, THIRD)]
)
def test_the_last_snapshot_at_or_before(seconds: float, expected: int) -> None:
    moment = NOON + timedelta(seconds=seconds)
    elsewhere = moment.astimezone(timezone(timedelta(hours=-7)))
    for when in (moment, elsewhere):
        assert snapshot_at(table(FIRST, SECOND, THIRD), when).snapshot_id == expected


def test_after_a_roll_back_the_log_decides() -> None:
    rolled_back = table(FIRST, SECOND, THIRD, log=((0, FIRST), (1, SECOND), (5, FIRST)))
    assert snapshot_at(rolled_back, NOON + timedelta(seconds=3)).snapshot_id == SECOND
    assert snapshot_at(rolled_back, NOON + timedelta(seconds=6)).snapshot_id == FIRST


def test_without_a_log_the_snapshots_decide() -> None:
    assert snapshot_at(table(FIRST, SECOND, log=()), NOON).snapshot_id == FIRST


def test_an_id_may_come_from_a_frame() -> None:
    shown = snapshots(table(FIRST, SECOND))
    assert resolve_snapshot(table(FIRST, SECOND), shown["snapshot_id"].iloc[1]).snapshot_id == SECOND
    assert resolve_snapshot(table(FIRST, SECOND), np.int64(FIRST)).snapshot_id == FIRST


def test_before_the_first_names_the_first_and_the_last() -> None:
    with pytest.raises(NotFoundError) as caught:
        snapshot_at(table(FIRST, SECOND), NOON - timedelta(seconds=1))
    for words in (str(FIRST), "2026-01-31T12:00:00.000+00:00", str(SECOND), "2026-01-31T12:00:01.000+00:00"):
        assert words in caught.value.message


def test_what_has_expired_is_told_from_what_never_was() -> None:
    kept = table(FIRST, SECOND, THIRD)
    kept.metadata.snapshots.pop(0)
    kept.metadata.snapshot_log.pop(0)
    with pytest.raises(NotFoundError, match=f"id {FIRST}; 1 of its snapshots expired") as caught:
        resolve_snapshot(kept, FIRST)
    assert f"The first is {SECOND}" in caught.value.message
    with pytest.raises(NotFoundError, match="1 of its snapshots expired"):
        snapshot_at(kept, NOON)
    with pytest.raises(NotFoundError) as whole:
        resolve_snapshot(table(FIRST), 17)
    assert "expired" not in whole.value.message


def test_a_table_without_snapshots() -> None:
    with pytest.raises(NotFoundError, match="no snapshot yet"):
        snapshot_at(table(), NOON)
    assert snapshots(table()).empty


@pytest.mark.parametrize("when", [NOON.replace(tzinfo=None), "2026-01-31", None, 1.5])
def test_what_is_no_moment_is_refused(when: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve_snapshot(table(FIRST), when)
    assert "datetime.now(timezone.utc)" in caught.value.hint


@pytest.mark.parametrize(
    ("operation", "left", "told"),
    [
        ("overwrite", {"trino_query_id": "20261127_1"}, "Trino query 20261127_1"),
        ("append", {"firehose.stream": "orders"}, "Firehose stream orders"),
        ("append", {"engine-name": "spark", "app-id": "local-1"}, "spark"),
        ("replace", {}, "compaction"),
        ("append", {}, ""),
    ],
)
def test_who_made_a_snapshot_is_told_by_its_own_word(operation: str, left: dict[str, str], told: str) -> None:
    made = table(FIRST)
    before = made.metadata.snapshots[0].summary
    assert before is not None
    summary = Summary(Operation(operation), **before.additional_properties, **left)
    made.metadata.snapshots[0] = made.metadata.snapshots[0].model_copy(update={"summary": summary})
    assert snapshots(made)["written_by"].tolist() == [told]


def test_ids_and_counts_keep_their_digits() -> None:
    shown = snapshots(table(FIRST, SECOND, THIRD))
    assert shown["snapshot_id"].tolist() == [FIRST, SECOND, THIRD]
    assert shown["parent_id"].tolist()[1:] == [FIRST, SECOND]
    assert shown["parent_id"].isna().tolist() == [True, False, False]
    assert shown["total_records"].tolist() == [5, 10, 15]
    assert shown["added_bytes"].tolist() == [70, 70, 70]
    assert shown["total_bytes"].tolist() == [70, 140, 210]
    assert shown["committed_at"].iloc[0] == NOON
