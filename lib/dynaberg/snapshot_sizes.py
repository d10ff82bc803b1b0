"""Bytes of a snapshot, from its manifests: for writers that leave them out of the summary."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


class SnapshotSizes:
    """Sizes of a table's snapshots; a manifest that several share is read once.

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
