"""Handing change rows to Firehose: in batches, and again what it did not take.

Source of the limits: "Amazon Data Firehose Quota", Amazon Data Firehose Developer Guide.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from .log import log

MAX_RECORDS = 500
MAX_BATCH_BYTES = 4 * 1024 * 1024
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
# What is left of the Lambda's time when retrying ends: enough to raise, to log and to be told so.
RESERVE_SECONDS = 5.0
_RETRYABLE = (
    "InternalFailure",
    "ServiceUnavailableException",
    "ThrottlingException",
    "LimitExceededException",
)


class UndeliveredError(Exception):
    """Change rows that Firehose did not take in the time that the Lambda had."""


def deliver(
    firehose: Any,
    stream_name: str,
    rows: Sequence[bytes],
    *,
    remaining_seconds: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Hand rows to Firehose, and again those that it did not take, with growing and jittered pauses.

    Args:
        firehose: A boto3 Firehose client.
        stream_name: Name of the delivery stream.
        rows: The change rows.
        remaining_seconds: Tells how much of the Lambda's time is left.
        sleep: What pauses.

    Returns:
        How many rows had to be sent more than once.

    Raises:
        UndeliveredError: Some were not taken in time.
    """
    pending, attempt, retried = list(rows), 0, 0
    while True:
        pending, codes = _put_all(firehose, stream_name, pending)
        if not pending:
            return retried
        pause = random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
        log("WARNING", "rows refused by Firehose", rows=len(pending), error_codes=codes, attempt=attempt + 1)
        if remaining_seconds() - pause < RESERVE_SECONDS:
            message = (
                f"{len(pending)} of {len(rows)} change rows were not taken by {stream_name}: {dict(codes)}"
            )
            raise UndeliveredError(message)
        sleep(pause)
        retried += len(pending)
        attempt += 1


def _put_all(firehose: Any, stream_name: str, rows: Sequence[bytes]) -> tuple[list[bytes], Counter[str]]:
    """Send rows once: those that were refused, and how often each error code came."""
    refused: list[bytes] = []
    codes: Counter[str] = Counter()
    for batch in batches(rows):
        for row, code in zip(batch, _put(firehose, stream_name, batch), strict=True):
            if code:
                refused.append(row)
                codes[code] += 1
    return refused, codes


def _put(firehose: Any, stream_name: str, batch: Sequence[bytes]) -> list[str | None]:
    """The error code of each row of a batch, None for those that were taken."""
    try:
        response = firehose.put_record_batch(
            DeliveryStreamName=stream_name, Records=[{"Data": row} for row in batch]
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in _RETRYABLE:
            raise
        return [code] * len(batch)
    except (ConnectionError, HTTPClientError) as error:
        return [type(error).__name__] * len(batch)
    return [answer.get("ErrorCode") for answer in response["RequestResponses"]]


def batches(rows: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The rows in order, as many together as one PutRecordBatch takes."""
    batch: list[bytes] = []
    size = 0
    for row in rows:
        if len(batch) == MAX_RECORDS or size + len(row) > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row)
    if batch:
        yield batch
