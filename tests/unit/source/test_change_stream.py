"""A time range of a stream, read as the Lambdas get it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynaberg import aws
from dynaberg.source.change_stream import oldest_moment, read_changes, read_shard

ARN = "arn:aws:kinesis:us-east-1:0:stream/changes"
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
SESSION: Any = None


def entry(data: bytes, seconds: float) -> dict[str, Any]:
    return {"Data": data, "ApproximateArrivalTimestamp": WHEN + timedelta(seconds=seconds)}


class FakeKinesis:
    """Two shards; the first has a gap, and more than is asked for."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.pages: dict[str, list[dict[str, Any]]] = {
            "a": [
                {"Records": [entry(b'{"n":1}', 0)], "MillisBehindLatest": 9_000},
                {"Records": [], "MillisBehindLatest": 5_000},
                {"Records": [entry(b"no JSON", 5), entry(b'{"n":3}', 10)], "MillisBehindLatest": 0},
            ],
            "b": [
                {"Records": [entry(b'{"n":4}', 1)], "MillisBehindLatest": 0},
                {"Records": [], "MillisBehindLatest": 0},
            ],
        }

    def get_paginator(self, name: str) -> FakeKinesis:
        assert name == "list_shards"
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Shards": [{"ShardId": "a"}]}, {"Shards": [{"ShardId": "b"}]}]

    def get_shard_iterator(self, **call: Any) -> dict[str, Any]:
        self.asked.append(call)
        return {"ShardIterator": f"{call['ShardId']}0"}

    def get_records(self, **call: Any) -> dict[str, Any]:
        shard, place = call["ShardIterator"][0], int(call["ShardIterator"][1])
        return self.pages[shard][place] | {"NextShardIterator": f"{shard}{place + 1}"}

    def describe_stream_summary(self, **_: Any) -> dict[str, Any]:
        return {"StreamDescriptionSummary": {"RetentionPeriodHours": 168}}


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> FakeKinesis:
    fake = FakeKinesis()
    monkeypatch.setattr(aws, "client", lambda *_: fake)
    return fake


def test_kinesis_is_read_over_gaps_up_to_the_end(kinesis: FakeKinesis) -> None:
    read = list(read_changes(SESSION, ARN, WHEN, WHEN + timedelta(seconds=10)))
    assert [record.document for record in read] == [{"n": 1}, "no JSON", {"n": 4}]
    assert read[1].raw == b"no JSON"
    assert {call["ShardIteratorType"] for call in kinesis.asked} == {"AT_TIMESTAMP"}
    assert {call["Timestamp"] for call in kinesis.asked} == {WHEN}


def test_without_a_beginning_it_is_the_oldest(kinesis: FakeKinesis) -> None:
    assert len(list(read_changes(SESSION, ARN, None, WHEN))) == 0
    assert {call["ShardIteratorType"] for call in kinesis.asked} == {"TRIM_HORIZON"}


@pytest.mark.parametrize(
    ("arn", "hours"), [(ARN, 168), ("arn:aws:dynamodb:us-east-1:0:table/t/stream/x", 24)]
)
@pytest.mark.usefixtures("kinesis")
def test_how_far_back_a_stream_goes(arn: str, hours: int) -> None:
    assert abs(datetime.now(UTC) - oldest_moment(SESSION, arn) - timedelta(hours=hours)) < timedelta(
        minutes=1
    )


class FakeStreams:
    """A shard whose records stand behind empty pages."""

    def __init__(self, pages: list[list[int]], *, ends: bool) -> None:
        self.pages, self.ends, self.asked = pages, ends, 0

    def get_shard_iterator(self, **_: Any) -> dict[str, Any]:
        return {"ShardIterator": "0"}

    def get_records(self, **call: Any) -> dict[str, Any]:
        place = int(call["ShardIterator"])
        self.asked += 1
        is_last = self.ends and place == len(self.pages) - 1
        records = self.pages[place] if place < len(self.pages) else []
        return {"Records": records} | ({} if is_last else {"NextShardIterator": str(place + 1)})


CLOSED = {"ShardId": "s", "SequenceNumberRange": {"StartingSequenceNumber": "1", "EndingSequenceNumber": "9"}}
OPEN = {"ShardId": "s", "SequenceNumberRange": {"StartingSequenceNumber": "1"}}


def test_a_closed_shard_is_read_to_its_end_over_all_empty_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    streams = FakeStreams([*([[]] * 25), [1, 2], *([[]] * 25), [3]], ends=True)
    assert list(read_shard(streams, ARN, CLOSED)) == [1, 2, 3]


def test_an_open_shard_is_read_over_as_many_empty_pages_as_there_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    streams = FakeStreams([*([[]] * 6), [1], *([[]] * 6), [2]], ends=False)
    assert list(read_shard(streams, ARN, OPEN)) == [1, 2]
    assert streams.asked < 40
