"""Rules by which the local AWS fails on purpose, seeded so that a run can be repeated."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import parse_qs

from local_aws.wire import AwsError, Request

KINDS: Mapping[str, str] = {
    "throttle": "refuse a call as too fast",
    "unavailable": "refuse a call as if the service was away",
    "error": "fail a call; of a Lambda function, let the function fail",
    "fail_records": "fail single records of a call that takes many",
    "commit_conflict": "refuse a commit as if another writer was first",
    "delay": "answer later",
    "duplicate": "deliver records twice",
    "shuffle": "deliver records in another order",
}
ONLY_FOR: Mapping[str, tuple[str, ...]] = {
    "fail_records": ("firehose", "kinesis"),
    "commit_conflict": ("iceberg",),
    "duplicate": ("event_source", "kinesis"),
    "shuffle": ("event_source", "kinesis"),
}
RESOURCE_NAMES = ("resource", "function", "bucket", "stream", "table", "queue")
_OPERATION: Mapping[str, str] = {
    "fail_records": "PutRecordBatch|PutRecords",
    "commit_conflict": "CommitTable",
    "duplicate": "GetRecords",
    "shuffle": "GetRecords",
}
_TARGETS: Mapping[str, str] = {
    "dynamodbstreams": "dynamodb",
    "amazonsqs": "sqs",
    "amazonathena": "athena",
    "awsglue": "glue",
    "graniteserviceversion20100801": "monitoring",
    "resourcegroupstaggingapi": "tagging",
}
_FUNCTION = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_ICEBERG_TABLE = re.compile(r"/iceberg/v1/.*/tables/([^/]+)")
_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
_RESOURCE_MEMBERS = ("DeliveryStreamName", "StreamName", "TableName", "QueueUrl", "StreamARN", "WorkGroup")


@dataclass(frozen=True)
class Call:
    """What a request asks of whom.

    Attributes:
        service: The service's name as in ARNs; `iceberg` is the REST catalog.
        operation: The operation.
        resource: The function, bucket, stream, table or queue; empty where it is not known.
        is_form: Whether it is a form, as AWS's Query protocol has it; its answer is XML.
    """

    service: str
    operation: str
    resource: str
    is_form: bool = False


@dataclass
class Rule:
    """One kind of fault, and where it strikes.

    Attributes:
        service: The service that fails; `event_source` is Lambda's reading of streams.
        kind: One of `KINDS`.
        operation: Only this operation.
        resource: Only this function, bucket, stream, table or queue.
        share: Part of the matching calls, or records, that it strikes.
        seed: Decides which ones.
        count: How often it strikes; None is without end.
        seconds: How long it lasts from when it was put; None is until it is deleted.
        milliseconds: Length of a delay.
        matched: How many calls or records it could have struck.
        struck: How many it did.
    """

    service: str
    kind: str
    operation: str | None = None
    resource: str | None = None
    share: float = 1.0
    seed: int = 0
    count: int | None = None
    seconds: float | None = None
    milliseconds: int = 0
    matched: int = 0
    struck: int = 0
    _random: random.Random = field(init=False, repr=False)
    _since: float = field(default_factory=time.monotonic, init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311

    def matches(self, call: Call) -> bool:
        """Whether a call is one that it could strike."""
        if self.service != call.service or (self.resource or call.resource) != call.resource:
            return False
        operations = (
            self.operation or _OPERATION.get(self.kind) or ("Invoke" if self.service == "lambda" else None)
        )
        return operations is None or call.operation in operations.split("|")

    def strikes(self) -> bool:
        """Whether it strikes this time; the n-th answer is always the same for one seed."""
        self.matched += 1
        drawn = self._random.random() < self.share
        struck = drawn and not self._is_over()
        self.struck += struck
        return struck

    def shuffled(self, count: int) -> list[int]:
        """The numbers below `count` in another order."""
        return self._random.sample(range(count), count)

    def _is_over(self) -> bool:
        spent = self.count is not None and self.struck >= self.count
        return spent or (self.seconds is not None and time.monotonic() > self._since + self.seconds)

    def describe(self) -> dict[str, Any]:
        """The rule as it was put, and what it did."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}


def parse_rules(given: Any) -> list[Rule]:
    """The rules of a request."""
    if not isinstance(given, list) or not all(isinstance(rule, dict) for rule in given):
        raise AwsError("ValidationException", "The body is not a JSON list of rules.")
    return [parse_rule(rule) for rule in given]


def parse_rule(given: Mapping[str, Any]) -> Rule:
    """One rule; its resource may be called by its kind: function, bucket, stream, table or queue."""
    settings = {name: value for name, value in given.items() if name not in RESOURCE_NAMES}
    named = [value for name, value in given.items() if name in RESOURCE_NAMES]
    known = {f.name for f in fields(Rule) if f.init} - {"matched", "struck"}
    if unknown := sorted(settings.keys() - known):
        raise invalid(given, f"has unknown members {unknown}; there are {sorted(known)}")
    if missing := sorted({"service", "kind"} - settings.keys()):
        raise invalid(given, f"lacks {missing}")
    if settings["kind"] not in KINDS:
        raise invalid(given, f"has an unknown kind; there are {sorted(KINDS)}")
    services = ONLY_FOR.get(settings["kind"])
    if services and settings["service"] not in services:
        raise invalid(given, f"is of a kind that only {' and '.join(services)} can have")
    if settings["service"] == "event_source" and not services:
        raise invalid(given, "is of a kind that an event source cannot have; fail its function instead")
    if not 0 <= settings.get("share", 1.0) <= 1:
        raise invalid(given, "has a share that is not between 0 and 1")
    return Rule(**settings, resource=named[0] if named else None)


def invalid(given: Mapping[str, Any], problem: str) -> AwsError:
    """The error of a rule."""
    return AwsError("ValidationException", f"The rule {dict(given)} {problem}.")


def call_of(request: Request) -> Call:
    """What a request asks of whom, by its target, its path or its signature."""
    if request.target:
        return call_by_target(request)
    if match := _FUNCTION.match(request.path):
        return Call("lambda", "Invoke", match[1].partition("function:")[2].partition(":")[0] or match[1])
    if request.path.startswith("/iceberg/"):
        table = _ICEBERG_TABLE.match(request.path)
        commits = request.method == "POST" and table is not None
        return Call("iceberg", "CommitTable" if commits else request.method, table[1] if table else "")
    scope = _SCOPE.search(request.headers.get("authorization", ""))
    service = scope[1] if scope else "s3"
    if service == "s3":
        return Call("s3", f"{request.method.capitalize()}Object", request.path.split("/")[1])
    form = parse_qs(request.body.decode("latin-1")) if request.method == "POST" else {}
    other = request.method if request.method != "POST" else ""
    return Call(service, form.get("Action", [other])[0], "", is_form="Action" in form)


def call_by_target(request: Request) -> Call:
    """What a request of a JSON protocol asks of whom."""
    prefix = re.split(r"[._]", request.target)[0].lower()
    try:
        payload = request.json()
    except AwsError:
        payload = {}
    value = next((payload[name] for name in _RESOURCE_MEMBERS if payload.get(name)), "")
    return Call(_TARGETS.get(prefix, prefix), request.operation, str(value).rpartition("/")[2])
