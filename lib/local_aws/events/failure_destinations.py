"""The OnFailure destination: the bucket where an event source mapping reports the records that it gave up.

Source: AWS Lambda developer guide, "Retain discarded records for a DynamoDB event source in Lambda".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson

from local_aws.events.mapping import EventSourceMapping
from local_aws.wire import AwsError, Upstream, signed

GIVE_UP_SECONDS = 600.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Discarded:
    """A batch that is not tried any more.

    Attributes:
        condition: `RetryAttemptsExhausted` or `RecordAgeExceeded`.
        invocations: How often the function had it.
        executed_version: The version that had it last.
        shard_id: The shard that it came from.
        batch_info: The batch's place in the stream, `DDBStreamBatchInfo`.
        event: The event, as JSON.
    """

    condition: str
    invocations: int
    executed_version: str
    shard_id: str
    batch_info: Mapping[str, Any]
    event: bytes


async def report(upstream: Upstream, mapping: EventSourceMapping, discarded: Discarded) -> None:
    """Report a discarded batch to a mapping's destination, if it has one; tries for ten minutes."""
    if mapping.destination_arn is None:
        log.warning("%s gave up records of %s: no destination", mapping.uuid, mapping.source_arn)
        return
    deadline = asyncio.get_running_loop().time() + GIVE_UP_SECONDS
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            await send_to_bucket(upstream, mapping, discarded, datetime.now(UTC))
        except AwsError as error:
            if asyncio.get_running_loop().time() > deadline:
                log.error("%s could not report to %s: %s", mapping.uuid, mapping.destination_arn, error)  # noqa: TRY400
                return
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
        else:
            return


def invocation_record(mapping: EventSourceMapping, discarded: Discarded, now: datetime) -> dict[str, Any]:
    """The record of an invocation that failed for good, without its payload."""
    response: dict[str, Any] | None = None
    if discarded.invocations:
        response = {
            "statusCode": 200,
            "executedVersion": discarded.executed_version,
            "functionError": "Unhandled",
        }
    return {
        "requestContext": {
            "requestId": str(uuid4()),
            "functionArn": mapping.function_arn,
            "condition": discarded.condition,
            "approximateInvokeCount": discarded.invocations,
        },
        **({"responseContext": response} if response else {}),
        "version": "1.0",
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "DDBStreamBatchInfo": discarded.batch_info,
    }


async def send_to_bucket(
    upstream: Upstream, mapping: EventSourceMapping, discarded: Discarded, now: datetime
) -> None:
    """Write the record with its payload to the bucket."""
    record = invocation_record(mapping, discarded, now) | {"payload": discarded.event.decode()}
    key = "/".join(
        (
            f"aws/lambda/{mapping.uuid}/{discarded.shard_id}",
            f"{now:%Y/%m/%d}",
            f"{now:%Y-%m-%dT%H.%M.%S}-{uuid4()}",
        )
    )
    bucket = str(mapping.destination_arn).rpartition(":")[2]
    response = await upstream(
        signed("s3", mapping.region, "PUT", f"/{bucket}/{key}", body=orjson.dumps(record))
    )
    if response.status >= 300:
        raise AwsError("DestinationFailure", response.body.decode(errors="replace")[:500], response.status)
