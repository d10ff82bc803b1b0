"""The redrive: retries the dead letters at growing intervals, and parks those that keep failing.

Environment: `DELIVERY_STREAM_NAME`, `DEAD_LETTER_QUEUE_URL`, `PARKED_QUEUE_URL`, `ERROR_BUCKET_NAME`,
`MAX_ATTEMPTS`, `FIRST_DELAY_SECONDS`, `LONGEST_DELAY_SECONDS`, and with several change logs
`DELIVERY_STREAM_NAMES`, in JSON.
Source: "Using Lambda with Amazon SQS", "Implementing partial batch responses", AWS Lambda Developer Guide.
"""

from __future__ import annotations

import base64
import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..dead_letters import DeadLetter, NotADeadLetterError, UnkeptError, change_id, parse_dead_letter, send
from ..error_bucket import CHANGE_IDS_LOGGED, log
from ..to_firehose import put
from ..tombstones import Tombstones
from .resources import client, contracts, stream_of

ARCHIVE = "archive/replayed"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Try a batch of dead letters, one by one.

    A letter whose rows were all accepted is done. If only some were accepted, it becomes a smaller one. If
    none were, it waits, twice as long after each attempt, with some randomness; after the last attempt it is
    parked.

    Returns:
        The messages that stay in the queue, as `batchItemFailures`.
    """
    waiting = [
        message["messageId"]
        for message in event["Records"]
        if not _redrive(message, context.invoked_function_arn)
    ]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in waiting]}


def _redrive(message: dict[str, Any], by: str) -> bool:
    """Try one letter; returns whether its message is done."""
    receives = int(message["attributes"]["ApproximateReceiveCount"])
    try:
        letter = parse_dead_letter(message["body"])
    except NotADeadLetterError as error:
        return _park(message["body"], "NotADeadLetter", str(error))
    attempts = letter.attempts + receives
    try:
        rows = _remembered(letter, _resolve(letter))
    except (BotoCoreError, ClientError, KeyError, ValueError) as error:
        failed = letter.after(by, type(error).__name__, "Its object cannot be read", attempts)
        return _wait_or_park(message, failed, receives, letter.rows)
    if not rows:
        log("INFO", "dead letter replayed meanwhile, or its items forgotten", object=letter.pointer)
        return True
    refused = put(client("firehose"), stream_of(letter.log_name), rows)
    if not refused:
        _archive(letter)
        log("INFO", "dead letter delivered", rows=len(rows), attempts=attempts)
        return True
    failed = letter.after(by, refused[0].code, letter.error_message, attempts)
    left = tuple(each.row for each in refused)
    if letter.pointer is None:
        failed = replace(failed, rows=left)
    if letter.pointer is None and len(refused) < len(rows) and attempts < _number("MAX_ATTEMPTS"):
        return _shrink(failed, receives)
    return _wait_or_park(message, failed, receives, left)


def _resolve(letter: DeadLetter) -> Sequence[bytes]:
    """The rows of a letter; empty if its object was replayed, and so archived, in the meantime."""
    if letter.pointer is None:
        return letter.rows
    try:
        found = client("s3").get_object(Bucket=os.environ["ERROR_BUCKET_NAME"], Key=letter.pointer)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return ()
        raise
    return [base64.b64decode(json.loads(line)["rawData"]) for line in found["Body"].read().splitlines()]


def _remembered(letter: DeadLetter, rows: Sequence[bytes]) -> Sequence[bytes]:
    """The rows whose items were not forgotten; an object that holds nothing else is removed."""
    document, bucket = contracts(), os.environ["ERROR_BUCKET_NAME"]
    source_table = document.get("tables", [document])[0]["source_table"]
    is_held = Tombstones.load(client("s3"), bucket, source_table).of_contracts(document)
    left = [row for row in rows if not is_held(letter.log_name, row)]
    if rows and not left and letter.pointer:
        client("s3").delete_object(Bucket=bucket, Key=letter.pointer)
    return left


def _archive(letter: DeadLetter) -> None:
    """Move the object of a delivered letter out of the errors, so that no one replays it."""
    if letter.pointer is None:
        return
    s3, bucket = client("s3"), os.environ["ERROR_BUCKET_NAME"]
    try:
        source = {"Bucket": bucket, "Key": letter.pointer}
        s3.copy_object(Bucket=bucket, Key=f"{ARCHIVE}/{letter.pointer}", CopySource=source)
        s3.delete_object(Bucket=bucket, Key=letter.pointer)
    except (BotoCoreError, ClientError) as error:
        log("WARNING", "object not archived", object=letter.pointer, error=type(error).__name__)


def _shrink(letter: DeadLetter, receives: int) -> bool:
    """Write the rest of a letter as a new one."""
    log("WARNING", "dead letter delivered in part", **_facts(letter, letter.rows))
    return _move(os.environ["DEAD_LETTER_QUEUE_URL"], letter.to_body(), _delay_seconds(receives))


def _facts(letter: DeadLetter, rows: Sequence[bytes]) -> dict[str, Any]:
    """What to log about a letter and its refused rows."""
    ids = [change_id(row) for row in rows[:CHANGE_IDS_LOGGED]]
    facts = {"error_code": letter.error_code, "attempts": letter.attempts, "change_ids": ids}
    return facts | ({"object": letter.pointer} if letter.pointer else {})


def _wait_or_park(message: dict[str, Any], letter: DeadLetter, receives: int, rows: Sequence[bytes]) -> bool:
    """Leave a letter in the queue until its next attempt, or park it after the last."""
    facts = _facts(letter, rows)
    if letter.attempts >= _number("MAX_ATTEMPTS"):
        log("ERROR", "dead letter parked", **facts)
        return _move(os.environ["PARKED_QUEUE_URL"], letter.to_body(), 0)
    delay_seconds = _delay_seconds(receives)
    log("WARNING", "dead letter waits", **facts, delay_seconds=delay_seconds)
    try:
        client("sqs").change_message_visibility(
            QueueUrl=os.environ["DEAD_LETTER_QUEUE_URL"],
            ReceiptHandle=message["receiptHandle"],
            VisibilityTimeout=delay_seconds,
        )
    except (BotoCoreError, ClientError) as error:
        # Then it comes back after the queue's own visibility timeout.
        log("WARNING", "delay not set", error=type(error).__name__)
    return False


def _park(body: str, error_code: str, error_message: str) -> bool:
    """Park a message as it is."""
    log("ERROR", "message parked", error_code=error_code, error_message=error_message)
    return _move(os.environ["PARKED_QUEUE_URL"], body, 0)


def _move(queue_url: str, body: str, delay_seconds: int) -> bool:
    """Write a message to a queue; returns whether it is there, so that the old one can be removed."""
    try:
        send(client("sqs"), queue_url, [body], delay_seconds=delay_seconds)
    except UnkeptError as error:
        log("ERROR", "message not moved", error=str(error))
        return False
    return True


def _delay_seconds(receives: int) -> int:
    """How long a letter waits for its next attempt: half of it fixed, half random."""
    longest = min(
        _number("LONGEST_DELAY_SECONDS"), _number("FIRST_DELAY_SECONDS") * 2 ** min(receives - 1, 16)
    )
    return round(random.uniform(longest / 2, longest))  # noqa: S311


def _number(name: str) -> int:
    return int(os.environ[name])
