"""Waiting for delivery: until every change of the DynamoDB table is in the change log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws, catalog, deploy
from dynaberg.delivery.reentry import held_back
from dynaberg.errors import DynabergError, NotFoundError, NotReadyError, SettingsError
from dynaberg.functions.masks import ANY_KEY
from dynaberg.functions.routing import Router
from dynaberg.functions.tombstones import HeldBack
from dynaberg.source import Shard, StreamRecord, read_changes, read_shard, shards_of
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS, _POLL_GROWTH = 0.1, 2.0, 1.3
# "DynamoDB Streams Limits": a stream keeps a change for 24 hours.
_STREAM_HOURS = 24
# Allowance for the clocks of AWS's services, and for times that have no fraction.
_CLOCK_SECONDS = 2
# Firehose repeats an error that holds it up, though not at once.
_LOG_SECONDS = 300
_SHARDS_AT_ONCE = 8


def wait_for_delivery(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    expected: int | None = None,
    since: datetime | None = None,
    timeout: float = 300,
    progress: bool = True,
) -> pd.DataFrame:
    """Wait until the change log holds every change.

    While the change log has too few records, only its metadata is read; then the changes themselves are
    counted by `change_id`, so that a change that was delivered twice counts once.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        expected: How many changes were made since `since`; by default it waits for those that the source
            table's stream holds, each by its id.
        since: Timezone-aware moment before the first of the expected changes.
        timeout: Deadline in seconds.
        progress: Whether a progress bar is shown.

    Returns:
        One row: table, changes, snapshots (of the change log), snapshot_id, seconds.

    Raises:
        NotReadyError: The deadline passed; the message says how many are missing and what Firehose's log
            last said, the hint says where to look.
        NotFoundError: The change log, the source table or its stream does not exist.
        SettingsError: `expected` without a `since` that has a time zone.

    Example:
        >>> wait_for_delivery(session, settings, contract, expected=10_000, since=report.started_at)
    """
    import pandas as pd
    from tqdm.auto import tqdm

    begun = time.monotonic()
    iceberg = catalog.open_catalog(session, settings)

    def load_log() -> Table:
        return catalog.load_table(iceberg, settings, contract.log_name)

    if expected is None:
        wanted, count = _count_by_id(session, settings, contract)
    else:
        wanted, count = expected, _count_since(session, settings, contract, _checked(since))
    with tqdm(total=wanted, desc="Delivered", unit="change", disable=not progress) as bar:
        log = _wait(load_log, wanted, count, begun + timeout, bar)
    if log is None:
        raise _missing(session, settings, contract, wanted - count(), wanted, timeout)
    snapshot = log.current_snapshot()
    row = {
        "table": contract.log_name,
        "changes": wanted,
        "snapshots": len(log.snapshots()),
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "seconds": round(time.monotonic() - begun, 3),
    }
    return pd.DataFrame([row]).astype({"snapshot_id": "Int64"})


def _wait(
    load_log: Callable[[], Table], wanted: int, count: Callable[[], int], deadline: float, bar: Any
) -> Table | None:
    """The change log once it holds the changes, or None at the deadline."""
    log = load_log()
    arrived = count() if wanted else 0
    if wanted and arrived >= wanted:
        log = load_log()  # what arrived after the first look is in the count
    others = _records(log) - arrived
    pause = _FIRST_POLL_SECONDS
    while arrived < wanted:
        bar.update(max(arrived - bar.n, 0))
        if time.monotonic() > deadline:
            return None
        time.sleep(pause)
        pause = min(pause * _POLL_GROWTH, _LAST_POLL_SECONDS)
        before, log = log, load_log()
        if log.metadata_location != before.metadata_location:
            pause = _FIRST_POLL_SECONDS
            estimate = _records(log) - others
            arrived = estimate if estimate < wanted else count()
    bar.update(wanted - bar.n)
    return log


def _records(log: Table) -> int:
    """Records of the change log, including duplicates, from its metadata."""
    snapshot = log.current_snapshot()
    return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0


def _checked(since: datetime | None) -> datetime:
    if since is None or since.utcoffset() is None:
        msg = f"`since` is {since!r}, but with `expected` it must be a moment with a time zone."
        raise SettingsError(msg, hint="Pass the moment before the first write: datetime.now(timezone.utc).")
    return since


def _count_since(
    session: boto3.Session, settings: Settings, contract: Contract, since: datetime
) -> Callable[[], int]:
    """How many changes since a moment the change log holds; DynamoDB Streams dates them to the second."""
    sql = (
        f'SELECT count(DISTINCT change_id) FROM "{contract.log_name}" '  # noqa: S608
        "WHERE received_at >= :since AND changed_at >= :second"
    )
    moments = {"since": since, "second": since.replace(microsecond=0)}

    def count() -> int:
        found: Any = query(session, settings, sql, moments, progress=False).df
        return int(found.iloc[0, 0])

    return count


def _count_by_id(
    session: boto3.Session, settings: Settings, contract: Contract
) -> tuple[int, Callable[[], int]]:
    """How many changes the source table's stream holds, and how many of them are in the change log."""
    source = _kinesis_source(session, settings, contract)
    is_held = _held_back(session, settings, contract)
    if source:
        wanted = _change_ids_in_kinesis(session, source, contract, is_held)
    elif contract.siblings or is_held:
        until = datetime.now(UTC) + timedelta(hours=1)
        records = read_changes(session, _stream_arn(session, contract), None, until)
        wanted = _own_ids(records, contract, is_held)
    else:
        wanted = change_ids_in_stream(session, _stream_arn(session, contract))
    sql = (
        f'SELECT DISTINCT change_id FROM "{contract.log_name}" '  # noqa: S608
        f"WHERE received_at >= current_timestamp - INTERVAL '{_STREAM_HOURS + 1}' HOUR"
    )
    return len(wanted), lambda: len(
        wanted.intersection(query(session, settings, sql, progress=False).df["change_id"])
    )


def _kinesis_source(session: boto3.Session, settings: Settings, contract: Contract) -> dict[str, Any] | None:
    """What Firehose reads, if that is Kinesis; None if the forwarder reads DynamoDB Streams."""
    try:
        outputs = deploy.outputs(session, settings, "delivery")
        name = deploy.stream_name(outputs, contract.log_name, "KinesisDeliveryStreamName")
    except NotFoundError:
        return None
    if not name:
        return None
    answer = aws.client(session, "firehose").describe_delivery_stream(DeliveryStreamName=name)
    source: dict[str, Any] = answer["DeliveryStreamDescription"]["Source"]["KinesisStreamSourceDescription"]
    return source


def _held_back(session: boto3.Session, settings: Settings, contract: Contract) -> HeldBack | None:
    """Which changes are not waited for, because their items were forgotten; None if there are none."""
    try:
        found = held_back(session, settings, contract)
    except NotFoundError:
        return None
    return found if found.any else None


def _change_ids_in_kinesis(
    session: boto3.Session, source: dict[str, Any], contract: Contract, is_held: HeldBack | None
) -> set[str]:
    """The ids of the changes that entered Kinesis after Firehose started; a change has other ids there."""
    now = datetime.now(UTC)
    since = max(source["DeliveryStartTimestamp"], now - timedelta(hours=_STREAM_HOURS))
    return _own_ids(read_changes(session, source["KinesisStreamARN"], since, now), contract, is_held)


def _own_ids(records: Iterable[StreamRecord], contract: Contract, is_held: HeldBack | None) -> set[str]:
    """The ids of the changes that concern a table, without those of forgotten items."""
    router = Router(json.loads(contract.to_lambda_json()), ANY_KEY)

    def is_forgotten(document: Any) -> bool:
        return is_held is not None and any(is_held(*row) for row in router.rows(document, 0)[0])

    documents = (record.document for record in records)
    return {
        document["eventID"]
        for document in documents
        if isinstance(document, dict)
        and router.concerns(document, contract.log_name)
        and not is_forgotten(document)
    }


def _stream_arn(session: boto3.Session, contract: Contract) -> str:
    dynamodb = aws.client(session, "dynamodb")
    try:
        table = dynamodb.describe_table(TableName=contract.source_table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        msg = f"There is no DynamoDB table {contract.source_table!r}."
        raise NotFoundError(msg, hint="Create it with wb.enable_cdc() (01_enable_cdc).") from error
    if "LatestStreamArn" not in table:
        msg = f"The DynamoDB table {contract.source_table!r} has no stream, so its changes are not known."
        raise NotFoundError(msg, hint="Pass how many to wait for: expected=…, since=….")
    return str(table["LatestStreamArn"])


def change_ids_in_stream(session: boto3.Session, stream_arn: str) -> set[str]:
    """The ids (`eventID`) of all changes that a DynamoDB stream still holds, up to now.

    Source: Amazon DynamoDB API Reference, "GetRecords (Amazon DynamoDB Streams)".

    Args:
        session: Open boto3 session.
        stream_arn: ARN of the stream.

    Returns:
        The ids, of all shards.
    """
    streams = aws.new_client(session, "dynamodbstreams")
    streams.meta.events.register("before-parse.dynamodb-streams.GetRecords", _keep_ids)
    # The stream may hold a change for longer than the log is searched for it.
    oldest = datetime.now(UTC) - timedelta(hours=_STREAM_HOURS)
    # A shard that is written to all the while has no end: later changes are not waited for.
    latest = datetime.fromtimestamp(deploy.aws_seconds(session) + _CLOCK_SECONDS, UTC)

    def ids(shard: Shard) -> list[str]:
        found = []
        for record in read_shard(streams, stream_arn, shard):
            made = record["dynamodb"]["ApproximateCreationDateTime"]
            if made > latest:
                break
            if made >= oldest:
                found.append(record["eventID"])
        return found

    with ThreadPoolExecutor(_SHARDS_AT_ONCE) as threads:
        return {found for each in threads.map(ids, shards_of(streams, stream_arn)) for found in each}


def _keep_ids(response_dict: dict[str, Any], **_: Any) -> None:
    """Remove the images from a response before botocore parses it, which takes most of the time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        answer = json.loads(response_dict["body"])
        name = "ApproximateCreationDateTime"
        answer["Records"] = [
            {"eventID": record["eventID"], "dynamodb": {name: record["dynamodb"][name]}}
            for record in answer["Records"]
        ]
        response_dict["body"] = json.dumps(answer).encode()


def _missing(
    session: boto3.Session, settings: Settings, contract: Contract, missing: int, wanted: int, timeout: float
) -> NotReadyError:
    msg = f"{missing:,} of {wanted:,} changes are not in {contract.log_name!r} after {timeout:g} seconds."
    log_group = f"/aws/lambda/{settings.pipeline}-forwarder"
    errors, last = _failed_deliveries(session, settings), _last_error(session, settings, timeout)
    return NotReadyError(f"{msg} {last}", hint=f"{errors} The forwarder's log is {log_group}.")


def _last_error(session: boto3.Session, settings: Settings, timeout: float) -> str:
    """What Firehose last wrote to its log, in a sentence.

    Source: "Monitor Amazon Data Firehose Using CloudWatch Logs", Amazon Data Firehose Developer Guide.
    """
    logs, group = aws.client(session, "logs"), f"/aws/kinesisfirehose/{settings.pipeline}"
    since_ms = round((time.time() - timeout - _LOG_SECONDS) * 1000)
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since_ms)
        events = [event for page in pages for event in page["events"]]
    except ClientError as error:
        return f"Firehose's log {group} could not be read: {error.response['Error']['Code']}."
    if not events:
        return f"Firehose has written no error to its log {group} meanwhile."
    event = max(events, key=lambda event: event["timestamp"])
    moment = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    words = _words_of(event["message"])
    return f"The last error of the delivery, of {moment:%H:%M:%S} UTC: {words} ({group})."


def _words_of(message: str) -> str:
    """An error of Firehose's log: its code, and its message or the number of records, if it has them."""
    try:
        entry = json.loads(message)
        number = f"{entry['failedRecords']:,} records" if "failedRecords" in entry else None
        return ": ".join(str(part) for part in (entry["errorCode"], entry.get("message", number)) if part)
    except (KeyError, TypeError, ValueError):
        return message


def _failed_deliveries(session: boto3.Session, settings: Settings) -> str:
    """What the error bucket holds, in a sentence."""
    try:
        bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    except (DynabergError, KeyError):
        return "There is no error bucket: deploy the pipeline with wb.enable_cdc() and wb.deploy_firehose()."
    pages = aws.client(session, "s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    try:
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
    except ClientError as error:
        return f"The error bucket {bucket} could not be read: {error.response['Error']['Code']}."
    if not keys:
        return f"The error bucket {bucket} is empty, so they are still on their way or were not picked up."
    return f"The error bucket holds {len(keys)} objects, the latest s3://{bucket}/{max(keys)}."
