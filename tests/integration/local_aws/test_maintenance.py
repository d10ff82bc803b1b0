"""Compaction, expiry and file removal are done for real, and nothing that reads the past is led astray."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType, TimestamptzType

from dynaberg import catalog as catalogs
from dynaberg import layers, past
from dynaberg.layers.log_progress import unmerged_changes
from dynaberg.profile import profile_files
from dynaberg.sql.query import query
from dynaberg.upkeep import compaction_saving
from local_aws import Status
from local_aws.s3tables.maintenance.compaction import CompactionError, compact
from local_aws.s3tables.maintenance.expiry import ExpiryError, expire, referenced, remove_unreferenced
from local_aws.s3tables.replacement import (
    ReplaceConflictError,
    Replacement,
    commit_overwrite,
    commit_replacement,
)

MEBIBYTE = 2**20
SCHEMA = Schema(
    NestedField(1, "id", LongType()),
    NestedField(2, "part", StringType()),
    NestedField(3, "text", StringType()),
)
BY_PART = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "part"))


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[[str], Any]) -> Any:
    return make_pipeline("keeping")


@pytest.fixture(scope="module")
def opened(pipeline: Any) -> Catalog:
    return catalogs.open_catalog(pipeline.session, pipeline.settings)


@pytest.fixture
def make_table(opened: Catalog, pipeline: Any) -> Iterator[Callable[..., Table]]:
    made: list[tuple[str, str]] = []

    def make(**more: Any) -> Table:
        name = (pipeline.settings.namespace, f"t{time.time_ns()}")
        made.append(name)
        return opened.create_table(name, SCHEMA, **more)

    yield make
    for name in made:
        opened.purge_table(name)


def rows(*numbers: int, part: str = "a") -> pa.Table:
    columns = {"id": list(numbers), "part": [part] * len(numbers), "text": [f"row {n}" for n in numbers]}
    schema = pa.schema([("id", pa.int64()), ("part", pa.string()), ("text", pa.string())])
    return pa.table(columns, schema=schema)


def ids(table: Table, **scan: Any) -> list[int]:
    return sorted(table.scan(**scan).to_arrow()["id"].to_pylist())


def delete_by_position(pipeline: Any, table: Table, condition: str) -> None:
    query(pipeline.session, pipeline.settings, f'DELETE FROM "{table.name()[-1]}" WHERE {condition}')
    table.refresh()


def names(table: Table, pipeline: Any) -> dict[str, str]:
    buckets = pipeline.session.client("s3tables").list_table_buckets()["tableBuckets"]
    (bucket,) = (found for found in buckets if found["name"].startswith("keeping"))
    return {"tableBucketARN": bucket["arn"], "namespace": table.name()[0], "name": table.name()[1]}


def run_jobs(local_aws: Status, hours_ahead: float = 0, **names: str) -> dict[str, Any]:
    import json
    from urllib.request import Request, urlopen

    body = json.dumps(names | {"hoursAhead": hours_ahead}).encode()
    with urlopen(Request(f"{local_aws.endpoint}/_local_aws/maintenance", data=body, method="POST")) as answer:
        (done,) = json.loads(answer.read())
    return dict(done["outcomes"])


# Compaction -------------------------------------------------------------------------------------


def test_files_are_packed_by_partition_and_deletes_are_applied(
    make_table: Callable[..., Table], pipeline: Any
) -> None:
    table = make_table(partition_spec=BY_PART)
    for number in range(0, 12, 2):
        for part in "ab":
            table.append(rows(number, number + 1, part=part))
    delete_by_position(pipeline, table, "id IN (3, 4)")
    before = table.current_snapshot()
    assert before is not None
    kept = ids(table)
    done = compact(table, target_bytes=64 * MEBIBYTE)
    assert (done.files_before, done.files_after) == (
        12 + len(table.inspect.delete_files(before.snapshot_id)),
        2,
    )
    assert ids(table) == kept == sorted([0, 1, 2, *range(5, 12)] * 2)
    assert ids(table, snapshot_id=before.snapshot_id) == kept
    assert [task.delete_files for task in table.scan().plan_files()] == [set(), set()]
    assert len(list(table.scan("part == 'a'").plan_files())) == 1
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation.value == "replace"
    assert snapshot.summary["total-data-files"] == "2"
    left = profile_files(table)
    assert len(left[left["content"] == "position deletes"]) == done.files_before - 12
    assert not left["deletes_rows"].any()
    shown = past.snapshots(table)
    assert shown["total_records"].tolist()[-2:] == [20, 20]
    assert shown["deleted_records"].tolist()[-2:] == [4, 20]
    assert compaction_saving(left)["files_saved"].sum() == 0
    delete_by_position(pipeline, table, "id = 5")
    table.append(rows(20))
    shown = past.snapshots(table)
    assert shown["total_records"].tolist()[-3:] == [20, 18, 19]
    assert shown["deleted_records"].tolist()[-2:] == [2, 0]
    assert compaction_saving(profile_files(table))["files_saved"].sum() > 0
    done = compact(table, target_bytes=64 * MEBIBYTE)
    assert past.snapshots(table)["total_records"].tolist()[-1] == 19
    assert compact(table, target_bytes=64 * MEBIBYTE).snapshot_id is None


def test_columns_that_came_later_are_in_the_compacted_file(make_table: Callable[..., Table]) -> None:
    table = make_table()
    table.append(rows(1))
    with table.update_schema() as update:
        update.add_column("more", LongType())
        update.rename_column("text", "words")
    table.append(pa.table({"id": [2], "part": ["a"], "words": ["later"], "more": [7]}))
    compact(table, target_bytes=64 * MEBIBYTE)
    found = table.scan().to_arrow().sort_by("id").to_pylist()
    assert [(row["words"], row["more"]) for row in found] == [("row 1", None), ("later", 7)]
    assert len(list(table.scan().plan_files())) == 1


def test_files_are_cut_at_the_target_size(
    make_table: Callable[..., Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local_aws.s3tables.maintenance.compaction.PORTION_BYTES", 2_000)
    table = make_table()
    for start in range(0, 4_000, 500):
        table.append(rows(*range(start, start + 500)))
    total = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
    done = compact(table, target_bytes=total // 3)
    sizes = [task.file.file_size_in_bytes for task in table.scan().plan_files()]
    assert done.files_after == len(sizes)
    assert 2 <= len(sizes) <= 6
    assert sum(size < 0.75 * (total // 3) for size in sizes) <= 1
    assert ids(table) == list(range(4_000))


@pytest.mark.parametrize("strategy", ["auto", "sort", "z-order"])
def test_rows_are_ordered_as_the_strategy_says(make_table: Callable[..., Table], strategy: str) -> None:
    order = SortOrder(SortField(2, IdentityTransform()), SortField(1, IdentityTransform()))
    table = make_table(sort_order=order)
    for number in (5, 1, 4):
        table.append(rows(number, number + 10, part="b"))
        table.append(rows(number, part="a"))
    compact(table, target_bytes=64 * MEBIBYTE, strategy=strategy)
    found = [(row["part"], row["id"]) for row in table.scan().to_arrow().to_pylist()]
    assert sorted(found) == [
        ("a", 1),
        ("a", 4),
        ("a", 5),
        ("b", 1),
        ("b", 4),
        ("b", 5),
        *(("b", n) for n in (11, 14, 15)),
    ]
    if strategy != "z-order":
        assert found == sorted(found)
    assert compact(table, target_bytes=64 * MEBIBYTE, strategy=strategy).snapshot_id is None


@pytest.mark.parametrize("strategy", ["sort", "z-order"])
def test_without_a_sort_order_there_is_nothing_to_sort_by(
    make_table: Callable[..., Table], strategy: str
) -> None:
    with pytest.raises(CompactionError, match="sort order"):
        compact(make_table(), target_bytes=64 * MEBIBYTE, strategy=strategy)


def test_what_others_append_meanwhile_stays(make_table: Callable[..., Table], opened: Catalog) -> None:
    table = make_table()
    numbers = iter(range(1_000))
    for _ in range(4):
        table.append(rows(next(numbers)))
    stop = threading.Event()
    written: list[int] = []

    def append() -> None:
        mine = opened.load_table(table.name())
        while not stop.is_set():
            number = next(numbers)
            mine.append(rows(number))
            written.append(number)
            time.sleep(0.1)

    writer = threading.Thread(target=append)
    writer.start()
    try:
        done = [compact(table, target_bytes=64 * MEBIBYTE).snapshot_id for _ in range(2)]
    finally:
        stop.set()
        writer.join()
    table.refresh()
    assert any(done)
    assert ids(table) == sorted([0, 1, 2, 3, *written])


def test_a_delete_of_others_makes_the_replacement_void(
    make_table: Callable[..., Table], opened: Catalog, pipeline: Any
) -> None:
    table = make_table()
    table.append(rows(1, 2))
    table.append(rows(3, 4))
    paths = {task.file.file_path for task in table.scan().plan_files()}
    other = opened.load_table(table.name())
    delete_by_position(pipeline, other, "id = 4")
    with pytest.raises(ReplaceConflictError, match="deleted"):
        commit_replacement(table, Replacement(paths, set(), [], 0))
    other.delete("id <= 2")
    table.refresh()
    with pytest.raises(ReplaceConflictError):
        commit_replacement(table, Replacement(paths, set(), [], 0))
    compact(table, target_bytes=64 * MEBIBYTE)
    assert ids(table) == [3]


def test_any_commit_of_others_makes_an_overwrite_void(make_table: Callable[..., Table]) -> None:
    table = make_table()
    table.append(rows(1, 2))
    before = table.refresh()
    [written] = [task.file for task in before.scan().plan_files()]
    read = before.catalog.load_table(before.name())
    table.append(rows(3))
    with pytest.raises(CommitFailedException):
        commit_overwrite(read, [written], {})
    table.refresh()
    assert ids(table) == [1, 2, 3]


# Expiry and removal -----------------------------------------------------------------------------


def test_snapshots_expire_by_both_conditions_and_their_files_go_later(
    make_table: Callable[..., Table], pipeline: Any
) -> None:
    table, s3 = make_table(), pipeline.session.client("s3")
    for number in range(4):
        table.append(rows(number))
    compact(table, target_bytes=64 * MEBIBYTE)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    assert expire(table, min_to_keep=1, max_age=hour, now=now) == set()
    assert expire(table, min_to_keep=5, max_age=hour, now=now + 2 * hour) == set()
    gone = expire(table, min_to_keep=2, max_age=hour, now=now + 2 * hour)
    assert len(table.snapshots()) == 2
    # The snapshot before the compaction still needs the four small files; only lists and old metadata go.
    assert not [name for name in gone if name.endswith(".parquet")]
    gone |= expire(table, min_to_keep=1, max_age=hour, now=now + 2 * hour)
    assert len([name for name in gone if name.endswith(".parquet")]) == 4

    noncurrent = dict.fromkeys(gone, now)
    limits = {"unreferenced_days": 3, "noncurrent_days": 10}
    later = remove_unreferenced(table, s3, noncurrent, now=now + timedelta(days=9), **limits)
    assert later.deleted == []
    removal = remove_unreferenced(table, s3, later.noncurrent, now=now + timedelta(days=11), **limits)
    assert gone <= set(removal.deleted)
    assert not gone & referenced(table)
    assert ids(table) == [0, 1, 2, 3]


def test_what_a_writer_has_not_committed_yet_is_left_to_it(
    make_table: Callable[..., Table], pipeline: Any
) -> None:
    table, s3 = make_table(), pipeline.session.client("s3")
    table.append(rows(1))
    bucket, _, prefix = table.location().removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=f"{prefix}/data/unfinished.parquet", Body=b"x")
    limits = {"unreferenced_days": 3, "noncurrent_days": 10}
    now = datetime.now(UTC)
    first = remove_unreferenced(table, s3, {}, now=now + timedelta(days=2), **limits)
    assert (first.deleted, first.noncurrent) == ([], {})
    second = remove_unreferenced(table, s3, {}, now=now + timedelta(days=4), **limits)
    assert [name.rpartition("/")[2] for name in second.noncurrent] == ["unfinished.parquet"]
    third = remove_unreferenced(table, s3, second.noncurrent, now=now + timedelta(days=15), **limits)
    assert [name.rpartition("/")[2] for name in third.deleted] == ["unfinished.parquet"]
    assert ids(table) == [1]


def test_tags_and_properties_that_regulate_expiry_make_it_fail(make_table: Callable[..., Table]) -> None:
    table = make_table()
    table.append(rows(1))
    table.append(rows(2))
    later = {"min_to_keep": 1, "max_age": timedelta(hours=1), "now": datetime.now(UTC) + timedelta(days=1)}
    with table.transaction() as transaction:
        transaction.set_properties({"history.expire.max-snapshot-age-ms": "1"})
    with pytest.raises(ExpiryError, match=r"history\.expire\.max-snapshot-age-ms"):
        expire(table, **later)
    with table.transaction() as transaction:
        transaction.remove_properties("history.expire.max-snapshot-age-ms")
    table.manage_snapshots().create_tag(table.snapshots()[0].snapshot_id, "mine").commit()
    with pytest.raises(ExpiryError, match="mine"):
        expire(table, **later)
    assert len(table.snapshots()) == 2


# Through the S3 Tables API ----------------------------------------------------------------------


def test_settings_are_carried_out_and_the_status_tells(
    make_table: Callable[..., Table], pipeline: Any, local_aws: Status
) -> None:
    table, s3tables = make_table(), pipeline.session.client("s3tables")
    for number in range(3):
        table.append(rows(number))
    named = names(table, pipeline)
    status = s3tables.get_table_maintenance_job_status(**named)["status"]
    assert {job: answer["status"] for job, answer in status.items()} == dict.fromkeys(status, "Not_Yet_Run")

    compaction = {"status": "enabled", "settings": {"icebergCompaction": {"targetFileSizeMB": 64}}}
    s3tables.put_table_maintenance_configuration(**named, type="icebergCompaction", value=compaction)
    deadline = time.monotonic() + 60
    while (found := s3tables.get_table_maintenance_job_status(**named)["status"]["icebergCompaction"])[
        "status"
    ] != "Successful":
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    assert abs((datetime.now(UTC) - found["lastRunTimestamp"]).total_seconds()) < 60
    table.refresh()
    assert len(list(table.scan().plan_files())) == 1

    off = {"status": "disabled"}
    s3tables.put_table_maintenance_configuration(**named, type="icebergSnapshotManagement", value=off)
    assert set(run_jobs(local_aws, 200, **named)) == {"icebergCompaction", "icebergUnreferencedFileRemoval"}
    status = s3tables.get_table_maintenance_job_status(**named)["status"]
    assert status["icebergSnapshotManagement"] == {"status": "Disabled"}

    table.manage_snapshots().create_tag(table.snapshots()[0].snapshot_id, "mine").commit()
    on = {"status": "enabled"}
    s3tables.put_table_maintenance_configuration(**named, type="icebergSnapshotManagement", value=on)
    outcomes = run_jobs(local_aws, 200, **named)
    failed = s3tables.get_table_maintenance_job_status(**named)["status"]["icebergSnapshotManagement"]
    assert failed["status"] == "Failed"
    assert failed["failureMessage"] == "The table has tags or branches: mine."
    assert outcomes["icebergSnapshotManagement"]["failureMessage"] == failed["failureMessage"]


@pytest.mark.parametrize(
    ("job", "value"),
    [
        ("icebergCompaction", {"settings": {"icebergCompaction": {"targetFileSizeMB": 63}}}),
        ("icebergCompaction", {"settings": {"icebergCompaction": {"targetFileSizeMB": 513}}}),
        ("icebergCompaction", {"settings": {"icebergSnapshotManagement": {"minSnapshotsToKeep": 1}}}),
    ],
)
def test_settings_that_s3_tables_refuses(
    make_table: Callable[..., Table], pipeline: Any, job: str, value: dict[str, Any]
) -> None:
    s3tables = pipeline.session.client("s3tables")
    call = names(make_table(), pipeline) | {"type": job, "value": {"status": "enabled", **value}}
    with pytest.raises(ClientError) as error:
        s3tables.put_table_maintenance_configuration(**call)
    assert error.value.response["Error"]["Code"] == "BadRequestException"


# What reads the log and the past ----------------------------------------------------------------

SECOND = 1_000_000
NOON = 1_769_860_800 * SECOND  # 2026-01-31 12:00 UTC in microseconds
TIMES = "received_at", "changed_at"
LOG_SCHEMA = Schema(
    NestedField(1, "n", LongType()),
    *(NestedField(2 + n, name, TimestamptzType()) for n, name in enumerate(TIMES)),
)
STEPS = st.lists(st.sampled_from(["append", "append", "compact", "expire", "merge"]), min_size=3, max_size=12)


class Log:
    """A log of times alone, and a reader that merges what `unmerged_changes` tells it to."""

    def __init__(self, table: Table) -> None:
        self.table, self.written = table, 0
        self.merged: set[int] = set()
        self.mark: tuple[str | None, str | None] = (None, None)

    def append(self) -> None:
        self.written += 1
        moment = datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=self.written)
        schema = pa.schema([("n", pa.int64()), *((name, pa.timestamp("us", tz="UTC")) for name in TIMES)])
        row = {"n": self.written, "received_at": moment, "changed_at": moment - timedelta(minutes=1)}
        self.table.append(pa.Table.from_pylist([row], schema=schema))

    def compact(self) -> None:
        compact(self.table, target_bytes=64 * MEBIBYTE)

    def expire(self) -> None:
        ahead = datetime.now(UTC) + timedelta(hours=2)
        expire(self.table, min_to_keep=1, max_age=timedelta(hours=1), now=ahead)

    def merge(self) -> None:
        found = unmerged_changes(self.table, *self.mark)
        if found.action != "none":
            rows = self.table.scan().to_arrow().to_pylist()
            self.merged |= {
                row["n"] for row in rows if found.since is None or row["received_at"] >= found.since
            }
            self.mark = str(found.snapshot_id), str(found.sequence_number)
        assert self.merged == set(range(1, self.written + 1))


@pytest.fixture(scope="module")
def by_itself(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog in a folder: what is drawn takes many commits, and no server has a part in it."""
    made = InMemoryCatalog("test", warehouse=tmp_path_factory.mktemp("warehouse").as_uri())
    made.create_namespace("n")
    return made


@settings(max_examples=25)
@given(STEPS)
def test_whatever_is_compacted_and_expired_between_refreshes_nothing_is_missed(
    by_itself: Catalog, steps: list[str]
) -> None:
    log = Log(by_itself.create_table(f"n.log{time.time_ns()}", LOG_SCHEMA))
    for step in [*steps, "merge"]:
        getattr(log, step)()


def test_a_compaction_between_two_refreshes_makes_them_read_no_more(opened: Catalog, pipeline: Any) -> None:
    log = Log(opened.create_table((pipeline.settings.namespace, "precise"), LOG_SCHEMA))
    for _ in range(3):
        log.append()
    log.merge()
    log.compact()
    assert unmerged_changes(log.table, *log.mark).action == "none"
    log.append()
    log.compact()
    log.append()
    found = unmerged_changes(log.table, *log.mark)
    fourth = datetime(2026, 1, 31, 12, 0, 4, tzinfo=UTC)
    assert (found.action, found.since) == ("incremental", fourth)
    assert found.changed_since == fourth - timedelta(minutes=1)
    log.expire()
    assert unmerged_changes(log.table, *log.mark).action == "incremental"


def change(number: int, operation: str, key: str, **values: Any) -> dict[str, Any]:
    return {
        "change_id": f"{key}-{number}",
        "operation": operation,
        "changed_at": NOON + number * SECOND,
        "sequence_number": f"{number:040d}",
        "received_at": NOON + number * SECOND,
        "id": key,
        "at": 1,
        **values,
    }


def test_delivery_refresh_and_time_travel_go_on_through_maintenance(pipeline: Any, local_aws: Status) -> None:
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract

    def refresh() -> Any:
        return layers.refresh(session, settings, contract).iloc[0]

    def maintain(hours_ahead: float = 0) -> dict[str, Any]:
        tables = [pipeline.load(name) for name in (contract.log_name, contract.table)]
        return {t.name()[-1]: run_jobs(local_aws, hours_ahead, **names(t, pipeline)) for t in tables}

    def state(table: Any) -> Counter[Any]:
        return Counter((row["id"], row["status"]) for row in table.scan().to_arrow().to_pylist())

    for number in range(1, 4):
        pipeline.send([change(number, "INSERT", f"k{number}", status="new")])
    assert refresh()["action"] == "full"
    first = pipeline.load("transactions").current_snapshot().snapshot_id
    pipeline.send([change(4, "MODIFY", "k1", status="changed")])
    refresh()
    pipeline.send([change(5, "REMOVE", "k2")])
    refresh()
    before = state(pipeline.load("transactions"))
    second = pipeline.load("transactions").current_snapshot().snapshot_id
    outcome = maintain()["transactions"]["icebergCompaction"]
    assert outcome["filesAfter"] == 1 < outcome["filesBefore"]
    assert refresh()["action"] == "none"

    table = pipeline.load("transactions")
    assert state(table) == before == Counter({("k1", "changed"): 1, ("k3", "new"): 1})
    compacted = table.current_snapshot().snapshot_id
    assert past.changes_between(table, second, compacted).empty
    changes = past.changes_between(table, first, compacted)
    pairs = set(zip(changes["id"], changes["change"], strict=True))
    assert pairs == {("k1", "changed"), ("k2", "removed")}
    assert len(past.read_as_of(session, settings, table, first)) == 3
    history = past.item_history(session, settings, contract, {"id": "k1", "at": 1})
    assert history["changed_at"].nunique() == 2

    pipeline.send([change(6, "MODIFY", "k3", status="last")])
    merged = pipeline.load("transactions").properties[layers.MERGED_SNAPSHOT]
    maintain(hours_ahead=200)
    assert pipeline.load(contract.log_name).snapshot_by_id(int(merged)) is None
    pipeline.send([change(7, "INSERT", "k4", status="new")])
    report = refresh()
    assert (report["action"], report["rows_written"], report["rows_deleted"]) == ("incremental", 2, 1)
    assert state(pipeline.load("transactions")) == Counter(
        {("k1", "changed"): 1, ("k3", "last"): 1, ("k4", "new"): 1}
    )
    assert refresh()["action"] == "none"
