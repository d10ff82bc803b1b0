"""The part of the change log that each MERGE of a refresh reads, from the log's metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dynaberg.functions.statements.reach import STEP_BYTES, LogFile, Reach, moment_of, split
from dynaberg.layers.log_progress import Unmerged

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table


def plan_merges(log: Table, unmerged: Unmerged) -> list[Reach]:
    """The part of the change log that each MERGE of a refresh has to read, in order.

    Args:
        log: The change log.
        unmerged: What was not merged yet.
    """
    whole = Reach(unmerged.since, unmerged.changed_since)
    snapshot = log.current_snapshot()
    size = snapshot.summary["total-files-size"] if snapshot and snapshot.summary else None
    if size is not None and int(size) <= STEP_BYTES:
        return [whole]
    files = list(_files(log))
    return [whole] if None in files else split(whole, [file for file in files if file], STEP_BYTES)


def _files(log: Table) -> Iterator[LogFile | None]:
    """The live data files of the change log; None for one without bounds."""
    from pyiceberg.manifest import DataFileContent

    received, changed = (log.schema().find_field(name).field_id for name in ("received_at", "changed_at"))
    snapshot = log.current_snapshot()
    for manifest in snapshot.manifests(log.io) if snapshot else ():
        for entry in manifest.fetch_manifest_entry(log.io, discard_deleted=True):
            if entry.data_file.content == DataFileContent.DATA:
                yield _file(entry.data_file, received, changed)


def _file(file: DataFile, received: int, changed: int) -> LogFile | None:
    lower, upper = file.lower_bounds or {}, file.upper_bounds or {}
    bounds = [lower.get(received), upper.get(received), lower.get(changed)]
    moments = [moment_of(bound) for bound in bounds if bound is not None]
    return LogFile(moments[0], moments[1], moments[2], file.file_size_in_bytes) if len(moments) == 3 else None
