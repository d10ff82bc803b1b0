"""Where rows landed: the snapshot that added each data file of the change log, from metadata alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dynaberg.catalog import only_adds

if TYPE_CHECKING:
    from pyiceberg.expressions import BooleanExpression
    from pyiceberg.manifest import ManifestEntry, ManifestFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot


def find_landings(log: Table, rows: Mapping[str, Iterable[datetime]]) -> dict[str, Snapshot]:
    """The snapshots that added data files of the change log, by path.

    Only manifests whose partitions can hold the rows are read, and no data file. A file that a compaction
    wrote is absent: its rows landed earlier, and the file no longer shows in which snapshot.

    Args:
        log: The change log.
        rows: For each path, the `received_at` of rows in it.
    """
    brought = {snapshot.snapshot_id: snapshot for snapshot in log.snapshots() if only_adds(snapshot)}
    moments = [moment for received in rows.values() for moment in received]
    entries = _entries(log, _between(moments)) if moments else ()
    return {
        entry.data_file.file_path: brought[entry.snapshot_id]
        for entry in entries
        if entry.snapshot_id in brought and entry.data_file.file_path in rows
    }


def _between(moments: list[datetime]) -> BooleanExpression:
    from pyiceberg.expressions import And, GreaterThanOrEqual, LessThanOrEqual

    first, last = min(moments), max(moments)
    bounds: Any = GreaterThanOrEqual, LessThanOrEqual
    return And(bounds[0]("received_at", first.isoformat()), bounds[1]("received_at", last.isoformat()))


def _entries(log: Table, condition: BooleanExpression) -> Iterable[ManifestEntry]:
    """Live entries of the current snapshot's manifests whose partitions can hold rows of the condition."""
    snapshot = log.current_snapshot()
    for manifest in snapshot.manifests(log.io) if snapshot else ():
        if _can_hold(log, manifest, condition):
            yield from manifest.fetch_manifest_entry(log.io, discard_deleted=True)


def _can_hold(log: Table, manifest: ManifestFile, condition: BooleanExpression) -> bool:
    from pyiceberg.expressions.visitors import inclusive_projection, manifest_evaluator

    spec, schema = log.specs()[manifest.partition_spec_id], log.schema()
    return manifest_evaluator(spec, schema, inclusive_projection(schema, spec)(condition))(manifest)
