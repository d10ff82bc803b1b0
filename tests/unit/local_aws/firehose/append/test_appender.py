from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import PyArrowLocalFileSystem
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from local_aws.firehose.append import appender as iceberg_append
from local_aws.firehose.append.appender import FLUSH_PROPERTY, TableAppender
from local_aws.firehose.append.data_files import DataFiles, NewDataFile
from local_aws.firehose.append.sink import append_once

SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "kind", StringType()))
BY_KIND = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "kind"))


@pytest.fixture
def make(memory_catalog: Any) -> Callable[..., tuple[Any, TableAppender]]:
    def make(spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC) -> tuple[Any, TableAppender]:
        table = memory_catalog.create(SCHEMA, spec)
        return memory_catalog, TableAppender(table, PyArrowLocalFileSystem())

    return make


def files(appender: TableAppender, *numbers: int) -> list[NewDataFile]:
    kinds = pa.array([f"kind-{number % 3}" for number in numbers], pa.large_string())
    made = DataFiles(appender.table)
    made.add(pa.record_batch({"id": pa.array(numbers, pa.int64()), "kind": kinds}))
    return made.finish()


def scan(catalog: Any) -> list[int]:
    return sorted(catalog.load_table().scan().to_arrow()["id"].to_pylist())


def test_an_append_is_one_snapshot_that_pyiceberg_reads(make: Any) -> None:
    catalog, appender = make(BY_KIND)
    appender.append(files(appender, 1, 2, 3, 4), {"who": "me"})
    appender.append(files(appender, 5, 6), {})
    assert scan(catalog) == [1, 2, 3, 4, 5, 6]
    first, second = catalog.load_table().snapshots()
    assert second.parent_snapshot_id == first.snapshot_id
    assert first.summary is not None
    assert second.summary is not None
    assert (
        first.summary["who"],
        first.summary["added-records"],
        first.summary["changed-partition-count"],
    ) == (
        "me",
        "4",
        "3",
    )
    assert (second.summary["total-records"], second.summary["total-data-files"]) == ("6", "5")
    assert catalog.load_table().scan(row_filter="kind = 'kind-1'").to_arrow().num_rows == 2


def test_pyiceberg_appends_to_what_was_appended_and_the_other_way_round(make: Any) -> None:
    catalog, appender = make()
    appender.append(files(appender, 1), {})
    catalog.load_table().append(pa.table({"id": [2], "kind": ["kind-2"]}))
    with pytest.raises(CommitFailedException):
        appender.append(files(appender, 3), {})
    again = TableAppender(catalog.load_table(), PyArrowLocalFileSystem())
    again.append(files(again, 4), {})
    assert scan(catalog) == [1, 2, 4]


def test_nothing_is_appended_to_a_table_that_has_changed_its_schema(make: Any) -> None:
    catalog, appender = make()
    made = files(appender, 1)
    with catalog.load_table().update_schema() as update:
        update.add_column("more", LongType())
    with pytest.raises(CommitFailedException):
        appender.append(made, {})
    assert scan(catalog) == []


def test_many_small_manifests_are_merged(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iceberg_append, "MERGE_COUNT", 4)
    catalog, appender = make(BY_KIND)
    for number in range(30):
        appender.append(files(appender, number), {})
    table = catalog.load_table()
    assert scan(catalog) == list(range(30))
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) < 14
    assert table.inspect.files().num_rows == 30
    sequence_numbers = {
        entry.sequence_number
        for manifest in snapshot.manifests(table.io)
        for entry in manifest.fetch_manifest_entry(table.io)
    }
    assert sequence_numbers == set(range(1, 31))
    assert table.scan(row_filter="kind = 'kind-1'").to_arrow().num_rows == 10
    early = table.snapshots()[2]
    assert table.scan(snapshot_id=early.snapshot_id).to_arrow().num_rows == 3


def test_a_flush_lands_once(make: Any) -> None:
    catalog, appender = make()
    assert append_once(appender, files(appender, 1), {FLUSH_PROPERTY: "a"})
    assert not append_once(appender, files(appender, 1), {FLUSH_PROPERTY: "a"})
    again = TableAppender(catalog.load_table(), PyArrowLocalFileSystem())
    assert not append_once(again, files(again, 1), {FLUSH_PROPERTY: "a"})
    assert append_once(again, files(again, 2), {FLUSH_PROPERTY: "b"})
    assert scan(catalog) == [1, 2]


def test_a_part_of_a_flush_that_the_table_holds_is_not_appended_again(make: Any) -> None:
    catalog, appender = make()
    assert append_once(appender, files(appender, 1, 2), {FLUSH_PROPERTY: "whole"})
    again = TableAppender(catalog.load_table(), PyArrowLocalFileSystem())
    assert not append_once(again, files(again, 1), {FLUSH_PROPERTY: "part"}, within=("whole",))
    assert append_once(again, files(again, 3), {FLUSH_PROPERTY: "other"}, within=("another",))
    assert scan(catalog) == [1, 2, 3]
