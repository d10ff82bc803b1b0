"""One snapshot of an Iceberg table, from its data files to the commit, with pyiceberg's writers.

pyiceberg's own appends copy a table's whole metadata some twenty times, and it has no snapshot that replaces
files by others. Here only what is new is made: manifests, the manifest list, the snapshot.
Source: Apache Iceberg, "Iceberg Table Spec", Snapshots and Manifest Lists.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import pyarrow as pa
from pyiceberg.io import InputFile, OutputFile
from pyiceberg.io.fileformat import DataFileStatistics
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot, Summary
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
    TableRequirement,
)
from pyiceberg.typedef import Record

CODEC: Literal["deflate"] = "deflate"


class MemoryFile(InputFile, OutputFile):
    """A file in memory: written to be stored later, or read from what was stored."""

    def __init__(self, location: str, content: bytes | None = None) -> None:
        super().__init__(location)
        self._stream = pa.BufferOutputStream()
        self._content: pa.Buffer | None = None if content is None else pa.py_buffer(content)

    def __len__(self) -> int:
        return len(self.content)

    @property
    def content(self) -> pa.Buffer:
        """What it holds; nothing can be written to it afterwards."""
        if self._content is None:
            self._content = self._stream.getvalue()
        return self._content

    def exists(self) -> bool:
        """Whether it is stored already: nobody else writes to its location, so it does not matter."""
        return False

    def open(self, seekable: bool = True) -> pa.BufferReader:
        """A stream of its content."""
        return pa.BufferReader(self.content)

    def create(self, overwrite: bool = False) -> pa.BufferOutputStream:
        """The stream that it is written to."""
        return self._stream

    def to_input_file(self) -> InputFile:
        """The same file, to be read."""
        return self


def data_file(
    path: str,
    size_bytes: int,
    partition: Record,
    spec_id: int,
    statistics: DataFileStatistics,
    sort_order_id: int | None = None,
) -> DataFile:
    """What a manifest says of a Parquet file with rows.

    pyiceberg cuts long text for its bounds. Where no bound remains that can be written, there is none: no
    character follows the last one, and between U+D7FF and U+E000 there are half characters only.
    """
    for aggregate in statistics.column_aggregates.values():
        for bound in ("min", "max"):
            try:
                getattr(aggregate, f"{bound}_as_bytes")()
            except (ValueError, OverflowError):
                setattr(aggregate, f"current_{bound}", None)
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=partition,
        file_size_in_bytes=size_bytes,
        sort_order_id=sort_order_id,
        spec_id=spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = spec_id
    return file


class NewSnapshot:
    """A snapshot that is being made on top of a table's current one.

    Attributes:
        id: The snapshot's id.
        sequence_number: The sequence number that it gets.
    """

    def __init__(self, table: Table, new_file: Callable[[str], OutputFile]) -> None:
        self._table, self._new_file = table, new_file
        self.id = table.metadata.new_snapshot_id()
        self.sequence_number = table.metadata.next_sequence_number()

    def manifest_writer(self, spec_id: int) -> ManifestWriter:
        """Writes a manifest for files of one partition spec."""
        return write_manifest(
            format_version=self._table.format_version,
            spec=self._table.specs()[spec_id],
            schema=self._table.schema(),
            output_file=self._file(f"{uuid.uuid4()}-m0.avro"),
            snapshot_id=self.id,
            avro_compression=CODEC,
        )

    def manifest_of(self, spec_id: int, data_files: Iterable[DataFile]) -> ManifestFile:
        """A manifest that adds data files of one partition spec."""
        with self.manifest_writer(spec_id) as writer:
            for added in data_files:
                writer.add(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self.id,
                        sequence_number=None,
                        file_sequence_number=None,
                        data_file=added,
                    )
                )
        return writer.to_manifest_file()

    def described(self, manifests: Sequence[ManifestFile], summary: Summary) -> Snapshot:
        """The snapshot of some manifests, its manifest list written."""
        metadata = self._table.metadata
        file = self._file(f"snap-{self.id}-0-{uuid.uuid4()}.avro")
        with write_manifest_list(
            format_version=self._table.format_version,
            output_file=file,
            snapshot_id=self.id,
            parent_snapshot_id=metadata.current_snapshot_id,
            sequence_number=self.sequence_number,
            avro_compression=CODEC,
        ) as writer:
            writer.add_manifests(list(manifests))
        described = {
            "snapshot-id": self.id,
            "parent-snapshot-id": metadata.current_snapshot_id,
            "manifest-list": file.location,
            "sequence-number": self.sequence_number,
            "summary": summary,
            "schema-id": metadata.current_schema_id,
        }
        return Snapshot.model_validate(described)

    def commit(self, snapshot: Snapshot, *requirements: TableRequirement) -> CommitTableResponse:
        """Make a snapshot the table's, if the table still is what it was made for."""
        branch = {"ref-name": MAIN_BRANCH, "type": "branch", "snapshot-id": snapshot.snapshot_id}
        parent = {"ref": MAIN_BRANCH, "snapshot-id": snapshot.parent_snapshot_id}
        return self._table.catalog.commit_table(
            self._table,
            (
                AssertTableUUID(uuid=self._table.metadata.table_uuid),
                *requirements,
                AssertRefSnapshotId.model_validate(parent),
            ),
            (AddSnapshotUpdate(snapshot=snapshot), SetSnapshotRefUpdate.model_validate(branch)),
        )

    def _file(self, name: str) -> OutputFile:
        return self._new_file(self._table.location_provider().new_metadata_location(name))
