"""Sending change rows to Firehose: in batches, with retries of what it did not accept.

Source of the limits: "Amazon Data Firehose Quota", Amazon Data Firehose Developer Guide.
"""

from __future__ import annotations

import json
import random
import re
import time
from binascii import b2a_base64
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from .error_bucket import log

MAX_RECORDS = 500
MAX_BATCH_BYTES = 4 * 1024 * 1024
# A row that is refused this often while its neighbors are accepted is poison: it must not block its shard.
MAX_ATTEMPTS = 6
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 5.0
# How much of the Lambda's time is left when retrying ends: enough to send the rest to the dead-letter queue.
RESERVE_SECONDS = 20.0
# Refusals of a whole call that the next call would get, too.
_HOPELESS = {
    "AccessDeniedException",
    "InvalidArgumentException",
    "InvalidKMSResourceException",
    "InvalidSourceException",
    "ResourceNotFoundException",
    "ValidationException",
}
_BODY = "dynaberg:body"
_ALL_ACCEPTED = re.compile(rb'"FailedPutCount":\s*0[,}]')


@dataclass(frozen=True)
class Refused:
    """A change row that Firehose did not accept.

    Attributes:
        row: The row.
        code: Firehose's last error code.
    """

    row: bytes
    code: str


@dataclass(frozen=True)
class Delivery:
    """The outcome of sending rows.

    Attributes:
        refused: What Firehose did not accept.
        retried: How many rows were sent again, counted each time.
    """

    refused: tuple[Refused, ...]
    retried: int


def send_in_one_piece(firehose: Any) -> Any:
    """Let a client write and read PutRecordBatch by itself, in a sixth of the time that botocore takes.

    botocore walks through a request and its answer value by value; here both are texts.

    Args:
        firehose: A boto3 Firehose client.

    Returns:
        The client.
    """
    events = firehose.meta.events
    events.register("before-parameter-build.firehose.PutRecordBatch", _write_body)
    events.register("before-call.firehose.PutRecordBatch", _send_body)
    events.register("before-parse.firehose.PutRecordBatch", _skip_ids)
    return firehose


def _write_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    name = json.dumps(params["DeliveryStreamName"]).encode()
    rows = b'"},{"Data":"'.join([b2a_base64(each["Data"], newline=False) for each in params["Records"]])
    context[_BODY] = b'{"DeliveryStreamName":%b,"Records":[{"Data":"%b"}]}' % (name, rows)
    params["Records"] = [{"Data": b""}]


def _send_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    params["body"] = context[_BODY]


def _skip_ids(response_dict: dict[str, Any], **_: Any) -> None:
    """Leave out the ids of the records where all were accepted: nobody asks for them."""
    body = response_dict["body"]
    if response_dict["status_code"] == HTTPStatus.OK and _ALL_ACCEPTED.search(body):
        response_dict["body"] = b'{"FailedPutCount":0,"RequestResponses":[]}'


def deliver(
    firehose: Any,
    stream_name: str,
    rows: Sequence[bytes],
    *,
    remaining_seconds: Callable[[], float],
    sleep: Callable[[float], None] = time.sleep,
) -> Delivery:
    """Send rows to Firehose, and retry those that it did not accept, with growing and jittered pauses.

    Args:
        firehose: A boto3 Firehose client.
        stream_name: Name of the delivery stream.
        rows: The change rows.
        remaining_seconds: Returns how much of the Lambda's time is left.
        sleep: Function that pauses.

    Returns:
        What was refused in the end, and how many rows were sent again.
    """
    hopeless: list[Refused] = []
    refused, attempt, retried = put(firehose, stream_name, rows), 1, 0
    while refused:
        codes = Counter(each.code for each in refused)
        log("WARNING", "rows refused by Firehose", rows=len(refused), error_codes=codes, attempt=attempt)
        hopeless += [each for each in refused if each.code in _HOPELESS]
        refused = [each for each in refused if each.code not in _HOPELESS]
        pause = random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)))  # noqa: S311
        if not refused or attempt == MAX_ATTEMPTS or remaining_seconds() - pause < RESERVE_SECONDS:
            break
        sleep(pause)
        retried += len(refused)
        refused = put(firehose, stream_name, [each.row for each in refused])
        attempt += 1
    return Delivery((*hopeless, *refused), retried)


def put(firehose: Any, stream_name: str, rows: Sequence[bytes]) -> list[Refused]:
    """Send rows once; returns those that were refused, in order."""
    return [
        Refused(row, code)
        for batch in batches(rows)
        for row, code in zip(batch, _put_batch(firehose, stream_name, batch), strict=True)
        if code
    ]


def _put_batch(firehose: Any, stream_name: str, batch: Sequence[bytes]) -> list[str | None]:
    """The error code of each row of a batch, None for those that were accepted."""
    try:
        response = firehose.put_record_batch(
            DeliveryStreamName=stream_name, Records=[{"Data": row} for row in batch]
        )
    except ClientError as error:
        return [str(error.response["Error"]["Code"])] * len(batch)
    except (ConnectionError, HTTPClientError) as error:
        return [type(error).__name__] * len(batch)
    # There are no answers where `send_in_one_piece` left them out.
    codes = [answer.get("ErrorCode") for answer in response["RequestResponses"]]
    return codes or [None] * len(batch)


def batches(rows: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The rows in order, as many together as one PutRecordBatch accepts."""
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
