from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    CommitStateUnknownException,
    NoSuchTableError,
    ServerError,
    ServiceUnavailableError,
)
from pyiceberg.io.pyarrow import PyArrowLocalFileSystem
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from local_aws.firehose.append.appender import TableAppender
from local_aws.firehose.append.data_files import DataFiles
from local_aws.firehose.append.sink import Target, layout_of
from local_aws.firehose.arrow.rows import RowConverter
from local_aws.firehose.delivery import delivery_loop
from local_aws.firehose.delivery.delivery_loop import StreamDelivery, pauses_seconds
from local_aws.firehose.stream.checkpoint import Plan, load_checkpoint
from local_aws.firehose.stream.config import DeliveryConfig, Destination
from local_aws.firehose.stream.journal import JournalSource, JournalWriter, segments

SCHEMA = Schema(NestedField(1, "id", LongType()))
CONFIG = DeliveryConfig(
    name="orders",
    arn="arn:aws:firehose:us-east-1:000000000000:deliverystream/orders",
    created_us=1,
    version="1",
    source_arn=None,
    source_start_ms=0,
    table_bucket_arn="bucket",
    destinations=(Destination("ns", "t", "errors/"),),
    buffer_bytes=2**20,
    buffer_seconds=0,
    retry_seconds=60,
    transformation=None,
    error_bucket="errors",
    error_prefix="",
    log_group=None,
    log_stream=None,
)


@dataclass
class Services:
    """What delivery asks of AWS; troubles are made and raised by the next commits, before or after them."""

    catalog: Any
    objects: dict[str, bytes] = field(default_factory=dict)
    reports: list[tuple[int, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    before_commit: list[Callable[[], BaseException]] = field(default_factory=list)
    after_commit: list[Callable[[], BaseException]] = field(default_factory=list)
    missing: bool = False

    def client(self, name: str) -> Services:
        assert name == "s3"
        return self

    def put_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = request["Body"]

    def report(self, config: DeliveryConfig, buffer: Any, of_source: Any) -> None:
        self.reports.append((buffer.records, len(buffer.failures)))

    def report_error(self, config: DeliveryConfig, error: Exception) -> None:
        self.errors.append(type(error).__name__)

    def table_bucket(self, arn: str) -> Services:
        self.target_now: Target | None = None
        return self

    def target(self, destination: Destination) -> Target:
        if self.missing:
            raise NoSuchTableError("gone")
        table = self.catalog.load_table()
        layout = layout_of(table)
        known = self.target_now
        same = known is not None and known.layout == layout
        converter = known.converter if known is not None and same else RowConverter(table.schema())
        appender = TroubledAppender(table, self)
        self.target_now = Target(appender, converter, layout)
        return self.target_now

    def failed(self) -> list[tuple[str, bytes]]:
        lines = [json.loads(line) for body in self.objects.values() for line in body.splitlines()]
        return [(line["errorCode"], base64.b64decode(line["rawData"])) for line in lines]

    def ids(self) -> list[int]:
        return sorted(self.catalog.load_table().scan().to_arrow()["id"].to_pylist())


class TroubledAppender(TableAppender):
    """Appends with the troubles that a test asks for."""

    def __init__(self, table: Any, services: Services) -> None:
        super().__init__(table, PyArrowLocalFileSystem())
        self.services = services

    def append(self, files: Any, properties: dict[str, str]) -> None:
        if self.services.before_commit:
            raise self.services.before_commit.pop(0)()
        super().append(files, properties)
        if self.services.after_commit:
            raise self.services.after_commit.pop(0)()


def test_pauses_grow_to_a_few_seconds() -> None:
    pauses = list(itertools.islice(pauses_seconds(), 12))
    assert pauses == sorted(pauses)
    assert (pauses[:2], pauses[-1]) == ([0.05, 0.1], 5.0)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other at once, so that outages are short."""
    monkeypatch.setattr(delivery_loop, "pauses_seconds", lambda: itertools.repeat(0.005))


@pytest.fixture
def services(memory_catalog: Any) -> Services:
    memory_catalog.create(SCHEMA)
    return Services(memory_catalog)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "orders@1"


Deliver = Callable[..., StreamDelivery]


@pytest.fixture
def deliver(folder: Path, services: Services) -> Iterator[Deliver]:
    """Starts the delivery of the folder's journal."""
    running: list[StreamDelivery] = []

    def start(config: DeliveryConfig = CONFIG) -> StreamDelivery:
        committed: Any = load_checkpoint(folder).committed
        clients: Any = services
        delivery = StreamDelivery(folder, config, JournalSource(folder, committed), clients)
        delivery.start()
        running.append(delivery)
        return delivery

    yield start
    for delivery in running:
        delivery.stop()
        delivery.join()


@pytest.fixture
def stopped(folder: Path, services: Services) -> StreamDelivery:
    """A delivery that is not running: a test takes its steps itself."""
    clients: Any = services
    return StreamDelivery(folder, CONFIG, JournalSource(folder, 0), clients)


def write(folder: Path, *records: bytes) -> int:
    writer = JournalWriter(folder)
    writer.append(list(records), round(time.time() * 1000))
    writer.close()
    return writer.position


def wait(folder: Path, position: int) -> None:
    deadline = time.monotonic() + 60
    while load_checkpoint(folder).committed != position:
        assert time.monotonic() < deadline, load_checkpoint(folder)
        time.sleep(0.01)


def row(number: int) -> bytes:
    return b'{"id": %d, "city": "Bern"}' % number


def test_what_is_journalled_is_delivered_and_reported(
    folder: Path, services: Services, deliver: Deliver
) -> None:
    end = write(folder, row(1), b"bad", row(2))
    delivery = deliver()
    wait(folder, end)
    write(folder, row(3))
    delivery.wake()
    wait(folder, end + 1)
    assert services.ids() == [1, 2, 3]
    assert services.failed() == [("Iceberg.InvalidJson", b"bad")]
    assert services.reports[0] == (3, 1)
    assert (load_checkpoint(folder).snapshots, load_checkpoint(folder).plan) == (2, None)
    assert len(segments(folder)) == 1


def test_a_burst_is_one_flush(
    folder: Path, services: Services, stopped: StreamDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_loop, "BURST_SECONDS", 3_600)
    write(folder, row(1))
    stopped.wake()
    stopped._read_and_flush()
    assert services.reports == []
    write(folder, row(2))
    while not services.reports:
        stopped._read_and_flush()
    assert services.reports == [(2, 0)]


def test_a_burst_without_an_end_is_flushed(
    folder: Path, services: Services, stopped: StreamDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_loop, "BURST_SECONDS", -1)
    write(folder, row(1))
    for _ in range(2):
        stopped.wake()
        stopped._read_and_flush()
    assert services.ids() == [1]


def test_a_conflict_is_tried_again(folder: Path, services: Services, deliver: Deliver) -> None:
    services.before_commit = [CommitFailedException, OSError]
    end = write(folder, row(1))
    deliver()
    wait(folder, end)
    assert services.ids() == [1]
    assert load_checkpoint(folder).last_error is None


def test_a_commit_of_unknown_outcome_lands_once(folder: Path, services: Services, deliver: Deliver) -> None:
    services.after_commit = [CommitStateUnknownException]
    end = write(folder, row(1), row(2))
    deliver()
    wait(folder, end)
    assert services.ids() == [1, 2]


def test_after_the_retry_duration_records_are_in_the_error_bucket(
    folder: Path, services: Services, deliver: Deliver
) -> None:
    services.before_commit = [CommitFailedException]
    end = write(folder, row(1), b"bad")
    delivery = deliver(replace(CONFIG, retry_seconds=0))
    wait(folder, end)
    assert services.ids() == []
    assert services.failed() == [("Iceberg.CommitFailed", row(1)), ("Iceberg.CommitFailed", b"bad")]
    write(folder, row(3))
    delivery.wake()
    wait(folder, end + 1)
    assert services.ids() == [3]


class KilledError(BaseException):
    """Ends a delivery as a kill does: without another word."""


class MortalDelivery(StreamDelivery):
    """Is killed before or after it stores what a test names, and stops when all is delivered."""

    saves: Iterator[int]
    deaths: Sequence[int]
    end: int

    def _save(self, **changes: Any) -> None:
        number = next(self.saves)
        if 2 * number in self.deaths:
            raise KilledError
        super()._save(**changes)
        if 2 * number + 1 in self.deaths:
            raise KilledError
        if self._checkpoint.committed == self.end:
            self._stopping.set()


def deliver_and_die(folder: Path, services: Any, end: int, deaths: Sequence[int]) -> None:
    """Deliver a journal, begun again after each kill."""
    saves = itertools.count()
    while load_checkpoint(folder).committed != end:
        source = JournalSource(folder, cast("int", load_checkpoint(folder).committed))
        delivery = MortalDelivery(folder, CONFIG, source, services)
        delivery.saves, delivery.deaths, delivery.end = saves, deaths, end
        with suppress(KilledError):
            delivery.run()


POISON = b"poison"


def poison_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    convert = RowConverter.convert

    def fail(converter: RowConverter, data: Any) -> Any:
        if any(POISON in record for record in data):
            raise OverflowError("date value out of range")
        return convert(converter, data)

    monkeypatch.setattr(RowConverter, "convert", fail)


def poison_files(monkeypatch: pytest.MonkeyPatch) -> None:
    write = DataFiles._write_row_groups

    def fail(files: DataFiles, batches: Any) -> None:
        if any(POISON.decode() in batch["city"].to_pylist() for batch in batches):
            raise ValueError("no such partition")
        write(files, batches)

    monkeypatch.setattr(DataFiles, "_write_row_groups", fail)


def poison_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    append = TroubledAppender.append

    def refuse(appender: TroubledAppender, files: Any, properties: dict[str, str]) -> None:
        if any(POISON in file.content.content.to_pybytes() for file in files):
            raise BadRequestError("ValidationException: no")
        append(appender, files, properties)

    monkeypatch.setattr(TroubledAppender, "append", refuse)


def poison_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    route = delivery_loop.route_directly

    def fail(records: Any, config: DeliveryConfig) -> Any:
        if any(POISON in record for record in records.data):
            raise RuntimeError("a bug")
        return route(records, config)

    monkeypatch.setattr(delivery_loop, "route_directly", fail)


@pytest.mark.parametrize(
    "poison",
    [
        poison_files,
        *(
            pytest.param(each, marks=pytest.mark.thorough)
            for each in (poison_conversion, poison_commit, poison_reading)
        ),
    ],
)
@settings(max_examples=15, deadline=None)
@given(
    puts=st.lists(st.lists(st.sampled_from(["Bern", "Bern", "poison"]), min_size=1, max_size=6), max_size=4),
    deaths=st.lists(st.integers(0, 40), max_size=3),
)
def test_bad_records_stop_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    make_catalog: Callable[[Path], Any],
    poison: Callable[[pytest.MonkeyPatch], None],
    puts: list[list[str]],
    deaths: list[int],
) -> None:
    folder = tmp_path_factory.mktemp("bad")
    catalog = make_catalog(folder / "table")
    catalog.create(Schema(NestedField(1, "id", LongType()), NestedField(2, "city", StringType())))
    services, numbers = Services(catalog), itertools.count()
    writer = JournalWriter(folder / "orders@1")
    for put in puts:
        writer.append([b'{"id": %d, "city": "%s"}' % (next(numbers), city.encode()) for city in put], 7)
    writer.close()
    with pytest.MonkeyPatch.context() as monkeypatch:
        poison(monkeypatch)
        deliver_and_die(folder / "orders@1", services, writer.position, deaths)
    cities = [city for put in puts for city in put]
    bad = [number for number, city in enumerate(cities) if city == "poison"]
    assert services.ids() == [number for number in range(len(cities)) if number not in bad]
    assert [(code, json.loads(raw)["id"]) for code, raw in services.failed()] == [
        ("Iceberg.UnwritableRecord", number) for number in bad
    ]
    snapshots = catalog.load_table().snapshots()
    positions = [int(snapshot.summary["firehose.position"]) for snapshot in snapshots if snapshot.summary]
    assert positions == sorted(set(positions))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
def test_a_flush_that_a_kill_interrupted_is_done_again_exactly(
    folder: Path, services: Services, deliver: Deliver, moment: str
) -> None:
    getattr(services, moment).append(KilledError)
    end = write(folder, row(1), b"bad", row(2))
    deliver().join()
    plan = load_checkpoint(folder).plan
    assert plan is not None
    assert plan.end == end
    later = write(folder, row(3))
    deliver()
    wait(folder, later)
    assert services.ids() == [1, 2, 3]
    assert services.failed() == [("Iceberg.InvalidJson", b"bad")]


class ThrottledSource(JournalSource):
    """Is refused when it first looks."""

    def poll(self) -> None:
        if not self.refused:
            self.refused = True
            return
        super().poll()


def test_a_planned_flush_waits_for_a_source_that_is_throttled(folder: Path, services: Services) -> None:
    end = write(folder, row(1), row(2))
    load_checkpoint(folder).but(plan=Plan.up_to(end)).store(folder)
    delivery = MortalDelivery(folder, CONFIG, ThrottledSource(folder, 0), cast("Any", services))
    delivery.saves, delivery.deaths, delivery.end = itertools.count(), (), end
    delivery.run()
    assert services.ids() == [1, 2]


def test_an_outage_is_waited_for_and_puts_nothing_aside(folder: Path, services: Services) -> None:
    services.before_commit = [
        cast("Any", trouble)
        for trouble in (
            CommitFailedException,
            ServerError,
            ServiceUnavailableError,
            lambda: requests.ConnectionError("refused"),
            lambda: EndpointConnectionError(endpoint_url="x"),
            lambda: ClientError({"Error": {"Code": "SlowDown", "Message": ""}}, "PutObject"),
        )
    ] * 2
    end = write(folder, row(1), row(2))
    deliver_and_die(folder, services, end, ())
    assert (services.ids(), services.failed()) == ([1, 2], [])
    assert len(services.catalog.load_table().snapshots()) == 1
    assert len(services.errors) >= 6


def test_a_schema_that_changes_between_reading_and_commit_is_followed(
    folder: Path, services: Services, deliver: Deliver
) -> None:
    def evolve() -> Exception:
        with services.catalog.load_table().update_schema() as update:
            update.add_column("city", StringType())
        return CommitFailedException()

    services.before_commit = [evolve]
    end = write(folder, row(1))
    deliver()
    wait(folder, end)
    assert services.catalog.load_table().scan().to_arrow().to_pylist() == [{"id": 1, "city": "Bern"}]


def test_a_missing_table_is_noticed_when_it_comes_back(
    folder: Path, services: Services, deliver: Deliver
) -> None:
    services.missing = True
    end = write(folder, row(1))
    delivery = deliver()
    wait(folder, end)
    assert services.failed() == [("Iceberg.NoSuchTable", row(1))]
    services.missing = False
    write(folder, row(2))
    delivery.wake()
    wait(folder, end + 1)
    assert services.ids() == [2]


def test_a_backlog_is_delivered_in_flushes_of_the_buffer_size(
    folder: Path, services: Services, deliver: Deliver
) -> None:
    writer = JournalWriter(folder)
    for number in range(14):
        writer.append([row(number), b'{"pad": "%s"}' % (b"x" * 300_000)], round(time.time() * 1000))
    deliver(replace(CONFIG, buffer_seconds=900))
    wait(folder, 24)
    time.sleep(0.2)
    assert services.reports == [(8, 0)] * 3
    assert load_checkpoint(folder).committed == 24


def test_an_error_that_nobody_foresaw_is_noted_and_passes(
    folder: Path, services: Services, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter([ValueError("a bug"), None])

    def report(config: DeliveryConfig, buffer: Any, of_source: Any) -> None:
        trouble = next(calls, None)
        if trouble:
            raise trouble

    monkeypatch.setattr(services, "report", report)
    end = write(folder, row(1))
    delivery = deliver()
    wait(folder, end)
    write(folder, row(2))
    delivery.wake()
    wait(folder, end + 1)
    assert services.ids() == [1, 2]


def test_a_stream_that_is_gone_is_left_alone(folder: Path, services: Services, deliver: Deliver) -> None:
    write(folder, row(1))
    services.before_commit = [CommitFailedException] * 50
    delivery = deliver()
    time.sleep(0.1)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    delivery.stop()
    delivery.join(60)
    assert not delivery.is_alive()
    assert not folder.exists()
