"""What could not be delivered, written to the error bucket as Firehose writes it.

Type and hour follow the prefix, as in AWS where it has no expressions (`stream.config` refuses those).
Sources: "Handle data transformation failures" and "Understand custom prefixes for Amazon S3 objects"
(Amazon Data Firehose Developer Guide).
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import orjson

PROCESSING_FAILED = "processing-failed"
ICEBERG_FAILED = "iceberg-failed"


@dataclass(frozen=True)
class FailedRecord:
    """A record that was not delivered.

    Attributes:
        output_type: `processing-failed` or `iceberg-failed`.
        data: The record as it was when it failed.
        arrived_ms: When it was acknowledged, epoch milliseconds.
        code: Error code.
        message: What went wrong.
        prefix: Prefix in the error bucket.
        attempts: How often it was tried.
        lambda_arn: The transformation function, for `processing-failed`.
    """

    output_type: str
    data: bytes
    arrived_ms: int
    code: str
    message: str
    prefix: str
    attempts: int = 1
    lambda_arn: str | None = None

    def line(self, ended_ms: int) -> bytes:
        """The record as a line of an error object."""
        content = {
            "attemptsMade": self.attempts,
            "arrivalTimestamp": self.arrived_ms,
            "errorCode": self.code,
            "errorMessage": self.message,
            "attemptEndingTimestamp": ended_ms,
            "rawData": b64encode(self.data).decode(),
        }
        if self.lambda_arn:
            content["lambdaArn"] = self.lambda_arn
        return orjson.dumps(content)


def error_objects(
    failures: Sequence[FailedRecord], stream: str, version: str, flush_id: str, ended_ms: int
) -> Iterator[tuple[str, bytes]]:
    """The objects that hold the failures of one flush, as (key, body).

    The same flush, done again, writes the same keys.
    """

    def place(failure: FailedRecord) -> tuple[str, str]:
        return failure.output_type, failure.prefix

    for (output_type, prefix), group in groupby(sorted(failures, key=place), key=place):
        records = list(group)
        unique = uuid.uuid5(uuid.UUID(flush_id), f"{output_type} {prefix}")
        moment = datetime.fromtimestamp(min(record.arrived_ms for record in records) / 1000, UTC)
        folder = f"{prefix}{output_type}/{moment:%Y/%m/%d/%H}"
        key = f"{folder}/{stream}-{version}-{moment:%Y-%m-%d-%H-%M-%S}-{unique}"
        yield key, b"".join(record.line(ended_ms) + b"\n" for record in records)
