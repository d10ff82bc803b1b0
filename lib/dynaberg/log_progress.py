"""How far the change log has been merged, read from its metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

# A compaction adds no row; its files' bounds reach further back, which costs time but is never wrong.
_ADDS_ONLY = ("append", "replace")


@dataclass(frozen=True)
class Unmerged:
    """What of the change log was not merged yet.

    Attributes:
        snapshot_id: The log's current snapshot, or None for a log without any.
        action: `none`, `incremental` (from `since`), or `full` where the snapshots between are not known.
        since: Earliest `received_at` of what was not merged.
    """

    snapshot_id: int | None
    action: Literal["none", "incremental", "full"]
    since: datetime | None = None


def unmerged_changes(log: Table, merged: str | None) -> Unmerged:
    """Find what was appended to the log after a snapshot.

    Args:
        log: The change log.
        merged: Id of the last merged snapshot, or None before the first merge.
    """
    snapshot = log.current_snapshot()
    if snapshot is None or str(snapshot.snapshot_id) == merged:
        return Unmerged(snapshot.snapshot_id if snapshot else None, "none")
    since = _since(log, merged) if merged else None
    return Unmerged(snapshot.snapshot_id, "incremental" if since else "full", since)


def _since(log: Table, merged: str) -> datetime | None:
    """The earliest bound, or None where it cannot be known: a broken chain, a rewrite, a missing bound."""
    added: set[int] = set()
    snapshot = log.current_snapshot()
    while snapshot is not None and str(snapshot.snapshot_id) != merged:
        if snapshot.summary is None or snapshot.summary.operation.value not in _ADDS_ONLY:
            return None
        added.add(snapshot.snapshot_id)
        parent = snapshot.parent_snapshot_id
        snapshot = log.snapshot_by_id(parent) if parent is not None else None
    if snapshot is None:
        return None
    field_id = log.schema().find_field("received_at").field_id
    bounds = [file.lower_bounds.get(field_id) for file in _files(log, added)]
    known = [_moment(bound) for bound in bounds if bound is not None]
    return min(known) if len(known) == len(bounds) and known else None


def _files(log: Table, added: set[int]) -> Iterator[DataFile]:
    """Live data files of the current snapshot that one of the given snapshots added."""
    snapshot = log.current_snapshot()
    for manifest in snapshot.manifests(log.io) if snapshot else ():
        if manifest.added_snapshot_id in added:
            for entry in manifest.fetch_manifest_entry(log.io, discard_deleted=True):
                if entry.snapshot_id in added:
                    yield entry.data_file


def _moment(bound: bytes) -> datetime:
    """A timestamptz bound (Iceberg spec, "Single-value serialization": microseconds, little-endian)."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=int.from_bytes(bound, "little", signed=True)
    )
