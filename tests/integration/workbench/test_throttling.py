"""Every service throttles now and then: the library tries again, and nobody sees it."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.exceptions import ClientError
from requests.adapters import HTTPAdapter
from tests.integration.conftest import Session

import dynaberg
from dynaberg import aws, catalog
from dynaberg.delivery.awaited import change_ids_in_stream
from dynaberg.source import read_changes, scan_items
from dynaberg.sql import query
from local_aws import Status

TIMES = 2
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


class Throttle:
    """Throttles operations of a service until clients of the test have been refused twice.

    What others call in the meantime is throttled as well, and does not count.
    """

    def __init__(self, local_aws: Status) -> None:
        self._url = f"{local_aws.endpoint}/_local_aws/faults"
        self._rules: dict[str, dict[str, Any]] = {}
        self._one_at_a_time = threading.Lock()
        self.refused: Counter[str] = Counter()
        self.session = Session()
        self.session.events.register("response-received", self._answered)

    def __call__(self, service: str, *operations: str | None, **more: Any) -> None:
        rules = [{"service": service, "operation": each, "kind": "throttle", **more} for each in operations]
        self._rules = {str(rule["operation"]): rule for rule in rules}
        self.refused.update(dict.fromkeys(self._rules, 0))
        self.put()

    def put(self) -> None:
        body = json.dumps(list(self._rules.values())).encode()
        urllib.request.urlopen(urllib.request.Request(self._url, body, method="PUT")).close()

    def struck(self) -> int:
        with urllib.request.urlopen(self._url) as answer:
            return sum(rule["struck"] for rule in json.loads(answer.read()))

    def _answered(self, event_name: str, parsed_response: Any = None, **_: Any) -> None:
        self.heard((parsed_response or {}).get("Error", {}).get("Message", ""), event_name.split(".")[-1])

    def heard(self, answer: str, operation: str = "") -> None:
        """What a client of the test was answered; the only rule stands for every operation."""
        if "a fault on request" not in answer:
            return
        with self._one_at_a_time:
            name = operation if operation in self.refused else next(iter(self.refused))
            self.refused[name] += 1
            if self.refused[name] == TIMES and self._rules.pop(name):
                self.put()

    def check(self) -> None:
        self._rules = {}
        self.put()
        assert self.refused
        assert min(self.refused.values()) >= TIMES, self.refused


@pytest.fixture
def throttle(local_aws: Status, monkeypatch: pytest.MonkeyPatch) -> Iterator[Throttle]:
    """Throttles what the clients of its session and pyiceberg call, and checks that it did."""
    throttled, send = Throttle(local_aws), HTTPAdapter.send

    def overheard(*arguments: Any, **options: Any) -> requests.Response:
        answer = send(*arguments, **options)
        throttled.heard(answer.text if answer.status_code >= 400 else "")
        return answer

    monkeypatch.setattr(HTTPAdapter, "send", overheard)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    yield throttled
    throttled.check()


def test_each_service_that_is_called_is_among_the_calls() -> None:
    source = "".join(path.read_text() for path in Path(dynaberg.__file__).parent.rglob("*.py"))
    called = set(re.findall(r'client\((?:self\.)?_?session, "(\w+)"', source))
    assert called == set(CALLS)


@pytest.mark.parametrize("service", CALLS)
def test_a_call_that_is_throttled_twice_succeeds(throttle: Throttle, service: str) -> None:
    operation, arguments = CALLS[service]
    client = aws.client(throttle.session, service)
    # Functions are throttled when they are invoked, if no other operation is named.
    throttle(SIGNED.get(service, service), "GET" if service == "lambda" else None)
    try:
        answer = getattr(client, operation)(**arguments)
    except ClientError as error:  # for another reason, at the third attempt: nothing of this name exists
        answer = error.response
    assert answer.get("Error", {}).get("Code") in (None, "400", "NoSuchBucket")
    assert answer["ResponseMetadata"]["RetryAttempts"] == TIMES


def test_a_query_whose_every_step_is_throttled(story: Any, throttle: Throttle) -> None:
    session, settings = throttle.session, story.pipeline.settings
    throttle("athena", "StartQueryExecution", "GetQueryExecution", "GetQueryResults")
    assert query(session, settings, "SELECT count(*) AS n FROM transactions").df["n"].item() == 39


def test_a_table_that_is_loaded_and_read(story: Any, throttle: Throttle) -> None:
    opened = catalog.open_catalog(throttle.session, story.pipeline.settings)
    throttle("iceberg", "GET")
    assert catalog.load_table(opened, story.pipeline.settings, "transactions").current_snapshot()


def test_a_commit(make_pipeline: Callable[[str], Any], throttle: Throttle) -> None:
    pipeline = make_pipeline("throttled")
    table = pipeline.load("transactions")
    throttle("iceberg", "CommitTable")
    catalog.set_properties(table, {"dynaberg.test": "1"})
    assert pipeline.load("transactions").properties["dynaberg.test"] == "1"


def test_streams_and_items(story: Any, throttle: Throttle) -> None:
    session, source = throttle.session, story.pipeline.contract.source_table
    arn = aws.client(session, "dynamodb").describe_table(TableName=source)["Table"]["LatestStreamArn"]
    throttle("dynamodb", "DescribeStream", "GetShardIterator", "GetRecords", "Scan")
    assert len(change_ids_in_stream(session, arn)) == 45
    assert len(scan_items(session, source)) == 39


def test_a_kinesis_stream(throttle: Throttle) -> None:
    session = throttle.session
    kinesis = aws.client(session, "kinesis")
    kinesis.create_stream(StreamName="throttled", ShardCount=1)
    kinesis.put_record(StreamName="throttled", Data=b"{}", PartitionKey="a")
    arn = kinesis.describe_stream_summary(StreamName="throttled")["StreamDescriptionSummary"]["StreamARN"]
    throttle("kinesis", "ListShards", "GetShardIterator", "GetRecords")
    found = list(read_changes(session, arn, None, aws.now(session).replace(year=2100)))
    assert [record.document for record in found] == [{}]


def test_objects_that_are_read(story: Any, throttle: Throttle) -> None:
    """Arrow's own client says nothing here, so the local AWS counts; nobody else reads from this bucket."""
    table = story.pipeline.load("transactions")
    throttle("s3", "GetObject", bucket=urlsplit(table.location()).netloc, count=TIMES)
    assert len(table.scan(selected_fields=("id",)).to_arrow()) == 39
    throttle.refused["GetObject"] = throttle.struck()
