"""The record of a change that Kinesis gets."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from local_aws.kinesis.changes import Changes, partition_key

OLD = {"id": {"S": "a"}, "amount": {"N": "12.30"}}
NEW = {"id": {"S": "a"}, "amount": {"N": "12.31"}}


def change(name: str, **images: Any) -> dict[str, Any]:
    return {
        "awsRegion": "us-east-1",
        "eventID": "an-id",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000,
            "Keys": {"id": {"S": "a"}},
            "SequenceNumber": "1",
            "SizeBytes": 0,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **images,
        },
    }


def test_a_record_has_the_shape_of_awss() -> None:
    before_us = time.time_ns() // 1_000
    _, data = Changes()("orders", change("MODIFY", OldImage=OLD, NewImage=NEW))
    record = orjson.loads(data("MICROSECOND"))
    created = record["dynamodb"].pop("ApproximateCreationDateTime")
    assert before_us <= created <= time.time_ns() // 1_000
    assert record == {
        "awsRegion": "us-east-1",
        "eventID": "an-id",
        "eventName": "MODIFY",
        "userIdentity": None,
        "recordFormat": "application/json",
        "tableName": "orders",
        "dynamodb": {
            "Keys": {"id": {"S": "a"}},
            "NewImage": NEW,
            "OldImage": OLD,
            "SizeBytes": 3 + 12 + 12,
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        },
        "eventSource": "aws:dynamodb",
    }
    assert orjson.loads(data("MILLISECOND"))["dynamodb"]["ApproximateCreationDateTime"] == created // 1_000


def test_what_an_item_lacked_is_absent() -> None:
    _, data = Changes()("orders", change("REMOVE", OldImage=OLD))
    assert "NewImage" not in orjson.loads(data("MICROSECOND"))["dynamodb"]


def test_every_change_is_later_than_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = Changes()
    clock = iter([5_000_000, 5_000_000, 1_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(clock))
    made = [changes("orders", change("INSERT", NewImage=NEW)) for _ in range(3)]
    times = [orjson.loads(data("MICROSECOND"))["dynamodb"]["ApproximateCreationDateTime"] for _, data in made]
    assert times == [5_000, 5_001, 5_002]


def test_one_key_has_one_partition_key() -> None:
    key = {"id": {"S": "a"}, "at": {"N": "1"}}
    assert partition_key(key) == partition_key(dict(reversed(key.items())))
    assert partition_key(key) != partition_key(key | {"at": {"N": "2"}})
    assert len(partition_key(key)) == 32
