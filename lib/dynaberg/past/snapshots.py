"""The snapshots of an Iceberg table, and the one that belongs to a moment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from dynaberg.catalog import live_records
from dynaberg.errors import NotFoundError, require_moment
from dynaberg.past.bookmarks import bookmarked, find_bookmark

if TYPE_CHECKING:
    import pandas as pd
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

Moment = datetime | SupportsIndex | str
_WANTED = "a moment, a snapshot id or a bookmark"

# Rows under a position delete are deleted, too, although the file that holds them stays.
_DELETED, _NO_LONGER = ("deleted-records", "added-position-deletes"), "removed-position-deletes"
_COUNTS = {
    "added_records": "added-records",
    "deleted_records": "deleted-records",
    "total_records": "total-records",
    "added_files": "added-data-files",
    "total_files": "total-data-files",
    "added_bytes": "added-files-size",
    "total_bytes": "total-files-size",
}
# What writers leave in a snapshot's summary: Trino (of which Athena is made), the local Firehose, Spark.
_WRITERS = {
    "trino_query_id": "Trino query {}",
    "firehose.stream": "Firehose stream {}",
    "engine-name": "{}",
}


def snapshots(table: Table) -> pd.DataFrame:
    """The snapshots of a table, oldest first, from its metadata alone.

    Sizes that a writer left out of a snapshot's summary are summed from its manifests, and so are the rows
    under position deletes.

    Args:
        table: Native pyiceberg table.

    Returns:
        One row per snapshot: committed_at (UTC), snapshot_id, parent_id, operation, added_records,
        deleted_records, total_records (rows under position deletes do not count), added_files, total_files,
        added_bytes, total_bytes, written_by: the query, the delivery stream or the engine, if the writer
        recorded it in the snapshot's summary. Athena is recorded as Trino, with Trino's id of the query, not
        with Athena's. What Firehose writes there on AWS is not known.

    Example:
        >>> snapshots(wb.table("transactions").current).tail()
    """
    import pandas as pd

    sizes, ordered = SnapshotSizes(table), sorted(table.snapshots(), key=_order)
    live = live_records(table, ordered)
    rows = [_row(snapshot, sizes, live) for snapshot in ordered]
    names = ["committed_at", "snapshot_id", "parent_id", "operation", *_COUNTS, "written_by"]
    # As objects: a column of ids with a gap in it would otherwise pass through float, and lose digits.
    frame = pd.DataFrame(rows, columns=names, dtype=object)
    integers = dict.fromkeys(["snapshot_id", "parent_id", *_COUNTS], "Int64")
    texts = dict.fromkeys(["operation", "written_by"], "str")
    return frame.astype({**integers, **texts, "committed_at": "datetime64[ms, UTC]"})


def _order(snapshot: Snapshot) -> tuple[int, int]:
    return snapshot.sequence_number or 0, snapshot.timestamp_ms


def _row(snapshot: Snapshot, sizes: SnapshotSizes, live: Mapping[int, int]) -> dict[str, Any]:
    summary: Any = snapshot.summary or {}
    row: dict[str, Any] = {
        "committed_at": committed_at(snapshot),
        "snapshot_id": snapshot.snapshot_id,
        "parent_id": snapshot.parent_snapshot_id,
        "operation": snapshot.summary.operation.value if snapshot.summary else "",
    }
    for name, key in _COUNTS.items():
        known = summary.get(key)
        row[name] = getattr(sizes, name)(snapshot) if known is None and "bytes" in name else int(known or 0)
    row |= {"total_records": live[snapshot.snapshot_id], "deleted_records": _deleted(snapshot, row, live)}
    return row | {"written_by": _written_by(snapshot)}


def _deleted(snapshot: Snapshot, row: Mapping[str, Any], live: Mapping[int, int]) -> int:
    """Rows that a snapshot deleted: by what is left, or, if its parent has expired, by the summary."""
    summary: Any = snapshot.summary or {}
    parent = snapshot.parent_snapshot_id
    if parent is not None and parent in live:
        left: int = live[parent] + row["added_records"] - live[snapshot.snapshot_id]
        return left
    return sum(int(summary.get(key) or 0) for key in _DELETED) - int(summary.get(_NO_LONGER) or 0)


def _written_by(snapshot: Snapshot) -> str:
    """What made a snapshot, by its summary; a rewrite without such an entry is a compaction."""
    summary: Any = snapshot.summary or {}
    for key, words in _WRITERS.items():
        if found := summary.get(key):
            return words.format(found)
    return "compaction" if snapshot.summary and snapshot.summary.operation.value == "replace" else ""


def committed_at(snapshot: Snapshot) -> datetime:
    """When a snapshot was committed, in UTC."""
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)


def snapshot_at(table: Table, when: datetime) -> Snapshot:
    """The snapshot that was current at a moment: the last one committed at or before it.

    Args:
        table: Native pyiceberg table.
        when: Timezone-aware moment; naive values are rejected.

    Raises:
        SettingsError: `when` has no time zone, or is not a datetime.
        NotFoundError: The table has no snapshot, or none that early; the message names the first and the
            last.

    Example:
        >>> snapshot_at(table, datetime.now(timezone.utc) - timedelta(minutes=5)).snapshot_id
    """
    require_moment(when, wanted=_WANTED)
    moment_ms = when.timestamp() * 1000
    # The snapshot log shows what was current when; after a roll-back the snapshots alone would not.
    entries = [(entry.timestamp_ms, entry.snapshot_id) for entry in table.history()]
    known = entries or [(snapshot.timestamp_ms, snapshot.snapshot_id) for snapshot in table.snapshots()]
    before = [entry for entry in sorted(known, key=lambda entry: entry[0]) if entry[0] <= moment_ms]
    snapshot = table.snapshot_by_id(before[-1][1]) if before else None
    if snapshot is None:
        raise _nothing_at(table, when)
    return snapshot


def resolve_snapshot(table: Table, moment: Moment) -> Snapshot:
    """The snapshot that a moment, a snapshot id or a bookmark refers to.

    Args:
        table: Native pyiceberg table.
        moment: Timezone-aware moment, the id of a snapshot, or the name of a bookmark.

    Raises:
        SettingsError: The moment has no time zone.
        NotFoundError: There is no such bookmark, or no such snapshot (any more): then the message names the
            first and the last.
    """
    if isinstance(moment, str):
        if moment[:1].isdigit() and moment not in bookmarked(table):
            require_moment(moment, wanted=_WANTED)  # a date as text, more likely than a bookmark
        moment = find_bookmark(table, moment)
    if not isinstance(moment, SupportsIndex):
        return snapshot_at(table, moment)
    snapshot = table.snapshot_by_id(index(moment))
    if snapshot is None:
        raise _nothing_at(table, moment)
    return snapshot


def _nothing_at(table: Table, asked: Moment) -> NotFoundError:
    """The error for a moment or an id without a snapshot: what exists, and how many have expired."""
    name = table.name()[-1]
    ordered = sorted(table.snapshots(), key=_order)
    if not ordered:
        return NotFoundError(
            f"Table {name!r} has no snapshot yet.", hint="Deliver changes into it, then try again."
        )
    first, last = ordered[0], ordered[-1]
    span = f"The first is {_named(first)}, the last {_named(last)}."
    hint = "Use a moment between them, or an id from snapshots()."
    what = f"at {asked.isoformat()}" if isinstance(asked, datetime) else f"with the id {asked}"
    # Sequence numbers count the commits of a table (Iceberg spec, "Sequence Numbers"); others are gone.
    expired = getattr(table.metadata, "last_sequence_number", 0) - len(ordered)
    gone = f"; {expired} of its snapshots expired" if expired > 0 else ""
    msg = f"Table {name!r} has no snapshot {what}{gone}. {span}"
    return NotFoundError(msg, hint=hint)


def _named(snapshot: Snapshot) -> str:
    return f"{snapshot.snapshot_id} of {committed_at(snapshot).isoformat(timespec='milliseconds')}"


class SnapshotSizes:
    """Sizes of a table's snapshots; a manifest that is shared by several snapshots is read once.

    Args:
        table: Native pyiceberg table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._read = cache(self._read_manifest)

    def added_bytes(self, snapshot: Snapshot) -> int:
        """Bytes of the data and delete files that a snapshot added."""
        return sum(
            self._read(manifest).get(snapshot.snapshot_id, 0)
            for manifest in snapshot.manifests(self._table.io)
            if manifest.added_snapshot_id == snapshot.snapshot_id
        )

    def total_bytes(self, snapshot: Snapshot) -> int:
        """Bytes of the data and delete files that a snapshot holds."""
        return sum(sum(self._read(manifest).values()) for manifest in snapshot.manifests(self._table.io))

    def _read_manifest(self, manifest: ManifestFile) -> dict[int, int]:
        """Bytes of the live files of a manifest, by the snapshot that added them."""
        sizes: dict[int, int] = {}
        for entry in manifest.fetch_manifest_entry(self._table.io, discard_deleted=True):
            added = entry.snapshot_id or 0
            sizes[added] = sizes.get(added, 0) + entry.data_file.file_size_in_bytes
        return sizes
