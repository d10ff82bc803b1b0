"""Waiting for delivery: until every change of the DynamoDB table is in the change log."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws, catalog, deploy
from dynaberg.delivery.awaited import STREAM_HOURS, awaited_ids, has_two_paths
from dynaberg.errors import DynabergError, NotReadyError, require_moment, require_seconds
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_WANTED = "the moment before the first write, as `since`"
_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS, _POLL_GROWTH = 0.1, 2.0, 1.3
# Firehose repeats an error that holds it up, though not at once.
_LOG_SECONDS = 300


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
            table's streams hold, each by its id. So it does, too, while the stream type changes and a change
            comes on both paths, under two ids.
        since: Timezone-aware moment before the first of the expected changes.
        timeout: Deadline in seconds.
        progress: Whether a progress bar is shown.

    Returns:
        One row: table, changes, snapshots (of the change log; those since `since`, if it is given),
        snapshot_id, seconds.

    Raises:
        NotReadyError: The deadline passed; the message says how many are missing and what Firehose's log
            last said, the hint says where to look.
        NotFoundError: The change log, the source table or its stream does not exist.
        SettingsError: `expected` without a `since`, or a `since` without a time zone.

    Example:
        >>> wait_for_delivery(session, settings, contract, expected=10_000, since=report.started_at)
    """
    import pandas as pd
    from tqdm.auto import tqdm

    begun, timeout = time.monotonic(), require_seconds("timeout", timeout)
    first = None if expected is None and since is None else require_moment(since, wanted=_WANTED)
    iceberg = catalog.open_catalog(session, settings)

    def load_log() -> Table:
        return catalog.load_table(iceberg, settings, contract.log_name)

    if expected is None or first is None or has_two_paths(session, settings):
        wanted, count = _count_by_id(session, settings, contract)
    else:
        wanted, count = expected, _count_since(session, settings, contract, first)
    with tqdm(total=wanted, desc="In the change log", unit="change", disable=not progress) as bar:
        log = _wait(load_log, wanted, count, begun + timeout, bar)
    if log is None:
        raise _missing(session, settings, contract, wanted - count(), wanted, timeout)
    snapshot = log.current_snapshot()
    row = {
        "table": contract.log_name,
        "changes": wanted,
        "snapshots": sum(
            first is None or s.timestamp_ms >= first.timestamp() * 1000 for s in log.snapshots()
        ),
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
    """How many changes are waited for by their ids, and how many of them are in the change log."""
    wanted = awaited_ids(session, settings, contract)
    sql = (
        f'SELECT DISTINCT change_id FROM "{contract.log_name}" '  # noqa: S608
        f"WHERE received_at >= current_timestamp - INTERVAL '{STREAM_HOURS + 1}' HOUR"
    )
    return len(wanted), lambda: len(
        wanted.intersection(query(session, settings, sql, progress=False).df["change_id"])
    )


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
