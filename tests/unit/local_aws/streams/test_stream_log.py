"""The records of a stream, held compressed, are a list to ministack."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from local_aws.streams import record_log
from local_aws.streams.stream_log import StreamLog


@pytest.mark.parametrize("count", [5, 12, 40])
def test_a_log_is_a_list_of_records_to_ministack(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(record_log, "BLOCK_RECORDS", 4)
    monkeypatch.setattr(record_log, "RECENT_RECORDS", 8)
    records = changes(count, keys=2)
    log = StreamLog(records)
    assert list(StreamLog().restore(log.saved())) == records
    for dropped in (0, 3, 1):
        del log[:dropped]
        records = records[dropped:]
        assert (len(log), list(log), log[0], log[-1]) == (len(records), records, records[0], records[-1])
        assert log[1:9] == records[1:9]
        first = len(records) - 1
        assert [(r.position, r.sequence_number, orjson.loads(r.body)) for r in log.read(first, 10, 100)] == [
            (100, records[-1]["dynamodb"]["SequenceNumber"], records[-1])
        ]


def test_expired_records_of_a_log_go_by_blocks_then_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "BLOCK_RECORDS", 4)
    monkeypatch.setattr(record_log, "RECENT_RECORDS", 8)
    records = changes(14, keys=1)
    for age, record in enumerate(reversed(records)):
        record["dynamodb"]["ApproximateCreationDateTime"] = 1_000 - age
    log = StreamLog(records)  # two blocks and six more: created at 987 … 1,000
    assert [log.expired(oldest) for oldest in (0, 990, 991, 995, 997, 2_000)] == [0, 0, 4, 8, 10, 14]
    del log[: log.expired(991)]
    assert (log.expired(991), log.expired(995), log[0]) == (0, 4, records[4])
    assert StreamLog().expired(2_000) == 0


def test_what_is_forgotten_in_the_middle_of_a_block_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_log, "BLOCK_RECORDS", 4)
    monkeypatch.setattr(record_log, "RECENT_RECORDS", 8)
    records = changes(14, keys=14)
    log = StreamLog(records)
    for dropped, first in ((2, 2), (1, 3), (2, 5)):
        del log[:dropped]
        held = [held.body for block in log._blocks for held in block.records()]
        held += [held.body for held in log._recent]
        assert [body for body in held if body] == [orjson.dumps(record) for record in records[first:]]
        again = StreamLog().restore(log.saved())
        assert list(log) == list(again) == records[first:]


def changes(count: int, keys: int) -> list[dict[str, Any]]:
    return [
        {
            "n": i,
            "dynamodb": {
                "Keys": {"id": {"S": f"k{i % keys}"}},
                "SequenceNumber": f"{i:040d}",
                "ApproximateCreationDateTime": int(time.time()),
            },
        }
        for i in range(count)
    ]


def test_who_reads_is_notified_once_of_many_records(monkeypatch: pytest.MonkeyPatch) -> None:
    notified: list[bool] = []
    monkeypatch.setattr(StreamLog, "notify", lambda: notified.append(StreamLog.any_grew))
    for expected in (1, 2):
        monkeypatch.setattr(StreamLog, "any_grew", False)
        logs = StreamLog(), StreamLog()
        for record in changes(10, keys=1):
            for log in logs:
                log.append(record)
        assert notified == [True] * expected
