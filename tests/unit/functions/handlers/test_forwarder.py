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

from dynaberg.contracts import Column, Contract
from dynaberg.functions import dead_letters, to_firehose
from dynaberg.functions.dead_letters import UnkeptError
from dynaberg.functions.handlers import forwarder, resources
from dynaberg.functions.to_firehose import MAX_BATCH_BYTES, MAX_RECORDS, Delivery, Refused, batches, deliver

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


class Queues:
    """An SQS that keeps what it is sent, by queue, but for what `refuses` says, by call and message."""

    def __init__(self, refuses: Callable[[int, str], str | None] = lambda call, body: None) -> None:
        self.refuses = refuses
        self.calls: list[list[str]] = []
        self.messages: dict[str, list[str]] = {}

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        entries = request["Entries"]
        self.calls.append([entry["MessageBody"] for entry in entries])
        failed = []
        for entry in entries:
            code = self.refuses(len(self.calls), entry["MessageBody"])
            if code:
                failed.append({"Id": entry["Id"], "Code": code, "SenderFault": False})
            else:
                self.messages.setdefault(request["QueueUrl"], []).append(entry["MessageBody"])
        return {"Successful": [], "Failed": failed}

    def letters(self, queue_url: str = "dead-letters") -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.messages.get(queue_url, ())]


class Pauses(list[float]):
    """A clock that goes on only while something sleeps."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def remaining(self) -> float:
        return self.seconds - sum(self)


def client_error(code: str, operation: str = "PutRecordBatch") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def send(firehose: Firehose, rows: Sequence[bytes], pauses: Pauses) -> Delivery:
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
    monkeypatch.setenv("DEAD_LETTER_QUEUE_URL", "dead-letters")
    monkeypatch.setenv("ERROR_BUCKET_NAME", "errors-bucket")
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0)
    monkeypatch.setattr(to_firehose, "FIRST_PAUSE_SECONDS", 0)
    resources.router.cache_clear()
    parts = SimpleNamespace(firehose=Firehose(), s3=Bucket(), sqs=Queues())
    monkeypatch.setattr(forwarder, "client", lambda name: getattr(parts, name))
    yield parts
    resources.router.cache_clear()


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
    assert send(firehose, rows, pauses) == Delivery((), retried=2)
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
    assert send(firehose, [b"1"], Pauses(60)) == Delivery((), retried=1)
    assert firehose.taken == [b"1"]


def test_what_never_helps_is_not_tried_again() -> None:
    def refuse(call: int, row: bytes) -> str | None:
        raise client_error("ResourceNotFoundException")

    firehose = Firehose(refuse)
    refused = (Refused(b"1", "ResourceNotFoundException"),)
    assert send(firehose, [b"1"], Pauses(60)) == Delivery(refused, retried=0)
    assert len(firehose.calls) == 1


def test_poison_is_given_up_while_its_neighbors_are_taken() -> None:
    firehose = Firehose(lambda call, row: "InternalFailure" if row == b"poison" else None)
    pauses = Pauses(600)
    rows = [b"1", b"poison", b"2"]
    refused = (Refused(b"poison", "InternalFailure"),)
    assert send(firehose, rows, pauses) == Delivery(refused, retried=to_firehose.MAX_ATTEMPTS - 1)
    assert firehose.taken == [b"1", b"2"]
    assert len(firehose.calls) == to_firehose.MAX_ATTEMPTS
    assert len(set(pauses)) == to_firehose.MAX_ATTEMPTS - 1
    assert sum(pauses) <= to_firehose.FIRST_PAUSE_SECONDS * 2 ** (to_firehose.MAX_ATTEMPTS - 1)


def test_retrying_ends_while_there_is_time_to_keep_the_rest() -> None:
    pauses = Pauses(to_firehose.RESERVE_SECONDS)
    firehose = Firehose(lambda call, row: "ServiceUnavailableException")
    assert len(send(firehose, [b"1", b"2"], pauses).refused) == 2
    assert pauses == []


def test_nothing_to_send_sends_nothing() -> None:
    firehose = Firehose()
    assert send(firehose, [], Pauses(60)) == Delivery((), retried=0)
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
    assert "`n` is out of range for 32 bits: '99999999999'" in error["errorMessage"]
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


# The dead-letter queue --------------------------------------------------------------------------


def test_what_firehose_refuses_is_kept_whole_and_the_others_go_on(
    cloud: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.firehose.refuses = lambda call, row: "InternalFailure" if b"change-2" in row else None
    answer = forwarder.handler({"Records": [change(n, n=str(770 + n)) for n in range(4)]}, context())
    assert answer == {"batchItemFailures": []}
    assert ids(cloud.firehose.taken) == ["change-0", "change-1", "change-3"]
    (letter,) = cloud.sqs.letters()
    (row,) = letter["rows"]
    assert (row["change_id"], row["operation"], row["id"], row["n"]) == ("change-2", "INSERT", "item-2", 772)
    assert (letter["error_code"], letter["attempts"]) == ("InternalFailure", 0)
    (event,) = letter["history"]
    assert (event["by"], event["error_code"]) == (FUNCTION_ARN, "InternalFailure")
    lines = log_lines(capsys)
    kept = next(line for line in lines if line["message"] == "changes put into the dead-letter queue")
    assert kept["change_ids"] == ["change-2"]
    assert "772" not in json.dumps(lines)


def test_the_rows_of_an_outage_are_kept_in_few_calls_of_small_messages(cloud: SimpleNamespace) -> None:
    cloud.firehose.refuses = lambda call, row: "ServiceUnavailableException"
    forwarder.handler({"Records": [change(n) for n in range(5_000)]}, context())
    letters = cloud.sqs.letters()
    kept = [row["change_id"] for letter in letters for row in letter["rows"]]
    assert kept == [f"change-{n}" for n in range(5_000)]
    assert all(len(call) <= 10 for call in cloud.sqs.calls)
    assert all(sum(len(body.encode()) for body in call) <= 256 * 1024 for call in cloud.sqs.calls)
    assert len(cloud.sqs.calls) < 10


def test_a_row_too_large_for_a_message_goes_to_the_error_bucket(cloud: SimpleNamespace) -> None:
    cloud.firehose.refuses = lambda call, row: "InternalFailure"
    large = change(1)
    large["dynamodb"]["NewImage"]["note"] = {"S": "x" * 300_000}
    forwarder.handler({"Records": [large, change(2)]}, context())
    pointed, small = sorted(cloud.sqs.letters(), key=lambda letter: len(letter["rows"]))
    assert [row["change_id"] for row in small["rows"]] == ["change-2"]
    assert pointed["rows"] == []
    (key,) = cloud.s3.objects
    assert key == pointed["pointer"]
    assert key.startswith("errors/undelivered/20")
    (error,) = cloud.s3.lines()
    assert json.loads(base64.b64decode(error["rawData"]))["change_id"] == "change-1"
    assert error["errorCode"] == "InternalFailure"


def test_the_queue_is_asked_again_for_what_it_did_not_take(cloud: SimpleNamespace) -> None:
    cloud.firehose.refuses = lambda call, row: "InternalFailure"
    cloud.sqs.refuses = lambda call, body: "InternalError" if call == 1 else None
    forwarder.handler({"Records": [change(1)]}, context())
    assert len(cloud.sqs.calls) == 2
    assert len(cloud.sqs.letters()) == 1


def test_what_nobody_takes_raises(cloud: SimpleNamespace) -> None:
    cloud.firehose.refuses = lambda call, row: "InternalFailure"
    cloud.sqs.refuses = lambda call, body: "InternalError"
    with pytest.raises(
        UnkeptError, match=r"1 of 1 messages were not accepted by dead-letters: InternalError"
    ):
        forwarder.handler({"Records": [change(1), change(2)]}, context(seconds=1))


@given(st.text())
@settings(max_examples=50)
def test_a_dead_letter_is_read_back_as_it_was_written(text: str) -> None:
    rows = tuple(
        json.dumps({"change_id": text, "x": 0.1, "n": 2**62}, ensure_ascii=False, separators=(",", ":"))
        .encode("utf-8", "surrogatepass")
        .decode(errors="replace")
        .encode()
        for _ in range(2)
    )
    letter = dead_letters.DeadLetter(rows, "Code", "Words").after("me", "Code", "Words", 3)
    body = letter.to_body()
    assert dead_letters.parse_dead_letter(body) == letter
    assert not {"\ufffe", "\uffff"} & set(body)


def test_nothing_is_delivered_while_the_error_bucket_is_away(cloud: SimpleNamespace) -> None:
    cloud.s3.error = client_error("SlowDown", "PutObject")
    with pytest.raises(ClientError, match="SlowDown"):
        forwarder.handler({"Records": [change(1), change(2, n="x")]}, context())
    assert cloud.firehose.calls == []
