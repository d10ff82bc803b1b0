"""Checkpoints are taken while something changes, and what hinders one is said in a sentence."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.seams import persistence
from local_aws.server import saved_state, serve
from local_aws.server.serve import Checkpoints, SaveErrors, may_write


def request(method: str, target: str = "", kind: str = "http") -> dict[str, Any]:
    """The ASGI scope of a request."""
    headers = [(b"X-Amz-Target", target.encode())] if target else []
    return {"type": kind, "method": method, "headers": headers}


@pytest.mark.parametrize(
    ("scope", "writes"),
    [
        (request("GET"), False),
        (request("HEAD"), False),
        (request("PUT"), True),
        (request("DELETE"), True),
        (request("POST"), True),
        (request("POST", "DynamoDB_20120810.Query"), False),
        (request("POST", "DynamoDB_20120810.BatchGetItem"), False),
        (request("POST", "DynamoDB_20120810.TransactWriteItems"), True),
        (request("POST", "DynamoDBStreams_20120810.GetRecords"), False),
        (request("POST", "Kinesis_20131202.ListShards"), False),
        (request("POST", "Firehose_20150804.DescribeDeliveryStream"), False),
        (request("POST", "Firehose_20150804.PutRecordBatch"), True),
        (request("POST", "AmazonAthena.StartQueryExecution"), True),
        (request("GET", kind="lifespan"), False),
    ],
)
def test_requests_that_only_read_are_known(scope: dict[str, Any], writes: bool) -> None:
    assert may_write(scope) is writes


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What ministack does when it is to save its state."""
    made: list[Callable[[], None]] = []
    monkeypatch.setattr(persistence, "save_everything", lambda: [save() for save in made])
    monkeypatch.setattr(persistence, "is_deploying", lambda: False)
    return made


@pytest.fixture
def errors() -> Iterator[SaveErrors]:
    made = SaveErrors()
    yield made
    logging.getLogger("persistence").removeHandler(made)


class App:
    """An application that answers nothing."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Do nothing."""


class Counted(Checkpoints):
    """Counts how often the state was kept aside, or that failed."""

    times = 0

    async def _take(self) -> None:
        await super()._take()
        self.times += 1


def taken(checkpoints: Counted, times: int, *scopes: dict[str, Any]) -> None:
    """Let requests come, and so many checkpoints be taken; a further one has time to begin."""

    async def live() -> None:
        for scope in scopes:
            await checkpoints(scope, None, None)
        taking = asyncio.create_task(checkpoints.run(0.001))
        while checkpoints.times < times:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        taking.cancel()

    checkpoints.times = 0
    asyncio.run(asyncio.wait_for(live(), 60))


def test_a_checkpoint_is_taken_only_where_something_may_have_changed(
    tmp_path: Path, saves: list[Callable[[], None]], errors: SaveErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    saves.append(lambda: made.append("saved"))
    about: dict[str, Any] = {}
    checkpoints = Counted(App(), tmp_path, about, errors)
    taken(checkpoints, 2)
    assert len(made) == 2, "what was before the first request is kept, too"
    taken(checkpoints, 0, request("GET"), request("POST", "DynamoDB_20120810.Scan"))
    assert len(made) == 2
    taken(checkpoints, 2, request("PUT"))
    assert len(made) == 4
    assert about["checkpoint_at"] == str(saved_state.mark_of(saved_state.kept(tmp_path)[0])["saved_at"])  # type: ignore[index]
    # What a stream lets go of after a while leaves what is kept aside, though nobody writes.
    monkeypatch.setattr(serve, "OLDEST_SECONDS", -1.0)
    taken(checkpoints, 2)
    assert len(made) >= 6


def test_after_a_change_no_place_holds_what_was_before(
    tmp_path: Path, saves: list[Callable[[], None]], errors: SaveErrors
) -> None:
    (tmp_path / "state").mkdir()
    said = iter(["secret", "secret", "gone", "gone"])
    saves.append(lambda: persistence.replace(tmp_path / "state" / "a.json", next(said).encode()))
    checkpoints = Counted(App(), tmp_path, {}, errors)
    taken(checkpoints, 2)
    taken(checkpoints, 2, request("DELETE"))
    assert {path.read_text() for path in tmp_path.rglob("a.json")} == {"gone"}
    assert len(saved_state.kept(tmp_path)) == 2


def test_what_a_request_changes_after_a_checkpoint_is_in_the_next(
    tmp_path: Path, saves: list[Callable[[], None]], errors: SaveErrors
) -> None:
    made: list[str] = []
    saves.append(lambda: made.append("saved"))

    class Slow:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            while not made:
                await asyncio.sleep(0.001)

    checkpoints = Checkpoints(Slow(), tmp_path, {}, errors)

    async def live() -> None:
        taking = asyncio.create_task(checkpoints.run(0.1))
        await checkpoints(request("PUT"), None, None)
        assert made == ["saved"], "while it is answered"
        while len(made) < 2:
            await asyncio.sleep(0.001)
        taking.cancel()

    asyncio.run(asyncio.wait_for(live(), 60))
    assert set(made) == {"saved"}


@pytest.mark.parametrize("where", ["ministack", "links", "elsewhere"])
def test_a_checkpoint_that_fails_is_said_and_taken_again(
    tmp_path: Path,
    saves: list[Callable[[], None]],
    errors: SaveErrors,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a.json").write_text("[1]")
    about: dict[str, Any] = {}
    checkpoints = Counted(App(), tmp_path, about, errors)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        if where == "ministack":
            saves.append(lambda: logging.getLogger("persistence").error("dynamodb is not saved: disk full"))
        elif where == "elsewhere":
            saves.append(lambda: {}["bug"])
        else:
            disk.setattr(os, "link", full)
            disk.setattr(saved_state.shutil, "copy2", full)
        taken(checkpoints, 1)
    told = about["checkpoint_error"]
    assert told.startswith("No checkpoint could be made at 2")
    assert told.endswith(
        ("dynamodb is not saved: disk full.", "No space left on device.", "KeyError: 'bug'.")
    )
    assert saved_state.kept(tmp_path) == []
    saves.clear()
    taken(checkpoints, 2)
    assert about["checkpoint_error"] is None
    assert len(saved_state.kept(tmp_path)) == 2
