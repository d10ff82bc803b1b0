"""The dead-letter queue: change rows that Firehose did not accept, kept with their payload.

A message is JSON: `rows`, `error_code`, `error_message`, `attempts`, `history` and, if the rows are too large
for a message, `pointer`, the key of the error bucket's object that holds them.
Source of the limits: "Amazon SQS message quotas", Amazon SQS Developer Guide, which has raised the size to 1
MiB; 256 KiB fit everywhere.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from .error_bucket import CHANGE_IDS_LOGGED, Failure, keep_failures, log
from .to_firehose import Refused

PREFIX = "errors/undelivered"
MAX_CALL_BYTES = 256 * 1024
MAX_CALL_MESSAGES = 10
# How large a message's rows may be, so that there is room for its history.
MAX_ROWS_BYTES = 240 * 1024
# Small messages: one poison row takes few others along, and ten messages make one full call.
GROUP_BYTES = 24 * 1024
SEND_ATTEMPTS, FIRST_PAUSE_SECONDS = 5, 0.2
# XML, and so SQS, does not allow these characters; in JSON they can be escaped.
_ESCAPED = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}


class UnkeptError(Exception):
    """Change rows that neither Firehose nor the queue accepted."""


class NotADeadLetterError(Exception):
    """A message that someone else wrote."""


@dataclass(frozen=True)
class DeadLetter:
    """A message of the dead-letter queue, or of the parked one.

    Attributes:
        rows: The change rows; empty if there is a pointer.
        error_code: Why they were refused the last time.
        error_message: The same, in words.
        attempts: How often the redrive had tried them before this message was written.
        history: What happened so far, oldest first: at (ms since 1970), by, error_code.
        pointer: Key of the object of the error bucket that holds the rows.
        log_name: The change log of the rows; empty if the source has only one.
    """

    rows: tuple[bytes, ...]
    error_code: str
    error_message: str
    attempts: int = 0
    history: tuple[dict[str, Any], ...] = ()
    pointer: str | None = None
    log_name: str = ""

    def after(self, by: str, error_code: str, error_message: str, attempts: int) -> DeadLetter:
        """The letter with one more failure in its history."""
        event = {"at": time.time_ns() // 1_000_000, "by": by, "error_code": error_code}
        history = (*self.history, event)
        return replace(
            self, error_code=error_code, error_message=error_message, attempts=attempts, history=history
        )

    def to_body(self) -> str:
        """The message's text."""
        facts: dict[str, Any] = {
            "error_code": self.error_code,
            "error_message": self.error_message,
            "attempts": self.attempts,
            "history": self.history,
        }
        if self.pointer:
            facts["pointer"] = self.pointer
        if self.log_name:
            facts["log_name"] = self.log_name
        rows = b",".join(self.rows).decode()
        return f'{{"rows":[{rows}],{json.dumps(facts)[1:]}'.translate(_ESCAPED)


def parse_dead_letter(body: str) -> DeadLetter:
    """Read a message.

    Raises:
        NotADeadLetterError: It is not a dead letter.
    """
    try:
        document = json.loads(body)
        rows = tuple(
            json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() for row in document["rows"]
        )
        code, message = str(document["error_code"]), str(document["error_message"])
        history = tuple(document.get("history", ()))
        attempts, pointer = int(document.get("attempts", 0)), document.get("pointer")
        return DeadLetter(rows, code, message, attempts, history, pointer, str(document.get("log_name", "")))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NotADeadLetterError(type(error).__name__) from error


def keep_refused(
    sqs: Any,
    s3: Any,
    refused: Sequence[Refused],
    *,
    queue_url: str,
    bucket: str,
    stream_name: str,
    by: str,
    log_name: str = "",
) -> int:
    """Put what Firehose refused into the dead-letter queue, and log the change ids.

    Args:
        sqs: A boto3 SQS client.
        s3: A boto3 S3 client.
        refused: At least one row.
        queue_url: The dead-letter queue.
        bucket: The error bucket, for rows that fit into no message.
        stream_name: The delivery stream, for the error message.
        by: ARN of the Lambda.
        log_name: The change log; empty if the source has only one.

    Returns:
        How many messages were written.

    Raises:
        UnkeptError: The queue did not accept all of them.
    """
    letters = []
    for code, same in groupby(sorted(refused, key=lambda each: each.code), key=lambda each: each.code):
        fresh = DeadLetter((), "", "", log_name=log_name).after(
            by, code, f"Firehose stream {stream_name} refused it", 0
        )
        for rows in _groups([each.row for each in same]):
            letter = replace(fresh, rows=tuple(rows))
            letters.append(_pointed(s3, bucket, letter, by) if len(rows[0]) > MAX_ROWS_BYTES else letter)
    send(sqs, queue_url, [letter.to_body() for letter in letters])
    log(
        "ERROR",
        "changes put into the dead-letter queue",
        rows=len(refused),
        messages=len(letters),
        error_codes=sorted({each.code for each in refused}),
        change_ids=[change_id(each.row) for each in refused[:CHANGE_IDS_LOGGED]],
    )
    return len(letters)


def change_id(row: bytes) -> str:
    """The id of a change row's change."""
    return str(json.loads(row).get("change_id", "?"))


def _groups(rows: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Rows, as many together as make a small message; a large one is alone."""
    group: list[bytes] = []
    size = 0
    for row in rows:
        if group and size + len(row) > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row) + 1
    if group:
        yield group


def _pointed(s3: Any, bucket: str, letter: DeadLetter, by: str) -> DeadLetter:
    """The letter with its rows in the error bucket."""
    failures = [Failure(row, change_id(row), letter.error_code, letter.error_message) for row in letter.rows]
    now_us = time.time_ns() // 1_000
    prefix = f"{PREFIX}/{letter.log_name}" if letter.log_name else PREFIX
    key = keep_failures(s3, bucket, failures, received_at_us=now_us, function_arn=by, prefix=prefix)
    return replace(letter, rows=(), pointer=key)


def send(
    sqs: Any,
    queue_url: str,
    bodies: Sequence[str],
    *,
    delay_seconds: int = 0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Send messages, and retry those that the queue did not accept.

    Args:
        sqs: A boto3 SQS client.
        queue_url: The queue.
        bodies: The messages' texts.
        delay_seconds: How long the messages stay invisible, 0 to 900.
        sleep: Function that pauses.

    Raises:
        UnkeptError: Some were not accepted.
    """
    pending, reason = list(bodies), ""
    for attempt in range(SEND_ATTEMPTS):
        rejected: list[str] = []
        for call in _calls(pending):
            failed = _send_call(sqs, queue_url, call, delay_seconds)
            rejected += [call[number] for number in failed]
            reason = next(iter(failed.values()), reason)
        if not rejected:
            return
        pending = rejected
        sleep(random.uniform(0, FIRST_PAUSE_SECONDS * 2**attempt))  # noqa: S311
    raise UnkeptError(f"{len(pending)} of {len(bodies)} messages were not accepted by {queue_url}: {reason}")


def _send_call(sqs: Any, queue_url: str, bodies: Sequence[str], delay_seconds: int) -> dict[int, str]:
    """Send up to ten messages; returns the error codes of those that were not accepted, by position."""
    entries = [
        {"Id": str(number), "MessageBody": body, "DelaySeconds": delay_seconds}
        for number, body in enumerate(bodies)
    ]
    try:
        answer = sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)
    except ClientError as error:
        return dict.fromkeys(range(len(bodies)), str(error.response["Error"]["Code"]))
    except BotoCoreError as error:
        return dict.fromkeys(range(len(bodies)), type(error).__name__)
    return {int(failed["Id"]): str(failed["Code"]) for failed in answer.get("Failed", ())}


def _calls(bodies: Sequence[str]) -> Iterator[list[str]]:
    """Messages, as many together as one SendMessageBatch accepts."""
    call: list[str] = []
    size = 0
    for body in bodies:
        length = len(body.encode())
        if call and (len(call) == MAX_CALL_MESSAGES or size + length > MAX_CALL_BYTES):
            yield call
            call, size = [], 0
        call.append(body)
        size += length
    if call:
        yield call
