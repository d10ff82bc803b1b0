"""What the API of event source mappings answers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from local_aws.events.sources import transition, with_defaults
from local_aws.wire import Request

STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:orders"


def test_a_new_mapping_on_a_stream_gets_lambdas_batch_size() -> None:
    body = orjson.dumps({"EventSourceArn": STREAM_ARN})
    assert with_defaults(Request("POST", "/", body=body)).json()["BatchSize"] == 100
    queue = Request("POST", "/", body=orjson.dumps({"EventSourceArn": QUEUE_ARN}))
    assert with_defaults(queue) is queue


@pytest.mark.parametrize(
    ("method", "payload", "state"),
    [
        ("POST", {}, "Creating"),
        ("PUT", {"BatchSize": 1}, "Updating"),
        ("PUT", {"Enabled": False}, "Disabling"),
        ("PUT", {"Enabled": True}, "Enabling"),
        ("DELETE", {}, "Deleting"),
        ("GET", {}, None),
    ],
)
def test_the_state_that_a_change_answers_with(method: str, payload: Any, state: str | None) -> None:
    assert transition(Request(method, "/", body=orjson.dumps(payload))) == state
