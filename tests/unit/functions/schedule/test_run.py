"""A run: each table by itself, tried again, recorded, and never two runs at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.functions.schedule import lock, records
from dynaberg.functions.schedule.refreshing import Outcome
from dynaberg.functions.schedule.run import Rules, take_turn
from dynaberg.functions.schedule.steps import StillRunningError

STARTED = "2026-01-31T12:00:00.000Z"


class Objects:
    """S3's objects, with conditional writes."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        if Key not in self.kept:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": BytesIO(self.kept[Key]), "ETag": str(hash(self.kept[Key]))}

    def put_object(
        self,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        IfMatch: str = "",  # noqa: N803
        IfNoneMatch: str = "",  # noqa: N803
    ) -> None:
        changed = IfMatch and IfMatch != str(hash(self.kept.get(Key)))
        if changed or (IfNoneMatch and Key in self.kept):
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        self.kept[Key] = Body


def turns(objects: Objects, jobs: Any, run: str = "r", **waits_for: Any) -> Iterator[dict[str, Any]]:
    """The states that the function returns, until the run has ended."""
    state: dict[str, Any] = {}
    while True:
        event = {"run": run, "started": STARTED, "state": json.loads(json.dumps(state))}
        clients = {"athena": None, "s3": objects}
        state = take_turn(jobs, Rules({}, "bucket", attempts=2), clients, event, waits_for)
        yield state
        if state["status"] not in ("wait", "again"):
            return


def recorded(objects: Objects, run: str = "r") -> dict[str, Any]:
    lines = objects.kept[records.run_key(STARTED, run)].splitlines()
    return {row["table"]: row for row in map(json.loads, lines)}


def works(_: Any) -> Outcome:
    return Outcome("incremental", 3)


def fails(_: Any) -> Outcome:
    raise RuntimeError("refused")


def test_a_table_that_fails_holds_up_only_what_reads_it() -> None:
    objects, jobs = Objects(), {"a": fails, "b": works, "reads_a": works, "reads_b": works}
    states = list(turns(objects, jobs, reads_a=["a"], reads_b=["b"]))
    assert [state["status"] for state in states] == ["again", "failed"]
    assert {name: row["outcome"] for name, row in recorded(objects).items()} == {
        "a": "failed: refused",
        "b": "ok",
        "reads_a": "failed: it reads a, and waits",
        "reads_b": "ok",
    }
    assert [row["attempts"] for row in recorded(objects).values()] == [2, 1, 2, 1]


def test_a_table_that_works_the_second_time_is_no_failure() -> None:
    tries = iter([fails, works])
    states = list(turns(objects := Objects(), {"a": lambda steps: next(tries)(steps)}))
    assert [state["status"] for state in states] == ["again", "done"]
    assert (recorded(objects)["a"]["outcome"], recorded(objects)["a"]["rows"]) == ("ok", 3)


def test_a_run_keeps_others_out_while_it_waits_and_lets_them_in_when_it_has_ended() -> None:
    objects, running = Objects(), iter([True, False])

    def slow(_: Any) -> Outcome:
        if next(running):
            raise StillRunningError
        return Outcome("incremental")

    first = turns(objects, {"a": slow})
    assert next(first)["status"] == "wait"
    assert [state["status"] for state in turns(objects, {"a": works}, "other")] == ["busy"]
    assert recorded(objects, "other")[""]["outcome"] == "busy"
    assert next(first)["status"] == "done"
    assert [state["status"] for state in turns(objects, {"a": works}, "third")] == ["done"]


def test_of_two_who_find_no_lock_one_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects()
    read = lock._read

    def slowly(*given: Any) -> Any:
        found = read(*given)
        monkeypatch.setattr(lock, "_read", read)
        assert lock.take(*given, "faster", 60)
        return found

    monkeypatch.setattr(lock, "_read", slowly)
    assert not lock.take(objects, "bucket", "lock", "slower", 60)


def test_a_lock_that_has_expired_can_be_taken_once() -> None:
    objects = Objects()
    assert lock.take(objects, "bucket", "lock", "gone", -1)
    assert lock.take(objects, "bucket", "lock", "a", 60)
    assert not lock.take(objects, "bucket", "lock", "b", 60)
    lock.release(objects, "bucket", "lock", "gone")
    assert not lock.take(objects, "bucket", "lock", "b", 60)
