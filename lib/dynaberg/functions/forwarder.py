"""Pattern 1: the Lambda between DynamoDB Streams and Firehose.

Environment: `DELIVERY_STREAM_NAME`, `ERROR_BUCKET_NAME`. The table contract lies beside the package.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any

from .attributes import ConversionError
from .conversion import ChangeConverter
from .delivery import deliver
from .error_bucket import Failure, change_id_of, keep_failures
from .log import log
from .resources import client, converter


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Convert a batch of change records and hand the rows to Firehose.

    A record that does not fit the contract goes to the error bucket, and the others go on.

    Raises:
        UndeliveredError: Firehose did not take all rows in the time there was.
    """
    received_at_us = time.time_ns() // 1_000
    records = event["Records"]
    rows, failures = convert_all(converter(), records, received_at_us)
    # Failures first: if the error bucket is away, the retried batch has not been delivered yet.
    if failures:
        keep_failures(
            client("s3"),
            os.environ["ERROR_BUCKET_NAME"],
            failures,
            received_at_us=received_at_us,
            function_arn=context.invoked_function_arn,
        )
    retried = deliver(
        client("firehose"),
        os.environ["DELIVERY_STREAM_NAME"],
        rows,
        remaining_seconds=lambda: context.get_remaining_time_in_millis() / 1_000,
    )
    log(
        "INFO",
        "changes forwarded",
        records=len(records),
        rows=len(rows),
        failed=len(failures),
        retried=retried,
    )
    # What is undelivered was raised, not named here: an event source that does not read this answer retries
    # a raised batch too. What had been delivered then comes twice, with the same change_id.
    return {"batchItemFailures": []}


def convert_all(
    converter: ChangeConverter, records: Iterable[Any], received_at_us: int
) -> tuple[list[bytes], list[Failure]]:
    """Convert records: the rows of those that fit, and the failures of those that do not."""
    rows: list[bytes] = []
    failures: list[Failure] = []
    for record in records:
        try:
            rows.append(converter.to_row(record, received_at_us))
        except ConversionError as error:
            failures.append(Failure(json.dumps(record).encode(), change_id_of(record), error))
    return rows, failures
