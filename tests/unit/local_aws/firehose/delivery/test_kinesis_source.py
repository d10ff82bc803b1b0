from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import boto3
import orjson
import pytest
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.firehose.delivery.kinesis_source import KinesisSource, take_records

START_MS = 1_000_000


class ExpiredIteratorException(Exception):  # noqa: N818
    """An iterator that is too old."""


class ProvisionedThroughputExceededException(Exception):  # noqa: N818
    """A call that came too soon."""


class Kinesis:
    """A Kinesis client over lists of records; an iterator is `shard:index`."""

    class exceptions:  # noqa: N801
        ExpiredIteratorException = ExpiredIteratorException
        ProvisionedThroughputExceededException = ProvisionedThroughputExceededException

    def __init__(self, shards: dict[str, list[bytes]], page: int = 3) -> None:
        self.shards = shards
        self.page = page
        self.closed: set[str] = set()
        self.expired: set[str] = set()
        self.shuffled = False
        self.throttles = 0

    def get_paginator(self, _: str) -> Kinesis:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Shards": [{"ShardId": shard}]} for shard in self.shards]

    def get_shard_iterator(self, **where: Any) -> dict[str, str]:
        if where["ShardIteratorType"] == "AT_TIMESTAMP":
            assert where["Timestamp"] == datetime.fromtimestamp(START_MS / 1000, UTC)
            return {"ShardIterator": f"{where['ShardId']}:0"}
        return {"ShardIterator": f"{where['ShardId']}:{int(where['StartingSequenceNumber']) + 1}"}

    def get_records(self, ShardIterator: str, Limit: int) -> dict[str, Any]:  # noqa: N803
        if self.throttles:
            self.throttles -= 1
            raise ProvisionedThroughputExceededException
        if ShardIterator in self.expired:
            raise ExpiredIteratorException
        shard, _, text = ShardIterator.partition(":")
        index = int(text)
        records = self.shards[shard][index : index + self.page]
        done = shard in self.closed and index + len(records) == len(self.shards[shard])
        page = [
            {
                "SequenceNumber": f"{number:05d}",
                "Data": data,
                "ApproximateArrivalTimestamp": datetime.fromtimestamp(number, UTC),
            }
            for number, data in enumerate(records, start=index)
        ]
        return {
            "Records": page[::-1] if self.shuffled else page,
            "MillisBehindLatest": 1000 * (len(self.shards[shard]) - index - len(records)),
            "NextShardIterator": None if done else f"{shard}:{index + len(records)}",
        }


def drain(source: KinesisSource, limit_bytes: int = 2**20, end: dict[str, str] | None = None) -> list[bytes]:
    taken: list[bytes] = []
    while True:
        source.poll()
        records = source.take(limit_bytes, end)
        if not records.data:
            return taken
        taken += records.data


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    limit_bytes=st.integers(1, 40),
    stop_after=st.integers(0, 10),
)
def test_every_record_comes_once_and_in_the_order_of_its_shard(
    sizes: list[int], limit_bytes: int, stop_after: int
) -> None:
    shards = {f"shard-{s}": [f"{s}/{n}".encode() for n in range(size)] for s, size in enumerate(sizes)}
    client: Any = Kinesis(shards)
    first = KinesisSource(client, "arn", START_MS, {})
    taken: list[bytes] = []
    for _ in range(stop_after):
        first.poll()
        taken += first.take(limit_bytes).data
    taken += drain(first.again(first.position), limit_bytes)
    for name, data in shards.items():
        prefix = f"{name.removeprefix('shard-')}/".encode()
        assert [one for one in taken if one.startswith(prefix)] == data
    assert len(taken) == sum(sizes)


def test_a_planned_end_is_reached_again_exactly() -> None:
    client: Any = Kinesis({"a": [b"a%d" % n for n in range(9)], "b": [b"b%d" % n for n in range(5)]})
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    before = source.take(5).data
    end = source.position
    client.shards["b"].append(b"later")
    again = KinesisSource(client, "arn", START_MS, {})
    assert sorted(drain(again, end=end)) == sorted(before)
    assert again.position == end


def test_waiting_records_tell_their_size_and_their_age() -> None:
    client: Any = Kinesis({"a": [b"xx", b"yyy"], "b": []})
    source = KinesisSource(client, "arn", START_MS, {"a": "00000"})
    assert source.waiting_since_ms is None
    source.poll()
    assert (source.waiting_bytes, source.waiting_since_ms) == (3 + 4, 1000)
    assert source.take(10).arrived_ms == [1000]
    assert (source.waiting_bytes, source.waiting_since_ms) == (0, None)


def test_an_expired_iterator_is_renewed_after_the_last_record_fetched() -> None:
    client: Any = Kinesis({"a": [b"0", b"1", b"2", b"3"]}, page=2)
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    client.expired = {"a:2"}
    source.poll()
    client.expired = set()
    assert drain(source) == [b"0", b"1", b"2", b"3"]


def test_a_closed_shard_is_read_to_its_end_and_its_children_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client: Any = Kinesis({"a": [b"0", b"1"]})
    client.closed = {"a"}
    source = KinesisSource(client, "arn", START_MS, {})
    assert drain(source) == [b"0", b"1"]
    client.shards["child"] = [b"2"]
    monkeypatch.setattr("local_aws.firehose.delivery.kinesis_source.SHARDS_SECONDS", 0)
    assert drain(source) == [b"2"]


def test_a_quiet_stream_is_looked_at_less_often() -> None:
    client: Any = Kinesis({"a": [b"0"]})
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    busy = source.idle_seconds
    for _ in range(10):
        source.poll()
    assert busy < source.idle_seconds == 1.0


def test_the_worst_lag_is_told_once() -> None:
    client: Any = Kinesis({"a": [b"x"] * 9, "b": [b"x"] * 4})
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    source.poll()
    assert source.metrics() == {"KinesisMillisBehindLatest": (6000, "Milliseconds")}
    assert source.metrics() == {"KinesisMillisBehindLatest": (0, "Milliseconds")}


def test_pages_in_another_order_lose_nothing_when_reading_begins_again() -> None:
    client: Any = Kinesis({"a": [b"0", b"1", b"2"]})
    client.shuffled = True
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    taken = source.take(1).data
    taken += drain(source.again(source.position))
    assert sorted(taken) == [b"0", b"1", b"2"]


def test_what_is_taken_together_goes_on_in_the_order_in_which_it_came() -> None:
    client: Any = Kinesis({"a": [b"0", b"1", b"2", b"3"]})
    client.shuffled = True
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    assert source.take(2**20).data == [b"2", b"1", b"0"]
    assert source.position == {"a": "00002"}


def test_a_throttled_shard_is_read_at_the_next_look() -> None:
    client: Any = Kinesis({"a": [b"0"], "b": [b"1"]})
    client.throttles = 1
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    assert source.take(2**20).data == [b"1"]
    source.poll()
    assert source.take(2**20).data == [b"0"]


def test_a_look_that_did_not_reach_every_end_is_told() -> None:
    client: Any = Kinesis({"a": [b"0", b"1"], "b": []}, page=1)
    client.throttles = 1
    source = KinesisSource(client, "arn", START_MS, {})
    looks = []
    for _ in range(4):
        source.poll()
        looks.append(source.refused)
    assert looks == [True, True, False, False]
    client.expired = {"a:2"}
    source.poll()
    assert source.refused


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    take=st.integers(0, 12),
    throttles=st.integers(0, 2),
)
def test_a_plan_is_halved_until_one_record_is_left(sizes: list[int], take: int, throttles: int) -> None:
    client: Any = Kinesis({f"s{s}": [b"%d/%d" % (s, n) for n in range(size)] for s, size in enumerate(sizes)})
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    while source.waiting_bytes and take:
        source.take(1)
        take -= 1
    begin, everything = source.position, KinesisSource(client, "arn", START_MS, {})
    drain(everything)
    end, halves = everything.position, 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("local_aws.firehose.delivery.kinesis_source.BUSY_SECONDS", 0)
        while True:
            client.throttles = throttles
            middle = source.again(begin).middle(end)
            count = len(drain(source.again(begin), end=end))
            if middle is None:
                break
            first = len(drain(source.again(begin), end=middle))
            assert first in (count // 2, (count + 1) // 2)
            assert len(drain(source.again(middle), end=end)) == count - first
            end, halves = middle, halves + 1
    assert count <= 1
    assert halves <= 5


def test_a_full_shard_does_not_keep_another_from_its_planned_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_aws.firehose.delivery.kinesis_source.AHEAD_BYTES", 20)
    client: Any = Kinesis({"a": [b"aaaaaaaaaa"] * 9, "b": [b"b"] * 4}, page=9)
    source = KinesisSource(client, "arn", START_MS, {})
    taken = drain(source, end={"a": "00000", "b": "00003"})
    assert sorted(taken) == [b"aaaaaaaaaa"] + [b"b"] * 4


def test_empty_records_are_records() -> None:
    client: Any = Kinesis({"a": [b"", b""]})
    source = KinesisSource(client, "arn", START_MS, {})
    source.poll()
    assert source.waiting_bytes > 0
    assert source.take(2**20).data == [b"", b""]
    assert source.waiting_bytes == 0


def test_records_are_read_as_botocore_reads_them() -> None:
    records = [
        {
            "SequenceNumber": f"{number}",
            "ApproximateArrivalTimestamp": 1_700_000_000.123 + number,
            "Data": base64.b64encode(b"%d\n\x00" % number).decode(),
            "PartitionKey": "k",
        }
        for number in range(3)
    ]
    answer = {"Records": records, "NextShardIterator": "next", "MillisBehindLatest": 7}
    response = {"status_code": 200, "headers": {}, "body": orjson.dumps(answer)}
    client = boto3.client("kinesis", "us-east-1")
    shape = client.meta.service_model.operation_model("GetRecords").output_shape
    parser = create_parser("json")
    wanted = parser.parse(response, shape)
    taken: dict[str, Any] = {}
    take_records(response, taken)
    got = parser.parse(response, shape)
    assert got["Records"] == []
    assert got | taken == wanted
    refusal = {"status_code": 400, "body": b"{}"}
    take_records(refusal, taken := {})
    assert (refusal["body"], taken) == (b"{}", {})
