"""Pattern 1: the Lambda between DynamoDB Streams and Firehose.

Environment: `DELIVERY_STREAM_NAME`, `DEAD_LETTER_QUEUE_URL`, `ERROR_BUCKET_NAME`, and around a change of the
stream type `FORWARD_UNTIL` or `TAKEN_OVER_AT`. The table contract is next to the package.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any

from .attributes import ConversionError
from .change_row import ChangeConverter
from .dead_letters import keep_refused
from .error_bucket import Failure, change_id_of, keep_failures, log
from .handover import read_handover
from .resources import client, converter
from .to_firehose import deliver


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Convert a batch of change records and send the rows to Firehose.

    A record that does not fit the contract goes to the error bucket, a row that Firehose refuses goes to the
    dead-letter queue, and the others continue: nothing blocks its shard.

    Raises:
        UnkeptError: The dead-letter queue refused rows, too; the event source retries the batch.
    """
    received_at_us, bucket = time.time_ns() // 1_000, os.environ["ERROR_BUCKET_NAME"]
    function_arn, stream_name = context.invoked_function_arn, os.environ["DELIVERY_STREAM_NAME"]
    records = read_handover(os.environ).apply(event["Records"])
    rows, failures = convert_all(converter(), records, received_at_us)
    # Failures first: if the error bucket is unavailable, the retried batch has not been delivered yet.
    if failures:
        keep_failures(
            client("s3"), bucket, failures, received_at_us=received_at_us, function_arn=function_arn
        )
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
            bucket=bucket,
            stream_name=stream_name,
            by=function_arn,
        )
    log(
        "INFO",
        "changes forwarded",
        records=len(event["Records"]),
        rows=len(rows),
        failed=len(failures),
        refused=len(delivery.refused),
        retried=delivery.retried,
    )
    # Rows that were not kept raise an error and are not named here: an event source that does not read this
    # response retries a raised batch, too. What had been delivered then comes twice, with the same change_id.
    return {"batchItemFailures": []}


def convert_all(
    converter: ChangeConverter, records: Iterable[Any], received_at_us: int
) -> tuple[list[bytes], list[Failure]]:
    """Convert records; returns the rows of those that fit, and the failures of those that do not."""
    rows: list[bytes] = []
    failures: list[Failure] = []
    for record in records:
        try:
            rows.append(converter.to_row(record, received_at_us))
        except ConversionError as error:
            raw = json.dumps(record).encode()
            failures.append(Failure(raw, change_id_of(record), error.code, error.message))
    return rows, failures
