"""Where changes and rows lie outside of tables: the error bucket, the queues, query results, the stream."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg import aws, deploy
from dynaberg.delivery import (
    ARCHIVE,
    Message,
    change_time,
    held_messages,
    log_of,
    queue_depths,
    remove,
)
from dynaberg.erasure.wanted import Matcher, Wanted
from dynaberg.functions.tombstones import PREFIX as TOMBSTONES
from dynaberg.layers import parquet_rows
from dynaberg.source import oldest_moment, read_changes

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings

ERROR_BUCKET, RESULTS, QUEUES, STREAM = "error bucket", "query results", "queues", "change stream"
PARQUET = "raw Parquet"
_BACKFILLS = "backfills/"
_GZIP = b"\x1f\x8b"
_THREADS = 16
_ODD = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Found:
    """What a store holds.

    Attributes:
        count: How many changes, messages or objects.
        note: What is to be known about them.
        until: When what cannot be removed is gone; timezone-aware.
        ids: Ids of the changes.
    """

    count: int = 0
    note: str = ""
    until: datetime | None = None
    ids: frozenset[str] = frozenset()


def clean_errors(session: boto3.Session, settings: Settings, matches: Matcher, *, removing: bool) -> Found:
    """Find changes in the objects of the error bucket, those in its archive among them.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        matches: Finds the changes.
        removing: Whether the objects are written again without them.
    """
    s3, bucket = aws.client(session, "s3"), _bucket(session, settings, "ErrorBucketName")
    left: list[str] = []

    logs = {each.log_name for each in matches.contract.of_source}

    def clean(key: str) -> set[str] | None:
        log = log_of(key.removeprefix(f"{ARCHIVE}/"))
        if log and log not in logs:
            return set()
        try:
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return set()
        found, rest = without(body, matches)
        if not found:
            return found
        if key.startswith(_BACKFILLS) and not _is_finished(body):
            left.append(key)
        elif removing and rest:
            s3.put_object(Bucket=bucket, Key=key, Body=rest)
        elif removing:
            s3.delete_object(Bucket=bucket, Key=key)
        return found

    keys = [key for key, _ in _objects(s3, bucket) if not key.startswith(TOMBSTONES)]
    with ThreadPoolExecutor(_THREADS) as pool:
        found = [each for each in pool.map(clean, keys) if each]
    note = f"gone when the backfill is finished, which needs it: {', '.join(left)}" if left else ""
    return Found(sum(map(len, found)), note, ids=frozenset().union(*found))


def without(body: bytes, matches: Matcher) -> tuple[set[str], bytes]:
    """The ids of the matching changes in an object or a message, and its content without them.

    An object of no known kind is removed as a whole, if one of its lines matches.

    Args:
        body: Error records, a discarded batch, a dead letter, a backfill's manifest, an export's data file.
        matches: Finds the changes.

    Returns:
        The ids, and what is left; empty if nothing is.
    """
    if body.startswith(_GZIP):
        items = (json.loads(line)["Item"] for line in gzip.decompress(body).splitlines())
        return {"export" for item in items if matches({"dynamodb": {"Keys": item, "NewImage": item}})}, body
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and "rawData" not in document:
        return _without_in(document, body, matches)
    lines = body.splitlines(keepends=True)
    found = [_of_line(line, matches) for line in lines]
    left = b"".join(line for line, each in zip(lines, found, strict=True) if each is None)
    return {each for each in found if each is not None}, left if left.strip() else b""


def _without_in(document: dict[str, Any], body: bytes, matches: Matcher) -> tuple[set[str], bytes]:
    """The same of a single JSON document."""
    if isinstance(document.get("rows"), list):
        rows = document["rows"]
        kept = [row for row in rows if not matches(row)]
        rest = json.dumps({**document, "rows": kept}, ensure_ascii=False).encode() if kept else b""
        return {_id(row) for row in rows if matches(row)}, rest
    if isinstance(document.get("payload"), str):
        try:
            records = json.loads(document["payload"])["Records"]
        except _ODD:
            return set(), body
        kept = [record for record in records if not matches(record)]
        payload = json.dumps({"Records": kept})
        rest = json.dumps({**document, "payload": payload}).encode() if kept else b""
        return {_id(record) for record in records if matches(record)}, rest
    if isinstance(document.get("segments"), list):
        keys = [segment.get("next_key") for segment in document["segments"]]
        found = {"backfill" for key in keys if key and matches({"dynamodb": {"Keys": key}})}
        return found, b""
    return ({_id(document)}, b"") if matches(document) else (set(), body)


def _of_line(line: bytes, matches: Matcher) -> str | None:
    """The id of the change in a line of error records, if it matches."""
    try:
        document = json.loads(line)
        if "rawData" in document:
            document = json.loads(base64.b64decode(document["rawData"]))
    except (*_ODD, RecursionError):
        return None
    return _id(document) if matches(document) else None


def _id(document: Any) -> str:
    return str(document.get("eventID") or document.get("change_id") or id(document))


def _is_finished(body: bytes) -> bool:
    return not body.startswith(_GZIP) and bool(json.loads(body).get("finished"))


def clean_queues(session: boto3.Session, settings: Settings, matches: Matcher, *, removing: bool) -> Found:
    """Find messages of the dead-letter queue and the parked queue with such changes.

    A message with other rows, too, is sent again without them.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        matches: Finds the changes.
        removing: Whether the messages are removed.
    """
    sqs, ids = aws.client(session, "sqs"), set[str]()
    with held_messages(session, settings) as messages:
        for message in messages:
            found, rest = without(message.body.encode(), matches)
            ids |= found
            if found and removing:
                _replace(session, sqs, message, rest)
    depths = queue_depths(session, settings)
    waiting = int(depths[["held", "delayed"]].to_numpy().sum())
    note = ""
    if waiting:
        note = f"about {waiting} messages wait for their next attempt and cannot be read; check again later"
    return Found(len(ids), note, ids=frozenset(ids))


def _replace(session: boto3.Session, sqs: Any, message: Message, rest: bytes) -> None:
    if rest:
        sqs.send_message(QueueUrl=message.url, MessageBody=rest.decode())
    remove(session, message)


def clean_results(session: boto3.Session, settings: Settings, until: datetime, *, removing: bool) -> Found:
    """Find the results of queries up to a moment: any of them may hold the items.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        until: Results that were written later stay.
        removing: Whether they are deleted.
    """
    s3, bucket = aws.client(session, "s3"), _bucket(session, settings, "ResultsBucketName")
    keys = [key for key, written in _objects(s3, bucket) if written <= until + timedelta(seconds=1)]
    if removing:
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda key: s3.delete_object(Bucket=bucket, Key=key), keys))
    return Found(len(keys), "all results from before this call, because any may hold them" if keys else "")


def find_copies(session: boto3.Session, settings: Settings, wanted: Wanted) -> Found:
    """Find rows in the plain Parquet files of the change logs, which follow when those are written again.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        wanted: The items.
    """
    count = 0
    for each in wanted.contract.of_source:
        seen = wanted.seen_by(each)
        for rows in parquet_rows(session, settings, each):
            count += len(seen.with_keys(seen.keys_in(rows)).rows_of(rows))
    return Found(count)


def read_stream(session: boto3.Session, settings: Settings, matches: Matcher) -> Found:
    """Find changes that the stream still holds; nobody can remove them.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
        matches: Finds the changes.
    """
    found = [document for document in records_of(session, settings) if matches(document)]
    if not found:
        return Found()
    arn, now = deploy.outputs(session, settings, "foundation")["ChangeStreamArn"], datetime.now(UTC)
    kept = now - oldest_moment(session, arn)
    made = [change_time(document) or now for document in found]
    note = f"the stream lets go of them {kept.total_seconds() / 3600:.0f} hours after the change"
    return Found(len(found), note, max(made) + kept, frozenset(_id(document) for document in found))


def records_of(session: boto3.Session, settings: Settings) -> Iterator[Any]:
    """The change records that the stream holds, parsed.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.
    """
    arn = deploy.outputs(session, settings, "foundation")["ChangeStreamArn"]
    return (each.document for each in read_changes(session, arn, None, datetime.now(UTC)))


def _objects(s3: Any, bucket: str) -> Iterator[tuple[str, datetime]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for found in page.get("Contents", ()):
            yield found["Key"], found["LastModified"]


def _bucket(session: boto3.Session, settings: Settings, output: str) -> str:
    return str(deploy.outputs(session, settings, "foundation")[output])
