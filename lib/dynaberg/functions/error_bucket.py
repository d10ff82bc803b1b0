"""What becomes of failures: the error bucket keeps them, in Firehose's own format, and the log names them.

Source of the format: "Handle data delivery failures", Amazon Data Firehose Developer Guide.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PREFIX = "errors/conversion-failed"
CHANGE_IDS_LOGGED = 100


@dataclass(frozen=True)
class Failure:
    """A change record that could not be converted, or a change row that could not be delivered.

    Attributes:
        raw: The unchanged record, or the row, in bytes.
        change_id: The change's id, or a question mark where it has none.
        error_code: Why it failed, such as `Conversion.WrongType`.
        error_message: The same, in words.
    """

    raw: bytes
    change_id: str
    error_code: str
    error_message: str


def log(level: str, message: str, **facts: Any) -> None:
    """Write one line of JSON, which CloudWatch Logs Insights reads as fields; never values of an item.

    Args:
        level: `INFO`, `WARNING` or `ERROR`.
        message: What happened, the same words each time.
        **facts: What differs each time.
    """
    sys.stdout.write(json.dumps({"level": level, "message": message, **facts}) + "\n")
    sys.stdout.flush()


def change_id_of(record: Any) -> str:
    """The id of a change record, if it has one."""
    return str(record.get("eventID", "?")) if isinstance(record, dict) else "?"


def keep_failures(
    s3: Any,
    bucket: str,
    failures: Sequence[Failure],
    *,
    received_at_us: int,
    function_arn: str,
    prefix: str = PREFIX,
) -> str:
    """Write failures as one object of JSON lines, and log their ids.

    Args:
        s3: A boto3 S3 client.
        bucket: The error bucket.
        failures: What failed; at least one.
        received_at_us: When the Lambda received the records, in microseconds since 1970.
        function_arn: The Lambda.
        prefix: Prefix of the key.

    Returns:
        The object's key. It is the same for the same failures within an hour: a retried batch overwrites it.
    """
    received = datetime.fromtimestamp(received_at_us // 1_000_000, UTC)
    digest = hashlib.sha256(b"\n".join(failure.raw for failure in failures)).hexdigest()
    key = f"{prefix}/{received:%Y/%m/%d/%H}/{digest[:32]}.jsonl"
    lines = [_error_record(failure, received_at_us // 1_000, function_arn) for failure in failures]
    s3.put_object(Bucket=bucket, Key=key, Body="".join(f"{line}\n" for line in lines).encode())
    log(
        "ERROR",
        "changes kept in the error bucket",
        failed=len(failures),
        error_codes=Counter(failure.error_code for failure in failures),
        change_ids=[failure.change_id for failure in failures[:CHANGE_IDS_LOGGED]],
        object=key,
    )
    return key


def _error_record(failure: Failure, received_at_ms: int, function_arn: str) -> str:
    return json.dumps(
        {
            "attemptsMade": 1,
            "arrivalTimestamp": received_at_ms,
            "errorCode": failure.error_code,
            "errorMessage": failure.error_message,
            "attemptEndingTimestamp": received_at_ms,
            "rawData": base64.b64encode(failure.raw).decode(),
            "lambdaArn": function_arn,
        }
    )
