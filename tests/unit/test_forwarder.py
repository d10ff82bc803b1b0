"""The forwarder: batches, retries, and what becomes of records that do not fit."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg.contract import Column, Contract
from dynaberg.functions import delivery, forwarder, resources, transform
from dynaberg.functions.delivery import MAX_BATCH_BYTES, MAX_RECORDS, UndeliveredError, batches, deliver

FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:forwarder"
ROOM: Any = memoryview(bytes(1_000_000))
CONTRACT = Contract("t", "source", "id", None, (Column("id", "string"), Column("n", "int")))


class Firehose:
    """A Firehose that refuses what `refuses` says, by call and row; it keeps what it takes."""

    def __init__(self, refuses: Callable[[int, bytes], str | None] = lambda call, row: None) -> None:
        self.refuses = refuses
        self.calls: list[list[bytes]] = []
        self.taken: list[bytes] = []

    def put_record_batch(self, **request: Any) -> dict[str, Any]:
        rows = [record["Data"] for record in request["Records"]]
        self.calls.append(rows)
        codes = [self.refuses(len(self.calls), row) for row in rows]
        self.taken += [row for row, code in zip(rows, codes, strict=True) if code is None]
        answers = [{"ErrorCode": code} if code else {"RecordId": "r"} for code in codes]
        return {"FailedPutCount": sum(map(bool, codes)), "RequestResponses": answers}


class Bucket:
    """An S3 with one bucket."""

    def __init__(self, error: Exception | None = None) -> None:
        self.objects: dict[str, bytes] = {}
        self.error = error

    def put_object(self, **request: Any) -> None:
        if self.error:
            raise self.error
        self.objects[request["Key"]] = request["Body"]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for body in self.objects.values() for line in body.decode().splitlines()]


class Pauses(list[float]):
    """A clock that goes on only while something sleeps."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def remaining(self) -> float:
        return self.seconds - sum(self)


def client_error(code: str, operation: str = "PutRecordBatch") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def send(firehose: Firehose, rows: Sequence[bytes], pauses: Pauses) -> int:
    return deliver(firehose, "stream", rows, remaining_seconds=pauses.remaining, sleep=pauses.append)


def change(number: int, n: str = "7") -> dict[str, Any]:
    key = {"id": {"S": f"item-{number}"}}
    return {
        "eventID": f"change-{number}",
        "eventName": "INSERT",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/source/stream/x",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_764_000_000,
            "Keys": key,
            "NewImage": {**key, "n": {"N": n}},
            "SequenceNumber": str(number),
        },
    }


def ids(rows: Sequence[bytes]) -> list[str]:
    return [json.loads(row)["change_id"] for row in rows]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The handlers with a contract beside them, a Firehose and a bucket."""
    (tmp_path / "contract.json").write_text(CONTRACT.to_lambda_json())
    monkeypatch.setattr(resources, "CONTRACT_FILE", tmp_path / "contract.json")
    monkeypatch.setenv("DELIVERY_STREAM_NAME", "stream")
    monkeypatch.setenv("ERROR_BUCKET_NAME", "errors-bucket")
    resources.converter.cache_clear()
    parts = SimpleNamespace(firehose=Firehose(), s3=Bucket())
    for module in (forwarder, transform):
        monkeypatch.setattr(module, "client", lambda name: getattr(parts, name))
    yield parts
    resources.converter.cache_clear()


def context(seconds: float = 60) -> Any:
    return SimpleNamespace(
        invoked_function_arn=FUNCTION_ARN, get_remaining_time_in_millis=lambda: int(seconds * 1_000)
    )


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 1_000_000), max_size=40), st.integers(0, 1_300))
def test_batches_keep_firehoses_limits_and_the_order(sizes: list[int], small: int) -> None:
    rows = [ROOM[:size] for size in [*sizes, *range(small)]]
    parts = list(batches(rows))
    assert [row for part in parts for row in part] == rows
    assert all(0 < len(part) <= MAX_RECORDS for part in parts)
    assert all(sum(map(len, part)) <= MAX_BATCH_BYTES for part in parts)


def test_a_batch_ends_before_it_is_too_large() -> None:
    assert [len(part) for part in batches([ROOM] * 9)] == [4, 4, 1]


def test_only_refused_rows_are_sent_again() -> None:
    firehose = Firehose(lambda call, row: "ServiceUnavailableException" if call < 3 and row < b"2" else None)
    rows = [str(n).encode() for n in range(1, 6)]
    pauses = Pauses(60)
    assert send(firehose, rows, pauses) == 2
    assert firehose.calls == [rows, [b"1"], [b"1"]]
    assert sorted(firehose.taken) == rows
    assert len(pauses) == 2


@pytest.mark.parametrize(
    "error",
    [client_error("ServiceUnavailableException"), EndpointConnectionError(endpoint_url="http://127.0.0.1:1")],
)
def test_a_refused_call_is_made_again(error: Exception) -> None:
    def refuse(call: int, row: bytes) -> str | None:
        if call == 1:
            raise error
        return None

    firehose = Firehose(refuse)
    assert send(firehose, [b"1"], Pauses(60)) == 1
    assert firehose.taken == [b"1"]


def test_what_never_helps_is_not_tried_again() -> None:
    def refuse(call: int, row: bytes) -> str | None:
        raise client_error("ResourceNotFoundException")

    firehose = Firehose(refuse)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        send(firehose, [b"1"], Pauses(60))
    assert len(firehose.calls) == 1


def test_retrying_ends_while_there_is_time_to_say_so() -> None:
    pauses = Pauses(30)
    with pytest.raises(
        UndeliveredError, match=r"1 of 2 change rows were not taken by stream: .*Throttled.*1"
    ):
        send(Firehose(lambda call, row: "Throttled" if row == b"1" else None), [b"1", b"2"], pauses)
    assert delivery.RESERVE_SECONDS <= pauses.remaining() < delivery.RESERVE_SECONDS + 10
    assert len(pauses) > 5
    assert max(pauses) <= delivery.LONGEST_PAUSE_SECONDS
    assert len(set(pauses)) == len(pauses)


def test_nothing_to_send_sends_nothing() -> None:
    firehose = Firehose()
    assert send(firehose, [], Pauses(60)) == 0
    assert firehose.calls == []


def test_a_batch_is_forwarded(cloud: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    answer = forwarder.handler({"Records": [change(n) for n in range(1_200)]}, context())
    assert answer == {"batchItemFailures": []}
    assert ids(cloud.firehose.taken) == [f"change-{n}" for n in range(1_200)]
    assert [len(call) for call in cloud.firehose.calls] == [500, 500, 200]
    assert cloud.s3.objects == {}
    (line,) = log_lines(capsys)
    assert (line["level"], line["records"], line["rows"], line["failed"]) == ("INFO", 1_200, 1_200, 0)


def test_a_poison_record_stops_nothing(cloud: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    poison = change(2, n="99999999999")
    forwarder.handler({"Records": [change(1), poison, change(3)]}, context())
    assert ids(cloud.firehose.taken) == ["change-1", "change-3"]
    (key,) = cloud.s3.objects
    assert key.startswith("errors/conversion-failed/20")
    (error,) = cloud.s3.lines()
    assert json.loads(base64.b64decode(error["rawData"])) == poison
    assert error["errorCode"] == "Conversion.OutOfRange"
    assert "`n` is outside of what 32 bits hold: '99999999999'" in error["errorMessage"]
    assert error["lambdaArn"] == FUNCTION_ARN
    assert error["attemptsMade"] == 1
    assert time.time() * 1_000 - 60_000 < error["arrivalTimestamp"] <= error["attemptEndingTimestamp"]
    assert error["attemptEndingTimestamp"] <= time.time() * 1_000
    failed, _ = log_lines(capsys)
    assert failed["change_ids"] == ["change-2"]
    assert failed["error_codes"] == {"Conversion.OutOfRange": 1}
    assert "99999999999" not in json.dumps(failed)


def test_a_retried_batch_writes_its_failures_to_the_same_object(cloud: SimpleNamespace) -> None:
    event = {"Records": [change(1, n="x"), change(2, n="y")]}
    forwarder.handler(event, context())
    forwarder.handler(event, context())
    assert len(cloud.s3.objects) == 1
    assert len(cloud.s3.lines()) == 2


def test_undelivered_rows_raise(cloud: SimpleNamespace) -> None:
    cloud.firehose.refuses = lambda call, row: "ServiceUnavailableException"
    with pytest.raises(UndeliveredError, match="2 of 2"):
        forwarder.handler({"Records": [change(1), change(2)]}, context(seconds=1))


def test_nothing_is_delivered_while_the_error_bucket_is_away(cloud: SimpleNamespace) -> None:
    cloud.s3.error = client_error("SlowDown", "PutObject")
    with pytest.raises(ClientError, match="SlowDown"):
        forwarder.handler({"Records": [change(1), change(2, n="x")]}, context())
    assert cloud.firehose.calls == []


# Pattern 2 ------------------------------------------------------------------------------------------


def transform_records(*data: bytes) -> list[dict[str, Any]]:
    records = [
        {"recordId": f"r{n}", "data": base64.b64encode(raw).decode(), "approximateArrivalTimestamp": 1}
        for n, raw in enumerate(data)
    ]
    return list(transform.handler({"records": records}, context())["records"])


def test_every_record_id_comes_back(cloud: SimpleNamespace) -> None:
    remove = change(3)
    remove["eventName"] = "REMOVE"
    remove["dynamodb"]["OldImage"] = remove["dynamodb"].pop("NewImage")
    raw = [json.dumps(r).encode() for r in (change(1), change(2, n="x"), remove)] + [b"\xff not json"]
    answers = transform_records(*raw)
    assert [answer["recordId"] for answer in answers] == ["r0", "r1", "r2", "r3"]
    assert [answer["result"] for answer in answers] == ["Ok", "Dropped", "Ok", "Dropped"]
    assert ids([base64.b64decode(answers[0]["data"])]) == ["change-1"]
    assert json.loads(base64.b64decode(answers[2]["data"]))["operation"] == "REMOVE"
    errors = cloud.s3.lines()
    assert [base64.b64decode(error["rawData"]) for error in errors] == [raw[1], raw[3]]
    assert [error["errorCode"] for error in errors] == [
        "Conversion.NotDynamoDbJson",
        "Conversion.NotAChangeRecord",
    ]


def test_firehose_keeps_what_the_error_bucket_refuses(cloud: SimpleNamespace) -> None:
    cloud.s3.error = client_error("SlowDown", "PutObject")
    bad = json.dumps(change(2, n="x")).encode()
    good, failed = transform_records(json.dumps(change(1)).encode(), bad)
    assert good["result"] == "Ok"
    assert failed["result"] == "ProcessingFailed"
    assert base64.b64decode(failed["data"]) == bad


def test_both_patterns_make_the_same_row(cloud: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_764_000_000_000_000_000)
    forwarder.handler({"Records": [change(1)]}, context())
    (answer,) = transform_records(json.dumps(change(1)).encode())
    assert cloud.firehose.taken == [base64.b64decode(answer["data"])]
