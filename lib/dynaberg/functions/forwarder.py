"""Pattern 1: the Lambda between DynamoDB Streams and Firehose.

Environment: `DELIVERY_STREAM_NAME`, `ERROR_BUCKET_NAME`. The table contract lies beside the package.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from .attributes import ConversionError
from .conversion import ChangeConverter
from .delivery import deliver
from .error_bucket import Failure, write_failures
from .log import log

CONTRACT_FILE = Path(__file__).resolve().parents[1] / "contract.json"
_CHANGE_IDS_LOGGED = 100


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Convert a batch of change records and hand the rows to Firehose.

    A record that does not fit the contract goes to the error bucket, and the others go on.

    Raises:
        UndeliveredError: Firehose did not take all rows in the time there was.
    """
    received_at_us = time.time_ns() // 1_000
    records = event["Records"]
    rows, failures = convert_all(_converter(), records, received_at_us)
    # Failures first: if the error bucket is away, the retried batch has not been delivered yet.
    if failures:
        _keep_failures(failures, received_at_us, context.invoked_function_arn)
    retried = deliver(
        _client("firehose"),
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
            failures.append(Failure(record, error.code, error.message))
    return rows, failures


def _keep_failures(failures: list[Failure], received_at_us: int, function_arn: str) -> None:
    key = write_failures(
        _client("s3"),
        os.environ["ERROR_BUCKET_NAME"],
        failures,
        received_at_us=received_at_us,
        function_arn=function_arn,
    )
    log(
        "ERROR",
        "changes not converted",
        failed=len(failures),
        error_codes=Counter(failure.code for failure in failures),
        change_ids=[failure.change_id for failure in failures[:_CHANGE_IDS_LOGGED]],
        object=key,
    )


@cache
def _converter() -> ChangeConverter:
    return ChangeConverter(json.loads(CONTRACT_FILE.read_text(encoding="utf-8")))


@cache
def _client(name: str) -> Any:
    """A client that gives up early: what is retried, and for how long, is decided in delivery.py."""
    config = Config(connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 2})
    return boto3.client(name, config=config)  # type: ignore[call-overload]
