"""A change log as plain Parquet: the files of its current snapshot, copied into one folder for each day.

A data file of a change log is Parquet already, and holds rows of one day. So nothing is queried or converted:
what is not there yet is copied, what the log no longer has is removed. Whatever happened to the log (late
rows, a compaction, a mask, an item that was forgotten), the copies end up with its rows, no more and no less.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from boto3.s3.transfer import TransferConfig

from . import lock
from .lake import Lake, Metadata, current_snapshot, find_snapshot
from .refreshing import Outcome
from .steps import Steps, StillRunningError

_THREADS, _LOCK_SECONDS = 8, 600
T = TypeVar("T")
_NO_DAY = "__HIVE_DEFAULT_PARTITION__"
Fields = Mapping[str, Sequence[str]]
"""By field id, the name and the type of a column."""


class NeedsNotebookError(Exception):
    """Files must be written anew, which takes more than boto3."""


class BusyError(Exception):
    """Somebody else copies this change log now."""


@dataclass(frozen=True)
class LogFile:
    """A data file of the change log's current snapshot.

    Attributes:
        address: Where it is.
        key: The object that it is copied to.
        rows: How many rows it has.
        has_deletes: Whether delete files take rows of its day away.
        snapshot_id: The snapshot that added it.
    """

    address: str
    key: str
    rows: int
    has_deletes: bool
    snapshot_id: int


@dataclass(frozen=True)
class Mirrored:
    """What was done.

    Attributes:
        copied: The files that were copied.
        removed: The objects that were removed.
    """

    copied: tuple[LogFile, ...] = ()
    removed: tuple[str, ...] = ()


class Rewriter(Protocol):
    """Who can read Parquet, and write it with the columns as they are now."""

    def is_current(self, key: str) -> bool:
        """Whether a copy has its columns by the names and types of now."""

    def content(self, file: LogFile) -> bytes:
        """What the copy of a file must be."""


@dataclass(frozen=True)
class Mirror:
    """A change log and its copies.

    Attributes:
        lake: Where the log is.
        s3: A client.
        log: Name of the change log.
        bucket: The bucket of the copies.
    """

    lake: Lake
    s3: Any
    log: str
    bucket: str

    @property
    def prefix(self) -> str:
        """What the keys of all copies begin with."""
        return f"{self.log}/"

    def update(
        self, owner: str, rewriter: Rewriter | None = None, is_over: Callable[[], bool] = lambda: False
    ) -> Mirrored:
        """Bring the copies up to the change log as it is now.

        Args:
            owner: Who does it: only one at a time may.
            rewriter: Writes files anew; without one, nothing is even listed unless the log has changed.
            is_over: Whether the time for it is over.

        Raises:
            GoneError: There is no such change log.
            BusyError: Somebody else is at it.
            StillRunningError: The time is over; what was copied stays.
            NeedsNotebookError: Files must be written anew, and there is no rewriter.
        """
        metadata, state = self.lake.load(self.log), self.state()
        is_same = state and state["snapshot"] == metadata.get("current-snapshot-id")
        if rewriter is None and state and is_same and not conflict(state["fields"], fields_of(metadata)):
            return Mirrored()
        place = self.s3, self.bucket, f"_locks/{self.log}.json", owner
        if not lock.take(*place, _LOCK_SECONDS):
            raise BusyError(f"{self.log} is being copied by somebody else.")
        try:
            # What another one did before it gave the lock back counts.
            return self._update(metadata, self.state(), rewriter, place, is_over)
        finally:
            lock.release(*place)

    def state(self) -> dict[str, Any] | None:
        """What was noted after the last time: the log's snapshot and fields; None if it never ended."""
        try:
            found = self.s3.get_object(Bucket=self.bucket, Key=f"_state/{self.log}.json")
        except self.s3.exceptions.NoSuchKey:
            return None
        state: dict[str, Any] = json.loads(found["Body"].read())
        return state

    def copies(self) -> list[str]:
        """The copies that there are."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", ())]

    def files(self, metadata: Metadata) -> list[LogFile]:
        """The data files of the log's current snapshot.

        Args:
            metadata: The log's.
        """
        data: list[dict[str, Any]] = []
        deletes: dict[str, list[str]] = {}
        for manifest in self.lake.manifests(current_snapshot(metadata) or {"manifest-list": None}):
            for entry in self.lake.entries(manifest):
                if manifest.get("content"):
                    path = str(entry["data_file"]["file_path"])
                    deletes.setdefault(_day(entry["data_file"]), []).append(path)
                else:
                    data.append(entry)
        named = partition_of(name for name, _ in fields_of(metadata).values())
        return [self._file(entry, named, deletes) for entry in data]

    def _file(self, entry: Mapping[str, Any], named: str, deletes: Mapping[str, list[str]]) -> LogFile:
        found = entry["data_file"]
        day = _day(found)
        stem = re.sub(r"\.parquet$", "", found["file_path"].rpartition("/")[2])
        taking = sorted(deletes.get(day, ()))
        suffix = f"-{sha256(json.dumps(taking).encode()).hexdigest()[:8]}" if taking else ""
        key = f"{self.prefix}{named}={day}/{stem}{suffix}.parquet"
        return LogFile(found["file_path"], key, found["record_count"], bool(taking), entry["snapshot_id"])

    def _update(
        self,
        metadata: Metadata,
        state: Mapping[str, Any] | None,
        rewriter: Rewriter | None,
        place: tuple[Any, str, str, str],
        is_over: Callable[[], bool],
    ) -> Mirrored:
        fields = fields_of(metadata)
        changed = conflict(state["fields"], fields) if state else len(metadata["schemas"]) > 1
        files = self.files(metadata) if current_snapshot(metadata) else []
        there = set(self.copies())
        if rewriter and changed:
            there -= {key for key in there if not rewriter.is_current(key)}
        missing = [file for file in files if file.key not in there]
        if rewriter is None and files:
            self._refuse(metadata, fields, missing, changed)
        until = time.monotonic() + _LOCK_SECONDS / 3
        with ThreadPoolExecutor(_THREADS) as pool:
            for some in _parts(missing, _THREADS):
                if is_over():
                    raise StillRunningError(self.log)
                list(pool.map(lambda file: self._copy(file, rewriter), some))
                if time.monotonic() > until:
                    lock.take(*place, _LOCK_SECONDS)
                    until = time.monotonic() + _LOCK_SECONDS / 3
        # New ones first: a row may be seen twice for a moment, and is never missing.
        removed = sorted({*self.copies()} - {file.key for file in files})
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda key: self.s3.delete_object(Bucket=self.bucket, Key=key), removed))
        at = datetime.now(UTC).isoformat(timespec="seconds")
        noted = {"snapshot": metadata.get("current-snapshot-id"), "fields": fields, "at": at}
        body = json.dumps(noted).encode()
        self.s3.put_object(Bucket=self.bucket, Key=f"_state/{self.log}.json", Body=body)
        return Mirrored(tuple(missing), tuple(removed))

    def _refuse(self, metadata: Metadata, fields: Fields, missing: Sequence[LogFile], changed: bool) -> None:
        """Refuse what takes a rewriter.

        Raises:
            NeedsNotebookError: There is such a thing.
        """
        added = {file.snapshot_id for file in missing}
        older = [find_snapshot(metadata, each) for each in added]
        ids = {s["schema-id"] for s in older if s and s.get("schema-id") is not None}
        if changed or any(conflict(fields_of(metadata, each), fields) for each in ids):
            why = "columns have other names or types than in older files"
        elif any(file.has_deletes for file in missing):
            why = "rows were deleted in the change log by SQL"
        else:
            return
        msg = f"{self.log} cannot be copied as it is: {why}."
        raise NeedsNotebookError(f"{msg} Hint: write the copies in a notebook: its table's .parquet.write().")

    def _copy(self, file: LogFile, rewriter: Rewriter | None) -> None:
        if rewriter:
            self.s3.put_object(Bucket=self.bucket, Key=file.key, Body=rewriter.content(file))
            return
        bucket, _, key = file.address.partition("://")[2].partition("/")
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"]
        # Threads of its own for each large file would take more memory than the function has.
        self.s3.upload_fileobj(body, self.bucket, file.key, Config=TransferConfig(use_threads=False))


def copy_log(steps: Steps, lake: Lake, s3: Any, log: str, bucket: str) -> Outcome:
    """Bring the copies of a change log up to date in a scheduled run.

    Args:
        steps: The steps so far.
        lake: The tables.
        s3: A client.
        log: The change log.
        bucket: The bucket of the copies.

    Raises:
        NeedsNotebookError: Files must be written anew.
        StillRunningError: There is more to copy than there is time for now.
    """
    try:
        done = Mirror(lake, s3, log, bucket).update(steps.suffix, is_over=lambda: steps.is_over)
    except BusyError:
        # Whoever is at it does the same; what comes meanwhile is for the next run.
        return Outcome("none")
    rows = sum(file.rows for file in done.copied)
    return Outcome("copied" if done.copied or done.removed else "none", rows)


def partition_of(columns: Iterable[str]) -> str:
    """What the folders of the days are called, beside columns with these names."""
    there = {*columns}
    return next(name for name in ("day", "received_day", "received_at_day") if name not in there)


def day_of(key: str) -> str:
    """The day of an object, from its folder.

    Example:
        >>> day_of("orders_changes/day=2026-11-30/1.parquet")
        '2026-11-30'
    """
    return key.split("/")[-2].partition("=")[2]


def fields_of(metadata: Metadata, schema_id: int | None = None) -> dict[str, list[str]]:
    """The columns of one of a table's schemas, by default of the current one."""
    wanted = metadata["current-schema-id"] if schema_id is None else schema_id
    fields = next(s["fields"] for s in metadata["schemas"] if s["schema-id"] == wanted)
    return {str(f["id"]): [f["name"], json.dumps(f["type"], sort_keys=True)] for f in fields}


def conflict(older: Fields, newer: Fields) -> bool:
    """Whether files with some columns show others than meant, where columns are found by their names."""
    names = {name: id_ for id_, (name, _) in newer.items()}
    return any(
        list(newer.get(id_, (name, type_))) != [name, type_] or names.get(name, id_) != id_
        for id_, (name, type_) in older.items()
    )


def _day(file: Mapping[str, Any]) -> str:
    """The day of a file's rows, from its partition."""
    value = next(iter(file["partition"].values()), None)
    if value is None:
        return _NO_DAY
    return str(value if isinstance(value, date) else date(1970, 1, 1) + timedelta(days=value))


def _parts(found: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (found[at : at + size] for at in range(0, len(found), size))
