"""Compaction: many small data files of a partition become few large ones, and deletes are applied.

The strategies are those of S3 Tables: `binpack` keeps rows in the order they come in, `sort` orders them by
the table's sort order, `z-order` interleaves its columns, and `auto` sorts where there is a sort order.
Source: Amazon S3 User Guide, "Maintenance for tables".
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pyarrow as pa
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import ArrowScan, ParquetFormatWriter, schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.sorting import NullOrder, SortDirection
from pyiceberg.typedef import Record

from local_aws.s3tables import nulls as nulls
from local_aws.s3tables.replacement import (
    ReplaceConflictError,
    Replacement,
    commit_replacement,
    live_delete_files,
)
from local_aws.s3tables.snapshots import data_file

MEBIBYTE = 2**20
SMALL = 0.75
"""A file of less than this share of the target is small, as in Iceberg's own rewrite."""
PORTION_BYTES = 64 * MEBIBYTE
BEGINNINGS = 3
Item = TypeVar("Item")


class CompactionError(Exception):
    """A table that cannot be compacted as its settings say."""


@dataclass(frozen=True)
class Group:
    """The files of one partition that are rewritten together."""

    spec_id: int
    partition: Record
    tasks: Sequence[FileScanTask]


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: the files that went and those that came; no snapshot where nothing was to do."""

    files_before: int
    files_after: int
    snapshot_id: int | None


def compact(table: Table, *, target_bytes: int, strategy: str = "auto") -> Compacted:
    """Compact a table as it is now."""
    order = sort_clause(table, strategy)
    for _ in range(BEGINNINGS):
        table.refresh()
        groups = list(plan(table, target_bytes, is_sorted=order is not None))
        if not groups:
            return Compacted(0, 0, None)
        added = [file for group in groups for file in rewrite(table, group, target_bytes, order)]
        gone = {task.file.file_path for group in groups for task in group.tasks}
        read = table.metadata.next_sequence_number() - 1
        # Every file that a delete file may apply to is among those that `plan` took.
        replacement = Replacement(gone, live_delete_files(table), added, read)
        try:
            snapshot_id = commit_replacement(table, replacement)
        except BaseException as error:
            for file in added:
                with suppress(OSError):
                    table.io.delete(file.file_path)
            if not isinstance(error, ReplaceConflictError):
                raise
        else:
            before = len(replacement.data_files) + len(replacement.delete_files)
            return Compacted(before, len(added), snapshot_id)
    raise CompactionError(f"Rows were deleted while it ran, {BEGINNINGS} times.")


def plan(table: Table, target_bytes: int, *, is_sorted: bool) -> Iterator[Group]:
    """The files to rewrite, by partition: small ones where there are several, and all that have deletes."""
    found: dict[tuple[Any, ...], list[FileScanTask]] = defaultdict(list)
    for task in table.scan().plan_files():
        partition = task.file.partition
        found[(task.file.spec_id, *(partition[i] for i in range(len(partition))))].append(task)
    order_id = table.sort_order().order_id if is_sorted else None
    for tasks in found.values():
        unsorted = {id(t) for t in tasks if order_id is not None and t.file.sort_order_id != order_id}
        chosen = [t for t in tasks if t.delete_files or id(t) in unsorted or is_small(t, target_bytes)]
        if len(chosen) > 1 or any(t.delete_files or id(t) in unsorted for t in chosen):
            yield Group(chosen[0].file.spec_id, chosen[0].file.partition, chosen)


def is_small(task: FileScanTask, target_bytes: int) -> bool:
    """Whether a file is to be packed with others."""
    return task.file.file_size_in_bytes < SMALL * target_bytes


# Rewriting --------------------------------------------------------------------------------------


def rewrite(table: Table, group: Group, target_bytes: int, order: str | None) -> Iterator[DataFile]:
    """Write the rows of a group into new files of about the target size."""
    portions = read_portions(table, group.tasks)
    if order is not None:
        portions = in_order(portions, order, schema_to_pyarrow(table.schema(), include_field_ids=True))
    file = None
    for portion in portions:
        file = file or OpenFile(table, group, is_sorted=order is not None)
        file.write(portion)
        if file.size_bytes >= target_bytes:
            yield file.finish()
            file = None
    if file is not None:
        yield file.finish()


def read_portions(table: Table, tasks: Sequence[FileScanTask]) -> Iterator[pa.Table]:
    """The live rows of some files, in the table's schema, in portions of bounded size."""
    schema = schema_to_pyarrow(table.schema(), include_field_ids=True)
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    # pyiceberg reads ahead all that it is given, so it gets some files at a time.
    rows = (
        pa.Table.from_batches([batch]).cast(schema)
        for files in packed(tasks, lambda task: task.file.file_size_in_bytes)
        for batch in scan.to_record_batches(files)
        if batch.num_rows
    )
    yield from map(pa.concat_tables, packed(rows, lambda part: part.nbytes))


def packed(items: Iterable[Item], size_bytes: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Items in portions of bounded size."""
    portion: list[Item] = []
    for item in items:
        portion.append(item)
        if sum(map(size_bytes, portion)) >= PORTION_BYTES:
            yield portion
            portion = []
    if portion:
        yield portion


class OpenFile:
    """A data file that is being written."""

    def __init__(self, table: Table, group: Group, *, is_sorted: bool) -> None:
        self._table, self._group, self._is_sorted = table, group, is_sorted
        name = f"00000-{uuid.uuid4()}-compacted.parquet"
        path = table.location_provider().new_data_location(data_folder(table, group) + name)
        self._output = table.io.new_output(path)
        self._writer = ParquetFormatWriter(self._output, table.schema(), table.properties)

    @property
    def size_bytes(self) -> int:
        """What is written so far."""
        return 0 if self._writer._fos is None else int(self._writer._fos.tell())

    def write(self, rows: pa.Table) -> None:
        """Write a row group."""
        self._writer.write(rows)

    def finish(self) -> DataFile:
        """Close the file, and describe it."""
        statistics = self._writer.close()
        order_id = self._table.sort_order().order_id if self._is_sorted else None
        partition, spec_id = self._group.partition, self._group.spec_id
        return data_file(self._output.location, len(self._output), partition, spec_id, statistics, order_id)


def data_folder(table: Table, group: Group) -> str:
    """The folder of a partition, with a slash; nothing in an unpartitioned table."""
    spec = table.specs()[group.spec_id]
    return "" if spec.is_unpartitioned() else f"{spec.partition_to_path(group.partition, table.schema())}/"


# Order ------------------------------------------------------------------------------------------


def sort_clause(table: Table, strategy: str) -> str | None:
    """The ORDER BY of a strategy, or None where rows keep their order."""
    schema = table.schema()
    fields = [(field, schema.find_field(field.source_id).name) for field in table.sort_order().fields]
    if strategy == "binpack" or (strategy == "auto" and not fields):
        return None
    if strategy == "z-order":
        if len(fields) < 2:
            raise CompactionError("The z-order strategy needs a sort order of two columns or more.")
        return z_order([name for _, name in fields])
    if not fields:
        raise CompactionError("The sort strategy needs a sort order, and the table has none.")
    return ", ".join(
        f"{quoted(name)} {'DESC' if field.direction == SortDirection.DESC else 'ASC'} "
        f"NULLS {'LAST' if field.null_order == NullOrder.NULLS_LAST else 'FIRST'}"
        for field, name in fields
    )


def z_order(names: Sequence[str], bits: int = 10) -> str:
    """The bits of each column's rank, one of each in turn, as one number."""
    ranks = [f"(ntile({2**bits}) OVER (ORDER BY {quoted(name)}) - 1)::HUGEINT" for name in names]
    return " + ".join(
        f"((({rank} >> {bit}) & 1) << {bit * len(names) + place})"
        for place, rank in enumerate(ranks)
        for bit in range(bits)
    )


def in_order(portions: Iterator[pa.Table], order: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of all portions, ordered by DuckDB, which goes to disk where they are many."""
    import duckdb

    batches = (batch for portion in portions for batch in portion.to_batches())
    rows = pa.RecordBatchReader.from_batches(schema, batches)
    with TemporaryDirectory() as folder, duckdb.connect() as connection:
        connection.execute("SET memory_limit = '512MB'")
        connection.execute(f"SET temp_directory = '{folder}'")
        found = connection.register("rows", rows).execute(f"SELECT * FROM rows ORDER BY {order}")  # noqa: S608
        for batch in found.to_arrow_reader(1_000_000):
            yield pa.Table.from_batches([batch]).cast(schema)


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'
