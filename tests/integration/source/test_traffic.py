"""Traffic over the wire: what DynamoDB's stream says of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
import pytest

from dynaberg.errors import NotFoundError, TrafficError
from dynaberg.source.change_stream import read_shard, shards_of
from dynaberg.source.traffic import generate_traffic
from local_aws import Status

KEY = {"transaction_id": ("S", "HASH"), "timestamp": ("N", "RANGE")}
NOW = datetime(2026, 3, 1, 10, 30, tzinfo=UTC)


@pytest.fixture
def table(local_aws: Status) -> Iterator[str]:
    name = f"traffic-{time.time_ns()}"
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": n, "KeyType": role} for n, (_, role) in KEY.items()],  # type: ignore[misc,typeddict-item]
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, (t, _) in KEY.items()],  # type: ignore[misc,typeddict-item]
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    yield name
    client.delete_table(TableName=name)


def change_records(table: str) -> list[Any]:
    """All that the table's stream holds, in order."""
    arn = boto3.client("dynamodb").describe_table(TableName=table)["Table"]["LatestStreamArn"]
    streams = boto3.client("dynamodbstreams")
    shards = shards_of(streams, arn)
    return [record for shard in shards for record in read_shard(streams, arn, shard)]


def scan(table: str) -> dict[str, Any]:
    pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table)
    return {item["transaction_id"]["S"]: item for page in pages for item in page["Items"]}


def test_each_change_makes_one_change_record(table: str) -> None:
    report = generate_traffic(boto3.Session(), table, changes=1_000, now=NOW, progress=False)
    records = change_records(table)
    assert Counter(record["eventName"] for record in records) == {"INSERT": 600, "MODIFY": 250, "REMOVE": 150}
    assert (report.inserts, report.updates, report.deletes, report.changes) == (600, 250, 150, 1_000)
    left: dict[str, Any] = {}
    for change in report.plan:
        left[change.transaction.transaction_id] = change.transaction.item()
        if change.operation == "REMOVE":
            del left[change.transaction.transaction_id]
    found = scan(table)
    assert len(found) == report.live_items
    # DynamoDB drops a number's trailing zeros, and so may its copies.
    assert {k: comparable(item) for k, item in found.items()} == {k: comparable(i) for k, i in left.items()}


def comparable(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "amount": Decimal(item["amount"]["N"])}


def test_a_second_run_inserts_into_a_table_that_is_not_empty(table: str) -> None:
    for _ in range(2):
        generate_traffic(boto3.Session(), table, changes=100, mix=(1, 0, 0), progress=False)
    assert Counter(record["eventName"] for record in change_records(table)) == {"INSERT": 200}


def test_progress_is_shown(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    generate_traffic(boto3.Session(), table, changes=100)
    assert "100/100" in capsys.readouterr().err


def test_a_missing_table_says_what_makes_it(local_aws: Status) -> None:
    with pytest.raises(NotFoundError, match="no DynamoDB table 'nowhere'"):
        generate_traffic(boto3.Session(), "nowhere", progress=False)


def test_a_table_with_another_key_takes_nothing(local_aws: Status) -> None:
    name = f"other-{time.time_ns()}"
    client = boto3.client("dynamodb")
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(TrafficError, match="accepted 0 of 10 changes"):
        generate_traffic(boto3.Session(), name, changes=10, progress=False)
    client.delete_table(TableName=name)
