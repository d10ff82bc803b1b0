"""Scheduled runs wait while somebody changes what they read, and never longer than that."""

from __future__ import annotations

from typing import Any

import pytest

from dynaberg import aws, deploy
from dynaberg.errors import NotReadyError
from dynaberg.functions.schedule import lock
from dynaberg.schedule import pausing, runs_paused
from dynaberg.settings import Settings

SESSION: Any = None


def change(made: list[str], *errors: Exception) -> None:
    """Change a table, or fail in the middle of it."""
    with runs_paused(SESSION, Settings()):
        made.append("change")
        for error in errors:
            raise error


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the lock; a schedule is deployed."""
    made: list[str] = []
    monkeypatch.setattr(deploy, "stack_parameters", lambda *_: {"CodeKey": "k"})
    monkeypatch.setattr(deploy, "outputs", lambda *_: {"ErrorBucketName": "errors"})
    monkeypatch.setattr(aws, "client", lambda *_: None)
    monkeypatch.setattr(lock, "take", lambda *_: made.append("take") or len(made) > 1)
    monkeypatch.setattr(lock, "release", lambda *_: made.append("release"))
    return made


def test_the_run_before_is_waited_for_and_the_next_may_begin_whatever_happens(calls: list[str]) -> None:
    with pytest.raises(KeyError):
        change(calls, KeyError())
    assert calls == ["take", "take", "change", "release"]


def test_a_run_that_does_not_end_is_named(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "_WAIT_SECONDS", 0.0)
    with pytest.raises(NotReadyError, match=r"No table was changed\. The end of a scheduled run") as caught:
        change(calls)
    assert "wb.schedule.runs()" in str(caught.value.hint)
    assert calls == ["take"]


def test_without_a_schedule_there_is_nothing_to_wait_for(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "stack_parameters", lambda *_: {})
    change(calls)
    assert calls == ["change"]
