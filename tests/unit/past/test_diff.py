"""Rows of a data file by position are the rows themselves, however their pages are encoded."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.typedef import Record
from pyiceberg.types import BinaryType, ListType, LongType, NestedField, StringType

from dynaberg.past import diff

ROWS = 20_000
SCHEMA = Schema(
    NestedField(1, "id", StringType(), required=True),
    NestedField(2, "status", StringType()),
    NestedField(3, "rare", StringType()),
    NestedField(4, "kind", BinaryType()),
    NestedField(5, "number", LongType()),
    NestedField(6, "tags", ListType(7, StringType())),
    NestedField(8, "came.later", StringType()),
)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    metadata = new_table_metadata(
        SCHEMA, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, str(tmp_path), {}
    )
    return Table(("ns", "t"), metadata, "", PyArrowFileIO(), NoopCatalog("none"))


@pytest.fixture
def file(table: Table, tmp_path: Path) -> DataFile:
    """A file written before the table's last column came, in three row groups."""
    values: dict[str, list[Any]] = {
        "id": [f"{n:032d}" for n in range(ROWS)],
        "status": [("offen", "geprüft", "", None)[n % 4] for n in range(ROWS)],
        "rare": ["x" if n % 1000 == 0 else None for n in range(ROWS)],
        "kind": [(b"\x00\xff", b"")[n % 2] for n in range(ROWS)],
        "number": list(range(ROWS)),
        "tags": [["a", "b"] if n % 2 else None for n in range(ROWS)],
    }
    schema = pa.schema([schema_to_pyarrow(table.schema()).field(name) for name in values])
    path = str(tmp_path / "rows.parquet")
    parquet.write_table(pa.table(values, schema=schema), path, row_group_size=ROWS // 3)
    written = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=ROWS,
        file_size_in_bytes=Path(path).stat().st_size,
    )
    written.spec_id = 0
    return written


def test_rows_by_position(table: Table, file: DataFile, caplog: pytest.LogCaptureFixture) -> None:
    positions = np.array([0, 1, 2, 3, 6_665, 6_666, 6_667, 13_000, ROWS - 1])
    with caplog.at_level(logging.WARNING):
        found = diff._read_at(table, FileScanTask(file), positions)
    whole = diff._read(table, [FileScanTask(file)])
    assert found.to_pylist() == whole.take(pa.array(positions)).to_pylist()
    assert not any(pa.types.is_dictionary(kind) for kind in found.schema.types)
    assert not caplog.records


def test_only_columns_that_repeat_are_read_as_dictionaries(table: Table, file: DataFile) -> None:
    assert diff._repetitive_columns(table, file.file_path) == ("status", "rare", "kind")


def test_the_key_has_the_order_of_the_columns(tmp_path: Path) -> None:
    names = ["zone", "id", "at", "kind", "b", "a", "version"]
    fields = [NestedField(i, name, LongType(), required=True) for i, name in enumerate(names, 1)]
    schema = Schema(*fields, NestedField(9, "amount", LongType()), identifier_field_ids=list(range(1, 8)))
    metadata = new_table_metadata(
        schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, tmp_path.as_uri(), {}
    )
    table = Table(("space", "t"), metadata, "", PyArrowFileIO(), NoopCatalog("none"))
    assert diff._key(table, ()) == tuple(names)
    assert diff._key(table, ("a", "b")) == ("a", "b")


@pytest.mark.parametrize(("other", "warned"), [("shared", False), ("rewritten", True)])
def test_a_diff_of_files_that_a_compaction_has_replaced_says_how_much_it_reads(
    table: Table, other: str, warned: bool
) -> None:
    def large(path: str) -> dict[str, FileScanTask]:
        task: Any = SimpleNamespace(file=SimpleNamespace(file_path=path, file_size_in_bytes=2 * 10**9))
        return {path: task}

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        diff._warn_of_size(table, large("shared"), large(other))
    assert [("4.0 GB" in str(each.message)) for each in told] == [True] * warned
