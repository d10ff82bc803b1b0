"""How batches of an event source are delivered, without a local AWS: the function is a Python one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from local_aws.events import batches as event_batches
from local_aws.events.batches import BatchDelivery, StoppedError
from local_aws.events.failure_destinations import Discarded, invocation_record, report
from local_aws.events.invocation import Answer, failed_identifiers
from local_aws.events.mapping import EventSourceMapping, parse_mapping
from local_aws.events.stream_reader import StreamReader
from local_aws.streams.stream_log import StreamLog, StreamRecord
from local_aws.wire import Request, Response

STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
DESCRIBED = {
    "UUID": "u-1",
    "EventSourceArn": STREAM_ARN,
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:forward",
    "State": "Enabled",
    "BatchSize": 100,
}
POISON = 13


def mapping(**settings: Any) -> EventSourceMapping:
    return parse_mapping(DESCRIBED | settings)


def stream_records(count: int, created_at: float | None = None) -> list[StreamRecord]:
    moment = time.time() if created_at is None else created_at
    return [StreamRecord(i, f"{i:040d}", moment, orjson.dumps({"n": i})) for i in range(count)]


@dataclass
class Function:
    """A function that fails as told, and remembers what it was sent."""

    fails: Callable[[list[int]], bool] = lambda numbers: False
    answers: Callable[[list[int]], Any] = lambda numbers: {"batchItemFailures": []}
    sent: list[list[int]] = field(default_factory=list)
    handled: list[int] = field(default_factory=list)

    async def __call__(self, event: bytes) -> Answer:
        numbers = [record["n"] for record in orjson.loads(event)["Records"]]
        self.sent.append(numbers)
        if self.fails(numbers):
            return Answer(invoked=True, failed=True)
        answer = self.answers(numbers)
        failed = {f["itemIdentifier"] for f in answer["batchItemFailures"]}
        self.handled += [n for n in numbers if f"{n:040d}" not in failed]
        return Answer(invoked=True, payload=orjson.dumps(answer))


def deliver(
    records: Sequence[StreamRecord], function: Callable[[bytes], Awaitable[Answer]], **settings: Any
) -> tuple[list[Discarded], list[str]]:
    """Deliver one batch; what was given up, and what was told of the invocations."""
    discarded: list[Discarded] = []
    told: list[str] = []

    async def discard(batch: Discarded) -> None:
        discarded.append(batch)

    async def run() -> None:
        delivery = BatchDelivery(mapping(**settings), function, discard, told.append, asyncio.Event())
        await delivery.deliver(records)

    asyncio.run(run())
    return discarded, told


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_batches, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(event_batches, "LONGEST_PAUSE_SECONDS", 0.002)


def numbers_of(batch: Discarded) -> list[int]:
    return [record["n"] for record in orjson.loads(batch.event)["Records"]]


def test_a_batch_that_succeeds_is_sent_once() -> None:
    function = Function()
    discarded, told = deliver(stream_records(5), function)
    assert function.sent == [[0, 1, 2, 3, 4]]
    assert (discarded, told) == ([], ["OK"])


def test_a_batch_is_tried_once_more_than_its_retries_then_given_up() -> None:
    function = Function(fails=lambda numbers: True)
    discarded, told = deliver(stream_records(3), function, MaximumRetryAttempts=2)
    assert function.sent == [[0, 1, 2]] * 3
    assert [(d.condition, d.invocations, numbers_of(d)) for d in discarded] == [
        ("RetryAttemptsExhausted", 3, [0, 1, 2])
    ]
    assert told == ["PROBLEM: Function call failed"] * 3


def test_without_a_limit_a_batch_is_tried_until_it_succeeds() -> None:
    function = Function()
    function.fails = lambda numbers: len(function.sent) < 20
    discarded, _ = deliver(stream_records(2), function)
    assert (len(function.sent), function.handled, discarded) == (20, [0, 1], [])


@pytest.mark.parametrize("retries", [0, 2])
def test_halving_finds_the_poison_and_costs_no_retry(retries: int) -> None:
    function = Function(fails=lambda numbers: POISON in numbers)
    discarded, _ = deliver(
        stream_records(32), function, BisectBatchOnFunctionError=True, MaximumRetryAttempts=retries
    )
    assert [numbers_of(d) for d in discarded] == [[POISON]]
    assert function.sent.count([POISON]) == retries + 1
    assert function.handled == [n for n in range(32) if n != POISON]


def test_reported_failures_are_retried_from_the_lowest() -> None:
    function = Function()
    function.answers = lambda numbers: {
        "batchItemFailures": [{"itemIdentifier": f"{n:040d}"} for n in (7, 4)]
        if len(function.sent) == 1
        else []
    }
    deliver(stream_records(10), function, FunctionResponseTypes=["ReportBatchItemFailures"])
    assert function.sent == [list(range(10)), list(range(4, 10))]


def test_a_reported_poison_is_isolated_by_halving() -> None:
    function = Function(
        answers=lambda numbers: {
            "batchItemFailures": [{"itemIdentifier": f"{POISON:040d}"}] if POISON in numbers else []
        }
    )
    discarded, _ = deliver(
        stream_records(20),
        function,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
    )
    assert [numbers_of(d) for d in discarded] == [[POISON]]
    assert set(function.handled) == set(range(20)) - {POISON}


def test_reports_are_ignored_where_the_mapping_does_not_ask_for_them() -> None:
    function = Function(answers=lambda numbers: {"batchItemFailures": [{"itemIdentifier": ""}]})
    assert deliver(stream_records(2), function) == ([], ["OK"])


@pytest.mark.parametrize(
    ("payload", "failed"),
    [
        (b"", set()),
        (b"null", set()),
        (b"{}", set()),
        (b'{"batchItemFailures": null}', set()),
        (b'{"batchItemFailures": []}', set()),
        (b'{"batchItemFailures": [{"itemIdentifier": "b"}]}', {"b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": null}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"wrongName": "b"}]}', {"a", "b"}),
        (b'{"batchItemFailures": [{"itemIdentifier": "elsewhere"}]}', {"a", "b"}),
        (b'{"batchItemFailures": "all"}', {"a", "b"}),
        (b'"done"', {"a", "b"}),
    ],
)
def test_what_an_answer_says_has_failed(payload: bytes, failed: set[str]) -> None:
    assert failed_identifiers(Answer(invoked=True, payload=payload), {"a", "b"}) == failed


def test_old_records_are_given_up_unsent() -> None:
    function = Function()
    old, young = stream_records(2, created_at=time.time() - 100), stream_records(4)[2:]
    discarded, _ = deliver([*old, *young], function, MaximumRecordAgeInSeconds=60)
    assert [(d.condition, numbers_of(d)) for d in discarded] == [("RecordAgeExceeded", [0, 1])]
    assert function.sent == [[2, 3]]


def test_a_function_that_cannot_be_started_costs_no_retry() -> None:
    throttles = [Answer(invoked=False)] * 3

    async def function(event: bytes) -> Answer:
        return throttles.pop() if throttles else Answer(invoked=True)

    discarded, _ = deliver(stream_records(2), function, MaximumRetryAttempts=0)
    assert (throttles, discarded) == ([], [])


def test_the_record_of_a_discarded_batch_has_its_place_and_no_payload() -> None:
    discarded, _ = deliver(
        stream_records(3, created_at=1_700_000_000), Function(), MaximumRecordAgeInSeconds=60
    )
    now = event_batches.datetime.fromtimestamp(1_700_000_100, event_batches.UTC)
    record = invocation_record(mapping(), discarded[0], now)
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["timestamp"] == "2023-11-14T22:15:00.000Z"
    assert record["DDBStreamBatchInfo"] == {
        "shardId": "shardId-00000000000000000000-00000000",
        "startSequenceNumber": f"{0:040d}",
        "endSequenceNumber": f"{2:040d}",
        "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20Z",
        "approximateArrivalOfLastRecord": "2023-11-14T22:13:20Z",
        "batchSize": 3,
        "streamArn": STREAM_ARN,
    }
    assert "payload" not in record


class Bucket:
    """An upstream that is a bucket, unavailable at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.objects: dict[str, bytes] = {}

    async def __call__(self, request: Request) -> Response:
        if self.refusals:
            self.refusals -= 1
            return Response(503, b"<Error/>")
        self.objects[request.path] = request.body
        return Response(200)

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        raise NotImplementedError


def test_a_bucket_that_is_away_for_a_while_gets_the_records_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_aws.events.failure_destinations.FIRST_PAUSE_SECONDS", 0.001)
    bucket = Bucket(refusals=3)
    described = mapping(DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::errors"}})
    discarded, _ = deliver(stream_records(2), Function(fails=lambda _: True), MaximumRetryAttempts=0)
    asyncio.run(report(bucket, described, discarded[0]))
    [(path, body)] = bucket.objects.items()
    assert path.startswith("/errors/aws/lambda/u-1/shardId-00000000000000000000-00000000/20")
    assert [r["n"] for r in orjson.loads(orjson.loads(body)["payload"])["Records"]] == [0, 1]


@dataclass
class Changes:
    """A stream of changes that is held in memory."""

    records: list[dict[str, Any]]
    expired: int = 0

    def read(self, position: int, limit: int) -> Sequence[StreamRecord]:
        first = max(position, self.expired)
        return StreamLog(self.records).read(first, limit, first)

    def end(self) -> int:
        return len(self.records)


def changes(count: int, keys: int) -> list[dict[str, Any]]:
    return [
        {
            "n": i,
            "dynamodb": {
                "Keys": {"id": {"S": f"k{i % keys}"}},
                "SequenceNumber": f"{i:040d}",
                "ApproximateCreationDateTime": int(time.time()),
            },
        }
        for i in range(count)
    ]


def read_stream(
    stream: Changes,
    function: Callable[[bytes], Awaitable[Answer]],
    until: Callable[[int], bool],
    **settings: Any,
) -> int:
    """Run a reader until its position, or what was seen, is as wished; the position it has kept."""
    kept = [0]

    async def run() -> None:
        stopping = asyncio.Event()
        described = mapping(**settings)

        async def discard(batch: Discarded) -> None:
            pass

        async def stop() -> None:
            while not until(kept[-1]):
                reader.look()
                await asyncio.sleep(0.001)
            stopping.set()

        delivery = BatchDelivery(described, function, discard, lambda result: None, stopping)
        reader = StreamReader(described, stream, 0, kept.append, delivery, lambda batch: [batch])
        await asyncio.wait_for(asyncio.gather(reader.run(stopping), stop()), 30)

    asyncio.run(run())
    return kept[-1]


def reaches(position: int) -> Callable[[int], bool]:
    return lambda kept: kept >= position


def test_a_stream_is_delivered_in_order_and_its_position_kept() -> None:
    function = Function()
    assert read_stream(Changes(changes(1_200, keys=7)), function, reaches(1_200), BatchSize=100) == 1_200
    assert function.handled == list(range(1_200))
    assert {len(batch) for batch in function.sent} == {100}


def test_a_stream_is_read_once_and_again_when_it_grew() -> None:
    """A reader that looks by itself costs time in a server that has nothing to do."""
    stream, function, kept, positions = Changes(changes(10, keys=1)), Function(), [0], list[int]()

    class Counted(Changes):
        def read(self, position: int, limit: int) -> Sequence[StreamRecord]:
            positions.append(position)
            return super().read(position, limit)

    async def run() -> None:
        stopping, described = asyncio.Event(), mapping(BatchSize=100)

        async def discard(batch: Discarded) -> None:
            pass

        counted = Counted(stream.records)
        delivery = BatchDelivery(described, function, discard, lambda result: None, stopping)
        reader = StreamReader(described, counted, 0, kept.append, delivery, lambda batch: [batch])
        running = asyncio.create_task(reader.run(stopping))
        for position in (10, 15):
            while kept[-1] < position:
                await asyncio.sleep(0.001)
            if position == 10:
                await asyncio.sleep(0.1)
                counted.records.extend(changes(15, keys=1)[10:])
                reader.look()
        stopping.set()
        await running

    asyncio.run(asyncio.wait_for(run(), 30))
    assert function.handled == list(range(15))
    assert positions == [0, 10]


def test_lanes_deliver_at_once_and_keep_the_order_of_each_key() -> None:
    under_way, most = 0, 0
    function = Function()

    async def slow(event: bytes) -> Answer:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        return await function(event)

    read_stream(Changes(changes(600, keys=50)), slow, reaches(600), BatchSize=20, ParallelizationFactor=4)
    assert most == 4
    assert sorted(function.handled) == list(range(600))
    for key in range(50):
        mine = [n for n in function.handled if n % 50 == key]
        assert mine == sorted(mine)


def test_a_stopped_reader_keeps_the_position_of_what_failed() -> None:
    function = Function(fails=lambda numbers: 30 in numbers)
    assert (
        read_stream(
            Changes(changes(100, keys=1)), function, lambda kept: len(function.sent) > 8, BatchSize=10
        )
        == 30
    )
    assert function.handled == list(range(30))


def test_a_reader_that_is_stopped_while_it_delivers_ends_with_that_batch() -> None:
    function, under_way = Function(), threading.Event()

    async def slow(event: bytes) -> Answer:
        under_way.set()
        await asyncio.sleep(0.1)
        return await function(event)

    def until(kept: int) -> bool:
        return under_way.is_set()

    assert read_stream(Changes(changes(20, keys=1)), slow, until, BatchSize=10) == 10
    assert len(function.sent) == 1


def test_expired_records_are_skipped() -> None:
    function = Function()
    assert read_stream(Changes(changes(50, keys=1), expired=20), function, reaches(50)) == 50
    assert function.handled == list(range(20, 50))


@dataclass
class LateChanges(Changes):
    """A stream whose second half is there from the second read on."""

    reads: int = 0

    def read(self, position: int, limit: int) -> Sequence[StreamRecord]:
        self.reads += 1
        written = len(self.records) // 2 if self.reads == 1 else len(self.records)
        return StreamLog(self.records[:written]).read(position, limit, position)


@pytest.mark.parametrize(("window_seconds", "batches"), [(0, 2), (20, 1)])
def test_a_window_lets_a_batch_fill(window_seconds: float, batches: int) -> None:
    function, stream = Function(), LateChanges(changes(6, keys=1))
    read_stream(stream, function, reaches(6), BatchSize=6, MaximumBatchingWindowInSeconds=window_seconds)
    assert function.handled == list(range(6))
    assert len(function.sent) == batches


def test_a_delivery_that_is_stopped_says_so() -> None:
    async def run() -> None:
        stopping = asyncio.Event()
        stopping.set()
        delivery = BatchDelivery(mapping(), Function(), None, None, stopping)  # type: ignore[arg-type]
        await delivery.deliver(stream_records(1))

    with pytest.raises(StoppedError):
        asyncio.run(run())
