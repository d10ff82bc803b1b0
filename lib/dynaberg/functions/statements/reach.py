"""How far back a refresh reads the change log, and in how many statements.

A change that is newer than one made at a moment was itself made after that moment, and so received after it.
For a key with a change that was not merged yet, made at `changed_since` or later, the latest change was
therefore received since then, less what clocks may differ. Older partitions of the log need not be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

CLOCKS_DIFFER = timedelta(hours=1)
"""Allowance for clocks. AWS rejects requests of a machine whose clock is off by much less."""
STEP_BYTES = 5 * 10**9
"""A longer part of the change log is merged in steps: Athena ends a statement after 30 minutes."""


@dataclass(frozen=True)
class Reach:
    """The part of the change log that one MERGE reads; without bounds, all of it.

    Attributes:
        since: Earliest `received_at` of the changes whose keys are merged.
        changed_since: Earliest `changed_at` of these changes.
        until: Before this `received_at` lies everything that is read.
    """

    since: datetime | None = None
    changed_since: datetime | None = None
    until: datetime | None = None

    @property
    def read_from(self) -> datetime | None:
        """The `received_at` from which on the latest change of each merged key must be."""
        if self.since is None or self.changed_since is None:
            return None
        return min(self.since, self.changed_since) - CLOCKS_DIFFER


@dataclass(frozen=True)
class LogFile:
    """What the metadata says about one data file of the change log.

    Attributes:
        received_from: Its earliest `received_at`.
        received_until: Its latest `received_at`.
        changed_from: Its earliest `changed_at`.
        size: Its size in bytes.
    """

    received_from: datetime
    received_until: datetime
    changed_from: datetime
    size: int


def split(whole: Reach, files: Sequence[LogFile], most_bytes: int) -> list[Reach]:
    """Steps of whole days, the oldest first, so that each reads about as many bytes as allowed.

    Each step merges every key with a change received in its days, also if it was merged before. A step may
    bring a row back to an earlier state, but then a later change of its key follows in a later step.

    Args:
        whole: What a single statement would read.
        files: All live data files of the change log.
        most_bytes: How many bytes a statement may read. A single day is never divided.
    """
    start = whole.read_from
    if sum(file.size for file in files if start is None or file.received_until >= start) <= most_bytes:
        return [whole]
    merged = [file for file in files if whole.since is None or file.received_until >= whole.since]
    since = whole.since or min(file.received_from for file in merged)
    firsts = _first_days(merged, since, most_bytes)
    edges = [since, *(datetime.combine(day, time(), UTC) for day in firsts[1:]), None]
    return [_step(merged, edge, after) for edge, after in pairwise(edges) if edge]


def _first_days(files: Sequence[LogFile], since: datetime, most_bytes: int) -> list[date]:
    """The day with which each step begins."""
    sizes: Counter[date] = Counter()
    for file in files:
        sizes[max(file.received_from, since).astimezone(UTC).date()] += file.size
    firsts: list[date] = []
    taken = 0
    for day in sorted(sizes):
        if not firsts or taken + sizes[day] > most_bytes:
            firsts, taken = [*firsts, day], 0
        taken += sizes[day]
    return firsts


def _step(files: Sequence[LogFile], since: datetime, until: datetime | None) -> Reach:
    inside = [f for f in files if f.received_until >= since and (until is None or f.received_from < until)]
    return Reach(since, min(file.changed_from for file in inside), until)


def moment_of(bound: bytes) -> datetime:
    """A timestamptz bound (Iceberg spec, "Single-value serialization": microseconds, little-endian)."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=int.from_bytes(bound, "little", signed=True)
    )
