"""Folding a change log: the state at every later moment stays what it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dynaberg.erasure.retention import BASE, GONE, STAYS, Folding, plan_folding

CUT = datetime(2026, 1, 10, tzinfo=UTC)
ZEROS = "0" * 40


@dataclass(frozen=True)
class Change:
    """A row of a change log, in minutes after or before the cut."""

    key: int
    made: int
    received: int
    number: int
    id: str
    operation: str


def moments(changes: Iterable[Change]) -> dict[Change, int]:
    """When each counts as made, by the definition and not by the library."""
    every = list(changes)
    return {
        each: max(o.made for o in every if o.key == each.key and 0 < o.number <= each.number)
        if each.number
        else each.made
        for each in every
    }


def state(changes: Iterable[Change], when: int) -> dict[int, str]:
    counted = {change: moment for change, moment in moments(changes).items() if moment <= when}
    found: dict[int, Change] = {}
    for change, moment in counted.items():
        other = found.get(change.key)
        order = (moment, change.number, change.id)
        if other is None or order > (counted[other], other.number, other.id):
            found[change.key] = change
    return {key: change.id for key, change in found.items() if change.operation != "REMOVE"}


def frame(changes: Iterable[Change]) -> pd.DataFrame:
    rows = [
        {
            "id": change.key,
            "changed_at": CUT + timedelta(minutes=change.made),
            "received_at": CUT + timedelta(minutes=change.received),
            "sequence_number": str(change.number).zfill(40),
            "change_id": change.id,
            "operation": change.operation,
        }
        for change in changes
    ]
    columns = ["id", "changed_at", "received_at", "sequence_number", "change_id", "operation"]
    kinds = {"changed_at": "datetime64[us, UTC]", "received_at": "datetime64[us, UTC]"}
    return pd.DataFrame(rows, columns=columns).astype(kinds)


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Changes of few keys around the cut: late, out of order, of both streams, some of them twice."""
    count = draw(st.integers(1, 14))
    changes = []
    for place in range(count):
        made = draw(st.integers(-6, 4))
        received = made + draw(st.integers(-1, 6))
        number = draw(st.sampled_from([0, draw(st.integers(1, 20))]))
        operation = draw(st.sampled_from(["MODIFY", "MODIFY", "REMOVE", "SNAPSHOT"]))
        changes.append(Change(draw(st.integers(0, 2)), made, received, number, f"{place:02d}", operation))
    numbers = {(c.key, c.number): c for c in changes if c.number}
    unique = [c for c in changes if not c.number or numbers[c.key, c.number] is c]
    return draw(st.permutations(unique))


WITNESS = [
    Change(0, -2, -2, 1, "a", "MODIFY"),
    Change(0, -5, -4, 2, "b", "MODIFY"),
    Change(0, -3, 3, 0, "c", "MODIFY"),
]


@settings(max_examples=100)
@given(histories(), st.sampled_from([None, -4, 0]))
@example(WITNESS, None)
def test_the_state_at_every_later_moment_stays(changes: list[Change], deletions_until: int | None) -> None:
    until = None if deletions_until is None else CUT + timedelta(minutes=deletions_until)
    plan = plan_folding(frame(changes), ["id"], CUT, until)
    kept = [c for c, action in zip(changes, plan["action"], strict=True) if action != GONE]
    for when in range(12):
        assert state(kept, when) == state(changes, when)
    for change, action in zip(changes, plan["action"], strict=True):
        assert action == STAYS or change.received < 0
    bases = plan[plan["action"] == BASE]
    assert bases["id"].is_unique


def test_old_changes_are_folded() -> None:
    changes = [Change(0, made, made, made + 10, str(made), "MODIFY") for made in (-5, -4, -3, 1)]
    plan = plan_folding(frame(changes), ["id"], CUT, None)
    assert plan["action"].tolist() == [GONE, GONE, BASE, STAYS]


def test_a_deletion_goes_only_when_nothing_older_can_come() -> None:
    changes = [Change(0, -5, -5, 1, "a", "INSERT"), Change(0, -4, -4, 2, "b", "REMOVE")]
    assert plan_folding(frame(changes), ["id"], CUT, None)["action"].tolist() == [GONE, BASE]
    early = CUT - timedelta(minutes=4)
    assert plan_folding(frame(changes), ["id"], CUT, early)["action"].tolist() == [GONE, BASE]
    assert plan_folding(frame(changes), ["id"], CUT, CUT)["action"].tolist() == [GONE, GONE]


def test_a_base_row_is_a_snapshot_without_its_past() -> None:
    changes = [
        Change(0, -5, -5, 1, "a", "INSERT"),
        Change(0, -4, -4, 2, "b", "MODIFY"),
        Change(1, -4, -4, 1, "c", "REMOVE"),
        Change(1, 1, 1, 2, "d", "MODIFY"),
    ]
    given_rows: Any = frame(changes).assign(old_image="{}", status="x")
    rows = pa.Table.from_pandas(given_rows, preserve_index=False)
    left = Folding(plan_folding(given_rows, ["id"], CUT, None), ["id"])(rows).to_pylist()
    assert [(r["change_id"], r["operation"], r["old_image"], r["status"]) for r in left] == [
        ("b", "SNAPSHOT", None, "x"),
        ("c", "REMOVE", None, "x"),
        ("d", "MODIFY", "{}", "x"),
    ]
