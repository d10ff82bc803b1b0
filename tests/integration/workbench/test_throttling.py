"""Every service throttles now and then: the library tries again, and nobody sees it."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import dynaberg
from dynaberg import aws, catalog
from dynaberg.delivery.waiting import change_ids_in_stream
from dynaberg.source import read_changes, scan_items
from dynaberg.sql import query
from local_aws import Status

Throttle = Callable[..., None]

# A call of each service that needs nothing to exist.
CALLS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "athena": ("list_work_groups", {}),
    "cloudformation": ("describe_stacks", {}),
    "cloudwatch": ("list_metrics", {}),
    "dynamodb": ("list_tables", {}),
    "dynamodbstreams": ("list_streams", {}),
    "firehose": ("list_delivery_streams", {}),
    "glue": ("get_databases", {}),
    "iam": ("list_roles", {}),
    "kinesis": ("list_streams", {}),
    "lakeformation": ("list_permissions", {}),
    "lambda": ("list_functions", {}),
    "logs": ("describe_log_groups", {}),
    "resourcegroupstaggingapi": ("get_resources", {}),
    "s3": ("get_bucket_location", {"Bucket": "throttled"}),
    "s3tables": ("list_table_buckets", {}),
    "secretsmanager": ("list_secrets", {}),
    "sqs": ("list_queues", {}),
    "stepfunctions": ("list_state_machines", {}),
    "sts": ("get_caller_identity", {}),
}
# Where the service of a signature has another name than its client.
SIGNED = {
    "cloudwatch": "monitoring",
    "dynamodbstreams": "dynamodb",
    "resourcegroupstaggingapi": "tagging",
    "stepfunctions": "awsstepfunctions",
}


@pytest.fixture
def throttle(local_aws: Status, monkeypatch: pytest.MonkeyPatch) -> Iterator[Throttle]:
    """Throttles the next two calls of each operation of a service, and tells whether it did."""
    put: list[dict[str, Any]] = []

    def control(method: str, rules: Any = None) -> Any:
        url, body = f"{local_aws.endpoint}/_local_aws/faults", json.dumps(rules).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method)) as answer:
            return json.loads(answer.read())

    def rules(service: str, *operations: str | None) -> None:
        put.append({"service": service})
        control(
            "PUT",
            [
                {"service": service, "operation": operation, "kind": "throttle", "count": 2}
                for operation in operations or (None,)
            ],
        )

    monkeypatch.setattr(time, "sleep", lambda _: None)
    yield rules
    struck = [rule["struck"] for rule in control("GET")]
    control("DELETE")
    assert struck
    assert set(struck) == {2}


def test_each_service_that_is_called_is_among_the_calls() -> None:
    source = "".join(path.read_text() for path in Path(dynaberg.__file__).parent.rglob("*.py"))
    called = set(re.findall(r'client\((?:self\.)?_?session, "(\w+)"', source))
    assert called == set(CALLS)


@pytest.mark.parametrize("service", CALLS)
def test_a_call_that_is_throttled_twice_succeeds(story: Any, throttle: Throttle, service: str) -> None:
    operation, arguments = CALLS[service]
    client = aws.client(story.pipeline.session, service)
    # Functions are throttled when they are invoked, if no other operation is named.
    throttle(SIGNED.get(service, service), *(["GET"] if service == "lambda" else []))
    try:
        answer = getattr(client, operation)(**arguments)
    except ClientError as error:  # for another reason, at the third attempt: nothing of this name exists
        answer = error.response
    assert answer.get("Error", {}).get("Code") in (None, "400", "NoSuchBucket")
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2


def test_a_query_whose_every_step_is_throttled(story: Any, throttle: Throttle) -> None:
    session, settings = story.pipeline.session, story.pipeline.settings
    throttle("athena", "StartQueryExecution", "GetQueryExecution", "GetQueryResults")
    assert query(session, settings, "SELECT count(*) AS n FROM transactions").df["n"].item() == 39


def test_a_table_that_is_loaded_and_read(story: Any, throttle: Throttle) -> None:
    opened = catalog.open_catalog(story.pipeline.session, story.pipeline.settings)
    throttle("iceberg", "GET")
    assert catalog.load_table(opened, story.pipeline.settings, "transactions").current_snapshot()


def test_objects_that_are_read(story: Any, throttle: Throttle) -> None:
    table = story.pipeline.load("transactions")
    throttle("s3", "GetObject")
    assert len(table.scan(selected_fields=("id",)).to_arrow()) == 39


def test_a_commit(make_pipeline: Callable[[str], Any], throttle: Throttle) -> None:
    pipeline = make_pipeline("throttled")
    table = pipeline.load("transactions")
    throttle("iceberg", "CommitTable")
    catalog.set_properties(table, {"dynaberg.test": "1"})
    assert pipeline.load("transactions").properties["dynaberg.test"] == "1"


def test_streams_and_items(story: Any, throttle: Throttle) -> None:
    session, source = story.pipeline.session, story.pipeline.contract.source_table
    arn = aws.client(session, "dynamodb").describe_table(TableName=source)["Table"]["LatestStreamArn"]
    throttle("dynamodb", "DescribeStream", "GetShardIterator", "GetRecords", "Scan")
    assert len(change_ids_in_stream(session, arn)) == 45
    assert len(scan_items(session, source)) == 39


def test_a_kinesis_stream(story: Any, throttle: Throttle) -> None:
    session = story.pipeline.session
    kinesis = aws.client(session, "kinesis")
    kinesis.create_stream(StreamName="throttled", ShardCount=1)
    kinesis.put_record(StreamName="throttled", Data=b"{}", PartitionKey="a")
    arn = kinesis.describe_stream_summary(StreamName="throttled")["StreamDescriptionSummary"]["StreamARN"]
    throttle("kinesis", "ListShards", "GetShardIterator", "GetRecords")
    found = list(read_changes(session, arn, None, aws.now(session).replace(year=2100)))
    assert [record.document for record in found] == [{}]
