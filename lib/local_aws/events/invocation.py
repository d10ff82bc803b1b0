"""Invoking a function with a batch of records, and reading what it says about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from local_aws.events.mapping import EventSourceMapping
from local_aws.faults import Call
from local_aws.seams import functions
from local_aws.wire import Response

PAYLOAD_BYTES = 6 * 2**20
Refuse = Callable[[Call], Awaitable[Response | None]]


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


async def invoke(refuse: Refuse, mapping: EventSourceMapping, event: bytes) -> Answer:
    """Invoke a mapping's function and wait for its answer."""
    refusal = await refuse(Call("lambda", "Invoke", mapping.function_name))
    if refusal is None:
        response = await functions.invoke_function(mapping.function_arn, event)
    else:
        response = refusal
    if response.status != 200:
        return Answer(invoked=False)
    headers = {name.lower(): value for name, value in response.headers.items()}
    failed = "x-amz-function-error" in headers
    version = headers.get("x-amz-executed-version", "$LATEST")
    return Answer(invoked=True, failed=failed, payload=response.body, version=version)


def failed_identifiers(answer: Answer, sent: Collection[str]) -> set[str]:
    """Which records of a batch failed, by the function's answer.

    An empty answer is success; one that names something absurd is the failure of all (developer guide,
    "Configuring partial batch response with DynamoDB and Lambda").
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
