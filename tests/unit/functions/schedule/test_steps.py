"""Steps: nothing is done twice, however often the function is ended and called again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynaberg.functions.schedule.steps import StatementError, Steps, StillRunningError

CONFLICT = "ICEBERG_COMMIT_ERROR: Failed to commit the transaction during write"


class Athena:
    """Statements that end as they are told to; each token stands for one of them."""

    def __init__(self, *ends: str) -> None:
        self.ends = list(ends)
        self.started: dict[str, str] = {}
        self.finished: dict[str, str] = {}

    def start_query_execution(self, QueryString: str, ClientRequestToken: str) -> dict[str, str]:  # noqa: N803
        query = self.started.setdefault(ClientRequestToken, f"q{len(self.started)}")
        return {"QueryExecutionId": query}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        if QueryExecutionId not in self.finished and self.ends:
            end = self.ends.pop(0)
            if end != "RUNNING":
                self.finished[QueryExecutionId] = end
        end = self.finished.get(QueryExecutionId, "RUNNING")
        status = (
            {"State": end}
            if end in ("SUCCEEDED", "RUNNING")
            else {"State": "FAILED", "StateChangeReason": end}
        )
        return {"QueryExecution": {"Status": status, "Statistics": {"DataScannedInBytes": 7}}}


def steps(athena: Athena, done: dict[str, Any]) -> Steps:
    """As the next invocation gets them: what was done came through JSON."""
    return Steps(athena, {}, "run/table/1", json.loads(json.dumps(done)), 0)


def test_a_statement_that_outlives_an_invocation_is_found_again() -> None:
    athena = Athena("RUNNING", "RUNNING", "SUCCEEDED")
    done: dict[str, Any] = {}
    for _ in range(2):
        turn = steps(athena, done)
        with pytest.raises(StillRunningError):
            turn.statement("merge", "MERGE …")
        done = turn.done
    last = steps(athena, done)
    last.statement("merge", "MERGE …")
    last.statement("merge", "MERGE …")
    assert (len(athena.started), last.statements) == (1, [7])


def test_an_invocation_that_is_killed_starts_nothing_twice() -> None:
    athena = Athena("RUNNING", "SUCCEEDED")
    with pytest.raises(StillRunningError):
        steps(athena, {}).statement("merge", "MERGE …")
    # What it would have returned is lost; it is called again with what it was given before.
    again = steps(athena, {})
    again.statement("merge", "MERGE …")
    assert len(athena.started) == 1
    # And what it makes has the same names.
    assert again.suffix == steps(athena, {}).suffix != Steps(athena, {}, "run/table/2", {}, 0).suffix


def test_a_statement_that_was_planned_anew_is_another_one() -> None:
    athena = Athena("SUCCEEDED", "SUCCEEDED")
    for sql in ("MERGE …", "MERGE of more"):
        steps(athena, {}).statement("merge", sql)
    assert len(athena.started) == 2


def test_a_conflict_is_tried_again_and_another_error_is_not() -> None:
    athena = Athena(CONFLICT, CONFLICT, "SUCCEEDED", "SYNTAX_ERROR: line 1:1")
    turn = steps(athena, {})
    turn.statement("merge", "MERGE …")
    assert (len(athena.started), turn.statements) == (3, [21])
    with pytest.raises(StatementError, match="SYNTAX_ERROR"):
        turn.statement("other", "MERG …")
    assert len(athena.started) == 4


def test_conflicts_do_not_go_on_for_ever() -> None:
    athena = Athena(*[CONFLICT] * 100)
    with pytest.raises(StatementError, match="ICEBERG_COMMIT_ERROR"):
        steps(athena, {}).statement("merge", "MERGE …")
    assert len(athena.started) == 5


def test_what_is_done_once_is_remembered() -> None:
    numbers = iter(range(9))
    turn = steps(Athena(), {})
    assert [turn.once("name", lambda: next(numbers)) for _ in range(3)] == [0, 0, 0]
    assert steps(Athena(), turn.done).once("name", lambda: next(numbers)) == 0
