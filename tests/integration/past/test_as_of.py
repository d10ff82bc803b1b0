"""The state as of a moment, against a replay of the same changes in Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dynaberg import layers, past
from dynaberg.errors import NotFoundError, SettingsError

NINE = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def change(random_: random.Random, number: int, at: datetime) -> dict[str, Any]:
    """A change row of one of a few keys; some fall on the same microsecond."""
    microseconds = round((at - datetime(1970, 1, 1, tzinfo=UTC)) / MICROSECOND)
    return {
        "change_id": f"c{number:04d}",
        "operation": random_.choice(["INSERT", "MODIFY", "MODIFY", "REMOVE"]),
        "changed_at": microseconds,
        "sequence_number": f"{number:040d}",
        "received_at": microseconds + 5_000_000,
        "id": f"item-{random_.randrange(12)}",
        "at": 1,
        "status": f"status-{number}",
        "amount": f"{number}.05",
    }


def replayed(rows: list[dict[str, Any]], when: datetime) -> dict[str, tuple[str, Decimal]]:
    """The model: one change after the other, up to the moment.

    Their sequence numbers order them; a change counts as made no earlier than those of its key before it.
    """
    limit = round((when - datetime(1970, 1, 1, tzinfo=UTC)) / MICROSECOND)
    state: dict[str, tuple[str, Decimal]] = {}
    latest: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: str(row["sequence_number"])):
        made = latest[row["id"]] = max(latest.get(row["id"], 0), row["changed_at"])
        if made <= limit:
            state.pop(row["id"], None)
            if row["operation"] != "REMOVE":
                state[row["id"]] = row["status"], Decimal(row["amount"])
    return state


@pytest.fixture(scope="module")
def log(make_pipeline: Callable[[str], Any]) -> tuple[Any, list[dict[str, Any]], list[datetime]]:
    """A change log that was never refreshed: out of order, and some changes twice."""
    pipeline, random_ = make_pipeline("business"), random.Random(11)
    moments = [NINE + timedelta(microseconds=random_.randrange(0, 40) * 250_001) for _ in range(150)]
    rows = [change(random_, number, at) for number, at in enumerate(moments)]
    sent = [*rows, *random_.sample(rows, 20)]
    random_.shuffle(sent)
    pipeline.send(sent)
    return pipeline, rows, moments


def state(pipeline: Any, when: datetime, **options: Any) -> Any:
    return past.state_as_of(pipeline.session, pipeline.settings, pipeline.contract, when, **options)


def test_any_microsecond_is_exact(log: Any) -> None:
    pipeline, rows, moments = log
    chosen = sorted(set(moments))
    some = [chosen[0], chosen[7], chosen[7] - MICROSECOND, chosen[20] + MICROSECOND, chosen[-1]]
    for when in (*some, some[1].astimezone()):
        found = state(pipeline, when, columns=["id", "status", "amount"])
        got = {line.id: (line.status, line.amount) for line in found.itertuples()}
        assert got == replayed(rows, when)
        assert len(found) == len(got), "one row per item"
    assert list(state(pipeline, chosen[-1]).columns) == [
        field.name for field in pipeline.load("transactions").schema().fields
    ]


ODD = ["red, green", "007", "null", "true", "a=b", "[x]", "", "1e5", "a\nb", '"', None]


@pytest.fixture(scope="module")
def empty(make_pipeline: Callable[[str], Any]) -> Any:
    """A change log without a change, for the first of the tests that share it."""
    return make_pipeline("quoted")


def test_after_every_item_is_gone_there_is_none(empty: Any) -> None:
    with pytest.raises(NotFoundError, match="holds no change yet"):
        state(empty, NINE)
    row = {**change(random.Random(1), 0, NINE), "operation": "REMOVE", "id": "gone"}
    empty.send([row])
    assert state(empty, NINE).empty


def test_texts_in_lists_maps_and_structs_are_exact(empty: Any) -> None:
    """Athena's own text of them cannot be read back."""
    pipeline = empty
    written = {
        "tags": ODD,
        "prices": {"": "0.10", "a=b, c": "12345678.90", "null": None},
        "place": {"city": "Main St 1, Apt 4", "zip": 3000},
    }
    pipeline.send([{**change(random.Random(1), 1, NINE), "operation": "INSERT", **written}])
    layers.refresh(pipeline.session, pipeline.settings, pipeline.contract)
    table = pipeline.load("transactions")
    for frame in (
        state(pipeline, NINE),
        state(pipeline, NINE, columns=["place", "tags", "prices"]),
        past.read_as_of(pipeline.session, pipeline.settings, table, table.current_snapshot().snapshot_id),
        past.read_as_of(pipeline.session, pipeline.settings, table, datetime.now(UTC), columns=[*written]),
    ):
        row = frame.iloc[0]
        assert row["tags"] == ODD
        assert row["prices"] == {"": Decimal("0.10"), "a=b, c": Decimal("12345678.90"), "null": None}
        assert row["place"] == written["place"]


def test_before_the_first_change_it_is_named(log: Any) -> None:
    pipeline, _, moments = log
    first = min(moments)
    with pytest.raises(NotFoundError, match="first change was made at") as caught:
        state(pipeline, first - MICROSECOND)
    assert first.isoformat() in str(caught.value)


def test_business_time_and_commit_time_are_two_answers(story: Any) -> None:
    """Before the second refresh its changes were true already, and not yet known."""
    pipeline = story.pipeline
    log = pipeline.load("transactions_changes").scan().to_arrow()
    last = max(moment for moment in log.column("changed_at").to_pylist())
    true_then = state(pipeline, last, columns=["id", "status"]).set_index("id")["status"].to_dict()
    table = pipeline.load("transactions")
    known = past.read_as_of(pipeline.session, pipeline.settings, table, story.second)
    assert true_then == known.set_index("id")["status"].to_dict()
    before = past.read_as_of(pipeline.session, pipeline.settings, table, story.between)
    assert set(before["id"]) != set(true_then)


@pytest.mark.parametrize("when", [NINE.replace(tzinfo=None), "09:00", 17])
def test_what_is_no_moment_is_refused(log: Any, when: Any) -> None:
    with pytest.raises(SettingsError):
        state(log[0], when)


def test_a_column_that_does_not_exist(log: Any) -> None:
    with pytest.raises(NotFoundError, match="'amount'"):
        state(log[0], NINE, columns=["amuont"])
