"""Event source mappings against the local AWS: real tables, queues and functions."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import local_aws
from local_aws import Status

ROLE = "arn:aws:iam::000000000000:role/function"
RECORDING = """
import json, os

def handler(event, context):
    numbers = [number(record) for record in event["Records"]]
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(json.dumps(numbers) + chr(10))
    {failure}
    return {answer}

def number(record):
    if "body" in record:
        return int(record["body"])
    image = record["dynamodb"].get("NewImage") or record["dynamodb"]["OldImage"]
    return int(image["n"]["N"])
"""
COUNTER = itertools.count()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(check: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Wait for a true answer."""
    deadline = time.monotonic() + timeout
    while not (answer := check()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)
    return answer


class Scene:
    """A table with a stream, and functions that remember what they were sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"events-{next(COUNTER)}"
        self.dynamodb = boto3.client("dynamodb")
        self.functions = boto3.client("lambda")
        self.sqs = boto3.client("sqs")
        self.uuids: list[str] = []

    def table(self) -> str:
        created = self.dynamodb.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        return str(created["TableDescription"]["LatestStreamArn"])

    def queue(self, suffix: str, **attributes: str) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=self.name + suffix, Attributes=attributes)["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    def function(self, failure: str = "pass", answer: str = '{"batchItemFailures": []}') -> None:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr("seen.py", RECORDING.replace("{failure}", failure).replace("{answer}", answer))
        self.functions.create_function(
            FunctionName=self.name,
            Runtime="python3.12",
            Role=ROLE,
            Handler="seen.handler",
            Code={"ZipFile": content.getvalue()},
            Timeout=20,
            Environment={"Variables": {"SEEN": str(self.folder / self.name)}},
        )

    def map(self, source_arn: str, **settings: Any) -> dict[str, Any]:
        created = self.functions.create_event_source_mapping(
            EventSourceArn=source_arn, FunctionName=self.name, **settings
        )
        self.uuids.append(created["UUID"])
        return dict(created)

    def put(self, *numbers: int) -> None:
        for first in range(0, len(numbers), 25):
            items = [{"id": {"S": str(n)}, "n": {"N": str(n)}} for n in numbers[first : first + 25]]
            requests = [{"PutRequest": {"Item": item}} for item in items]
            self.dynamodb.batch_write_item(RequestItems={self.name: requests})

    def batches(self) -> list[list[int]]:
        path = self.folder / self.name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def seen(self) -> list[int]:
        return [number for batch in self.batches() for number in batch]

    def result(self) -> str:
        return str(self.functions.get_event_source_mapping(UUID=self.uuids[-1])["LastProcessingResult"])

    def messages(self, url: str) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def end(self) -> None:
        for uuid in self.uuids:
            self.functions.delete_event_source_mapping(UUID=uuid)


@pytest.fixture
def scene(local_aws: Status, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.end()


def test_changes_reach_the_function_in_order(scene: Scene) -> None:
    scene.function()
    created = scene.map(scene.table(), StartingPosition="TRIM_HORIZON", BatchSize=500)
    assert (created["State"], created["MaximumRetryAttempts"]) == ("Creating", -1)
    scene.put(*range(2_000))
    until(lambda: len(scene.seen()) >= 2_000)
    assert scene.seen() == list(range(2_000))
    assert scene.result() == "OK"


def test_a_mapping_that_is_switched_off_and_on_loses_nothing(scene: Scene) -> None:
    scene.function()
    uuid = scene.map(scene.table(), StartingPosition="TRIM_HORIZON")["UUID"]
    scene.put(1)
    until(lambda: scene.seen() == [1])
    assert scene.functions.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    scene.put(2, 3)
    time.sleep(0.5)
    assert scene.seen() == [1]
    assert scene.functions.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    scene.functions.update_event_source_mapping(UUID=uuid, Enabled=True)
    until(lambda: scene.seen() == [1, 2, 3])


def test_latest_begins_where_the_mapping_was_made(scene: Scene) -> None:
    scene.function()
    stream_arn = scene.table()
    scene.put(1, 2)
    scene.map(stream_arn, StartingPosition="LATEST")
    scene.put(3)
    until(scene.seen)
    assert scene.seen() == [3]


def test_a_poison_record_is_isolated_and_reported(scene: Scene) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=scene.name)
    scene.function(failure="if 13 in numbers: raise ValueError(13)")
    scene.map(
        scene.table(),
        StartingPosition="TRIM_HORIZON",
        BatchSize=50,
        MaximumBatchingWindowInSeconds=1,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{scene.name}"}},
    )
    scene.put(*range(20))
    [listed] = until(lambda: s3.list_objects_v2(Bucket=scene.name).get("Contents"), timeout=60)
    until(lambda: set(scene.seen()) == set(range(20)))
    message = json.loads(s3.get_object(Bucket=scene.name, Key=listed["Key"])["Body"].read())
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert message["DDBStreamBatchInfo"]["batchSize"] == 1
    assert message["responseContext"]["functionError"] == "Unhandled"


TOPIC_ARN = "arn:aws:sns:us-east-1:000000000000:failed"


def test_a_mapping_that_is_not_served_is_refused(scene: Scene) -> None:
    scene.function()
    stream_arn = scene.table()
    with pytest.raises(ClientError, match="Hint: give an S3 bucket"):
        scene.map(
            stream_arn,
            StartingPosition="TRIM_HORIZON",
            DestinationConfig={"OnFailure": {"Destination": TOPIC_ARN}},
        )
    assert scene.functions.list_event_source_mappings(EventSourceArn=stream_arn)["EventSourceMappings"] == []
    template = {
        "Resources": {
            "Mapping": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "EventSourceArn": stream_arn,
                    "FunctionName": scene.name,
                    "StartingPosition": "TRIM_HORIZON",
                    "DestinationConfig": {"OnFailure": {"Destination": TOPIC_ARN}},
                },
            }
        }
    }
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=scene.name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=scene.name)
    [mapping] = scene.functions.list_event_source_mappings(EventSourceArn=stream_arn)["EventSourceMappings"]
    scene.uuids.append(mapping["UUID"])
    scene.put(1)
    until(lambda: "Hint: give an S3 bucket" in scene.result())
    assert scene.seen() == []


def test_partial_failures_are_retried_and_a_bucket_gets_the_records(scene: Scene) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=scene.name)
    scene.function(
        answer="{'batchItemFailures': [{'itemIdentifier': r['dynamodb']['SequenceNumber']}"
        " for r in event['Records'] if number(r) == 7]}"
    )
    uuid = scene.map(
        scene.table(),
        StartingPosition="TRIM_HORIZON",
        MaximumBatchingWindowInSeconds=1,
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{scene.name}"}},
    )["UUID"]
    scene.put(*range(10))
    [listed] = until(lambda: s3.list_objects_v2(Bucket=scene.name).get("Contents"))
    assert listed["Key"].startswith(f"aws/lambda/{uuid}/shardId-")
    record = json.loads(s3.get_object(Bucket=scene.name, Key=listed["Key"])["Body"].read())
    [poison] = json.loads(record["payload"])["Records"]
    assert poison["dynamodb"]["NewImage"]["n"] == {"N": "7"}
    until(lambda: set(scene.seen()) == set(range(10)))
    assert [n for n in scene.seen() if n < 7] == list(range(7))


def test_messages_of_a_queue_are_handled_and_deleted(scene: Scene) -> None:
    url, queue_arn = scene.queue("")
    scene.function()
    scene.map(queue_arn, BatchSize=10)
    for number in range(25):
        scene.sqs.send_message(QueueUrl=url, MessageBody=str(number))
    until(lambda: len(scene.seen()) >= 25)
    assert sorted(scene.seen()) == list(range(25))
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    until(
        lambda: (
            set(scene.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())
            == {"0"}
        )
    )


def test_a_failing_message_ends_in_the_dead_letter_queue_alone(scene: Scene) -> None:
    dead_url, dead_arn = scene.queue("-dead")
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url, queue_arn = scene.queue("", VisibilityTimeout="5", RedrivePolicy=policy)
    scene.function(
        answer="{'batchItemFailures': [{'itemIdentifier': r['messageId']}"
        " for r in event['Records'] if number(r) == 3]}"
    )
    scene.functions.invoke(FunctionName=scene.name, Payload=b'{"Records": []}')
    scene.map(queue_arn, FunctionResponseTypes=["ReportBatchItemFailures"])
    for number in range(5):
        scene.sqs.send_message(QueueUrl=url, MessageBody=str(number))
    assert until(lambda: scene.messages(dead_url)) == [3]
    assert sorted(scene.seen()) == list(range(5))


def test_the_age_of_what_waits_is_a_metric(scene: Scene) -> None:
    scene.function(failure="raise ValueError('down')")
    scene.map(scene.table(), StartingPosition="TRIM_HORIZON")
    scene.put(1)
    now = time.time()

    def ages() -> list[float]:
        answer = boto3.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="IteratorAge",
            Dimensions=[{"Name": "FunctionName", "Value": scene.name}],
            StartTime=now - 60,
            EndTime=now + 60,
            Period=60,
            Statistics=["Maximum"],
        )
        return [point["Maximum"] for point in answer["Datapoints"] if point["Maximum"] > 0]

    until(ages)
    until(lambda: scene.result() == "PROBLEM: Function call failed")


def test_the_depth_of_a_queue_is_a_metric_that_alarms_see(scene: Scene) -> None:
    url, _ = scene.queue("-letters")
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=scene.name,
        Namespace="AWS/SQS",
        MetricName="ApproximateNumberOfMessagesVisible",
        Dimensions=[{"Name": "QueueName", "Value": scene.name + "-letters"}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        TreatMissingData="notBreaching",
    )
    scene.sqs.send_message(QueueUrl=url, MessageBody="1")
    until(
        lambda: (
            [
                alarm["StateValue"]
                for alarm in cloudwatch.describe_alarms(AlarmNames=[scene.name])["MetricAlarms"]
            ]
            == ["ALARM"]
        ),
        timeout=90,
    )


@pytest.mark.thorough
def test_the_position_outlives_a_stop_and_goes_back_with_the_table_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir, closed, port = tmp_path / "state", tmp_path / "closed", free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    local_aws.start(state_dir, port=port)
    try:
        scene = Scene(tmp_path)
        scene.function(failure=f"if os.path.exists({str(closed)!r}): raise OSError('closed')")
        scene.map(scene.table(), StartingPosition="TRIM_HORIZON")
        scene.put(1)
        until(lambda: scene.seen() == [1])
        closed.touch()
        scene.put(2)
        until(lambda: 2 in scene.seen())
        local_aws.stop(state_dir)

        closed.unlink()
        (tmp_path / scene.name).unlink()
        local_aws.start(state_dir, port=port)
        until(lambda: scene.seen() == [2])
        scene.put(3)
        until(lambda: scene.seen() == [2, 3])

        os.kill(json.loads((state_dir / "gateway.json").read_text())["pid"], signal.SIGKILL)
        (tmp_path / scene.name).unlink()
        assert local_aws.start(state_dir, port=port).restored == "unclean"
        scene.put(4)
        until(lambda: scene.seen() == [2, 4])
    finally:
        local_aws.stop(state_dir)
