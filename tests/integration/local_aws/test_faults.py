"""Faults on request, met by the real clients."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws import Status

Put = Callable[..., list[dict[str, Any]]]
ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def faults(local_aws: Status) -> Iterator[Put]:
    """Puts rules, or with none reads them; they are gone after the test."""

    def call(method: str, rules: Any = None) -> list[dict[str, Any]]:
        body = None if rules is None else orjson.dumps(rules)
        request = urllib.request.Request(f"{local_aws.endpoint}/_local_aws/faults", body, method=method)
        with urllib.request.urlopen(request) as answer:
            told: list[dict[str, Any]] = orjson.loads(answer.read())
        return told

    yield lambda *rules: call("PUT", rules) if rules else call("GET")
    call("DELETE")


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_clients_know_the_errors_by_name(faults: Put) -> None:
    dynamodb = boto3.client("dynamodb", config=ONCE)
    functions = boto3.client("lambda", config=ONCE)
    # Named, because other pipelines may call meanwhile.
    faults(
        {"service": "dynamodb", "kind": "throttle", "table": "any"},
        {"service": "lambda", "kind": "throttle", "function": "any"},
    )
    with pytest.raises(dynamodb.exceptions.ProvisionedThroughputExceededException):
        dynamodb.put_item(TableName="any", Item={"id": {"S": "a"}})
    with pytest.raises(functions.exceptions.TooManyRequestsException):
        functions.invoke(FunctionName="any")
    assert [rule["struck"] for rule in faults()] == [1, 1]


def test_clients_retry_what_is_throttled_now_and_then(faults: Put) -> None:
    faults({"service": "dynamodb", "operation": "ListTables", "kind": "throttle", "count": 2})
    assert "TableNames" in boto3.client("dynamodb").list_tables()
    assert faults()[0]["struck"] == 2


def test_a_bucket_that_is_away_comes_back(faults: Put) -> None:
    s3 = boto3.client("s3", config=ONCE)
    s3.create_bucket(Bucket="faulty-bucket")
    faults({"service": "s3", "kind": "unavailable", "bucket": "faulty-bucket", "count": 1})
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket="faulty-bucket", Key="a", Body=b"1")
    assert code(error) == ("ServiceUnavailable", 503)
    s3.put_object(Bucket="faulty-bucket", Key="a", Body=b"2")
    assert s3.get_object(Bucket="faulty-bucket", Key="a")["Body"].read() == b"2"


def test_single_kinesis_records_fail(faults: Put) -> None:
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName="faulty-stream", ShardCount=1)
    faults({"service": "kinesis", "kind": "fail_records", "stream": "faulty-stream", "share": 0.5, "seed": 2})
    records = [{"Data": str(n).encode(), "PartitionKey": "k"} for n in range(20)]
    answer = kinesis.put_records(StreamName="faulty-stream", Records=records)
    lost = [i for i, record in enumerate(answer["Records"]) if "ErrorCode" in record]
    assert 0 < answer["FailedRecordCount"] == len(lost) < 20

    faults({"service": "kinesis", "operation": "GetRecords", "kind": "duplicate"})
    shard = kinesis.list_shards(StreamName="faulty-stream")["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(
        StreamName="faulty-stream", ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    read = [int(record["Data"]) for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    assert read == [n for n in range(20) if n not in lost for _ in range(2)]


def test_an_absurd_rule_is_refused(faults: Put, local_aws: Status) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        faults({"service": "s3", "kind": "explode"})
    assert error.value.code == 400
    assert b"unknown kind" in error.value.read()
