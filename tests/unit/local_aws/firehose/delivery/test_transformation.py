from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.firehose.delivery.transformation import batches, route_directly, transform
from local_aws.firehose.stream.config import DeliveryConfig, Destination, Transformation
from local_aws.firehose.stream.journal import Records

TRANSFORMATION = Transformation("arn:function", 2**20, 3)
CONFIG = DeliveryConfig(
    name="orders",
    arn="arn:aws:firehose:us-east-1:000000000000:deliverystream/orders",
    created_us=1,
    version="1",
    source_arn=None,
    source_start_ms=0,
    table_bucket_arn="",
    destinations=(Destination("ns", "log", "errors/"),),
    buffer_bytes=2**20,
    buffer_seconds=1,
    retry_seconds=1,
    transformation=TRANSFORMATION,
    error_bucket="errors",
    error_prefix="other/",
    log_group=None,
    log_stream=None,
)
Returned = list[dict[str, Any]]


class Lambda:
    """A Lambda client whose function is a Python function of the event's records."""

    def __init__(self, function: Callable[[Returned], Any], failing_invocations: int = 0) -> None:
        self.function = function
        self.events: list[dict[str, Any]] = []
        self.failing_invocations = failing_invocations

    def invoke(self, **request: Any) -> dict[str, Any]:
        self.events.append(json.loads(request["Payload"]))
        if len(self.events) <= self.failing_invocations:
            return {"Payload": io.BytesIO(b'{"errorMessage": "no"}'), "FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(json.dumps(self.function(self.events[-1]["records"])).encode())}


def ok(record: dict[str, Any], data: bytes | None = None, **metadata: str) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode() if data is not None else record["data"]
    return {
        "recordId": record["recordId"],
        "result": "Ok",
        "data": encoded,
        "metadata": {"otfMetadata": metadata},
    }


def run(function: Callable[[Returned], Any], *data: bytes, **options: Any) -> tuple[Any, Lambda]:
    client = Lambda(function, **options)
    records = Records(list(data), list(range(len(data))))
    routed = transform(records, CONFIG, TRANSFORMATION, client)  # type: ignore[arg-type]
    return routed, client


def test_transformed_records_go_on_in_order_with_their_arrival() -> None:
    routed, client = run(
        lambda rs: {"records": [ok(r, b"new-%d" % i) for i, r in reversed(list(enumerate(rs)))]}, b"a", b"b"
    )
    assert routed.by_destination == {CONFIG.destinations[0]: Records([b"new-0", b"new-1"], [0, 1])}
    [event] = client.events
    assert set(event) == {"invocationId", "deliveryStreamArn", "region", "records"}
    assert event["region"] == "us-east-1"
    assert event["records"][1]["approximateArrivalTimestamp"] == 1
    assert base64.b64decode(event["records"][1]["data"]) == b"b"


def test_dropped_records_are_gone() -> None:
    routed, _ = run(
        lambda rs: {"records": [{"recordId": r["recordId"], "result": "Dropped"} for r in rs]}, b"a"
    )
    assert (routed.by_destination, routed.failures) == ({}, [])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda r: [], "Lambda.MissingRecordId"),
        (lambda r: [r, r], "Lambda.DuplicatedRecordId"),
        (lambda r: [r | {"result": "ProcessingFailed"}], "Lambda.ProcessingFailedStatus"),
        (lambda r: [r | {"result": "Fine"}], "Lambda.JsonProcessingException"),
        (lambda r: [r | {"data": "%%%"}], "Lambda.JsonProcessingException"),
        (lambda r: [{"recordId": r["recordId"], "result": "Ok"}], "Lambda.JsonProcessingException"),
    ],
)
def test_a_record_that_does_not_come_back_well_fails_alone(
    spoil: Callable[[dict[str, Any]], Returned], code: str
) -> None:
    routed, _ = run(lambda rs: {"records": [ok(rs[0]), *spoil(ok(rs[1]))]}, b"good", b"bad")
    assert routed.by_destination[CONFIG.destinations[0]].data == [b"good"]
    [failure] = routed.failures
    assert (failure.code, failure.data, failure.output_type) == (code, b"bad", "processing-failed")
    assert (failure.lambda_arn, failure.prefix, failure.attempts) == ("arn:function", "other/", 1)


@pytest.mark.parametrize("answer", ["text", {"no": "records"}, {"records": [{}]}, {"records": [5]}, None])
def test_an_unreadable_answer_is_tried_again_and_then_fails_the_batch(answer: object) -> None:
    routed, client = run(lambda rs: answer, b"a", b"b")
    assert len(client.events) == 4
    assert [failure.code for failure in routed.failures] == ["Lambda.JsonProcessingException"] * 2
    assert routed.failures[0].attempts == 4


def test_a_failing_function_is_invoked_three_times_more() -> None:
    routed, client = run(lambda rs: {"records": [ok(r) for r in rs]}, b"a", failing_invocations=3)
    assert (len(client.events), len(routed.failures)) == (4, 0)
    routed, client = run(lambda rs: {"records": [ok(r) for r in rs]}, b"a", failing_invocations=4)
    assert (len(client.events), routed.failures[0].code) == (4, "Lambda.FunctionError")


def test_a_missing_function_fails_the_batch() -> None:
    class NoFunction:
        def invoke(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "gone"}}, "Invoke")

    routed = transform(Records([b"a"], [1]), CONFIG, TRANSFORMATION, NoFunction())  # type: ignore[arg-type]
    assert routed.failures[0].code == "Lambda.ResourceNotFoundException"


def test_records_route_themselves() -> None:
    def function(records: Returned) -> dict[str, Any]:
        return {
            "records": [
                ok(records[0], b"1", destinationTableName="other"),
                ok(
                    records[1],
                    b"2",
                    destinationDatabaseName="db",
                    destinationTableName="t",
                    operation="insert",
                ),
                ok(records[2], b"3", operation="delete"),
            ]
        }

    routed, _ = run(function, b"a", b"b", b"c")
    assert {(d.database, d.table): r.data for d, r in routed.by_destination.items()} == {
        ("ns", "other"): [b"1"],
        ("db", "t"): [b"2"],
    }
    assert [(f.code, f.data) for f in routed.failures] == [("Iceberg.InvalidOperation", b"3")]


def test_a_record_without_any_table_fails() -> None:
    routed = route_directly(Records([b"a"], [1]), replace(CONFIG, destinations=()))
    assert [(f.code, f.prefix) for f in routed.failures] == [("Iceberg.InvalidTableName", "other/")]


def test_batches_respect_the_buffer_and_the_payload_limit() -> None:
    many = Records([b"x" * 10] * 60_000, [0] * 60_000)
    sizes = [len(batch) for batch in batches(many, 3 * 2**20)]
    assert sum(sizes) == 60_000
    assert max(sizes) * (14 + 120) < 6 * 2**20
    assert [len(batch) for batch in batches(Records([b"x" * 600] * 4, [0] * 4), 1300)] == [2, 2]
    assert [len(batch) for batch in batches(Records([b"x" * 2000] * 2, [0] * 2), 1300)] == [1, 1]
