"""What could not be delivered: in the error bucket, the dead-letter queue and the parked queue.

Sources: "Handle data delivery failures", Amazon Data Firehose Developer Guide; "Retain discarded records for
a DynamoDB event source in Lambda", AWS Lambda Developer Guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import aws, deploy
from dynaberg.contracts import column_reader
from dynaberg.delivery.envelopes import Envelope, FailedChange, belongs_to
from dynaberg.delivery.queues import DEAD_LETTERS, Message, held_messages
from dynaberg.errors import require_seconds, require_whole
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.dead_letters import NotADeadLetterError, parse_dead_letter

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Column, Contract
    from dynaberg.settings import Settings

ERROR_BUCKET = "error bucket"
# Firehose and the Lambdas write below the first, an event source mapping's OnFailure below the second.
ERROR_RECORDS, DISCARDED_BATCHES = "errors/", "aws/lambda/"
UNREADABLE = "Unreadable"
# How many objects are read or archived at the same time.
THREADS = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MISFITS = (KeyError, ValueError, ArithmeticError, TypeError, AttributeError)


def failures(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """List every change that failed and still waits to be replayed, with the reason.

    Nothing is removed. Reading a message of the dead-letter queue counts as an attempt, and a message that
    waits for its next attempt is not visible: `queues.queue_depths` counts those.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract, for the key.

    Returns:
        One row per failed change: where, change_id, operation, the key, error_code, error_message, failed_at
        (UTC), attempts, source (key of the object, or id of the message).

    Raises:
        NotFoundError: The pipeline is not deployed.

    Example:
        >>> failures(session, settings, contract).groupby("error_code").size()
    """
    with held_messages(session, settings) as messages:
        envelopes = read_all(session, settings, contract, messages)
    return to_frame(envelopes, contract)


def wait_for_failures(
    session: boto3.Session, settings: Settings, contract: Contract, changes: int, *, timeout: float = 180
) -> pd.DataFrame:
    """Wait until at least this many changes have failed, for tests of failures.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract, for the key.
        changes: Minimum number of failed changes.
        timeout: Deadline in seconds.

    Returns:
        As `failures`.

    Raises:
        NotReadyError: Fewer have failed by the deadline.
        NotFoundError: The pipeline is not deployed.

    Example:
        >>> wait_for_failures(session, settings, contract, 3)["error_code"]
    """
    changes = require_whole("changes", changes, least=0, hint="Write how many are expected, such as 3.")
    require_seconds("timeout", timeout)

    def enough() -> list[pd.DataFrame]:
        found = failures(session, settings, contract)
        return [found] if len(found) >= changes else []

    hint = "What did not fail is in the change log or on its way: wait_for_delivery()."
    return aws.wait_for(enough, timeout=timeout, what=f"The failure of {changes:,} changes", hint=hint)[0]


def to_frame(envelopes: Iterable[Envelope], contract: Contract) -> pd.DataFrame:
    """Failed changes as `failures` shows them, in the order of the envelopes."""
    rows = [
        {
            "where": envelope.where,
            **identity(change.document, contract, envelope.log),
            "error_code": change.error_code,
            "error_message": change.error_message,
            "failed_at": change.failed_at,
            "attempts": change.attempts,
            "source": envelope.name,
        }
        for envelope in envelopes
        for change in envelope.changes
    ]
    columns = ["where", "change_id", "operation", *contract.key]
    columns += ["error_code", "error_message", "failed_at", "attempts", "source"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["failed_at"] = pd.to_datetime(frame["failed_at"], utc=True)
    return frame.astype({"attempts": "int64"})


def identity(document: Any, contract: Contract, log: str = "") -> dict[str, Any]:
    """Id, operation and key of a change record or a change row, if it has them.

    Args:
        document: The record or the row.
        contract: The table contract, by whose columns the key is named.
        log: The change log of a row; empty for the first one of the table's source.
    """
    if is_change_row(document):
        owner = next((each for each in contract.of_source if each.log_name == log), contract.of_source[0])
        known = {name: document.get(name) for name in ("change_id", "operation")}
        return known | {own: document.get(its) for own, its in zip(contract.key, owner.key, strict=True)}
    record = document if isinstance(document, dict) else {}
    change = record.get("dynamodb")
    keys = change.get("Keys") if isinstance(change, dict) else None
    return {
        "change_id": record.get("eventID"),
        "operation": record.get("eventName"),
        **{column.name: _key_value(column, keys) for column in contract.key_columns},
    }


def is_change_row(document: Any) -> bool:
    """Whether a document is a change row, and not a change record."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("change_id"), str)
        and "dynamodb" not in document
    )


def id_of(document: Any) -> str | None:
    """Id of a change record or a change row; None if it has none."""
    name = "change_id" if is_change_row(document) else "eventID"
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def error_lines(failed: Iterable[tuple[FailedChange, ConversionError]]) -> bytes:
    """Changes that could not be converted, as the lines of an object of error records."""
    now_ms = time.time_ns() // 1_000_000
    lines = [
        {
            "arrivalTimestamp": now_ms,
            **change.error_record,
            "attemptsMade": change.attempts + 1,
            "errorCode": error.code,
            "errorMessage": error.message,
            "attemptEndingTimestamp": now_ms,
            "rawData": base64.b64encode(change.raw).decode(),
        }
        for change, error in failed
    ]
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def error_key(content: bytes) -> str:
    """Key of an object of error records that Dynaberg writes; the same for the same content in an hour."""
    digest = hashlib.sha256(content).hexdigest()[:32]
    return f"{ERROR_RECORDS}conversion-failed/{datetime.now(UTC):%Y/%m/%d/%H}/{digest}.jsonl"


def error_bucket(session: boto3.Session, settings: Settings) -> str:
    """Name of the error bucket.

    Raises:
        NotFoundError: There is no foundation yet.
    """
    return deploy.outputs(session, settings, "foundation")["ErrorBucketName"]


def read_all(
    session: boto3.Session, settings: Settings, contract: Contract, messages: Iterable[Message]
) -> list[Envelope]:
    """What holds failed changes of a table's source: objects of the error bucket, and some messages.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        contract: The table contract.
        messages: Those of the source's queues.
    """
    found = [*read_bucket(session, error_bucket(session, settings)), *map(read_message, messages)]
    return list(filter(belongs_to(settings, contract), found))


def failed_records(
    session: boto3.Session, settings: Settings, contract: Contract
) -> Iterator[tuple[datetime | None, Mapping[str, Any]]]:
    """The change records of a table's source in the error bucket, each with the moment when it failed.

    Raises:
        NotFoundError: There is no foundation yet.
    """
    for envelope in read_all(session, settings, contract, ()):
        for change in envelope.changes:
            document = change.document
            if isinstance(document, dict) and not is_change_row(document):
                yield change.failed_at, document


def read_bucket(session: boto3.Session, bucket: str) -> Iterator[Envelope]:
    """The objects of the error bucket that hold failed changes, in the order of their keys."""
    s3 = aws.client(session, "s3")

    def read(key: str) -> Envelope | None:
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            # The redrive has delivered and archived it in the meantime.
            return None
        reader = next(reader for prefix, reader in _READERS.items() if key.startswith(prefix))
        return Envelope(ERROR_BUCKET, key, body, tuple(reader(body)))

    listing = s3.get_paginator("list_objects_v2")
    pages = [page for prefix in _READERS for page in listing.paginate(Bucket=bucket, Prefix=prefix)]
    keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    with ThreadPoolExecutor(THREADS) as pool:
        yield from filter(None, pool.map(read, keys))


def read_message(message: Message) -> Envelope:
    """The failed changes that a message of a queue holds."""
    body = message.body.encode()
    try:
        log_name = parse_dead_letter(message.body).log_name
    except NotADeadLetterError:
        log_name = ""
    return Envelope(message.queue, message.message_id, body, tuple(_read_message(message)), message, log_name)


def _read_error_records(body: bytes) -> Iterator[FailedChange]:
    """The lines of an object that Firehose or a Lambda wrote."""
    lines = [_read_error_record(line) for line in body.splitlines() if line.strip()]
    if any(change.error_record for change in lines):
        yield from lines
    else:
        yield FailedChange(body, UNREADABLE, "The object holds no error records", None, 0)


def _read_error_record(line: bytes) -> FailedChange:
    try:
        record = json.loads(line)
        raw = base64.b64decode(record["rawData"], validate=True)
        code, message = str(record.get("errorCode")), str(record.get("errorMessage"))
        failed_at, attempts = _moment(record.get("attemptEndingTimestamp")), record.get("attemptsMade", 1)
        return FailedChange(raw, code, message, failed_at, int(attempts), record)
    except (binascii.Error, RecursionError, *_MISFITS):
        return FailedChange(line, UNREADABLE, "The line is not an error record", None, 0)


def _read_discarded_batch(body: bytes) -> Iterator[FailedChange]:
    """The records of an invocation that an event source mapping gave up."""
    try:
        invocation = json.loads(body)
        context = invocation["requestContext"]
        failed_at = datetime.fromisoformat(invocation["timestamp"].replace("Z", "+00:00"))
        records = json.loads(invocation["payload"])["Records"]
    except _MISFITS:
        yield FailedChange(body, UNREADABLE, "The object holds no discarded batch", None, 0)
        return
    attempts = int(context.get("approximateInvokeCount", 1))
    message = f"The function failed {attempts} times on the batch; its log says why"
    for record in records:
        yield FailedChange(json.dumps(record).encode(), context["condition"], message, failed_at, attempts)


def _read_message(message: Message) -> Iterator[FailedChange]:
    """The change rows of a dead letter; if it only points to an object, the error bucket lists them."""
    try:
        letter = parse_dead_letter(message.body)
    except NotADeadLetterError as error:
        text = message.body.encode()
        yield FailedChange(text, UNREADABLE, f"It is not a dead letter: {error}", message.sent_at, 0)
        return
    # In the dead-letter queue each receipt was an attempt, except this one.
    attempts = letter.attempts + (message.attempts - 1 if message.queue == DEAD_LETTERS else 0)
    failed_at = _moment(letter.history[-1].get("at")) if letter.history else message.sent_at
    for row in letter.rows:
        yield FailedChange(row, letter.error_code, letter.error_message, failed_at, attempts)


_READERS: Mapping[str, Callable[[bytes], Iterator[FailedChange]]] = {
    ERROR_RECORDS: _read_error_records,
    DISCARDED_BATCHES: _read_discarded_batch,
}


def _moment(milliseconds: Any) -> datetime | None:
    return _EPOCH + timedelta(milliseconds=milliseconds) if isinstance(milliseconds, int) else None


def _key_value(column: Column, keys: Any) -> Any:
    """A key's value, or, if it does not fit its column, the value as it is."""
    if not isinstance(keys, dict) or column.attribute not in keys:
        return None
    try:
        return column_reader(column)(keys[column.attribute])
    except _MISFITS:
        return json.dumps(keys[column.attribute])
