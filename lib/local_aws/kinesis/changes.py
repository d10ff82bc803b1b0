"""DynamoDB to Kinesis: the record of a change as AWS puts it on a Kinesis data stream.

ministack puts records in the shape of DynamoDB Streams, with the time in seconds and a random key.
Source: Amazon DynamoDB developer guide, "Using Kinesis Data Streams to capture changes to DynamoDB".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import orjson

from local_aws.seams import dynamodb, kinesis
from local_aws.wire import AtRest, AwsError, Request, Upstream

TARGET = "DynamoDB_20120810.EnableKinesisStreamingDestination"
_US_PER_UNIT = {"MICROSECOND": 1, "MILLISECOND": 1_000}


class Kinesis(AtRest):
    """The DynamoDB-to-Kinesis part of the gateway (a `Service`).

    Args:
        upstream: ministack.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        kinesis.hold_shards_compactly()
        kinesis.save_shards_compactly()
        dynamodb.send_changes_to_kinesis(Changes())

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this is the call that ministack accepts for any stream."""
        return target == TARGET

    async def handle(self, request: Request) -> None:
        """Refuse a stream that does not exist; ministack answers the rest.

        Raises:
            AwsError: ResourceNotFoundException.
        """
        stream_arn = request.json().get("StreamArn") or ""
        name = stream_arn.rpartition("/")[2]
        try:
            await self._upstream.operation("Kinesis_20131202.DescribeStreamSummary", {"StreamName": name})
        except AwsError as error:
            message = f"Requested resource not found: Stream: {stream_arn} not found"
            raise AwsError("ResourceNotFoundException", message) from error


class Changes:
    """Makes the records of changes, each later than the one before, by microseconds at least."""

    def __init__(self) -> None:
        self._last_us = 0

    def __call__(self, table_name: str, change: Mapping[str, Any]) -> dynamodb.KinesisChange:
        """A change for Kinesis."""
        images = change["dynamodb"]
        old, new = images.get("OldImage"), images.get("NewImage")
        self._last_us = max(time.time_ns() // 1_000, self._last_us + 1)
        moment_us = self._last_us
        size_bytes = sum(dynamodb.item_bytes(item) for item in (images["Keys"], new or {}, old or {}))

        def data(precision: str) -> bytes:
            created = moment_us // _US_PER_UNIT[precision]
            return orjson.dumps(kinesis_record(table_name, change, created, precision, size_bytes))

        return partition_key(images["Keys"]), data


def kinesis_record(
    table_name: str, change: Mapping[str, Any], created: int, precision: str, size_bytes: int
) -> dict[str, Any]:
    """The record of a change; it has no sequence number. `created` is in units of the precision."""
    images = change["dynamodb"]
    return {
        "awsRegion": change["awsRegion"],
        "eventID": change["eventID"],
        "eventName": change["eventName"],
        "userIdentity": change.get("userIdentity"),
        "recordFormat": "application/json",
        "tableName": table_name,
        "dynamodb": {
            "ApproximateCreationDateTime": created,
            "Keys": images["Keys"],
            **{name: images[name] for name in ("NewImage", "OldImage") if name in images},
            "SizeBytes": size_bytes,
            "ApproximateCreationDateTimePrecision": precision,
        },
        "eventSource": "aws:dynamodb",
    }


def partition_key(keys: Mapping[str, Any]) -> str:
    """A partition key that keeps the changes of one item in one shard."""
    canonical = orjson.dumps(keys, option=orjson.OPT_SORT_KEYS)
    return hashlib.md5(canonical, usedforsecurity=False).hexdigest().upper()
