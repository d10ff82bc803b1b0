"""The transformation: every record id comes back, and both patterns make the same rows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.contracts import Column, Contract
from dynaberg.functions.handlers import resources, transform
from dynaberg.functions.handlers.forwarder import convert_all
from dynaberg.functions.routing import Router

CONTRACT = Contract("t", "source", "id", None, (Column("id", "string"), Column("n", "int")))
ARRIVED_US = 1_764_000_000_000_000


class Bucket:
    """An S3 with one bucket, which may be away."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.error: Exception | None = None

    def put_object(self, **request: Any) -> None:
        if self.error:
            raise self.error
        self.objects[request["Key"]] = request["Body"]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.objects.values() for line in body.decode().splitlines()]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """The handler with a contract beside it and an error bucket."""
    (tmp_path / "contract.json").write_text(CONTRACT.to_lambda_json())
    monkeypatch.setattr(resources, "CONTRACT_FILE", tmp_path / "contract.json")
    monkeypatch.setenv("ERROR_BUCKET_NAME", "errors-bucket")
    resources.router.cache_clear()
    found = Bucket()
    monkeypatch.setattr(transform, "client", lambda name: found)
    yield found
    resources.router.cache_clear()


def change(number: int, n: str = "7", **members: Any) -> dict[str, Any]:
    """A change record as Kinesis has it."""
    key = {"id": {"S": f"item-{number}"}}
    moment = {"ApproximateCreationDateTime": 1_764_000_000_123_456}
    precision = {"ApproximateCreationDateTimePrecision": "MICROSECOND"}
    image = {"Keys": key, "NewImage": {**key, "n": {"N": n}}}
    return {
        "eventID": f"change-{number}",
        "eventName": "INSERT",
        "tableName": "source",
        "dynamodb": {**moment, **precision, **image},
        **members,
    }


def transform_records(*data: bytes) -> list[dict[str, Any]]:
    context: Any = SimpleNamespace(invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:t")
    records = [
        {"recordId": f"r{n}", "data": base64.b64encode(raw).decode(), "approximateArrivalTimestamp": 1}
        for n, raw in enumerate(data)
    ]
    return list(transform.handler({"records": records}, context)["records"])


def row(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(answer["data"]))
    return found


def test_every_record_id_comes_back(bucket: Bucket) -> None:
    remove = change(3, eventName="REMOVE")
    remove["dynamodb"]["OldImage"] = remove["dynamodb"].pop("NewImage")
    raw = [json.dumps(r).encode() for r in (change(1), change(2, n="x"), remove)] + [b"\xff not json"]
    answers = transform_records(*raw)
    assert [answer["recordId"] for answer in answers] == ["r0", "r1", "r2", "r3"]
    assert [answer["result"] for answer in answers] == ["Ok", "Dropped", "Ok", "Dropped"]
    assert row(answers[0])["change_id"] == "change-1"
    assert row(answers[2])["operation"] == "REMOVE"
    errors = bucket.lines()
    assert [base64.b64decode(error["rawData"]) for error in errors] == [raw[1], raw[3]]
    assert [error["errorCode"] for error in errors] == [
        "Conversion.NotDynamoDbJson",
        "Conversion.NotAChangeRecord",
    ]


def test_firehose_keeps_what_the_error_bucket_refuses(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.error = ClientError({"Error": {"Code": "SlowDown", "Message": "no"}}, "PutObject")
    bad = json.dumps(change(2, n="x")).encode()
    good, failed = transform_records(json.dumps(change(1)).encode(), bad)
    assert good["result"] == "Ok"
    assert failed["result"] == "ProcessingFailed"
    assert base64.b64decode(failed["data"]) == bad
    refused, _ = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (refused["message"], refused["change_ids"]) == ("error bucket refused", ["change-2"])


def test_kinesis_gives_microseconds_and_no_sequence_number(bucket: Bucket) -> None:
    (answer,) = transform_records(json.dumps(change(1)).encode())
    assert row(answer)["changed_at"] == 1_764_000_000_123_456
    assert row(answer)["sequence_number"] == "0" * 40


def test_both_patterns_make_the_same_row(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: ARRIVED_US * 1_000)
    records = [change(number) for number in range(3)]
    answers = transform_records(*(json.dumps(record).encode() for record in records))
    router = Router(json.loads(CONTRACT.to_lambda_json()))
    rows, _ = convert_all(router, records, ARRIVED_US)
    assert [base64.b64decode(answer["data"]) for answer in answers] == rows[CONTRACT.log_name]


def test_of_a_failure_the_log_tells_the_id_and_never_a_value(
    bucket: Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    transform_records(json.dumps(change(1, n="4111111111111111")).encode())
    printed = capsys.readouterr().out
    assert "change-1" in printed
    assert "4111111111111111" not in printed
