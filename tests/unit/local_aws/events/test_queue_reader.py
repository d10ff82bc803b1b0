"""How messages of a queue are delivered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from local_aws.events.mapping import EventSourceMapping, parse_mapping
from local_aws.events.queue_reader import fitting, pollers, queue_record

STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:orders"
DESCRIBED = {
    "UUID": "u-1",
    "EventSourceArn": STREAM_ARN,
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:forward",
    "State": "Enabled",
    "BatchSize": 100,
}


def mapping(**settings: Any) -> EventSourceMapping:
    return parse_mapping(DESCRIBED | settings)


@pytest.mark.parametrize(
    ("source_arn", "scaling", "expected"),
    [(QUEUE_ARN, None, 5), (QUEUE_ARN, {"MaximumConcurrency": 2}, 2), (QUEUE_ARN + ".fifo", None, 1)],
)
def test_how_many_batches_of_a_queue_are_under_way(source_arn: str, scaling: Any, expected: int) -> None:
    assert pollers(mapping(EventSourceArn=source_arn, ScalingConfig=scaling)) == expected


def test_a_message_has_the_shape_of_lambdas_events() -> None:
    message = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "b",
        "MD5OfBody": "5",
        "Attributes": {"ApproximateReceiveCount": "2"},
        "MessageAttributes": {"kind": {"StringValue": "x", "DataType": "String"}},
    }
    record = queue_record(mapping(EventSourceArn=QUEUE_ARN), message)
    assert record["messageAttributes"] == {"kind": {"stringValue": "x", "dataType": "String"}}
    assert record["attributes"] == {"ApproximateReceiveCount": "2"}
    assert (record["eventSource"], record["eventSourceARN"]) == ("aws:sqs", QUEUE_ARN)


def test_messages_that_do_not_fit_one_invocation_are_split() -> None:
    big: Mapping[str, Any] = {"body": "x" * (2 * 2**20)}
    assert [len(batch) for batch in fitting([big] * 5)] == [2, 2, 1]
