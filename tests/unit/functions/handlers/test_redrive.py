"""The redrive: again, later and later, and parked in the end."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.functions import dead_letters
from dynaberg.functions.dead_letters import DeadLetter
from dynaberg.functions.handlers import redrive
from dynaberg.functions.tombstones import Tombstones

CONTEXT: Any = SimpleNamespace(invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:redrive")
ROWS = tuple(f'{{"change_id":"change-{n}","secret":"s3cr3t"}}'.encode() for n in range(3))


CONTRACT = {
    "table": "orders",
    "source_table": "orders-source",
    "key": ["id"],
    "columns": [{"name": "id", "type": "string"}],
}


class Cloud:
    """Firehose, SQS and S3 in one; `refuses` says which rows Firehose does not take."""

    def __init__(self) -> None:
        self.refuses: Callable[[bytes], bool] = lambda row: False
        self.queue_is_away = False
        self.taken: list[bytes] = []
        self.sent: list[tuple[str, dict[str, Any], int]] = []
        self.delays: list[int] = []
        self.objects: dict[str, bytes] = {}

    def put_record_batch(self, **request: Any) -> dict[str, Any]:
        rows = [record["Data"] for record in request["Records"]]
        self.taken += [row for row in rows if not self.refuses(row)]
        return {
            "RequestResponses": [{"ErrorCode": "InternalFailure"} if self.refuses(r) else {} for r in rows]
        }

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        if self.queue_is_away:
            return {"Failed": [{"Id": entry["Id"], "Code": "Away"} for entry in request["Entries"]]}
        for entry in request["Entries"]:
            letter = json.loads(entry["MessageBody"])
            self.sent.append((request["QueueUrl"], letter, entry["DelaySeconds"]))
        return {}

    def change_message_visibility(self, **request: Any) -> None:
        self.delays.append(request["VisibilityTimeout"])

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey", "Message": "no"}}, "GetObject")
        return {"Body": SimpleNamespace(read=lambda: self.objects[request["Key"]]), "ETag": "1"}

    def copy_object(self, **request: Any) -> None:
        self.objects[request["Key"]] = self.objects[request["CopySource"]["Key"]]

    def delete_object(self, **request: Any) -> None:
        del self.objects[request["Key"]]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    environment = {
        "DELIVERY_STREAM_NAME": "stream",
        "DEAD_LETTER_QUEUE_URL": "dead-letters",
        "PARKED_QUEUE_URL": "parked",
        "ERROR_BUCKET_NAME": "errors-bucket",
        "MAX_ATTEMPTS": "4",
        "FIRST_DELAY_SECONDS": "10",
        "LONGEST_DELAY_SECONDS": "60",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dead_letters, "FIRST_PAUSE_SECONDS", 0)
    found = Cloud()
    monkeypatch.setattr(redrive, "client", lambda name: found)
    monkeypatch.setattr(redrive, "contracts", lambda: CONTRACT)
    return found


def letter(rows: tuple[bytes, ...] = ROWS, **members: Any) -> DeadLetter:
    return DeadLetter(rows, "ServiceUnavailableException", "Firehose refused it", **members)


def handle(*bodies: str, receives: int = 1) -> list[str]:
    """The ids of the messages that stay in the queue."""
    messages = [
        {
            "messageId": f"m{number}",
            "receiptHandle": f"receipt-{number}",
            "body": body,
            "attributes": {"ApproximateReceiveCount": str(receives)},
        }
        for number, body in enumerate(bodies)
    ]
    answer = redrive.handler({"Records": messages}, CONTEXT)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_a_letter_whose_rows_are_taken_is_done(cloud: Cloud) -> None:
    assert handle(letter().to_body()) == []
    assert cloud.taken == list(ROWS)
    assert cloud.sent == []


def test_each_letter_is_tried_for_itself(cloud: Cloud) -> None:
    cloud.refuses = lambda row: row == ROWS[1]
    assert handle(*(letter((row,)).to_body() for row in ROWS)) == ["m1"]
    assert cloud.taken == [ROWS[0], ROWS[2]]


def test_the_delays_grow_by_chance_up_to_a_limit(cloud: Cloud) -> None:
    cloud.refuses = lambda row: True
    for receives, longest in ((1, 10), (2, 20), (3, 40)):
        cloud.delays.clear()
        for _ in range(50):
            assert handle(letter().to_body(), receives=receives) == ["m0"]
        assert longest / 2 <= min(cloud.delays) < max(cloud.delays) <= longest
    assert redrive._delay_seconds(1_000) <= 60
    assert cloud.sent == []


def test_after_the_last_attempt_a_letter_is_parked_with_its_history(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.refuses = lambda row: True
    first = letter().after("forwarder", "ServiceUnavailableException", "Firehose refused it", 0)
    assert handle(first.to_body(), receives=4) == []
    ((queue, parked, _),) = cloud.sent
    assert queue == "parked"
    assert parked["rows"] == [json.loads(row) for row in ROWS]
    assert (parked["error_code"], parked["attempts"]) == ("InternalFailure", 4)
    history = [(event["by"].rpartition(":")[2], event["error_code"]) for event in parked["history"]]
    assert history == [("forwarder", "ServiceUnavailableException"), ("redrive", "InternalFailure")]
    printed = capsys.readouterr().out
    assert '"change_ids": ["change-0", "change-1", "change-2"]' in printed
    assert "s3cr3t" not in printed


def test_what_is_left_of_a_letter_becomes_a_smaller_one(cloud: Cloud) -> None:
    cloud.refuses = lambda row: row == ROWS[1]
    assert handle(letter(attempts=1).to_body(), receives=2) == []
    ((queue, rest, delay_seconds),) = cloud.sent
    assert queue == "dead-letters"
    assert rest["rows"] == [json.loads(ROWS[1])]
    assert rest["attempts"] == 3
    assert 10 <= delay_seconds <= 20
    cloud.sent.clear()
    assert handle(json.dumps(rest), receives=1) == []
    assert [queue for queue, *_ in cloud.sent] == ["parked"]


@pytest.mark.parametrize(
    ("refused", "receives", "message", "failed"),
    [
        (ROWS[1:2], 2, "dead letter delivered in part", ["change-1"]),
        (ROWS, 2, "dead letter waits", ["change-0", "change-1", "change-2"]),
        (ROWS, 4, "dead letter parked", ["change-0", "change-1", "change-2"]),
    ],
)
@pytest.mark.parametrize("in_the_bucket", [False, True])
def test_the_log_tells_what_failed_and_no_value(
    cloud: Cloud,
    capsys: pytest.CaptureFixture[str],
    refused: Sequence[bytes],
    receives: int,
    message: str,
    failed: list[str],
    in_the_bucket: bool,
) -> None:
    lines = [json.dumps({"rawData": base64.b64encode(row).decode()}) for row in ROWS]
    cloud.objects["errors/undelivered/x.jsonl"] = "\n".join(lines).encode()
    cloud.refuses = lambda row: row in refused
    kept = letter((), pointer="errors/undelivered/x.jsonl") if in_the_bucket else letter()
    handle(kept.to_body(), receives=receives)
    printed = capsys.readouterr().out
    (line,) = (json.loads(text) for text in printed.splitlines())
    assert line["change_ids"] == failed
    # An object stays whole until all of its rows are taken.
    assert line["message"] == ("dead letter waits" if in_the_bucket and len(refused) == 1 else message)
    assert line.get("object") == kept.pointer
    assert "s3cr3t" not in printed


def test_a_letter_that_cannot_be_moved_stays(cloud: Cloud) -> None:
    cloud.refuses = lambda row: True
    cloud.queue_is_away = True
    assert handle(letter().to_body(), receives=4) == ["m0"]


@pytest.mark.parametrize("body", ["no JSON", "[]", '{"records": []}', '{"rows": 1, "error_code": 1}'])
def test_what_is_no_dead_letter_is_parked_as_it_is(
    cloud: Cloud, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(redrive, "send", lambda sqs, url, bodies, **_: moved.append((url, bodies)))
    assert handle(body) == []
    assert moved == [("parked", [body])]


def test_a_large_row_is_fetched_delivered_and_archived(cloud: Cloud) -> None:
    key = "errors/undelivered/2026/01/31/12/x.jsonl"
    cloud.objects[key] = json.dumps({"rawData": base64.b64encode(ROWS[0]).decode()}).encode()
    pointed = letter((), pointer=key)
    cloud.refuses = lambda row: True
    assert handle(pointed.to_body()) == ["m0"]
    cloud.refuses = lambda row: False
    assert handle(pointed.to_body()) == []
    assert cloud.taken == [ROWS[0]]
    assert list(cloud.objects) == [f"archive/replayed/{key}"]
    assert handle(pointed.to_body()) == []
    assert cloud.taken == [ROWS[0]]


def test_an_object_that_cannot_be_read_holds_up_no_other_letter(cloud: Cloud) -> None:
    cloud.objects["errors/undelivered/x.jsonl"] = b"no error record"
    pointed = letter((), pointer="errors/undelivered/x.jsonl")
    assert handle(pointed.to_body(), letter().to_body()) == ["m0"]
    assert cloud.taken == list(ROWS)
    assert handle(pointed.to_body(), receives=4) == []
    ((queue, parked, _),) = cloud.sent
    assert (queue, parked["pointer"]) == ("parked", "errors/undelivered/x.jsonl")


def test_rows_of_forgotten_items_are_dropped(cloud: Cloud) -> None:
    tombstones = Tombstones({"salt": "00", "entries": {}})
    entry = {"until_us": 100, "live": False}
    tombstones.entries[tombstones.digest(["gone"], ["string"])] = entry
    cloud.objects["forgotten/orders-source.json"] = tombstones.to_body()
    old, new, other = (
        json.dumps({"change_id": name, "id": item, "changed_at": at}).encode()
        for name, item, at in (("1", "gone", 100), ("2", "gone", 101), ("3", "here", 1))
    )
    pointer = "errors/undelivered/2026/01/31/12/x.jsonl"
    cloud.objects[pointer] = json.dumps({"rawData": base64.b64encode(old).decode()}).encode()
    assert handle(letter((old, new, other)).to_body(), letter((), pointer=pointer).to_body()) == []
    assert [json.loads(row)["change_id"] for row in cloud.taken] == ["2", "3"]
    assert list(cloud.objects) == ["forgotten/orders-source.json"], "the object is gone, and not archived"
