"""Appends to one Iceberg table, at a cost that does not grow with its history.

Only what an append changes is made: one manifest, the manifest list, the snapshot, all in memory until they
are stored together. Small manifests are merged from time to time, so the list stays short.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyarrow.fs import FileSystem
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import UNASSIGNED_SEQ, DataFile, ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import (
    Operation,
    Snapshot,
    SnapshotSummaryCollector,
    Summary,
    update_snapshot_summaries,
)
from pyiceberg.table.update import AssertCurrentSchemaId, AssertDefaultSpecId

from local_aws.firehose.append.data_files import NewDataFile, store
from local_aws.s3tables.snapshots import MemoryFile, NewSnapshot

FLUSH_PROPERTY = "firehose.flush"
MERGE_COUNT = 64


class TableAppender:
    """Appends to one table, kept loaded between appends.

    Attributes:
        table: The table after the last append. What its metadata says of older snapshots may be missing:
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
        """Append data files in one snapshot."""
        new = NewSnapshot(self.table, self._new_file)
        data_files = [file.entry for file in files]
        self._unstored = [file.content for file in files]
        added = new.manifest_of(self.table.spec().spec_id, data_files)
        manifests = self._merged(new, [added, *self._existing_manifests()])
        snapshot = new.described(manifests, self._summary(data_files, properties))
        store(self._unstored, self.table.io)
        self._commit(new, snapshot)
        for manifest in manifests:
            if manifest.sequence_number == UNASSIGNED_SEQ:
                manifest.sequence_number = new.sequence_number
            if manifest.min_sequence_number == UNASSIGNED_SEQ:
                manifest.min_sequence_number = new.sequence_number
        self._manifests = (new.id, manifests)
        self.flushes.add(properties.get(FLUSH_PROPERTY))

    def _commit(self, new: NewSnapshot, snapshot: Snapshot) -> None:
        """Make a snapshot the table's, if the table still has the layout that files were made for."""
        metadata = self.table.metadata
        answer = new.commit(
            snapshot,
            AssertCurrentSchemaId.model_validate({"current-schema-id": metadata.current_schema_id}),
            AssertDefaultSpecId.model_validate({"default-spec-id": metadata.default_spec_id}),
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

    def _merged(self, new: NewSnapshot, manifests: list[ManifestFile]) -> list[ManifestFile]:
        """The manifests, those with few files merged to one where there are many of them."""
        small = [manifest for manifest in manifests[1:] if self._is_small(manifest)]
        if len(small) < MERGE_COUNT:
            return manifests
        entries = [entry for manifest in small for entry in manifest.fetch_manifest_entry(self.table.io)]
        with new.manifest_writer(self.table.spec().spec_id) as writer:
            for entry in entries:
                writer.existing(entry)
        rest = [manifest for manifest in manifests if manifest not in small]
        return [rest[0], writer.to_manifest_file(), *rest[1:]]

    def _is_small(self, manifest: ManifestFile) -> bool:
        files = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
        same_kind = manifest.content == ManifestContent.DATA
        return same_kind and files < MERGE_COUNT and manifest.partition_spec_id == self.table.spec().spec_id

    def _new_file(self, location: str) -> MemoryFile:
        """A metadata file, to be stored with the others before the commit."""
        file = MemoryFile(location)
        self._unstored.append(file)
        return file
