"""Appends to one Iceberg table, at a cost that does not grow with its history.

pyiceberg's own append copies the table's whole metadata some twenty times. Here only what an append changes
is made, with pyiceberg's writers: one manifest, the manifest list, the snapshot. Small manifests are merged
from time to time, so the list stays short.
Source: Apache Iceberg, "Iceberg Table Spec", Snapshots and Manifest Lists.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Literal

from pyarrow.fs import FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import (
    UNASSIGNED_SEQ,
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriter,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    SnapshotSummaryCollector,
    Summary,
    update_snapshot_summaries,
)
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertCurrentSchemaId,
    AssertDefaultSpecId,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
)

from local_aws.firehose.append.data_files import NewDataFile
from local_aws.firehose.append.memory_files import MemoryFile, store

FLUSH_PROPERTY = "firehose.flush"
MERGE_COUNT = 64
CODEC: Literal["deflate"] = "deflate"


class TableAppender:
    """Appends to one table, kept loaded between appends.

    Args:
        table: The table as it is now; follows the appends.
        file_system: Where its files are.

    Attributes:
        table: The table after the last append. What its metadata tells of older snapshots may be missing:
            the catalog need not answer a commit with them.
        flushes: The ids of the flushes that the table holds.
    """

    def __init__(self, table: Table, file_system: FileSystem) -> None:
        self.table = table
        summaries = (snapshot.summary for snapshot in table.metadata.snapshots)
        self.flushes = {summary.get(FLUSH_PROPERTY) for summary in summaries if summary is not None}
        self._manifests: tuple[int, list[ManifestFile]] | None = None
        self._unstored: list[MemoryFile] = []
        if isinstance(table.io, PyArrowFileIO):
            table.io.fs_by_scheme = lambda scheme, netloc: file_system

    def append(self, files: Sequence[NewDataFile], properties: dict[str, str]) -> None:
        """Append data files in one snapshot.

        Args:
            files: The files, made for the table as it is now.
            properties: What the snapshot's summary is to say besides the usual.

        Raises:
            CommitFailedException: Somebody else changed the table meanwhile; load it again.
        """
        metadata = self.table.metadata
        snapshot_id, sequence_number = metadata.new_snapshot_id(), metadata.next_sequence_number()
        data_files = [file.entry for file in files]
        self._unstored = [file.content for file in files]
        added = self._write_manifest(snapshot_id, data_files)
        manifests = self._merged(snapshot_id, [added, *self._existing_manifests()])
        snapshot = {
            "snapshot-id": snapshot_id,
            "parent-snapshot-id": metadata.current_snapshot_id,
            "manifest-list": self._write_manifest_list(snapshot_id, sequence_number, manifests),
            "sequence-number": sequence_number,
            "summary": self._summary(data_files, properties),
            "schema-id": metadata.current_schema_id,
        }
        store(self._unstored, self.table.io)
        self._commit(Snapshot.model_validate(snapshot))
        for manifest in manifests:
            if manifest.sequence_number == UNASSIGNED_SEQ:
                manifest.sequence_number = sequence_number
            if manifest.min_sequence_number == UNASSIGNED_SEQ:
                manifest.min_sequence_number = sequence_number
        self._manifests = (snapshot_id, manifests)
        self.flushes.add(properties.get(FLUSH_PROPERTY))

    def _commit(self, snapshot: Snapshot) -> None:
        """Make a snapshot the table's, if the table still is what snapshot and files were made for."""
        metadata = self.table.metadata
        branch = {"ref-name": MAIN_BRANCH, "type": "branch", "snapshot-id": snapshot.snapshot_id}
        parent = {"ref": MAIN_BRANCH, "snapshot-id": snapshot.parent_snapshot_id}
        answer = self.table.catalog.commit_table(
            self.table,
            (
                AssertTableUUID(uuid=metadata.table_uuid),
                AssertCurrentSchemaId.model_validate({"current-schema-id": metadata.current_schema_id}),
                AssertDefaultSpecId.model_validate({"default-spec-id": metadata.default_spec_id}),
                AssertRefSnapshotId.model_validate(parent),
            ),
            (AddSnapshotUpdate(snapshot=snapshot), SetSnapshotRefUpdate.model_validate(branch)),
        )
        self.table.metadata, self.table.metadata_location = answer.metadata, answer.metadata_location

    def _summary(self, data_files: Sequence[DataFile], properties: dict[str, str]) -> Summary:
        collector = SnapshotSummaryCollector()
        for data_file in data_files:
            collector.add_file(data_file, self.table.schema(), self.table.spec())
        parent = self.table.current_snapshot()
        return update_snapshot_summaries(
            Summary(Operation.APPEND, **collector.build(), **properties), parent.summary if parent else None
        )

    def _existing_manifests(self) -> list[ManifestFile]:
        parent = self.table.current_snapshot()
        if parent is None:
            return []
        if self._manifests is not None and self._manifests[0] == parent.snapshot_id:
            return self._manifests[1]
        return [
            manifest
            for manifest in parent.manifests(self.table.io)
            if manifest.has_added_files() or manifest.has_existing_files()
        ]

    def _merged(self, snapshot_id: int, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """The manifests, those with few files merged to one where there are many of them."""
        small = [manifest for manifest in manifests[1:] if self._is_small(manifest)]
        if len(small) < MERGE_COUNT:
            return manifests
        entries = [entry for manifest in small for entry in manifest.fetch_manifest_entry(self.table.io)]
        with self._manifest_writer(snapshot_id) as writer:
            for entry in entries:
                writer.existing(entry)
        rest = [manifest for manifest in manifests if manifest not in small]
        return [rest[0], writer.to_manifest_file(), *rest[1:]]

    def _is_small(self, manifest: ManifestFile) -> bool:
        files = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
        same_kind = manifest.content == ManifestContent.DATA
        return same_kind and files < MERGE_COUNT and manifest.partition_spec_id == self.table.spec().spec_id

    def _write_manifest(self, snapshot_id: int, data_files: Sequence[DataFile]) -> ManifestFile:
        with self._manifest_writer(snapshot_id) as writer:
            for data_file in data_files:
                writer.add(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=snapshot_id,
                        sequence_number=None,
                        file_sequence_number=None,
                        data_file=data_file,
                    )
                )
        return writer.to_manifest_file()

    def _manifest_writer(self, snapshot_id: int) -> ManifestWriter:
        return write_manifest(
            format_version=self.table.format_version,
            spec=self.table.spec(),
            schema=self.table.schema(),
            output_file=self._new_file(f"{uuid.uuid4()}-m0.avro"),
            snapshot_id=snapshot_id,
            avro_compression=CODEC,
        )

    def _write_manifest_list(
        self, snapshot_id: int, sequence_number: int, manifests: list[ManifestFile]
    ) -> str:
        file = self._new_file(f"snap-{snapshot_id}-0-{uuid.uuid4()}.avro")
        with write_manifest_list(
            format_version=self.table.format_version,
            output_file=file,
            snapshot_id=snapshot_id,
            parent_snapshot_id=self.table.metadata.current_snapshot_id,
            sequence_number=sequence_number,
            avro_compression=CODEC,
        ) as writer:
            writer.add_manifests(manifests)
        return file.location

    def _new_file(self, name: str) -> MemoryFile:
        """A metadata file, to be stored with the others before the commit."""
        file = MemoryFile(self.table.location_provider().new_metadata_location(name))
        self._unstored.append(file)
        return file
