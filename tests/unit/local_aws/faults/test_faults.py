"""Faults on request, with Python in the place of the services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from local_aws.faults.answers import failed, throttled, unavailable
from local_aws.faults.faults import PATH, Faults
from local_aws.faults.rules import Call, call_of, parse_rules
from local_aws.wire import AwsError, Request, Response, json_response, signature


class Echo:
    """An upstream, and a service of Firehose's, that take everything."""

    def __init__(self) -> None:
        self.taken: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        self.taken.append(request)
        if request.operation == "GetRecords":
            return json_response({"Records": [{"n": n} for n in range(20)], "MillisBehindLatest": 0})
        return json_response({"by": "ministack"})

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        return {"by": "ministack"}

    def claims(self, method: str, path: str, target: str) -> bool:
        return target.startswith("Firehose_")

    async def handle(self, request: Request) -> Response | None:
        self.taken.append(request)
        records = request.json().get("Records", [])
        responses = [{"RecordId": record["Data"]} for record in records]
        return json_response({"FailedPutCount": 0, "Encrypted": False, "RequestResponses": responses})

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


def faults(*rules: dict[str, Any]) -> tuple[Faults, Echo]:
    echo = Echo()
    made = Faults(echo)
    made.before([echo])
    send(made, Request("PUT", PATH, body=orjson.dumps(list(rules))))
    return made, echo


def send(made: Faults, request: Request) -> Response | None:
    return asyncio.run(made.handle(request))  # type: ignore[arg-type]


def json_call(target: str, **payload: Any) -> Request:
    return Request("POST", "/", headers={"x-amz-target": target}, body=orjson.dumps(payload))


def put_batch(count: int = 10) -> Request:
    records = [{"Data": f"r{i}"} for i in range(count)]
    return json_call("Firehose_20150804.PutRecordBatch", DeliveryStreamName="orders", Records=records)


def invoke(name: str = "forwarder") -> Request:
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{name}:live"
    return Request("POST", f"/2015-03-31/functions/{arn}/invocations")


def status(response: Response | None) -> int:
    return 0 if response is None else response.status


def test_without_rules_nothing_is_claimed_but_the_control_route() -> None:
    made, _ = faults()
    assert not made.claims("POST", "/", "Firehose_20150804.PutRecordBatch")
    assert made.claims("GET", PATH, "")


def test_the_routes_of_the_local_aws_itself_are_spared() -> None:
    made, _ = faults({"service": "s3", "kind": "unavailable"})
    assert made.claims("GET", "/bucket/key", "")
    assert not made.claims("GET", "/_local_aws/firehose", "")


def test_the_control_route_tells_what_each_rule_did_and_forgets_them() -> None:
    made, _ = faults({"service": "firehose", "kind": "throttle", "operation": "PutRecordBatch"})
    send(made, put_batch())
    send(made, json_call("Firehose_20150804.DescribeDeliveryStream", DeliveryStreamName="orders"))
    told = send(made, Request("GET", PATH))
    assert told is not None
    [rule] = told.json()
    assert (rule["matched"], rule["struck"], rule["share"]) == (1, 1, 1.0)
    send(made, Request("DELETE", PATH))
    assert not made.claims("POST", "/", "Firehose_20150804.PutRecordBatch")


@pytest.mark.parametrize("seed", [1, 7])
def test_the_same_seed_strikes_the_same_calls(seed: int) -> None:
    def run() -> list[int]:
        made, _ = faults({"service": "firehose", "kind": "throttle", "share": 0.3, "seed": seed})
        return [status(send(made, put_batch())) for _ in range(200)]

    statuses = run()
    assert statuses == run()
    assert 30 < statuses.count(503) < 90


@pytest.mark.parametrize(
    ("rule", "request_", "expected"),
    [
        ({"service": "firehose", "kind": "throttle"}, put_batch(), (503, "ServiceUnavailableException")),
        (
            {"service": "kinesis", "kind": "throttle"},
            json_call("Kinesis_20131202.GetRecords"),
            (400, "ProvisionedThroughputExceededException"),
        ),
        (
            {"service": "dynamodb", "kind": "throttle"},
            json_call("DynamoDB_20120810.PutItem", TableName="t"),
            (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"),
        ),
        (
            {"service": "sqs", "kind": "unavailable"},
            json_call("AmazonSQS.SendMessage", QueueUrl="http://x/000000000000/q"),
            (503, "ServiceUnavailableException"),
        ),
        ({"service": "lambda", "kind": "throttle"}, invoke(), (429, "TooManyRequestsException")),
        (
            {"service": "athena", "kind": "error"},
            json_call("AmazonAthena.StartQueryExecution"),
            (500, "InternalFailure"),
        ),
    ],
)
def test_errors_have_the_shape_of_their_service(
    rule: dict[str, Any], request_: Request, expected: tuple[int, str]
) -> None:
    made, echo = faults(rule)
    response = send(made, request_)
    assert response is not None
    assert (response.status, response.json()["__type"]) == expected
    assert echo.taken == []


def test_a_function_fails_as_a_function_does() -> None:
    made, _ = faults({"service": "lambda", "kind": "error", "function": "forwarder"})
    response = send(made, invoke())
    assert response is not None
    assert (response.status, response.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert response.json()["errorType"] == "RequestedFault"
    assert send(made, invoke("another")) is None


def test_a_bucket_is_away_for_a_while() -> None:
    made, _ = faults({"service": "s3", "kind": "unavailable", "bucket": "errors", "seconds": 0.1})
    put = Request("PUT", "/errors/a/b", headers={"authorization": signature("s3", "us-east-1")})
    response = send(made, put)
    assert response is not None
    assert response.status == 503
    assert b"<Code>ServiceUnavailable</Code>" in response.body
    assert send(made, Request("PUT", "/others/a", headers=put.headers)) is None
    time.sleep(0.15)
    assert send(made, put) is None


def test_one_commit_meets_a_conflict() -> None:
    made, _ = faults({"service": "iceberg", "kind": "commit_conflict", "count": 1, "table": "orders_changes"})
    commit = Request("POST", "/iceberg/v1/warehouse/namespaces/analytics/tables/orders_changes")
    assert send(made, Request("GET", commit.path)) is None
    response = send(made, commit)
    assert response is not None
    assert (response.status, response.json()["error"]["type"]) == (409, "CommitFailedException")
    assert send(made, commit) is None


def test_single_records_fail_and_the_others_arrive() -> None:
    made, echo = faults({"service": "firehose", "kind": "fail_records", "share": 0.3, "seed": 3})
    response = send(made, put_batch(100))
    assert response is not None
    answer = response.json()
    results = answer["RequestResponses"]
    failed = [i for i, result in enumerate(results) if "ErrorCode" in result]
    assert answer["FailedPutCount"] == len(failed)
    assert 15 < len(failed) < 45
    assert {results[i]["ErrorCode"] for i in failed} == {"ServiceUnavailableException"}
    arrived = [record["Data"] for record in echo.taken[0].json()["Records"]]
    assert arrived == [f"r{i}" for i in range(100) if i not in failed]
    assert [r["RecordId"] for r in results if "RecordId" in r] == arrived


def test_all_records_can_fail() -> None:
    made, echo = faults({"service": "firehose", "kind": "fail_records"})
    response = send(made, put_batch(3))
    assert response is not None
    assert (response.json()["FailedPutCount"], echo.taken) == (3, [])


def test_a_delay_is_waited_for_and_the_call_answered() -> None:
    made, echo = faults({"service": "firehose", "kind": "delay", "milliseconds": 50})
    started = time.monotonic()
    assert status(send(made, put_batch())) == 200
    assert time.monotonic() - started >= 0.05
    assert len(echo.taken) == 1


@pytest.mark.parametrize(("kind", "count"), [("duplicate", 40), ("shuffle", 20)])
def test_records_are_read_from_kinesis_twice_or_shuffled(kind: str, count: int) -> None:
    made, _ = faults({"service": "kinesis", "kind": kind, "seed": 1})
    response = send(made, json_call("Kinesis_20131202.GetRecords", ShardIterator="i"))
    assert response is not None
    numbers = [record["n"] for record in response.json()["Records"]]
    assert (len(numbers), set(numbers)) == (count, set(range(20)))
    assert numbers != sorted(set(numbers))


def test_an_event_source_delivers_a_batch_twice() -> None:
    made, _ = faults({"service": "event_source", "kind": "duplicate"})
    assert made.disturb([1, 2]) == [[1, 2], [1, 2]]


def test_an_event_source_delivers_a_batch_in_shuffled_parts() -> None:
    made, _ = faults({"service": "event_source", "kind": "shuffle", "seed": 5})
    parts = made.disturb(list(range(10)))
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    numbers = [number for part in parts for number in part]
    assert (sorted(numbers), numbers != sorted(numbers)) == (list(range(10)), True)
    again, _ = faults({"service": "event_source", "kind": "shuffle", "seed": 5})
    assert again.disturb(list(range(10))) == parts


def test_without_rules_a_batch_is_delivered_as_it_is() -> None:
    made, _ = faults()
    assert made.disturb([1, 2]) == [[1, 2]]


def test_callers_in_process_meet_the_same_faults() -> None:
    made, echo = faults({"service": "lambda", "kind": "error"}, {"service": "sqs", "kind": "throttle"})
    response = asyncio.run(made.upstream(invoke()))
    assert "x-amz-function-error" in response.headers
    with pytest.raises(AwsError, match="ThrottlingException"):
        asyncio.run(made.upstream.operation("AmazonSQS.SendMessage", {}))
    assert asyncio.run(made.upstream.operation("AmazonAthena.ListWorkGroups", {})) == {"by": "ministack"}
    assert echo.taken == []


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"kind": "throttle"}, r"lacks \['service'\]"),
        ({"service": "s3", "kind": "explode"}, "unknown kind"),
        ({"service": "s3", "kind": "throttle", "shares": 0.1}, r"unknown members \['shares'\]"),
        ({"service": "s3", "kind": "throttle", "share": 30}, "between 0 and 1"),
        ({"service": "s3", "kind": "fail_records"}, "only firehose and kinesis"),
        ({"service": "event_source", "kind": "throttle"}, "fail its function instead"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_reason(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(AwsError, match=message):
        parse_rules([rule])


def test_what_is_not_a_list_of_rules_is_refused() -> None:
    with pytest.raises(AwsError, match="not a JSON list"):
        parse_rules({"service": "s3"})


@pytest.mark.parametrize(
    ("request_", "call"),
    [
        (put_batch(), Call("firehose", "PutRecordBatch", "orders")),
        (invoke("f"), Call("lambda", "Invoke", "f")),
        (Request("POST", "/2015-03-31/functions/plain/invocations"), Call("lambda", "Invoke", "plain")),
        (
            json_call("AmazonSQS.ReceiveMessage", QueueUrl="http://h/000000000000/dlq"),
            Call("sqs", "ReceiveMessage", "dlq"),
        ),
        (Request("GET", "/bucket/key"), Call("s3", "GetObject", "bucket")),
        (
            Request(
                "POST",
                "/",
                headers={"authorization": signature("sns", "us-east-1")},
                body=b"Action=Publish&X=1",
            ),
            Call("sns", "Publish", "", is_form=True),
        ),
        (
            Request(
                "POST",
                "/",
                headers={"authorization": signature("monitoring", "us-east-1")},
                body=b"Action=ListMetrics&Version=2010-08-01",
            ),
            Call("monitoring", "ListMetrics", "", is_form=True),
        ),
    ],
)
def test_what_a_request_asks_of_whom(request_: Request, call: Call) -> None:
    assert call_of(request_) == call
    for refuse in (throttled, unavailable, failed):
        answer = refuse(call)
        assert answer.headers["content-type"].endswith("xml") == (call.is_form or call.service == "s3")
