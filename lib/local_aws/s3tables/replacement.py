"""One Iceberg snapshot in which files take the place of others.

A `replace` keeps the rows. Its conflicts are those of Iceberg: appends of others stay, and it is built again
on top of them; a delete of a row in a file that is replaced makes it void. An `overwrite` puts other rows in
place of all that there are, and any commit of others makes it void.
Source: Apache Iceberg, "Iceberg Table Spec", Snapshots and Sequence Numbers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile, DataFileContent, ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, SnapshotSummaryCollector, Summary, update_snapshot_summaries

from local_aws.s3tables.snapshots import NewSnapshot

ATTEMPTS = 20
PAUSE_SECONDS = 0.02

Entries = dict[str, list[ManifestEntry]]


class ReplaceConflictError(Exception):
    """Somebody deleted or replaced what was to be replaced."""


@dataclass(frozen=True)
class Replacement:
    """Files that take the place of others.

    Attributes:
        data_files: Paths of the data files that go.
        delete_files: Paths of the delete files that were applied to them.
        added: The data files that come.
        sequence_number: That of the snapshot that was read: as in Iceberg's own rewrite, delete files that
            are as new as all data files stay, though what they delete is gone.
        operation: What the snapshot says that it is.
        properties: What it says besides.
    """

    data_files: Collection[str]
    delete_files: Collection[str]
    added: Sequence[DataFile]
    sequence_number: int
    operation: Operation = Operation.REPLACE
    properties: Mapping[str, str] = field(default_factory=dict)


def commit_replacement(table: Table, replacement: Replacement) -> int:
    """Commit a replacement, on top of what others have appended; the snapshot's id."""
    known: Entries = {}
    for attempt in range(ATTEMPTS):
        try:
            return _Commit(table, replacement, known).run()
        except CommitFailedException:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS)
            table.refresh()
    raise AssertionError("unreachable")


def commit_overwrite(table: Table, added: Sequence[DataFile], properties: Mapping[str, str]) -> int:
    """Commit files in place of all that a table has, unless others have changed it; the snapshot's id."""
    gone = {task.file.file_path for task in table.scan().plan_files()}
    now = table.metadata.next_sequence_number()
    overwrite = Replacement(gone, live_delete_files(table), added, now, Operation.OVERWRITE, properties)
    return _Commit(table, overwrite, {}).run()


def live_delete_files(table: Table) -> set[str]:
    """All delete files of the current snapshot."""
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    entries = (e for m in manifests for e in m.fetch_manifest_entry(table.io, discard_deleted=True))
    return {e.data_file.file_path for e in entries if e.data_file.content != DataFileContent.DATA}


class _Commit:
    """One attempt; what others read of the manifests is known."""

    def __init__(self, table: Table, replacement: Replacement, known: Entries) -> None:
        self._table, self._replacement, self._known = table, replacement, known
        self._new = NewSnapshot(table, table.io.new_output)
        self._removed: list[DataFile] = []

    def run(self) -> int:
        """Write manifests and manifest list, and commit."""
        manifests = [*self._added(), *self._rest()]
        self._new.commit(self._new.described(manifests, self._summary()))
        self._table.refresh()
        return self._new.id

    def _added(self) -> Iterable[ManifestFile]:
        by_spec: dict[int, list[DataFile]] = defaultdict(list)
        for data_file in self._replacement.added:
            by_spec[data_file.spec_id].append(data_file)
        return [self._new.manifest_of(spec_id, data_files) for spec_id, data_files in by_spec.items()]

    def _rest(self) -> list[ManifestFile]:
        """The manifests that stay, and for each spec one that removes files and keeps their neighbors."""
        base = self._table.current_snapshot()
        kept: list[ManifestFile] = []
        rewritten: dict[int, list[ManifestEntry]] = defaultdict(list)
        manifests = base.manifests(self._table.io) if base else []
        oldest = min([self._replacement.sequence_number, *map(self._oldest_kept, manifests)])
        for manifest in manifests:
            entries = self._entries(manifest)
            if manifest.content == ManifestContent.DELETES:
                kept += self._take_deletes(manifest, entries, oldest)
            elif any(e.data_file.file_path in self._replacement.data_files for e in entries):
                rewritten[manifest.partition_spec_id] += entries
            elif entries:
                kept.append(manifest)
        kept += [self._rewrite(spec_id, entries) for spec_id, entries in rewritten.items()]
        gone = sum(file.file_path in self._replacement.data_files for file in self._removed)
        if gone != len(self._replacement.data_files):
            missing = len(self._replacement.data_files) - gone
            raise ReplaceConflictError(f"{missing} of the files to replace are gone.")
        return kept

    def _entries(self, manifest: ManifestFile) -> list[ManifestEntry]:
        path = manifest.manifest_path
        if path not in self._known:
            self._known[path] = manifest.fetch_manifest_entry(self._table.io, discard_deleted=True)
        return self._known[path]

    def _oldest_kept(self, manifest: ManifestFile) -> int:
        """The lowest sequence number of the data files that stay."""
        is_data = manifest.content == ManifestContent.DATA
        entries = self._entries(manifest) if is_data else []
        stay = [e for e in entries if e.data_file.file_path not in self._replacement.data_files]
        return min((e.sequence_number or 0 for e in stay), default=self._replacement.sequence_number)

    def _take_deletes(
        self, manifest: ManifestFile, entries: Sequence[ManifestEntry], oldest: int
    ) -> list[ManifestFile]:
        if any(entry.data_file.file_path not in self._replacement.delete_files for entry in entries):
            raise ReplaceConflictError("Rows were deleted since the files were read.")
        if any((entry.sequence_number or 0) >= oldest for entry in entries):
            return [manifest]
        self._removed += [entry.data_file for entry in entries]
        return []

    def _rewrite(self, spec_id: int, entries: Iterable[ManifestEntry]) -> ManifestFile:
        with self._new.manifest_writer(spec_id) as writer:
            for entry in entries:
                if entry.data_file.file_path in self._replacement.data_files:
                    self._removed.append(entry.data_file)
                    writer.delete(entry)
                else:
                    writer.existing(entry)
        return writer.to_manifest_file()

    def _summary(self) -> Summary:
        collector = SnapshotSummaryCollector()
        schema, specs = self._table.schema(), self._table.specs()
        for data_file in self._replacement.added:
            collector.add_file(data_file, schema, specs[data_file.spec_id])
        for data_file in self._removed:
            collector.remove_file(data_file, schema, specs[data_file.spec_id])
        base = self._table.current_snapshot()
        # pyiceberg sums totals for the operations that it makes itself; the sums are those of an overwrite.
        summed = update_snapshot_summaries(
            Summary(Operation.OVERWRITE, **collector.build()), base.summary if base else None
        )
        said = {**summed.additional_properties, **self._replacement.properties}
        return Summary(self._replacement.operation, **said)
