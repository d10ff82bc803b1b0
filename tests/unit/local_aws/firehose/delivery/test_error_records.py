from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from local_aws.firehose.delivery.error_records import FailedRecord, error_objects

MOMENT = datetime(2026, 1, 31, 9, 5, 7, tzinfo=UTC)
FLUSH = "0" * 32


def failed(output_type: str, data: bytes, prefix: str = "e/", lambda_arn: str | None = None) -> FailedRecord:
    arrived_ms = int(MOMENT.timestamp() * 1000)
    return FailedRecord(output_type, data, arrived_ms, "Some.Code", "words", prefix, 4, lambda_arn)


def test_objects_hold_one_line_for_each_record_in_firehoses_format() -> None:
    failures = [failed("processing-failed", b"\x00\xff", lambda_arn="arn:l"), failed("iceberg-failed", b"{}")]
    objects = dict(error_objects(failures, "orders", "2", FLUSH, 99))
    assert [key.split("/")[1] for key in objects] == ["iceberg-failed", "processing-failed"]
    key, body = list(objects.items())[1]
    assert key.startswith("e/processing-failed/2026/01/31/09/orders-2-2026-01-31-09-05-07-")
    assert body.endswith(b"\n")
    assert json.loads(body) == {
        "attemptsMade": 4,
        "arrivalTimestamp": int(MOMENT.timestamp() * 1000),
        "errorCode": "Some.Code",
        "errorMessage": "words",
        "attemptEndingTimestamp": 99,
        "rawData": base64.b64encode(b"\x00\xff").decode(),
        "lambdaArn": "arn:l",
    }
    assert "lambdaArn" not in json.loads(next(iter(objects.values())))


def test_records_of_one_prefix_share_an_object() -> None:
    failures = [failed("iceberg-failed", bytes([n]), prefix=f"{n % 2}/") for n in range(6)]
    objects = dict(error_objects(failures, "orders", "1", FLUSH, 99))
    assert [body.count(b"\n") for body in objects.values()] == [3, 3]


def test_a_flush_that_is_done_again_writes_the_same_keys() -> None:
    failures = [failed("iceberg-failed", b"a"), failed("processing-failed", b"b")]
    first = [key for key, _ in error_objects(failures, "orders", "1", FLUSH, 1)]
    assert first == [key for key, _ in error_objects(failures, "orders", "1", FLUSH, 2)]
    assert first != [key for key, _ in error_objects(failures, "orders", "1", "1" * 32, 1)]


def test_no_failures_make_no_objects() -> None:
    assert list(error_objects([], "orders", "1", FLUSH, 1)) == []
