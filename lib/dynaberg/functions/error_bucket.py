"""The error bucket: change records that do not fit the contract, kept whole, in Firehose's own form.

Source of the form: "Handle data delivery failures", Amazon Data Firehose Developer Guide.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

PREFIX = "errors/conversion-failed"


@dataclass(frozen=True)
class Failure:
    """A change record that could not be converted.

    Attributes:
        record: The change record.
        code: Such as `Conversion.WrongType`.
        message: What happened, with the value.
    """

    record: Any
    code: str
    message: str

    @property
    def change_id(self) -> str:
        """The change's id, as far as it has one."""
        return str(self.record.get("eventID")) if isinstance(self.record, Mapping) else "?"


def write_failures(
    s3: Any, bucket: str, failures: Sequence[Failure], *, received_at_us: int, function_arn: str
) -> str:
    """Write failures as one object of JSON lines.

    Args:
        s3: A boto3 S3 client.
        bucket: The error bucket.
        failures: What failed; at least one.
        received_at_us: When the Lambda received the records, in microseconds since 1970.
        function_arn: The Lambda.

    Returns:
        The object's key. The same for the same failures in an hour: a retried batch writes it again.
    """
    received = datetime.fromtimestamp(received_at_us // 1_000_000, UTC)
    digest = hashlib.sha256("\n".join(failure.change_id for failure in failures).encode()).hexdigest()
    key = f"{PREFIX}/{received:%Y/%m/%d/%H}/{digest[:32]}.jsonl"
    lines = [_error_record(failure, received_at_us // 1_000, function_arn) for failure in failures]
    s3.put_object(Bucket=bucket, Key=key, Body="".join(f"{line}\n" for line in lines).encode())
    return key


def _error_record(failure: Failure, received_at_ms: int, function_arn: str) -> str:
    return json.dumps(
        {
            "attemptsMade": 1,
            "arrivalTimestamp": received_at_ms,
            "errorCode": failure.code,
            "errorMessage": failure.message,
            "attemptEndingTimestamp": received_at_ms,
            "rawData": base64.b64encode(json.dumps(failure.record).encode()).decode(),
            "lambdaArn": function_arn,
        }
    )
