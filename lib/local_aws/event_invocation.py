"""Invoking a function with a batch of records, and reading what it says about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from local_aws.event_mapping import EventSourceMapping
from local_aws.wire import Request, Upstream, signature

PAYLOAD_BYTES = 6 * 2**20


@dataclass(frozen=True)
class Answer:
    """What came of an invocation.

    Attributes:
        invoked: False where the function could not be started: throttled, absent, or the service failed.
        failed: Whether the function raised or timed out.
        payload: What it returned, as JSON.
        version: The version that ran.
    """

    invoked: bool
    failed: bool = False
    payload: bytes = b""
    version: str = "$LATEST"


def event_body(records: Iterable[bytes]) -> bytes:
    """The event of a batch, from its records as JSON."""
    return b'{"Records":[' + b",".join(records) + b"]}"


async def invoke(upstream: Upstream, mapping: EventSourceMapping, body: bytes) -> Answer:
    """Invoke a mapping's function and wait for its answer."""
    headers = {
        "authorization": signature("lambda", mapping.region),
        "content-type": "application/json",
        "x-amz-invocation-type": "RequestResponse",
    }
    path = f"/2015-03-31/functions/{mapping.function_arn}/invocations"
    response = await upstream(Request("POST", path, headers=headers, body=body))
    if response.status != 200:
        return Answer(invoked=False)
    failed = "x-amz-function-error" in response.headers
    version = response.headers.get("x-amz-executed-version", "$LATEST")
    return Answer(invoked=True, failed=failed, payload=response.body, version=version)


def failed_identifiers(answer: Answer, sent: Collection[str]) -> set[str]:
    """Which records of a batch failed, by the function's answer.

    An empty answer is success; one that names something absurd is the failure of all (developer guide,
    "Configuring partial batch response with DynamoDB and Lambda").

    Args:
        answer: The answer of a function that reports failures.
        sent: The identifiers of the batch: message ids or sequence numbers.
    """
    try:
        payload = orjson.loads(answer.payload or b"null")
    except orjson.JSONDecodeError:
        return set(sent)
    failures = payload.get("batchItemFailures") if isinstance(payload, dict) else None
    if payload is None or (isinstance(payload, dict) and not failures):
        return set()
    if not isinstance(failures, list):
        return set(sent)
    named = [identifier(failure) for failure in failures]
    return {name for name in named if name} if all(name in sent for name in named) else set(sent)


def identifier(failure: Any) -> str | None:
    """The identifier that one failure names, None where it names none."""
    value = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    return value if isinstance(value, str) else None
