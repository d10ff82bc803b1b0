"""The files of one append, made in memory while its rows still come in, stored when all are complete."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.io.fileformat import FileFormatFactory, FileFormatWriter
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile, FileFormat
from pyiceberg.partitioning import PartitionKey
from pyiceberg.schema import sanitize_column_names
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from local_aws.firehose.append.partitions import partitions
from local_aws.s3tables.snapshots import MemoryFile, data_file

ROW_GROUP_BYTES = 8 * 2**20
FILES_AT_ONCE = 4


def store(files: Iterable[MemoryFile], io: FileIO) -> None:
    """Store files, several at once; a file that is stored already is replaced by the same."""

    def store_one(file: MemoryFile) -> None:
        with io.new_output(file.location).create(overwrite=True) as stream:
            stream.write(file.content)

    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        list(threads.map(store_one, files))


@dataclass(frozen=True)
class NewDataFile:
    """A data file that is complete and not yet stored.

    Attributes:
        content: Its bytes, and where to store them.
        entry: What a manifest says of it.
    """

    content: MemoryFile
    entry: DataFile


@dataclass(frozen=True)
class Part:
    """The file of one partition.

    Attributes:
        key: The partition; None in a table without.
        file: Where the writer writes.
        writer: Makes Parquet of rows.
    """

    key: PartitionKey | None
    file: MemoryFile
    writer: FileFormatWriter


class DataFiles:
    """Parquet files of one table, one for each partition that rows come for.

    Rows become a row group of each file as soon as there are enough of them, in a thread of their own: so
    little is left to do in the end, and what is kept of them in memory is compressed.

    Args:
        table: The table as it is now.
    """

    def __init__(self, table: Table) -> None:
        self._schema, self._spec = table.schema(), table.spec()
        self._file_schema = sanitize_column_names(self._schema)
        self._arrow_schema = schema_to_pyarrow(self._file_schema, include_field_ids=True)
        self._properties = table.metadata.properties
        self._locations = table.location_provider()
        self._uuid = uuid.uuid4()
        self._parts: dict[tuple[Any, ...], Part] = {}
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._encoder = ThreadPoolExecutor(1, "parquet")
        self._encoding: list[Future[None]] = []
        self._finished: list[NewDataFile] | None = None

    def add(self, rows: pa.RecordBatch) -> None:
        """Add rows, in the table's schema."""
        if rows.num_rows:
            self._waiting.append(rows)
            self._waiting_bytes += rows.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._encode()

    def finish(self) -> list[NewDataFile]:
        """Complete the files; nothing can be added any more."""
        if self._finished is None:
            if self._waiting:
                self._encode()
            self._encoder.shutdown()
            for encoded in self._encoding:
                encoded.result()
            self._finished = [self._new_data_file(part) for part in self._parts.values()]
        return self._finished

    def _encode(self) -> None:
        batches, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._encoding.append(self._encoder.submit(self._write_row_groups, batches))

    def _write_row_groups(self, batches: list[pa.RecordBatch]) -> None:
        rows = pa.Table.from_batches(batches).combine_chunks()
        for key, of_partition in self._by_partition(rows):
            part = self._part(key)
            part.writer.write(pa.Table.from_arrays(of_partition.columns, schema=self._arrow_schema))

    def _by_partition(self, rows: pa.Table) -> Iterator[tuple[PartitionKey | None, pa.Table]]:
        if self._spec.is_unpartitioned():
            return iter([(None, rows)])
        return partitions(rows, self._spec, self._schema)

    def _part(self, key: PartitionKey | None) -> Part:
        values = tuple(field.value for field in key.field_values) if key else ()
        if values not in self._parts:
            parquet = FileFormatFactory.get(FileFormat.PARQUET)
            name = f"00000-{len(self._parts)}-{self._uuid}.{parquet.file_extension()}"
            file = MemoryFile(self._locations.new_data_location(name, key))
            writer = parquet.create_writer(file, self._file_schema, self._properties)
            self._parts[values] = Part(key, file, writer)
        return self._parts[values]

    def _new_data_file(self, part: Part) -> NewDataFile:
        statistics = part.writer.close()
        partition = part.key.partition if part.key else Record()
        entry = data_file(part.file.location, len(part.file), partition, self._spec.spec_id, statistics)
        return NewDataFile(part.file, entry)
