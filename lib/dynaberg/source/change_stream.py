"""The change records that a stream still holds, as the Lambdas receive them.

DynamoDB Streams keeps a change for 24 hours, Kinesis Data Streams for its retention period.
Sources: Amazon DynamoDB API Reference, "GetRecords (Amazon DynamoDB Streams)"; Amazon Kinesis Data Streams
API Reference, "GetShardIterator".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from dynaberg import aws

if TYPE_CHECKING:
    import boto3

# An open shard may return nothing although it holds more: about five times in a row, as others have measured.
_EMPTY_PAGES = 12
_PAUSE_SECONDS = 0.02
_DYNAMODB_HOURS = 24
# Neighbours in a shard may be dated in the other order.
_CLOCK_SECONDS = 2
Shard = Mapping[str, Any]


@dataclass(frozen=True)
class StreamRecord:
    """A change record of a stream.

    Attributes:
        raw: The record, as JSON in bytes.
        document: The same, parsed; its text, if it is not JSON.
    """

    raw: bytes
    document: Any


def read_changes(
    session: boto3.Session, stream_arn: str, since: datetime | None, until: datetime
) -> Iterator[StreamRecord]:
    """Read the changes of a time range, shard by shard.

    Changes later than `until` are left out: in DynamoDB Streams by when they were made, in whole seconds, and
    in Kinesis by when they entered the stream.

    Args:
        session: Open boto3 session.
        stream_arn: A stream of DynamoDB Streams or of Kinesis Data Streams.
        since: Timezone-aware start; None starts with the oldest change that the stream holds.
        until: Timezone-aware end.
    """
    read = _read_kinesis if is_kinesis(stream_arn) else _read_dynamodb
    return read(session, stream_arn, since, until)


def is_kinesis(stream_arn: str) -> bool:
    """Whether a stream belongs to Kinesis Data Streams."""
    return ":kinesis:" in stream_arn


def oldest_moment(session: boto3.Session, stream_arn: str) -> datetime:
    """The oldest moment from which a stream can hold changes."""
    hours = _DYNAMODB_HOURS
    if is_kinesis(stream_arn):
        summary = aws.client(session, "kinesis").describe_stream_summary(StreamARN=stream_arn)
        hours = summary["StreamDescriptionSummary"]["RetentionPeriodHours"]
    return datetime.now(UTC) - timedelta(hours=hours)


def _read_kinesis(
    session: boto3.Session, stream_arn: str, since: datetime | None, until: datetime
) -> Iterator[StreamRecord]:
    kinesis = aws.client(session, "kinesis")
    begin: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
    if since:
        begin = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since}
    for page in kinesis.get_paginator("list_shards").paginate(StreamARN=stream_arn):
        for shard in page["Shards"]:
            place = kinesis.get_shard_iterator(StreamARN=stream_arn, ShardId=shard["ShardId"], **begin)
            yield from _read_kinesis_shard(kinesis, place["ShardIterator"], until)


def _read_kinesis_shard(kinesis: Any, iterator: str | None, until: datetime) -> Iterator[StreamRecord]:
    while iterator:
        page = kinesis.get_records(ShardIterator=iterator)
        for record in page["Records"]:
            if record["ApproximateArrivalTimestamp"] >= until:
                return
            yield StreamRecord(record["Data"], _parse(record["Data"]))
        if not page["Records"] and not page.get("MillisBehindLatest"):
            return
        iterator = page.get("NextShardIterator")


def _read_dynamodb(
    session: boto3.Session, stream_arn: str, since: datetime | None, until: datetime
) -> Iterator[StreamRecord]:
    wire = _Wire(session)
    # DynamoDB Streams dates a change to the whole second.
    first, last = since.replace(microsecond=0).timestamp() if since else 0.0, until.timestamp()
    for shard in wire.shards(stream_arn):
        for record in wire.records(stream_arn, shard):
            made = record["dynamodb"]["ApproximateCreationDateTime"]
            if made > last + _CLOCK_SECONDS:
                break  # a shard that is written to all the while has no end
            if first <= made <= last:
                document = {**record, "eventSourceARN": stream_arn}
                yield StreamRecord(json.dumps(document).encode(), document)


class _Wire:
    """DynamoDB Streams without botocore's parsing, which would turn times and bytes into Python's own."""

    def __init__(self, session: boto3.Session) -> None:
        self._client = aws.new_client(session, "dynamodbstreams")
        self._records: list[dict[str, Any]] = []
        self._client.meta.events.register("before-parse.dynamodb-streams.GetRecords", self._keep)

    def _keep(self, response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] == HTTPStatus.OK:
            answer = json.loads(response_dict["body"])
            self._records, answer["Records"] = answer["Records"], []
            response_dict["body"] = json.dumps(answer).encode()

    def shards(self, stream_arn: str) -> Iterator[Shard]:
        return shards_of(self._client, stream_arn)

    def records(self, stream_arn: str, shard: Shard) -> Iterator[dict[str, Any]]:
        return read_shard(self._client, stream_arn, shard, lambda _: self._records)


def shards_of(streams: Any, stream_arn: str) -> Iterator[Shard]:
    """The shards of a DynamoDB stream.

    Args:
        streams: A boto3 client of DynamoDB Streams.
        stream_arn: The stream.
    """
    after: dict[str, Any] = {}
    while True:
        description = streams.describe_stream(StreamArn=stream_arn, **after)["StreamDescription"]
        yield from description["Shards"]
        if "LastEvaluatedShardId" not in description:
            return
        after = {"ExclusiveStartShardId": description["LastEvaluatedShardId"]}


def read_shard(
    streams: Any, stream_arn: str, shard: Shard, taken: Callable[[Any], Sequence[Any]] = itemgetter("Records")
) -> Iterator[Any]:
    """The records of a shard from its beginning: all of a closed one, and those up to now of an open one.

    An empty page is not the end, and the first pages usually are empty. A closed shard has no next iterator
    after its last page; an open one is given up after many empty pages in a row.

    Args:
        streams: A boto3 client of DynamoDB Streams.
        stream_arn: The stream.
        shard: The shard, as DescribeStream returns it.
        taken: The records of an answer.
    """
    is_closed = "EndingSequenceNumber" in shard.get("SequenceNumberRange", {})
    iterator = streams.get_shard_iterator(
        StreamArn=stream_arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    ).get("ShardIterator")
    empty = 0
    while iterator and (is_closed or empty < _EMPTY_PAGES):
        page = streams.get_records(ShardIterator=iterator)
        records = taken(page)
        if not records:
            time.sleep(_PAUSE_SECONDS)
        empty = 0 if records else empty + 1
        yield from records
        iterator = page.get("NextShardIterator")


def _parse(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")
