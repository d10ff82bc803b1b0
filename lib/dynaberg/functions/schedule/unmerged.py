"""What a refresh has to merge, from the metadata of the change log alone: nothing is queried.

A notebook plans the same from pyiceberg's tables (`layers/log_progress.py`); a test compares both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from ..statements.reach import STEP_BYTES, LogFile, Reach, moment_of, split
from .avro import UnreadableError
from .lake import Lake, Metadata, Snapshot, current_snapshot, find_snapshot, keeps_latest, only_adds


@dataclass(frozen=True)
class Unmerged:
    """The part of the change log that was not merged yet.

    Attributes:
        snapshot_id: The change log's current snapshot, or None if it has none.
        sequence_number: That snapshot's sequence number.
        action: `none`, `incremental`, or `full` if it is not known what was appended.
        reaches: What each MERGE has to read, in order.
    """

    snapshot_id: int | None
    sequence_number: int
    action: Literal["none", "incremental", "full"]
    reaches: tuple[Reach, ...] = ()


def find_unmerged(lake: Lake, log: Metadata, merged: str | None, merged_at: str | None) -> Unmerged:
    """Find what was appended to the change log after a snapshot.

    Args:
        lake: Where the log is.
        log: Its metadata.
        merged: Id of the last merged snapshot, or None before the first merge.
        merged_at: Its sequence number, if it was stored.
    """
    snapshot = current_snapshot(log)
    if snapshot is None:
        return Unmerged(None, 0, "none")
    here = int(snapshot["snapshot-id"]), int(snapshot.get("sequence-number", 0))
    try:
        entries = _appended_after(lake, log, merged, merged_at) if merged else None
        if entries == []:
            return Unmerged(*here, "none")
        files = [_file(log, entry) for entry in entries or ()]
        if files and all(files):
            known = [file for file in files if file]
            since = min(file.received_from for file in known)
            whole = Reach(since, min(file.changed_from for file in known))
            return Unmerged(*here, "incremental", _steps(lake, log, whole))
        return Unmerged(*here, "full", _steps(lake, log, Reach()))
    except UnreadableError:
        # Manifests that the standard library cannot read: the whole log is merged, which is right and costly.
        return Unmerged(*here, "full", (Reach(),))


def _appended_after(
    lake: Lake, log: Metadata, merged: str, sequence_number: str | None
) -> list[dict[str, Any]] | None:
    """The data files that were appended after a snapshot; None if that cannot be known."""
    chain = list(_chain(log, merged))
    # A compaction neither adds nor removes rows; after anything else, rows may have been removed, too.
    if not all(only_adds(snapshot) or keeps_latest(snapshot) for snapshot in chain):
        return None
    if find_snapshot(log, int(merged)) is not None:
        reached = chain[-1].get("parent-snapshot-id") if chain else log.get("current-snapshot-id")
        return list(_appended(lake, chain)) if str(reached) == merged else None
    return list(_files_after(lake, log, int(sequence_number))) if sequence_number else None


def _chain(log: Metadata, merged: str) -> Iterator[Snapshot]:
    """The current snapshot and its ancestors back to a snapshot, without that one, as far as they exist."""
    snapshot = current_snapshot(log)
    while snapshot is not None and str(snapshot["snapshot-id"]) != merged:
        yield snapshot
        snapshot = find_snapshot(log, snapshot.get("parent-snapshot-id"))


def _appended(lake: Lake, chain: Sequence[Snapshot]) -> Iterator[dict[str, Any]]:
    """The data files that the appends of a chain added, before a compaction replaced them."""
    appends = {snapshot["snapshot-id"] for snapshot in chain if only_adds(snapshot)}
    before = [older for later, older in pairwise(chain) if keeps_latest(later)]
    for snapshot in [*chain[:1], *before]:
        for manifest in lake.manifests(snapshot):
            if manifest["added_snapshot_id"] in appends:
                yield from (e for e in lake.entries(manifest) if e["snapshot_id"] in appends)


def _files_after(lake: Lake, log: Metadata, sequence_number: int) -> Iterator[dict[str, Any]]:
    """Live data files with a later sequence number, of any operation."""
    for manifest in lake.manifests(current_snapshot(log) or {}):
        if manifest["sequence_number"] > sequence_number:
            for entry in lake.entries(manifest):
                came = entry.get("file_sequence_number") or entry["sequence_number"]
                if came is None or came > sequence_number:
                    yield entry


def _steps(lake: Lake, log: Metadata, whole: Reach) -> tuple[Reach, ...]:
    snapshot = current_snapshot(log) or {}
    size = snapshot.get("summary", {}).get("total-files-size")
    if size is not None and int(size) <= STEP_BYTES:
        return (whole,)
    entries = [e for m in lake.manifests(snapshot) if not m.get("content") for e in lake.entries(m)]
    files = [_file(log, entry) for entry in entries]
    return tuple(split(whole, [f for f in files if f], STEP_BYTES)) if files and all(files) else (whole,)


def _file(log: Metadata, entry: dict[str, Any]) -> LogFile | None:
    """What the metadata says about a data file; None if it has no bounds."""
    schema = next(s for s in log["schemas"] if s["schema-id"] == log["current-schema-id"])
    ids = {field["name"]: field["id"] for field in schema["fields"]}
    file = entry["data_file"]
    lower, upper = _bounds(file["lower_bounds"]), _bounds(file["upper_bounds"])
    bounds = [lower.get(ids["received_at"]), upper.get(ids["received_at"]), lower.get(ids["changed_at"])]
    moments = [moment_of(bound) for bound in bounds if bound is not None]
    if len(moments) < len(bounds):
        return None
    return LogFile(moments[0], moments[1], moments[2], file["file_size_in_bytes"])


def _bounds(pairs: Any) -> dict[int, bytes]:
    return {pair["key"]: pair["value"] for pair in pairs or ()}
