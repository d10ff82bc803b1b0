"""Pattern 2: the Lambda that Firehose calls to transform what it read from Kinesis.

Environment: `ERROR_BUCKET_NAME`, `MASK_KEY_ARN` if masks need a key, and with several change logs
`LOG_TABLE_NAME`, the one that this function makes rows for. The table contracts are next to the package.
Source of the formats: "Transform source data in Amazon Data Firehose", Amazon Data Firehose Developer Guide.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from itertools import chain
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..error_bucket import CHANGE_IDS_LOGGED, Failure, change_id_of, keep_failures, log
from .resources import client, router


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Convert a batch of change records that came through Kinesis; every record id is returned.

    `Ok` carries the change row. A record that does not fit the contract is `Dropped` once it is in the error
    bucket with its reason; if that fails it is `ProcessingFailed`, and Firehose itself keeps it.
    """
    received_at_us = time.time_ns() // 1_000
    answers: dict[str, dict[str, Any]] = {}
    failed: dict[str, list[Failure]] = {}
    log_name = os.environ.get("LOG_TABLE_NAME") or router().logs[0]
    for record in event["records"]:
        record_id, raw = record["recordId"], _decode(record["data"])
        change = _parse(raw)
        rows, errors = router().rows(change, received_at_us)
        own = next((row for row in rows if row.log == log_name), None)
        answers[record_id] = {"result": "Dropped", "data": record["data"]}
        if own is not None:
            answers[record_id] = {"result": "Ok", "data": base64.b64encode(own.data).decode()}
        # Every change log has a function that gets the same records; the first one keeps what fails.
        if errors and log_name == router().logs[0]:
            masked = router().mask_record(change)
            kept = raw if masked is change else json.dumps(masked).encode()
            failed.setdefault(record_id, []).extend(
                Failure(kept, change_id_of(change), error.code, error.message) for error in errors
            )
    failures = list(chain.from_iterable(failed.values()))
    if failures and not _keep(failures, received_at_us, context.invoked_function_arn):
        for record_id in failed:
            answers[record_id] |= {"result": "ProcessingFailed"}
    log("INFO", "changes transformed", records=len(answers), failed=len(failures))
    return {"records": [{"recordId": record_id, **answer} for record_id, answer in answers.items()]}


def _decode(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return data.encode()


def _parse(raw: bytes) -> Any:
    """The record, or, if it is not JSON, its text."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")


def _keep(failures: list[Failure], received_at_us: int, function_arn: str) -> bool:
    """Keep the failures in the error bucket; returns whether they are there."""
    try:
        keep_failures(
            client("s3"),
            os.environ["ERROR_BUCKET_NAME"],
            failures,
            received_at_us=received_at_us,
            function_arn=function_arn,
        )
    except (BotoCoreError, ClientError) as error:
        ids = [failure.change_id for failure in failures[:CHANGE_IDS_LOGGED]]
        log("ERROR", "error bucket refused", error=type(error).__name__, failed=len(failures), change_ids=ids)
        return False
    return True
