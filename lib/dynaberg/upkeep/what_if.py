"""What-if: what snapshot expiry would remove under some settings, and what a compaction would save."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from dynaberg.catalog import manifests_of
from dynaberg.errors import require_moment, require_whole
from dynaberg.past import bookmarked, snapshots

if TYPE_CHECKING:
    import pandas as pd
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table

# What Amazon S3 Tables compacts to by default ("Maintenance for tables", Amazon S3 User Guide).
TARGET_BYTES = 512 * 2**20
COLUMNS = [
    *("committed_at", "snapshot_id", "operation", "as_of_from", "as_of_until"),
    *("expires_at", "expires", "bookmarks", "bytes_freed"),
]


def preview_retention(
    table: Table, *, min_snapshots: int, max_age_hours: int, at: datetime | None = None
) -> pd.DataFrame:
    """Which snapshots would be removed, which moments and bookmarks refer to them, and the bytes freed.

    A snapshot expires once it is older than the maximum age and there are more than the minimum, oldest
    first; the current one never expires. (Amazon S3 User Guide, "Maintenance for tables".)

    Args:
        table: Native pyiceberg table.
        min_snapshots: How many snapshots stay, however old.
        max_age_hours: Younger snapshots stay.
        at: Timezone-aware moment at which the job runs; by default now. A later one shows what will happen.

    Returns:
        One row per snapshot, oldest first: committed_at, snapshot_id, operation, as_of_from and as_of_until
        (the moments that `read_as_of` answers with it; NaT if none do, and for "until now"), expires_at (NaT
        if it stays), expires, bookmarks (names), bytes_freed (of files that only expiring snapshots use).

    Raises:
        SettingsError: `at` has no time zone.

    Example:
        >>> gone = preview_retention(table, min_snapshots=1, max_age_hours=24).query("expires")
        >>> gone[["as_of_from", "as_of_until", "bookmarks", "bytes_freed"]]
    """
    import pandas as pd

    now = datetime.now(UTC) if at is None else require_moment(at)
    frame = snapshots(table)[["committed_at", "snapshot_id", "operation"]]
    froms, untils = _answered(table)
    frame["as_of_from"] = _moments(frame["snapshot_id"].map(froms))
    frame["as_of_until"] = _moments(frame["snapshot_id"].map(untils))
    stays = frame.index >= len(frame) - min_snapshots
    stays |= (frame["snapshot_id"] == table.metadata.current_snapshot_id).to_numpy(dtype=bool)
    # The oldest goes first, so none goes before one that is older.
    due = frame["committed_at"].cummax() + timedelta(hours=max_age_hours)
    frame["expires_at"] = due.mask(stays)
    frame["expires"] = frame["expires_at"] < pd.Timestamp(now)
    named = bookmarked(table)
    frame["bookmarks"] = [
        ", ".join(sorted(name for name, target in named.items() if target == snapshot_id))
        for snapshot_id in frame["snapshot_id"]
    ]
    last_holders = _bytes_by_last_holder(table)
    held = frame["snapshot_id"].map(last_holders).fillna(0)
    frame["bytes_freed"] = held.where(frame["expires"], 0).astype("int64")
    return frame[COLUMNS]


def _moments(values: pd.Series) -> pd.Series:
    import pandas as pd

    return pd.to_datetime(values.astype("Int64"), unit="ms", utc=True).astype("datetime64[ms, UTC]")


def _answered(table: Table) -> tuple[dict[int, int], dict[int, int]]:
    """Since when and until when, in milliseconds, each snapshot was the current one."""
    log = sorted(table.history(), key=lambda entry: entry.timestamp_ms)
    froms = {entry.snapshot_id: entry.timestamp_ms for entry in reversed(log)}
    untils = {entry.snapshot_id: later.timestamp_ms for entry, later in pairwise(log)}
    if log:
        untils.pop(log[-1].snapshot_id, None)
    return froms, untils


def _bytes_by_last_holder(table: Table) -> dict[int, int]:
    """Bytes of the files that a snapshot is the last to use; each manifest is read once."""
    read: dict[str, dict[str, int]] = {}

    def files_of(manifest: ManifestFile) -> dict[str, int]:
        path = manifest.manifest_path
        if path not in read:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
            sizes = {e.data_file.file_path: e.data_file.file_size_in_bytes for e in entries}
            read[path] = {path: manifest.manifest_length} | sizes
        return read[path]

    seen: set[str] = set()
    found: dict[int, int] = {}
    newest_first = sorted(table.snapshots(), key=lambda s: (s.sequence_number or 0, s.timestamp_ms))[::-1]
    manifests = manifests_of(table, newest_first)
    for snapshot in newest_first:
        held = {path: size for m in manifests[snapshot.snapshot_id] for path, size in files_of(m).items()}
        found[snapshot.snapshot_id] = sum(size for path, size in held.items() if path not in seen)
        seen |= held.keys()
    return found


def compaction_saving(files: pd.DataFrame, *, target_bytes: int = TARGET_BYTES) -> pd.DataFrame:
    """How many files of each partition would remain after a compaction.

    Data files of at least the target size stay as they are; the others are packed into files of that size,
    and delete files are applied and removed, except for those that delete nothing any more: they may be what
    the last compaction has left. The number of bytes is assumed to stay the same, so this is an
    estimate.

    Args:
        files: From `profile_files`.
        target_bytes: Size in bytes that the compaction aims at.

    Returns:
        One row per partition: partition, files, delete_files, bytes (of the data files), files_after,
        files_saved (including delete files that still delete something).

    Example:
        >>> compaction_saving(wb.iceberg_table("transactions_changes").profile_files())["files_saved"].sum()
    """
    target_bytes = require_whole("target_bytes", target_bytes, least=1, hint="Use for example 512 * 2**20.")
    is_data = files["content"] == "data"
    small = is_data & (files["bytes"] < target_bytes)
    counted = files.assign(
        files=is_data.astype("int64"),
        delete_files=(~is_data).astype("int64"),
        applied=(~is_data & files.get("deletes_rows", True)).astype("int64"),
        bytes=files["bytes"].where(is_data, 0),
        packed=files["bytes"].where(small, 0),
        kept=(is_data & ~small).astype("int64"),
    )
    summed = ["files", "delete_files", "applied", "bytes", "packed", "kept"]
    sums = counted.groupby("partition", sort=True)[summed].sum()
    after = sums["kept"] - -sums["packed"] // target_bytes
    saved = sums["files"] + sums["applied"] - after
    return sums[["files", "delete_files", "bytes"]].assign(files_after=after, files_saved=saved).reset_index()
