"""How far the change log has been merged, read from its metadata alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from dynaberg.catalog import only_adds
from dynaberg.functions.statements.merges import KEEPS_LATEST
from dynaberg.functions.statements.reach import moment_of

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


@dataclass(frozen=True)
class Unmerged:
    """The part of the change log that was not merged yet.

    Attributes:
        snapshot_id: The change log's current snapshot, or None if it has none.
        sequence_number: That snapshot's sequence number.
        action: `none`, `incremental` (from `since`), or `full` if it is not known what was appended.
        since: Earliest `received_at` of what was not merged.
        changed_since: Earliest `changed_at` of what was not merged.
    """

    snapshot_id: int | None
    sequence_number: int | None
    action: Literal["none", "incremental", "full"]
    since: datetime | None = None
    changed_since: datetime | None = None


def unmerged_changes(log: Table, merged: str | None, merged_sequence_number: str | None = None) -> Unmerged:
    """Find what was appended to the change log after a snapshot.

    If that snapshot has expired, data files are identified by their sequence numbers. A file that a
    compaction wrote since then counts as new: its rows are merged again, which costs time and changes
    nothing.

    Args:
        log: The change log.
        merged: Id of the last merged snapshot, or None before the first merge.
        merged_sequence_number: Its sequence number, if it was stored.
    """
    snapshot = log.current_snapshot()
    if snapshot is None:
        return Unmerged(None, None, "none")
    here = snapshot.snapshot_id, snapshot.sequence_number
    files = _unmerged_files(log, merged, merged_sequence_number) if merged else None
    if files is None:
        return Unmerged(*here, "full")
    if not files:
        return Unmerged(*here, "none")
    received, changed = (_earliest(log, name, files) for name in ("received_at", "changed_at"))
    if received is None or changed is None:
        return Unmerged(*here, "full")
    return Unmerged(*here, "incremental", received, changed)


def _unmerged_files(log: Table, merged: str, sequence_number: str | None) -> list[DataFile] | None:
    """The data files that were appended after a snapshot; None if that cannot be known."""
    chain = list(_chain(log, merged))
    # A compaction neither adds nor removes rows; after anything else, rows may have been removed, too.
    if not all(only_adds(snapshot) or _is_compaction(snapshot) for snapshot in chain):
        return None
    if any(str(s.snapshot_id) == merged for s in log.snapshots()):
        reached = str(chain[-1].parent_snapshot_id if chain else log.metadata.current_snapshot_id) == merged
        return list(_appended(log, chain)) if reached else None
    return list(_files_after(log, int(sequence_number))) if sequence_number else None


def _chain(log: Table, merged: str) -> Iterator[Snapshot]:
    """The current snapshot and its ancestors back to a snapshot, without that one, as far as they exist."""
    snapshot = log.current_snapshot()
    while snapshot is not None and str(snapshot.snapshot_id) != merged:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = log.snapshot_by_id(parent) if parent is not None else None


def _appended(log: Table, chain: Sequence[Snapshot]) -> Iterator[DataFile]:
    """The data files that the appends of a chain added, before a compaction replaced them.

    Each is in the last snapshot before the first compaction after it, so no other manifest list is read.
    """
    appends = {snapshot.snapshot_id for snapshot in chain if only_adds(snapshot)}
    before = [older for later, older in pairwise(chain) if _is_compaction(later)]
    for snapshot in [*chain[:1], *before]:
        for manifest in snapshot.manifests(log.io):
            if manifest.added_snapshot_id in appends:
                for entry in manifest.fetch_manifest_entry(log.io, discard_deleted=True):
                    if entry.snapshot_id in appends:
                        yield entry.data_file


def _is_compaction(snapshot: Snapshot) -> bool:
    """Whether a snapshot has other files than the one before it, and the same latest changes."""
    summary = snapshot.summary
    return summary is not None and (
        summary.operation.value == "replace" or summary.get(KEEPS_LATEST) is not None
    )


def _files_after(log: Table, sequence_number: int) -> Iterator[DataFile]:
    """Live data files with a later sequence number, of any operation."""
    snapshot = log.current_snapshot()
    for manifest in snapshot.manifests(log.io) if snapshot else ():
        if manifest.sequence_number > sequence_number:
            for entry in manifest.fetch_manifest_entry(log.io, discard_deleted=True):
                came = entry.file_sequence_number or entry.sequence_number
                if came is None or came > sequence_number:
                    yield entry.data_file


def _earliest(log: Table, name: str, files: Sequence[DataFile]) -> datetime | None:
    """The earliest value of a column in some files by their bounds, or None if one of them has none."""
    field_id = log.schema().find_field(name).field_id
    bounds = [file.lower_bounds.get(field_id) for file in files]
    return min(moment_of(b) for b in bounds if b is not None) if all(b is not None for b in bounds) else None
