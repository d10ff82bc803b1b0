"""One Iceberg commit that takes rows out of data files: the files are written again without them.

A DELETE of Athena's leaves the rows in their files, under a position delete, until a compaction happens to
take those files. Here the current snapshot refers to no file any more that ever held the rows. pyiceberg's
own overwrite would leave the delete files behind, and the old files' bounds, in which values stand, in the
new manifests. Source: Apache Iceberg, "Iceberg Table Spec", Snapshots and Manifest Lists.
"""

from __future__ import annotations

import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dynaberg.errors import NotReadyError
from dynaberg.functions.statements.merges import KEEPS_LATEST

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.manifest import DataFile, ManifestEntry, ManifestFile
    from pyiceberg.table import FileScanTask, Table
    from pyiceberg.table.snapshots import Summary
    from pyiceberg.typedef import Record

_ATTEMPTS, _PAUSE_SECONDS = 8, 0.2
_CODEC: Any = "deflate"

Change = Callable[["pa.Table"], "pa.Table"]
"""What becomes of the rows of a file: fewer of them, or the same rows with other values."""


@dataclass(frozen=True)
class Rewritten:
    """What a rewriting did.

    Attributes:
        snapshot_id: The snapshot that it made; None if there was nothing to do.
        rows_removed: How many rows are gone.
        files_before: How many files were replaced, delete files among them.
        files_after: How many files took their place.
    """

    snapshot_id: int | None = None
    rows_removed: int = 0
    files_before: int = 0
    files_after: int = 0


def rewrite(
    table: Table,
    concerned: Callable[[], Collection[str]],
    change: Change,
    properties: Mapping[str, str] | None = None,
) -> Rewritten:
    """Write some data files of a table again, in one commit on top of what others commit meanwhile.

    Files with position deletes are written again, too, without the rows that were deleted. Readers see the
    table before or after, never between. If it is interrupted, the table is as it was.

    Args:
        table: Native pyiceberg table; it is up to date afterwards.
        concerned: Returns the paths of the files to rewrite, for the table as it then is.
        change: What becomes of a file's live rows.
        properties: Properties of the table that are set in the same commit.

    Raises:
        NotReadyError: Other commits came first at every attempt.
    """
    from pyiceberg.exceptions import CommitFailedException

    written = _Written(table, change)
    for attempt in range(_ATTEMPTS):
        table.refresh()
        paths = set(concerned())
        tasks = [t for t in table.scan().plan_files() if t.delete_files or t.file.file_path in paths]
        if not tasks and not _names_removed(table):
            written.discard(())
            return Rewritten()
        try:
            made = [written.of(task) for task in tasks]
            done = _Commit(table, tasks, [file for each in made for file in each.files]).run(properties or {})
        except CommitFailedException:
            time.sleep(random.uniform(0, _PAUSE_SECONDS * 2**attempt))  # noqa: S311
        except BaseException:
            written.discard(())
            raise
        else:
            written.discard(file.file_path for each in made for file in each.files)
            table.refresh()
            removed = sum(each.rows_removed for each in made)
            return Rewritten(done.id, removed, done.files_before, len(done.added))
    written.discard(())
    msg = f"Others committed to {table.name()[-1]!r} first, {_ATTEMPTS} times. It is as it was."
    raise NotReadyError(msg, hint="Run it again, at a quieter time.")


@dataclass(frozen=True)
class _New:
    """What took the place of one file."""

    files: tuple[DataFile, ...]
    rows_removed: int


class _Written:
    """Files that were written, kept from one attempt to the next where the old file is still the same."""

    def __init__(self, table: Table, change: Change) -> None:
        self._table, self._change = table, change
        self._known: dict[tuple[str, ...], _New] = {}

    def of(self, task: FileScanTask) -> _New:
        """What takes the place of a file."""
        deletes = sorted(file.file_path for file in task.delete_files)
        name = (task.file.file_path, *deletes)
        if name not in self._known:
            self._known[name] = self._write(task)
        return self._known[name]

    def discard(self, kept: Iterable[str]) -> None:
        """Delete the files that no snapshot refers to."""
        wanted = set(kept)
        for file in (file for new in self._known.values() for file in new.files):
            if file.file_path not in wanted:
                # S3 Tables deletes unreferenced files itself, and lets nobody else do it.
                with suppress(Exception):
                    self._table.io.delete(file.file_path)

    def _write(self, task: FileScanTask) -> _New:
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan

        table = self._table
        rows = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue()).to_table([task])
        left = self._change(rows)
        return _New((_file_of(table, task.file, left),) if len(left) else (), len(rows) - len(left))


@dataclass(frozen=True)
class _SamePartition:
    """The partition of the file that is replaced, as pyiceberg's writer wants it."""

    partition: Record
    folder: str

    def to_path(self) -> str:
        """Its folder."""
        return self.folder


def _file_of(table: Table, old: DataFile, rows: pa.Table) -> DataFile:
    """Write rows into a data file of the same partition."""
    from pyiceberg.io.pyarrow import write_file
    from pyiceberg.table import WriteTask

    spec = table.specs()[old.spec_id]
    folder = "" if spec.is_unpartitioned() else spec.partition_to_path(old.partition, table.schema())
    key: Any = None if spec.is_unpartitioned() else _SamePartition(old.partition, folder)
    task = WriteTask(uuid.uuid4(), 0, table.schema(), rows.to_batches(), partition_key=key)
    try:
        (file,) = write_file(table.io, table.metadata, iter([task]))
    except (ValueError, OverflowError):
        # No character follows the last one, so some text has no upper bound that can be written.
        without = {"write.metadata.metrics.default": "counts"} | {
            f"write.metadata.metrics.column.{name}": "full"
            for name in ("received_at", "changed_at")
            if name in rows.column_names
        }
        metadata = table.metadata.model_copy(update={"properties": {**table.properties, **without}})
        (file,) = write_file(table.io, metadata, iter([task]))
    file.spec_id = old.spec_id
    return file


class _Commit:
    """One attempt to put new files in the place of old ones."""

    def __init__(self, table: Table, tasks: Sequence[FileScanTask], added: Sequence[DataFile]) -> None:
        self._table, self.added = table, added
        self._gone = {task.file.file_path for task in tasks}
        self.id = table.metadata.new_snapshot_id()
        self._removed: list[DataFile] = []

    @property
    def files_before(self) -> int:
        """How many files it replaced."""
        return len(self._removed)

    def run(self, properties: Mapping[str, str]) -> _Commit:
        """Write manifests and manifest list, and commit.

        Args:
            properties: Properties of the table to set.

        Raises:
            CommitFailedException: Somebody else has changed the table.
        """
        from pyiceberg.table.refs import MAIN_BRANCH
        from pyiceberg.table.snapshots import Snapshot
        from pyiceberg.table.update import (
            AddSnapshotUpdate,
            AssertRefSnapshotId,
            AssertTableUUID,
            SetPropertiesUpdate,
            SetSnapshotRefUpdate,
        )

        table, metadata = self._table, self._table.metadata
        manifests = [*self._added_manifests(), *self._other_manifests()]
        described = {
            "snapshot-id": self.id,
            "parent-snapshot-id": metadata.current_snapshot_id,
            "manifest-list": self._list_of(manifests),
            "sequence-number": metadata.next_sequence_number(),
            "summary": self._summary(),
            "schema-id": metadata.current_schema_id,
        }
        branch = {"ref-name": MAIN_BRANCH, "type": "branch", "snapshot-id": self.id}
        parent = {"ref": MAIN_BRANCH, "snapshot-id": metadata.current_snapshot_id}
        table.catalog.commit_table(
            table,
            (AssertTableUUID(uuid=metadata.table_uuid), AssertRefSnapshotId.model_validate(parent)),
            (
                AddSnapshotUpdate(snapshot=Snapshot.model_validate(described)),
                SetSnapshotRefUpdate.model_validate(branch),
                *([SetPropertiesUpdate(updates=dict(properties))] if properties else []),
            ),
        )
        return self

    def _added_manifests(self) -> Iterator[ManifestFile]:
        from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus

        for spec_id in sorted({file.spec_id for file in self.added}):
            with self._writer(spec_id) as writer:
                for file in self.added:
                    if file.spec_id == spec_id:
                        entry = ManifestEntry.from_args(
                            status=ManifestEntryStatus.ADDED,
                            snapshot_id=self.id,
                            sequence_number=None,
                            file_sequence_number=None,
                            data_file=file,
                        )
                        writer.add(entry)
            yield writer.to_manifest_file()

    def _other_manifests(self) -> Iterator[ManifestFile]:
        """The manifests that stay, and new ones for the neighbors of what goes; all deletes are applied."""
        from pyiceberg.manifest import ManifestContent

        base, io = self._table.current_snapshot(), self._table.io
        rewritten: Mapping[int, list[ManifestEntry]] = defaultdict(list)
        for manifest in base.manifests(io) if base else ():
            entries = manifest.fetch_manifest_entry(io, discard_deleted=True)
            if manifest.content == ManifestContent.DELETES:
                self._removed += [entry.data_file for entry in entries]
            elif len(entries) < _counted(manifest) or self._gone & {e.data_file.file_path for e in entries}:
                # A manifest that names removed files has their bounds, and with them values.
                rewritten[manifest.partition_spec_id].extend(entries)
            elif entries:
                yield manifest
        for spec_id, entries in rewritten.items():
            kept = [entry for entry in entries if entry.data_file.file_path not in self._gone]
            self._removed += [e.data_file for e in entries if e.data_file.file_path in self._gone]
            if kept:
                with self._writer(spec_id) as writer:
                    for entry in kept:
                        writer.existing(entry)
                yield writer.to_manifest_file()

    def _writer(self, spec_id: int) -> Any:
        from pyiceberg.manifest import write_manifest

        table = self._table
        return write_manifest(
            format_version=table.format_version,
            spec=table.specs()[spec_id],
            schema=table.schema(),
            output_file=self._output(f"{uuid.uuid4()}-m0.avro"),
            snapshot_id=self.id,
            avro_compression=_CODEC,
        )

    def _list_of(self, manifests: Sequence[ManifestFile]) -> str:
        from pyiceberg.manifest import write_manifest_list

        metadata = self._table.metadata
        output = self._output(f"snap-{self.id}-0-{uuid.uuid4()}.avro")
        with write_manifest_list(
            format_version=self._table.format_version,
            output_file=output,
            snapshot_id=self.id,
            parent_snapshot_id=metadata.current_snapshot_id,
            sequence_number=metadata.next_sequence_number(),
            avro_compression=_CODEC,
        ) as writer:
            writer.add_manifests(list(manifests))
        return str(output.location)

    def _output(self, name: str) -> Any:
        return self._table.io.new_output(self._table.location_provider().new_metadata_location(name))

    def _summary(self) -> Summary:
        from pyiceberg.table.snapshots import (
            Operation,
            SnapshotSummaryCollector,
            Summary,
            update_snapshot_summaries,
        )

        collector, specs = SnapshotSummaryCollector(), self._table.specs()
        for file in self.added:
            collector.add_file(file, self._table.schema(), specs[file.spec_id])
        for file in self._removed:
            collector.remove_file(file, self._table.schema(), specs[file.spec_id])
        base = self._table.current_snapshot()
        own = Summary(Operation.OVERWRITE, **collector.build(), **{KEEPS_LATEST: "true"})
        return update_snapshot_summaries(own, base.summary if base else None)


def _names_removed(table: Table) -> bool:
    """Whether a manifest of the current snapshot still names files that were removed, with their bounds."""
    snapshot = table.current_snapshot()
    return any(m.deleted_files_count for m in snapshot.manifests(table.io)) if snapshot else False


def _counted(manifest: ManifestFile) -> int:
    """How many files a manifest names, those among them that were removed."""
    counts = manifest.added_files_count, manifest.existing_files_count, manifest.deleted_files_count
    return sum(count or 0 for count in counts)
