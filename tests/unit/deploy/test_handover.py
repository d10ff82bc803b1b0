"""The change of the stream type: the steps, and the order of one key's changes in every interleaving."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract
from dynaberg.deploy.handover import OVERLAP_SECONDS, WITHOUT_END, handover_steps
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.handover import Handover, read_handover
from dynaberg.layers.latest import sort_changes

NOW = 1_764_000_000
CONVERTER = ChangeConverter(
    json.loads(Contract("t", "source", "id", None, (Column("id", "string"),)).to_lambda_json())
)
Step = tuple[str, str, str]


def steps(stream_type: str, before: dict[str, str]) -> list[Step]:
    clock = iter(range(NOW, NOW + 10))
    found = handover_steps(stream_type, before, lambda: next(clock))
    return [(step["StreamType"], step["ForwardUntil"], step["TakenOverAt"]) for step in found]


def deployed(stream_type: str, until: str = "", taken_over: str = "") -> dict[str, str]:
    return {"StreamType": stream_type, "ForwardUntil": until, "TakenOverAt": taken_over, "Project": "p"}


END = str(NOW + OVERLAP_SECONDS)


@pytest.mark.parametrize(
    ("stream_type", "before", "expected"),
    [
        ("dynamodb", {}, [("dynamodb", "", "")]),
        ("kinesis", {}, [("kinesis", "", "")]),
        ("dynamodb", deployed("dynamodb", "", "7"), [("dynamodb", "", "7")]),
        ("kinesis", deployed("kinesis", str(NOW)), [("kinesis", str(NOW), "")]),
        ("kinesis", deployed("kinesis", str(NOW - 90_000)), [("kinesis", "", "")]),
        ("kinesis", deployed("dynamodb"), [("kinesis", WITHOUT_END, ""), ("kinesis", END, "")]),
        ("kinesis", {"Project": "of version 0.1"}, [("kinesis", WITHOUT_END, ""), ("kinesis", END, "")]),
        ("kinesis", deployed("kinesis", WITHOUT_END), [("kinesis", END, "")]),
        ("dynamodb", deployed("kinesis"), [("dynamodb", "", str(NOW + 2))]),
        ("dynamodb", deployed("kinesis", END), [("kinesis", "", ""), ("dynamodb", "", str(NOW + 2))]),
    ],
)
def test_the_steps(stream_type: str, before: dict[str, str], expected: list[Step]) -> None:
    assert steps(stream_type, before) == expected


def test_the_end_of_the_overlap_is_counted_from_when_both_paths_run() -> None:
    times = [NOW]
    walk = handover_steps("kinesis", deployed("dynamodb"), lambda: times[-1])
    next(walk)
    times.append(NOW + 1_000)
    assert next(walk)["ForwardUntil"] == str(NOW + 1_000 + OVERLAP_SECONDS)


def test_what_the_environment_says() -> None:
    assert read_handover({"FORWARD_UNTIL": "", "TAKEN_OVER_AT": ""}) == read_handover({}) == Handover()
    assert read_handover({"FORWARD_UNTIL": "5", "TAKEN_OVER_AT": "7"}) == Handover(5, 7)


@pytest.mark.parametrize("record", [None, "text", {}, {"dynamodb": {"ApproximateCreationDateTime": "soon"}}])
def test_what_is_no_change_record_is_left_to_the_conversion(record: Any) -> None:
    assert Handover(1, 1).apply([record]) == [record]


# The order: a model of DynamoDB, its two streams and the log -----------------------------------------


def record(number: int, at_us: int) -> dict[str, Any]:
    key = {"id": {"S": "the item"}}
    return {
        "eventID": str(number),
        "eventName": "MODIFY",
        "tableName": "source",
        "dynamodb": {"Keys": key, "NewImage": key, "ApproximateCreationDateTime": at_us},
    }


def of_streams(number: int, at_us: int) -> dict[str, Any]:
    made = record(number, at_us // 1_000_000)
    made["dynamodb"]["SequenceNumber"] = str(1_000 + number)
    return made


def of_kinesis(number: int, at_us: int) -> dict[str, Any]:
    made = record(number, at_us)
    made["dynamodb"]["ApproximateCreationDateTimePrecision"] = "MICROSECOND"
    return made


def latest(records: list[dict[str, Any]]) -> str:
    """The number of the change that the current table would take."""
    rows = [json.loads(CONVERTER.to_row(each, NOW * 1_000_000)) for each in records]
    names = ("id", "changed_at", "sequence_number", "change_id")
    ordered = sort_changes(pd.DataFrame([{name: row[name] for name in names} for row in rows]), ["id"])
    return str(ordered["change_id"].iloc[-1])


# Moments of one item's changes within some seconds, and of the two switches among them, in tenths of seconds.
MOMENTS = st.lists(st.integers(0, 49), min_size=1, max_size=12, unique=True).map(sorted)


def at_us(tenth: int) -> int:
    return NOW * 1_000_000 + tenth * 100_000


@settings(max_examples=300)
@given(MOMENTS, st.integers(-5, 55), st.integers(10, 30))
def test_from_streams_to_kinesis_the_latest_change_wins(tenths: list[int], begins: int, overlap: int) -> None:
    until = (at_us(begins) + overlap * 100_000) // 1_000_000 + 1
    changes = [(number, at_us(tenth)) for number, tenth in enumerate(tenths)]
    log = Handover(forward_until=until).apply([of_streams(*change) for change in changes])
    log += [of_kinesis(*change) for change in changes if change[1] >= at_us(begins)]
    assert latest(log) == str(changes[-1][0])
    assert {each["eventID"] for each in log} == {str(number) for number, _ in changes}


@settings(max_examples=300)
@given(MOMENTS, st.integers(-5, 55), st.integers(0, 20))
def test_from_kinesis_to_streams_the_latest_change_wins(tenths: list[int], ends: int, later: int) -> None:
    taken_over_at = at_us(ends + later) // 1_000_000 + 2
    changes = [(number, at_us(tenth)) for number, tenth in enumerate(tenths)]
    log = Handover(taken_over_at=taken_over_at).apply([of_streams(*change) for change in changes])
    log += [of_kinesis(*change) for change in changes if change[1] < at_us(ends)]
    assert latest(log) == str(changes[-1][0])


def test_without_it_the_order_would_be_wrong() -> None:
    """Kinesis has a change at 10:00:00.7, Streams alone one at 10:00:00.9, dated 10:00:00."""
    log = [of_kinesis(0, at_us(7)), of_streams(0, at_us(7)), of_streams(1, at_us(9))]
    assert latest(log) == "0"
    rewritten: Callable[[list[Any]], list[Any]] = Handover(taken_over_at=NOW + 2).apply
    assert latest([log[0], *rewritten(log[1:])]) == "1"
