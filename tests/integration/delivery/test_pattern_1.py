"""DynamoDB Streams to Firehose, when Firehose refuses: dead letters, redrive, parking."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from tests.integration.conftest import Watched

from dynaberg import catalog, deploy, layers
from dynaberg.contracts import Column, Contract
from dynaberg.deploy import cleanup
from dynaberg.settings import Settings
from local_aws import Status

SETTINGS = Settings(
    name="poison", table_bucket_name="poison-tables", namespace="poison", bucket_name="poison"
)
CONTRACT = Contract(
    "transactions", "poison-source", "id", None, (Column("id", "string"), Column("note", "string"))
)
PutFaults = Callable[..., None]


@pytest.fixture(scope="module")
def session(local_aws: Status) -> Iterator[boto3.Session]:
    """A pipeline whose redrive tries three times, a second or two apart."""
    opened = boto3.Session()
    deploy.enable_cdc(opened, SETTINGS, CONTRACT)
    layers.create_tables(opened, SETTINGS, CONTRACT)
    deploy.deploy_firehose(
        opened, SETTINGS, CONTRACT, buffer_seconds=1, redrive_attempts=3, redrive_seconds=1
    )
    yield opened
    cleanup.clean_up(opened, SETTINGS, confirm=SETTINGS.name, delete_items_of=[CONTRACT.source_table])


@pytest.fixture(scope="module")
def outputs(session: boto3.Session) -> dict[str, str]:
    return deploy.outputs(session, SETTINGS, "delivery")


@pytest.fixture
def put_faults(local_aws: Status) -> Iterator[PutFaults]:
    """Puts rules; with none, and after the test, there are none."""

    def put(*rules: dict[str, Any]) -> None:
        url = f"{local_aws.endpoint}/_local_aws/faults"
        request = urllib.request.Request(url, json.dumps(rules).encode(), method="PUT")
        urllib.request.urlopen(request).close()

    yield put
    put()


def refusing(outputs: dict[str, str], **members: Any) -> dict[str, Any]:
    """A rule by which the pipeline's Firehose refuses every record."""
    return {
        "service": "firehose",
        "kind": "fail_records",
        "stream": outputs["DeliveryStreamName"],
        **members,
    }


def write(session: boto3.Session, *ids: str, note: str = "") -> None:
    for id_ in ids:
        item = {"id": {"S": id_}, "note": {"S": note}}
        session.client("dynamodb").put_item(TableName=CONTRACT.source_table, Item=item)


@cache
def watched_log(session: boto3.Session) -> Watched:
    opened = catalog.open_catalog(session, SETTINGS)
    return Watched(catalog.load_table(opened, SETTINGS, CONTRACT.log_name), "id")


def delivered(session: boto3.Session) -> list[str]:
    return sorted(watched_log(session).values())


def depth(session: boto3.Session, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = session.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(map(int, answer["Attributes"].values()))


def eventually(check: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_firehose_refuses_waits_in_the_queue_and_is_delivered_afterwards(
    session: boto3.Session, outputs: dict[str, str], put_faults: PutFaults
) -> None:
    # Six attempts of the forwarder and one of the redrive fail; the shard goes on meanwhile.
    put_faults(refusing(outputs, count=7))
    write(session, "refused")
    eventually(lambda: depth(session, outputs["DeadLetterQueueUrl"]) == 1)
    write(session, "after")
    eventually(lambda: delivered(session) == ["after", "refused"])
    eventually(lambda: depth(session, outputs["DeadLetterQueueUrl"]) == 0)
    assert depth(session, outputs["ParkedQueueUrl"]) == 0


def test_poison_among_others_is_parked_with_its_payload_and_its_history(
    session: boto3.Session, outputs: dict[str, str], put_faults: PutFaults
) -> None:
    before = delivered(session)
    put_faults(refusing(outputs))
    write(session, "poison", note="s3cr3t")
    eventually(lambda: depth(session, outputs["ParkedQueueUrl"]) == 1)
    put_faults()
    write(session, "next")
    eventually(lambda: delivered(session) == sorted([*before, "next"]))
    assert depth(session, outputs["DeadLetterQueueUrl"]) == 0
    queue = session.client("sqs")
    (message,) = queue.receive_message(QueueUrl=outputs["ParkedQueueUrl"], VisibilityTimeout=0)["Messages"]
    letter = json.loads(message["Body"])
    assert [(row["id"], row["note"]) for row in letter["rows"]] == [("poison", "s3cr3t")]
    assert letter["attempts"] == 3
    assert len(letter["history"]) == 2
    logs = session.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{outputs['RedriveName']}")
    text = "".join(event["message"] for event in logs["events"])
    assert letter["rows"][0]["change_id"] in text
    assert "s3cr3t" not in text
    queue.purge_queue(QueueUrl=outputs["ParkedQueueUrl"])


def test_a_row_too_large_for_the_queue_waits_in_the_error_bucket(
    session: boto3.Session, outputs: dict[str, str], put_faults: PutFaults
) -> None:
    s3, bucket = session.client("s3"), deploy.outputs(session, SETTINGS, "foundation")["ErrorBucketName"]

    def keys(prefix: str) -> list[str]:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for found in page.get("Contents", ())]

    put_faults(refusing(outputs, count=7))
    write(session, "large", note="x" * 300_000)
    eventually(lambda: len(keys("errors/undelivered/")) == 1)
    eventually(lambda: "large" in delivered(session))
    eventually(lambda: keys("errors/") == [])
    assert len(keys("archive/replayed/errors/undelivered/")) == 1


def test_the_alarms_and_the_dashboard_are_there(session: boto3.Session) -> None:
    cloudwatch = session.client("cloudwatch")
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix="poison-")["MetricAlarms"]
    assert {"poison-parked", "poison-freshness", "poison-iterator-age"} <= {a["AlarmName"] for a in alarms}
    topic = deploy.outputs(session, SETTINGS, "observe")["AlarmTopicArn"]
    # ministack leaves the actions out of the XML that older clients ask for.
    assert all(alarm.get("AlarmActions", [topic]) == [topic] for alarm in alarms)
    assert json.loads(cloudwatch.get_dashboard(DashboardName="poison")["DashboardBody"])["widgets"]
