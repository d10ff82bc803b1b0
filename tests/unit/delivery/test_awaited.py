"""Which changes are waited for: the ids of those that the streams hold, on one path or on both."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any
from unittest.mock import Mock

import pytest

from dynaberg.delivery import awaited
from dynaberg.deploy import handover
from dynaberg.settings import Settings
from dynaberg.source import change_stream

NOW = 1_767_225_600


def test_only_the_ids_and_times_of_a_page_are_parsed() -> None:
    made = {"ApproximateCreationDateTime": 1_769_860_800}
    page = {"Records": [{"eventID": "a", "dynamodb": {"NewImage": {}, **made}}], "NextShardIterator": "next"}
    response = {"status_code": 200, "body": json.dumps(page).encode()}
    awaited._keep_ids(response)
    assert json.loads(response["body"]) == {
        "Records": [{"eventID": "a", "dynamodb": made}],
        "NextShardIterator": "next",
    }
    refused = {"status_code": 400, "body": b'{"__type": "ExpiredIteratorException"}'}
    awaited._keep_ids(refused)
    assert refused["body"] == b'{"__type": "ExpiredIteratorException"}'


def test_a_stream_that_is_written_to_all_the_while_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = (datetime.fromtimestamp(NOW + second, UTC) for second in count(-3))
    records = (
        {"eventID": f"e{n}", "dynamodb": {"ApproximateCreationDateTime": moment}}
        for n, moment in enumerate(moments)
    )
    monkeypatch.setattr(awaited, "STREAM_HOURS", 10**6)
    monkeypatch.setattr(awaited.deploy, "aws_seconds", lambda _: NOW)
    monkeypatch.setattr(awaited.aws, "new_client", lambda *_: Mock())
    monkeypatch.setattr(awaited, "shards_of", lambda *_: [{}])
    monkeypatch.setattr(awaited, "read_shard", lambda *_: records)
    session: Any = None
    assert awaited.change_ids_in_stream(session, "arn") == {f"e{n}" for n in range(6)}


def test_reading_changes_ends_though_the_shard_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    records = ({"eventID": n, "dynamodb": {"ApproximateCreationDateTime": NOW + n}} for n in count())
    wire = Mock(shards=lambda _: [{}], records=lambda *_: records)
    monkeypatch.setattr(change_stream, "_Wire", lambda _: wire)
    session: Any = None
    until = datetime.fromtimestamp(NOW + 2, UTC)
    read = change_stream.read_changes(session, "arn:aws:dynamodb:stream", None, until)
    assert [record.document["eventID"] for record in read] == [0, 1, 2]


@pytest.mark.parametrize(
    ("given", "until"),
    [
        ({}, None),
        ({"StreamType": "kinesis", "ForwardUntil": ""}, None),
        ({"StreamType": "kinesis", "ForwardUntil": str(NOW + 300)}, NOW + 300),
        ({"StreamType": "kinesis", "ForwardUntil": str(NOW - 24 * 3_600)}, NOW - 24 * 3_600),
        ({"StreamType": "kinesis", "ForwardUntil": str(NOW - 24 * 3_600 - 1)}, None),
        ({"StreamType": "dynamodb", "ForwardUntil": str(NOW + 300)}, None),
    ],
)
def test_two_paths_are_at_work_until_their_stream_forgets(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], until: int | None
) -> None:
    monkeypatch.setattr(handover, "stack_parameters", lambda *_: given)
    monkeypatch.setattr(handover, "aws_seconds", lambda _: NOW)
    session: Any = None
    found = handover.forwarded_until(session, Settings(name="orders"))
    assert found == (until and datetime.fromtimestamp(until, UTC))
    assert awaited.has_two_paths(session, Settings(name="orders")) == (until is not None)
