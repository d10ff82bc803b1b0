"""Pattern 1: the Lambda between DynamoDB Streams and Firehose; with both patterns it also converts exports.

Environment: `DELIVERY_STREAM_NAME`, `DEAD_LETTER_QUEUE_URL`, `BACKFILL_QUEUE_URL`, `ERROR_BUCKET_NAME`,
`MASK_KEY_ARN` if masks need a key, around a change of the stream type `FORWARD_UNTIL` or `TAKEN_OVER_AT`, and
with several change logs `DELIVERY_STREAM_NAMES`, in JSON. The table contracts are next to the package.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..dead_letters import keep_refused, send
from ..error_bucket import Failure, change_id_of, keep_failures, log
from ..export_files import ExportFile, convert_file
from ..handover import read_handover
from ..routing import Router
from ..to_firehose import Delivery, deliver
from ..tombstones import HeldBack, Tombstones
from .resources import client, contracts, plain_items, router, several_logs, stream_of

# Seconds that the next chunk of a file may take, its retries included.
_LEFT_FOR_THE_NEXT = 40


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Convert a batch of change records and send the rows to Firehose.

    A record that does not fit the contract goes to the error bucket, a row that Firehose refuses goes to the
    dead-letter queue, and the others continue: nothing blocks its shard. Messages of the backfill's queue are
    data files of an export, and are converted in the same way.

    Raises:
        UnkeptError: The dead-letter queue refused rows, too; the event source retries the batch.
    """
    if event["Records"][0].get("eventSource") == "aws:sqs":
        for message in event["Records"]:
            _convert_export(message, context)
    else:
        _forward(read_handover(os.environ).apply(event["Records"]), context)
    # Rows that were not kept raise an error and are not named here: an event source that does not read this
    # response retries a raised batch, too. What had been delivered then comes twice, with the same change_id.
    return {"batchItemFailures": []}


def _forward(
    records: Sequence[Any],
    context: Any,
    is_held: HeldBack | None = None,
    further: Mapping[str, list[bytes]] = MappingProxyType({}),
) -> int:
    """Convert records and send their rows; returns how many do not fit, or are of forgotten items.

    Args:
        records: The change records.
        context: What Lambda says of this invocation.
        is_held: Which rows may not be sent, because their items were forgotten.
        further: Change rows by change log that are sent with them.
    """
    received_at_us, bucket = time.time_ns() // 1_000, os.environ["ERROR_BUCKET_NAME"]
    function_arn = context.invoked_function_arn
    rows, failures = convert_all(router(), records, received_at_us)
    for name, of_log in further.items():
        rows[name] = of_log + rows.get(name, [])
    held = 0
    if is_held is not None:
        left = {name: [row for row in of_log if not is_held(name, row)] for name, of_log in rows.items()}
        held = sum(map(len, rows.values())) - sum(map(len, left.values()))
        rows = left
    # Failures first: if the error bucket is unavailable, the retried batch has not been delivered yet.
    if failures:
        keep_failures(
            client("s3"), bucket, failures, received_at_us=received_at_us, function_arn=function_arn
        )
    delivered = [_deliver(log_name, wanted, context) for log_name, wanted in rows.items()]
    log(
        "INFO",
        "changes forwarded",
        records=len(records) + sum(map(len, further.values())),
        rows=sum(map(len, rows.values())),
        failed=len(failures),
        refused=sum(len(each.refused) for each in delivered),
        retried=sum(each.retried for each in delivered),
    )
    return len(failures) + held


def _convert_export(message: Mapping[str, Any], context: Any) -> None:
    """Convert a data file of an export; one that takes longer than this invocation goes back to the queue."""
    file = ExportFile.from_body(message["body"])
    tombstones = Tombstones.load(client("s3"), os.environ["ERROR_BUCKET_NAME"], file.source_table)
    of_logs = tombstones.of_contracts(contracts())
    is_held = of_logs if of_logs.any else None
    plain = plain_items(file.key_attributes, file.second)
    progress = convert_file(
        client("s3"),
        file,
        plain,
        lambda rows, records: _forward(records, context, is_held, {plain.log: rows} if rows else {}),
        has_time=lambda: context.get_remaining_time_in_millis() > _LEFT_FOR_THE_NEXT * 1_000,
    )
    if not progress.done and not progress.error:
        send(client("sqs"), os.environ["BACKFILL_QUEUE_URL"], [message["body"]], delay_seconds=0)
    facts = {"file": file.key, "lines": progress.lines, "done": progress.done, "error": progress.error}
    log("ERROR" if progress.error else "INFO", "file of an export converted", **facts)


def _deliver(log_name: str, rows: Sequence[bytes], context: Any) -> Delivery:
    """Send the rows of one change log; what Firehose refuses goes to the dead-letter queue."""
    stream_name = stream_of(log_name)
    delivery = deliver(
        client("firehose"),
        stream_name,
        rows,
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1_000,
    )
    if delivery.refused:
        keep_refused(
            client("sqs"),
            client("s3"),
            delivery.refused,
            queue_url=os.environ["DEAD_LETTER_QUEUE_URL"],
            bucket=os.environ["ERROR_BUCKET_NAME"],
            stream_name=stream_name,
            by=context.invoked_function_arn,
            log_name=log_name if several_logs() else "",
        )
    return delivery


def convert_all(
    router: Router, records: Iterable[Any], received_at_us: int
) -> tuple[dict[str, list[bytes]], list[Failure]]:
    """Convert records; returns the rows by change log, and the failures of records that do not fit."""
    rows: dict[str, list[bytes]] = {}
    failures: list[Failure] = []
    for record in records:
        found, errors = router.rows(record, received_at_us)
        for row in found:
            rows.setdefault(row.log, []).append(row.data)
        if errors:
            raw = json.dumps(router.mask_record(record)).encode()
            failures += [Failure(raw, change_id_of(record), e.code, e.message) for e in errors]
    return rows, failures
