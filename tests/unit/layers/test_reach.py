"""A refresh that reads only a part of the change log leaves the same rows as one that reads all of it.

Drawn are changes of both kinds of streams and of backfills, delivered late, twice, in any order and with
clocks that differ; compactions between the refreshes; and how many bytes a statement may read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.examples import EXAMPLES

from dynaberg.contracts import Column, Contract
from dynaberg.layers.latest import NO_SEQUENCE_NUMBER, latest_rows
from dynaberg.layers.reach import LogFile, Reach, split
from dynaberg.layers.refresh import merge_statement

CONTRACT = Contract("t", "source", "id", None, (Column("id", "string"), Column("v", "long")))
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "change_id", "operation", "sequence_number", "unmapped")),
        *(("v", pa.int64()), ("changed_at", MOMENT), ("received_at", MOMENT)),
    ]
)
Row = dict[str, Any]

# What is drawn ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Write:
    """A write of an item, or a read of it by a backfill.

    Attributes:
        key: The item.
        kind: By which way its change comes.
        removes: Whether the item is deleted.
        later: How long after the write before it.
        clock: How far the clock is off that dates the change.
    """

    key: str
    kind: str
    removes: bool
    later: timedelta
    clock: timedelta


@dataclass(frozen=True)
class Arrival:
    """One delivery of a change.

    Attributes:
        write: Which one.
        delay: How long after the write the Lambda received it.
        clock: How far the Lambda's clock is off.
        batch: With which commit of the log it landed.
    """

    write: int
    delay: timedelta
    clock: timedelta
    batch: int


BATCHES = 5
CLOCKS = st.sampled_from([0, 0, 3, -1_700, 1_700]).map(lambda seconds: timedelta(seconds=seconds))
GAPS = st.sampled_from([0, 1, 1, 50, 3_000, 90_000, 400_000]).map(lambda seconds: timedelta(seconds=seconds))
WRITES = st.builds(
    Write,
    st.sampled_from("ab"),
    st.sampled_from(["streams", "streams", "kinesis", "snapshot"]),
    st.booleans(),
    GAPS,
    CLOCKS,
)


@dataclass(frozen=True)
class Story:
    """Writes, their deliveries, and what happens to the tables after each batch."""

    writes: list[Write]
    arrivals: list[Arrival]
    after: list[frozenset[str]]
    most_bytes: int


@st.composite
def stories(draw: st.DrawFn) -> Story:
    writes = draw(st.lists(WRITES, min_size=1, max_size=9))
    some = st.integers(0, len(writes) - 1)
    again = draw(st.lists(some, max_size=5))
    arrivals = [
        Arrival(number, draw(GAPS), draw(CLOCKS), draw(st.integers(0, BATCHES - 1)))
        for number in [*range(len(writes)), *again]
    ]
    happening = st.frozensets(st.sampled_from(["compact", "refresh", "refresh", "forget"]), max_size=3)
    after = [draw(happening) for _ in range(BATCHES - 1)]
    return Story(writes, arrivals, [*after, frozenset({"refresh"})], draw(st.sampled_from([0, 3, 10**9])))


def changes(story: Story) -> list[list[Row]]:
    """The change rows of each batch."""
    batches: list[list[Row]] = [[] for _ in range(BATCHES)]
    moments: list[datetime] = []
    for write in story.writes:
        moments.append((moments[-1] if moments else NOON) + write.later)
    for arrival in story.arrivals:
        write, moment = story.writes[arrival.write], moments[arrival.write]
        is_streams, is_snapshot = write.kind == "streams", write.kind == "snapshot"
        # No change is of the very microsecond to which a backfill is dated, which is before it began.
        made = moment + write.clock + timedelta(microseconds=1 + arrival.write)
        made = made if write.kind == "kinesis" else made.replace(microsecond=0)
        operation = "SNAPSHOT" if is_snapshot else "REMOVE" if write.removes else "MODIFY"
        batches[arrival.batch].append(
            {
                "id": write.key,
                # Two backfills of one second give one id.
                "change_id": f"!{write.key}{made}" if is_snapshot else str(arrival.write),
                "operation": operation,
                "sequence_number": f"{arrival.write + 1:040d}" if is_streams else NO_SEQUENCE_NUMBER,
                "unmapped": None,
                "v": int(made.timestamp()) if is_snapshot else arrival.write,
                "changed_at": made,
                "received_at": moment + arrival.delay + arrival.clock,
            }
        )
    return batches


# A log of files, and a current table --------------------------------------------------------------


# For few rows, threads cost more than they save, and so does a database for each example.
DATABASE = duckdb.connect(config={"threads": 1})


@dataclass
class Tables:
    """The change log, as rows and as the bounds of files, and the current table, in DuckDB."""

    most_bytes: int
    database: duckdb.DuckDBPyConnection = DATABASE
    rows: list[Row] = field(default_factory=list)
    files: list[LogFile] = field(default_factory=list)
    unmerged: list[LogFile] = field(default_factory=list)
    refreshed: bool = False

    def __post_init__(self) -> None:
        self.database.register("rows_of_log", pa.Table.from_pylist([], schema=SCHEMA))
        self.database.execute("CREATE OR REPLACE TABLE t_changes AS FROM rows_of_log")
        self.database.execute(
            "CREATE OR REPLACE TABLE t AS SELECT id, v, unmapped, changed_at, sequence_number FROM t_changes"
        )

    def append(self, rows: Sequence[Row]) -> None:
        """One file for each day of `received_at`, as the table's partitions have it."""
        days: defaultdict[date, list[Row]] = defaultdict(list)
        for row in rows:
            days[row["received_at"].date()].append(row)
        added = [file_of(part) for part in days.values()]
        self.files += added
        self.unmerged += added
        self.rows += rows
        new = pa.Table.from_pylist(list(rows), schema=SCHEMA)  # noqa: F841, DuckDB finds it by its name
        self.database.execute("INSERT INTO t_changes BY NAME FROM new")

    def compact(self) -> None:
        days: defaultdict[date, list[LogFile]] = defaultdict(list)
        for file in self.files:
            days[file.received_from.date()].append(file)
        self.files = [united(part) for part in days.values()]

    def forget(self) -> None:
        """The merged snapshot has expired, and its number was never stored."""
        self.refreshed = False

    def refresh(self) -> list[Reach]:
        if not self.unmerged and self.refreshed:
            return []
        received = min((file.received_from for file in self.unmerged), default=None)
        changed = min((file.changed_from for file in self.unmerged), default=None)
        whole = Reach(received, changed) if self.refreshed else Reach()
        reaches = split(whole, self.files, self.most_bytes)
        for reach in reaches:
            self.database.execute(in_duckdb(merge_statement(CONTRACT, reach)))
        self.unmerged, self.refreshed = [], True
        return reaches

    def found(self) -> dict[str, int]:
        return dict(self.database.execute("SELECT id, v FROM t").fetchall())

    def wanted(self) -> dict[str, int]:
        if not self.rows:
            return {}
        latest = latest_rows(pa.Table.from_pylist(self.rows, schema=SCHEMA), ["id"]).to_pylist()
        return {row["id"]: row["v"] for row in latest if row["operation"] != "REMOVE"}


def in_duckdb(statement: str) -> str:
    return re.sub(r"TIMESTAMP '", "TIMESTAMPTZ '", statement)


def file_of(rows: Iterable[Mapping[str, Any]]) -> LogFile:
    received = [row["received_at"] for row in rows]
    return LogFile(min(received), max(received), min(row["changed_at"] for row in rows), len(received))


def united(files: Sequence[LogFile]) -> LogFile:
    return LogFile(
        min(file.received_from for file in files),
        max(file.received_until for file in files),
        min(file.changed_from for file in files),
        sum(file.size for file in files),
    )


def seconds(number: int) -> timedelta:
    return timedelta(seconds=number)


def told(
    writes: Sequence[tuple[str, str, bool, int, int]], arrivals: Sequence[tuple[int, int, int, int]]
) -> Story:
    """A story in numbers, with a refresh after each batch."""
    return Story(
        [
            Write(key, kind, removes, seconds(later), seconds(clock))
            for key, kind, removes, later, clock in writes
        ],
        [Arrival(write, seconds(delay), seconds(clock), batch) for write, delay, clock, batch in arrivals],
        [frozenset({"refresh"})] * BATCHES,
        10**9,
    )


CLOCKS_APART = told(
    [("a", "streams", False, 0, 1_700), ("a", "streams", True, 1, 1_700)],
    [(1, 0, -1_700, 0), (0, 0, 0, 1)],
)
REPLAYED_AND_MERGED_BEFORE = told(
    [
        ("a", "streams", False, 0, 0),
        ("a", "streams", True, 100, 0),
        ("b", "streams", False, 400_000, 0),
        ("b", "streams", False, 1, 0),
    ],
    # The change before the deletion again, after what arrives last was received.
    [(0, 0, 0, 0), (1, 0, 0, 0), (2, 1, 0, 0), (0, 400_110, 0, 1), (3, 1, 0, 2)],
)


@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(stories())
@example(CLOCKS_APART)
@example(REPLAYED_AND_MERGED_BEFORE)
def test_every_refresh_leaves_the_latest_change_of_each_key(story: Story) -> None:
    tables = Tables(story.most_bytes)
    for rows, after in zip(changes(story), story.after, strict=True):
        tables.append(rows)
        for name in ("compact", "forget", "refresh"):
            if name in after:
                getattr(tables, name)()
        if "refresh" in after:
            assert tables.found() == tables.wanted()


def test_a_long_log_is_merged_in_steps_of_whole_days() -> None:
    days = [NOON + timedelta(days=number) for number in range(6)]
    files = [LogFile(day, day + timedelta(hours=1), day - timedelta(minutes=1), 2) for day in days]
    assert split(Reach(), files, 12) == [Reach()]
    midnights = [NOON.replace(hour=0) + timedelta(days=number) for number in range(6)]
    steps = split(Reach(), files, 5)
    assert [step.since for step in steps] == [NOON, midnights[2], midnights[4]]
    assert [step.until for step in steps] == [midnights[2], midnights[4], None]
    assert [step.changed_since for step in steps] == [day - timedelta(minutes=1) for day in days[::2]]
    late = Reach(days[5], days[5] - timedelta(minutes=2))
    assert split(late, files, 5) == [late]
    assert [step.since for step in split(Reach(days[3], days[0]), files, 2)] == [days[3], *midnights[4:]]
