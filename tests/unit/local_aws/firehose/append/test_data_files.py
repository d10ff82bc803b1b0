from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from pyarrow import parquet
from pyiceberg.expressions import EqualTo
from pyiceberg.io.pyarrow import PyArrowFileIO, PyArrowLocalFileSystem
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform
from pyiceberg.types import LongType, NestedField, StringType, StructType, TimestamptzType

from local_aws.firehose.append import data_files
from local_aws.firehose.append.appender import TableAppender
from local_aws.firehose.append.data_files import DataFiles, MemoryFile, store

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "at", TimestamptzType()),
    NestedField(3, "a name", StructType(NestedField(4, "inner", StringType()))),
)
BY_DAY = PartitionSpec(PartitionField(2, 1000, DayTransform(), "day"))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rows(*numbers: int) -> pa.RecordBatch:
    """Rows that lie eight hours apart."""
    return pa.RecordBatch.from_pylist(
        [
            {
                "id": n,
                "at": NOON + timedelta(hours=8 * n),
                "a name": {"inner": f"text-{n}"} if n % 3 else None,
            }
            for n in numbers
        ],
        pa.schema(
            [
                pa.field("id", pa.int64(), nullable=False),
                ("at", pa.timestamp("us", "UTC")),
                ("a name", pa.struct([("inner", pa.large_string())])),
            ]
        ),
    )


@pytest.fixture
def make(memory_catalog: Any) -> Callable[[PartitionSpec], TableAppender]:
    return lambda spec: TableAppender(memory_catalog.create(SCHEMA, spec), PyArrowLocalFileSystem())


@pytest.mark.parametrize(
    ("text", "upper"),
    [
        ("\ud7ff" * 20, None),  # what comes next are halves of characters
        ("\U0010ffff" * 20, None),
        ("a" * 15 + "\ud7ff" * 5, None),
        ("a" * 20, b"a" * 15 + b"b"),
        ("\ud7ff" * 16, "\ud7ff".encode() * 16),
    ],
)
def test_a_bound_that_cannot_be_written_is_left_out(
    memory_catalog: Any, text: str, upper: bytes | None
) -> None:
    table = memory_catalog.create(Schema(NestedField(1, "text", StringType())))
    files = DataFiles(table)
    files.add(pa.RecordBatch.from_pylist([{"text": text}], pa.schema([("text", pa.large_string())])))
    appender = TableAppender(table, PyArrowLocalFileSystem())
    [file] = files.finish()
    assert file.entry.lower_bounds == {1: text[:16].encode()}
    assert (file.entry.upper_bounds or {}).get(1) == upper
    appender.append([file], {})
    found = memory_catalog.load_table().scan(EqualTo("text", text)).to_arrow()
    assert found.to_pylist() == [{"text": text}]


@pytest.mark.parametrize("row_group_bytes", [1, 2**30])
@pytest.mark.parametrize("spec", [UNPARTITIONED_PARTITION_SPEC, BY_DAY])
def test_rows_that_come_in_portions_are_one_file_for_each_partition(
    make: Any,
    memory_catalog: Any,
    monkeypatch: pytest.MonkeyPatch,
    spec: PartitionSpec,
    row_group_bytes: int,
) -> None:
    monkeypatch.setattr(data_files, "ROW_GROUP_BYTES", row_group_bytes)
    appender = make(spec)
    files = DataFiles(appender.table)
    for first in range(0, 12, 4):
        files.add(rows(*range(first, first + 4)))
    files.add(rows())
    finished = files.finish()
    appender.append(finished, {})
    table = memory_catalog.load_table()
    assert table.scan().to_arrow().sort_by("id").to_pylist() == rows(*range(12)).to_pylist()
    days = {moment.date() for moment in rows(*range(12))["at"].to_pylist()}
    assert len(finished) == (len(days) if spec is BY_DAY else 1)
    assert sum(file.entry.record_count for file in finished) == 12
    for file in finished:
        path = Path(urlsplit(file.entry.file_path).path)
        assert file.entry.file_size_in_bytes == path.stat().st_size
        assert len(file.entry.split_offsets or []) == parquet.read_metadata(path).num_row_groups
    before_midnight = table.scan(row_filter="at < '2026-01-02T00:00:00+00:00'")
    assert sorted(before_midnight.to_arrow()["id"].to_pylist()) == [0, 1]
    assert len(list(before_midnight.plan_files())) == 1


def test_finished_twice_is_the_same_and_no_rows_are_no_files(make: Any) -> None:
    files = DataFiles(make(BY_DAY).table)
    assert files.finish() == []
    files = DataFiles(make(BY_DAY).table)
    files.add(rows(1))
    assert files.finish() is files.finish()


def test_files_are_stored_where_they_belong(tmp_path: Path) -> None:
    files = [MemoryFile(f"file://{tmp_path}/{name}") for name in "abcdef"]
    for file in files:
        with file.create() as stream:
            stream.write(file.location.encode())
    store(files, PyArrowFileIO())
    store(files, PyArrowFileIO())
    assert [Path(urlsplit(file.location).path).read_text() for file in files] == [f.location for f in files]
