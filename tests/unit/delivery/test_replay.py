"""What is replayed, what fails again, and what is archived, without AWS."""

from __future__ import annotations

import base64
import importlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import pandas as pd
import pytest

from dynaberg.contracts import Column, Contract
from dynaberg.delivery import reentry
from dynaberg.delivery.failures import (
    Envelope,
    FailedChange,
    _read_error_records,
    error_lines,
    read_message,
    to_frame,
    wait_for_failures,
)
from dynaberg.delivery.queues import DEAD_LETTERS, PARKED, Message
from dynaberg.delivery.reentry import row_converter, row_route
from dynaberg.delivery.replay import Plan, _archived_body, _plan_all, changed_at
from dynaberg.errors import NotReadyError
from dynaberg.functions.change_row import MAX_ROW_BYTES
from dynaberg.functions.dead_letters import DeadLetter
from dynaberg.functions.handover import Handover
from dynaberg.plots import plot_failures

CONTRACT = Contract("t", "source", "id", None, (Column("id", "string"), Column("n", "int")))
WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def record(change_id: str, number: str = "1", **change: Any) -> dict[str, Any]:
    return {
        "eventID": change_id,
        "eventName": "INSERT",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:0:table/source/stream/x",
        "dynamodb": {
            "ApproximateCreationDateTime": int(WHEN.timestamp()),
            "SequenceNumber": "1",
            "Keys": {"id": {"S": "a"}},
            "NewImage": {"id": {"S": "a"}, "n": {"N": number}},
            **change,
        },
    }


def error_line(document: Any, **more: Any) -> bytes:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    line = {"errorCode": "Old.Code", "errorMessage": "old", "attemptsMade": 2, "arrivalTimestamp": 7}
    return json.dumps(line | {"rawData": base64.b64encode(raw).decode(), **more}).encode()


def envelope(*lines: bytes, name: str = "errors/conversion-failed/x") -> Envelope:
    body = b"".join(line + b"\n" for line in lines)
    return Envelope("error bucket", name, body, tuple(_read_error_records(body)))


def plans(*envelopes: Envelope, known: set[str | None] | None = None) -> list[Plan]:
    ids = {CONTRACT.log_name: known or set()}
    return list(_plan_all(envelopes, row_route(CONTRACT), ids, CONTRACT, lambda log, row: False))


def test_each_change_has_its_outcome() -> None:
    row = row_converter(CONTRACT)(record("row"))
    lines = [error_line(d) for d in (record("a"), record("b", "many"), record("c"), record("a"))]
    first, second = plans(envelope(*lines, error_line(row)), envelope(lines[0]), known={"c"})
    assert first.outcomes == (
        "replayed",
        "failed again",
        "in the log already",
        "in the log already",
        "replayed",
    )
    assert [json.loads(sent.data)["change_id"] for sent in first.rows] == ["a", "row"]
    assert first.rows[1] == (CONTRACT.log_name, row), "a change row is sent as it is"
    assert first.errors[1].code == "Conversion.NotDynamoDbJson"
    assert second.outcomes == ("in the log already",), "two objects hold it, it is sent once"


def test_what_firehose_can_never_take_is_named_and_not_sent() -> None:
    large = Random(0).randbytes(MAX_ROW_BYTES).hex()
    row = row_converter(CONTRACT)(record("row"))
    grown = json.dumps(json.loads(row) | {"change_id": "grown", "id": large}).encode()
    image = {"id": {"S": "a"}, "n": {"N": "1"}, "more": {"S": large}}
    [plan] = plans(envelope(*(error_line(d) for d in (record("a", NewImage=image), grown, record("b"), row))))
    assert plan.outcomes == ("never fits", "never fits", "replayed", "replayed")
    assert [json.loads(sent.data)["change_id"] for sent in plan.rows] == ["b", "row"]
    assert [error.code for error in plan.errors.values()] == ["Conversion.TooLarge"] * 2
    assert all(f"accepts only {MAX_ROW_BYTES:,}" in error.message for error in plan.errors.values())


@pytest.mark.parametrize("raw", [b"no JSON", b"[1]", b'"text"', b"null", b'{"change_id":null}', b"\xff"])
def test_what_is_no_change_fails_and_stays_whole(raw: bytes) -> None:
    [plan] = plans(envelope(error_line(raw)))
    assert plan.outcomes == ("failed again",)
    [line] = error_lines([(plan.envelope.changes[0], plan.errors[0])]).splitlines()
    told = json.loads(line)
    assert base64.b64decode(told["rawData"]) == raw
    assert told["errorCode"] == "Conversion.NotAChangeRecord"
    assert (told["attemptsMade"], told["arrivalTimestamp"]) == (3, 7)


def test_only_what_was_replayed_is_archived() -> None:
    good, bad = error_line(record("a")), error_line(record("b", "many"))
    [plan] = plans(envelope(bad, b"", good))
    assert _archived_body(plan) == good + b"\n"
    [whole] = plans(envelope(good))
    assert _archived_body(whole) == whole.envelope.body
    [batch] = plans(replace(envelope(bad, good), name="aws/lambda/x"))
    assert _archived_body(batch) == batch.envelope.body, "what is no object of lines is archived as it was"


def test_a_line_that_is_no_error_record_is_kept() -> None:
    odd = [b"half a line", b'{"rawData": "?"}', b'{"rawData": "", "attemptsMade": "many"}']
    [plan] = plans(envelope(*odd, error_line(record("a"))))
    assert [change.raw for change in plan.envelope.changes[:3]] == odd
    assert plan.outcomes == ("failed again", "failed again", "failed again", "replayed")


@pytest.mark.parametrize("body", [b"PAR1\x00\n\xff", b"[]", b""])
def test_an_object_of_something_else_is_one_failure(body: bytes) -> None:
    [change] = _read_error_records(body)
    assert (change.raw, change.error_code, dict(change.error_record)) == (body, "Unreadable", {})


def test_letters_tell_their_attempts() -> None:
    row = b'{"change_id":"a","operation":"INSERT","id":"k","n":1.50}'
    letter = DeadLetter((row,), "X", "old", attempts=2).after("redrive", "Y", "new", 4)

    def read(body: str, queue: str) -> tuple[FailedChange, ...]:
        return read_message(Message(queue, "url", "m", "r", body, WHEN, 3)).changes

    [parked] = read(letter.to_body(), PARKED)
    assert (parked.error_code, parked.error_message, parked.attempts) == ("Y", "new", 4)
    assert parked.failed_at is not None
    assert parked.failed_at > WHEN
    assert read(letter.to_body(), DEAD_LETTERS)[0].attempts == 6
    pointing = replace(letter, rows=(), pointer="errors/undelivered/x")
    assert read(pointing.to_body(), PARKED) == (), "the object tells of them"
    [odd] = read("somebody else's", PARKED)
    assert (odd.raw, odd.error_code) == (b"somebody else's", "Unreadable")


def test_a_listing_names_the_key() -> None:
    odd = record("c", Keys={"id": {"N": "5"}})
    row = row_converter(CONTRACT)(record("b"))
    frame = to_frame(
        [envelope(error_line(record("a")), error_line(row), error_line(odd), error_line(b"x"))], CONTRACT
    )
    assert frame["change_id"].to_list()[:3] == ["a", "b", "c"]
    assert frame["id"].to_list()[:3] == ["a", "a", '{"N": "5"}']
    assert frame.loc[3, ["change_id", "operation", "id"]].isna().all()
    assert to_frame([], CONTRACT).columns.to_list() == frame.columns.to_list()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (record("a"), WHEN),
        (
            record(
                "a",
                ApproximateCreationDateTime=int(WHEN.timestamp()) * 1_000_000,
                ApproximateCreationDateTimePrecision="MICROSECOND",
            ),
            WHEN,
        ),
        (json.loads(row_converter(CONTRACT)(record("a"))), WHEN),
        (record("a", ApproximateCreationDateTime="soon"), None),
        ("text", None),
        ({}, None),
    ],
)
def test_when_a_change_was_made(document: Any, expected: datetime | None) -> None:
    assert changed_at(document) == expected


def test_changes_are_dated_as_the_forwarder_does() -> None:
    second = int(WHEN.timestamp())
    [dated], _ = row_route(CONTRACT, Handover(forward_until=0, taken_over_at=second))(record("a"))
    assert json.loads(dated.data)["changed_at"] == second * 1_000_000 + 999_999
    assert json.loads(row_converter(CONTRACT)(record("a")))["changed_at"] == second * 1_000_000


class FakeFirehose:
    """Refuses each row as often as it is told to."""

    def __init__(self, code: str, times: int) -> None:
        self.code, self.times = code, times
        self.taken: list[bytes] = []

    def put_record_batch(self, **call: Any) -> Any:
        answers: list[dict[str, str]] = []
        for entry in call["Records"]:
            if self.times:
                self.times -= 1
                answers.append({"ErrorCode": self.code})
            else:
                self.taken.append(entry["Data"])
                answers.append({"RecordId": "1"})
        return {"RequestResponses": answers}


def test_only_what_was_refused_is_sent_again() -> None:
    firehose, rows = FakeFirehose("ServiceUnavailableException", 3), [b"a", b"b", b"c", b"d"]
    reentry.send(firehose, "stream", rows)
    assert firehose.taken == [b"d", b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("code", "timeout"), [("ResourceNotFoundException", 60), ("ServiceUnavailableException", 0)]
)
def test_what_is_not_taken_is_said(code: str, timeout: float) -> None:
    with pytest.raises(NotReadyError, match=f"'stream' did not accept 2 of 2 changes: {code}"):
        reentry.send(FakeFirehose(code, 1_000), "stream", [b"a", b"b"], timeout=timeout)


def test_the_picture_says_where_changes_wait() -> None:
    places = ["error bucket", "error bucket", "parked queue"]
    frame = pd.DataFrame({"error_code": ["A", "B", "B"], "where": places})
    ax = plot_failures(frame)
    assert ax.get_title() == "3 changes wait to be replayed, most for B"
    assert [text.get_text().strip() for text in ax.texts] == ["1", "2"]
    assert plot_failures(frame.head(1)).get_title() == "1 change waits to be replayed, all for A"
    assert plot_failures(frame.head(0)).get_title() == "Nothing failed, or all of it was replayed"


def test_waiting_for_failures_ends_with_enough_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([0, 2, 3, 4])

    def found(*_: Any) -> pd.DataFrame:
        return pd.DataFrame({"change_id": range(next(counts))})

    monkeypatch.setattr(importlib.import_module("dynaberg.delivery.failures"), "failures", found)
    nothing: Any = None
    assert len(wait_for_failures(nothing, nothing, nothing, 3)) == 3
    with pytest.raises(NotReadyError, match="The failure of 5 changes is not there after 0 s"):
        wait_for_failures(nothing, nothing, nothing, 5, timeout=0)
