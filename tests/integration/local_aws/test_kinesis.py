"""DynamoDB's changes on a Kinesis stream of the local AWS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_aws import Status

TEMPLATE = {
    "Parameters": {"Precision": {"Type": "String", "Default": "MICROSECOND"}},
    "Resources": {
        "Changes": {
            "Type": "AWS::Kinesis::Stream",
            "Properties": {"Name": "templated-changes", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
        },
        "Orders": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": "templated-orders",
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
                "KinesisStreamSpecification": {
                    "StreamArn": {"Fn::GetAtt": ["Changes", "Arn"]},
                    "ApproximateCreationDateTimePrecision": {"Ref": "Precision"},
                },
            },
        },
    },
}


def records(stream: str) -> dict[str, list[Mapping[str, Any]]]:
    """The records of each shard, in order."""
    kinesis = boto3.client("kinesis")
    found = {}
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        got = kinesis.get_records(ShardIterator=iterator)["Records"]
        found[shard["ShardId"]] = [json.loads(record["Data"]) for record in got]
    return found


def destinations(table: str) -> list[tuple[str, str]]:
    answer = boto3.client("dynamodb").describe_kinesis_streaming_destination(TableName=table)
    return [
        (each["DestinationStatus"], each["ApproximateCreationDateTimePrecision"])
        for each in answer["KinesisDataStreamDestinations"]
    ]


def test_changes_of_one_key_stay_in_one_shard_and_in_order(local_aws: Status) -> None:
    dynamodb, kinesis = boto3.client("dynamodb"), boto3.client("kinesis")
    kinesis.create_stream(StreamName="changes", ShardCount=4)
    stream_arn = kinesis.describe_stream_summary(StreamName="changes")["StreamDescriptionSummary"][
        "StreamARN"
    ]
    dynamodb.create_table(
        TableName="kinesis-orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.enable_kinesis_streaming_destination(
        TableName="kinesis-orders",
        StreamArn=stream_arn,
        EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    )
    for version in range(4):
        for key in range(10):
            item = {"id": {"S": str(key)}, "version": {"N": str(version)}}
            dynamodb.put_item(TableName="kinesis-orders", Item=item)
    dynamodb.put_item(TableName="kinesis-orders", Item={"id": {"S": "0"}, "version": {"N": "3"}})
    dynamodb.delete_item(TableName="kinesis-orders", Key={"id": {"S": "1"}})

    shards = {shard: got for shard, got in records("changes").items() if got}
    assert len(shards) > 1
    assert sum(map(len, shards.values())) == 41  # the put that changed nothing is no event
    for key in map(str, range(10)):
        mine = [[r for r in got if r["dynamodb"]["Keys"]["id"]["S"] == key] for got in shards.values()]
        [changes] = [each for each in mine if each]
        times = [change["dynamodb"]["ApproximateCreationDateTime"] for change in changes]
        assert times == sorted(set(times))
        versions = [c["dynamodb"]["NewImage"]["version"]["N"] for c in changes if c["eventName"] != "REMOVE"]
        assert versions == ["0", "1", "2", "3"]


def test_a_destination_that_is_disabled_gets_nothing_more(local_aws: Status) -> None:
    dynamodb, kinesis = boto3.client("dynamodb"), boto3.client("kinesis")
    kinesis.create_stream(StreamName="some-changes", ShardCount=1)
    stream_arn = kinesis.describe_stream_summary(StreamName="some-changes")["StreamDescriptionSummary"][
        "StreamARN"
    ]
    dynamodb.create_table(
        TableName="some-orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    named = {"TableName": "some-orders", "StreamArn": stream_arn}
    dynamodb.enable_kinesis_streaming_destination(**named)
    dynamodb.put_item(TableName="some-orders", Item={"id": {"S": "a"}})
    dynamodb.update_kinesis_streaming_destination(
        **named, UpdateKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"}
    )
    dynamodb.put_item(TableName="some-orders", Item={"id": {"S": "b"}})
    dynamodb.disable_kinesis_streaming_destination(**named)
    dynamodb.put_item(TableName="some-orders", Item={"id": {"S": "c"}})
    [got] = records("some-changes").values()
    told = [(r["dynamodb"]["ApproximateCreationDateTimePrecision"], len(str(when(r)))) for r in got]
    assert told == [("MILLISECOND", 13), ("MICROSECOND", 16)]


def when(record: Mapping[str, Any]) -> int:
    return int(record["dynamodb"]["ApproximateCreationDateTime"])


def test_a_stream_that_does_not_exist_is_refused(local_aws: Status) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        boto3.client("dynamodb").enable_kinesis_streaming_destination(
            TableName="any", StreamArn="arn:aws:kinesis:us-east-1:000000000000:stream/none"
        )


def test_a_template_switches_the_destination_on_changes_it_and_switches_it_off(local_aws: Status) -> None:
    cloudformation, dynamodb = boto3.client("cloudformation"), boto3.client("dynamodb")

    def deploy(verb: str, template: Mapping[str, Any], precision: str) -> None:
        getattr(cloudformation, f"{verb}_stack")(
            StackName="kinesis-orders",
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": "Precision", "ParameterValue": precision}],
        )
        cloudformation.get_waiter(f"stack_{verb}_complete").wait(
            StackName="kinesis-orders", WaiterConfig={"Delay": 1}
        )

    deploy("create", TEMPLATE, "MICROSECOND")
    assert destinations("templated-orders") == [("ACTIVE", "MICROSECOND")]
    dynamodb.put_item(TableName="templated-orders", Item={"id": {"S": "a"}})
    assert [r["eventName"] for got in records("templated-changes").values() for r in got] == ["INSERT"]

    deploy("update", TEMPLATE, "MILLISECOND")
    assert destinations("templated-orders") == [("ACTIVE", "MILLISECOND")]

    without = json.loads(json.dumps(TEMPLATE))
    del without["Resources"]["Orders"]["Properties"]["KinesisStreamSpecification"]
    deploy("update", without, "MILLISECOND")
    assert [status for status, _ in destinations("templated-orders")] == ["DISABLED"]
