"""Work that outlives an invocation: what is done is remembered, and the rest is run again from its start.

A job is plain code that asks for each step by name. A step that was done gives its answer at once. A
statement that still runs in Athena ends the invocation; the state machine waits, and the job is run again
with all answers so far. So no function waits half an hour for a statement, and a killed one repeats nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..statements.merges import CONFLICTS

T = TypeVar("T")
_RUNNING = ("QUEUED", "RUNNING")
_TRIES = 5


class StillRunningError(Exception):
    """A statement has not ended yet; the state machine comes back later."""


class StatementError(Exception):
    """Athena refused a statement, or stopped it."""


class Steps:
    """The steps of one job.

    Args:
        athena: A client.
        place: Arguments of StartQueryExecution that name the workgroup, the catalog and the namespace.
        job: What makes the job's statements its own: a run, a table and an attempt.
        done: The answers so far, by the names of the steps; it is added to.
        seconds: How long to wait for a statement.
    """

    def __init__(
        self, athena: Any, place: dict[str, Any], job: str, done: dict[str, Any], seconds: float
    ) -> None:
        self._athena, self._place, self._job = athena, place, job
        self.done = done
        self._until = time.monotonic() + seconds

    @property
    def suffix(self) -> str:
        """What distinguishes the tables that this job makes from those of others."""
        return _digest(self._job)[:8]

    @property
    def is_over(self) -> bool:
        """Whether this invocation has waited for as long as it may."""
        return time.monotonic() > self._until

    @property
    def statements(self) -> list[int]:
        """The bytes that each statement so far has scanned; Athena bills each by itself."""
        return [step["bytes"] for step in self.done.values() if isinstance(step, dict) and "bytes" in step]

    def once(self, name: str, do: Callable[[], T]) -> T:
        """Do something that is not repeated; its answer must be JSON."""
        if name not in self.done:
            self.done[name] = do()
        answer: T = self.done[name]
        return answer

    def statement(self, name: str, sql: str) -> None:
        """Run a statement, again if another commit comes in between.

        Raises:
            StillRunningError: It has not ended yet.
            StatementError: Athena refused it, or stopped it.
        """
        step = self.done.setdefault(name, {"tries": 0, "bytes": 0, "query": None})
        while not step.get("ended"):
            query = step["query"] = step["query"] or self._start(name, sql, step["tries"])
            execution = self._wait(query)
            step["bytes"] += execution.get("Statistics", {}).get("DataScannedInBytes", 0)
            step["query"], step["tries"] = None, step["tries"] + 1
            status = execution["Status"]
            if status["State"] == "SUCCEEDED":
                step["ended"] = query
            else:
                why = status.get("StateChangeReason", status["State"])
                if step["tries"] == _TRIES or not any(each in why for each in CONFLICTS):
                    raise StatementError(why)

    def row(self, name: str, sql: str) -> list[str | None]:
        """The first row that a statement gives, as text."""

        def read(found: Any) -> list[str | None]:
            rows = found["Rows"]
            return [value.get("VarCharValue") for value in rows[1]["Data"]] if len(rows) > 1 else []

        return self._read(name, sql, read)

    def columns(self, name: str, sql: str) -> list[str]:
        """The names of the columns that a statement gives."""

        def read(found: Any) -> list[str]:
            return [column["Name"] for column in found["ResultSetMetadata"]["ColumnInfo"]]

        return self._read(name, sql, read)

    def _read(self, name: str, sql: str, read: Callable[[Any], T]) -> T:
        self.statement(name, sql)
        query = self.done[name]["ended"]

        def fetch() -> T:
            found = self._athena.get_query_results(QueryExecutionId=query, MaxResults=2)
            return read(found["ResultSet"])

        return self.once(f"{name}: result", fetch)

    def _start(self, name: str, sql: str, tries: int) -> str:
        # An invocation that is killed after this starts nothing twice: the token is the same.
        token = _digest(f"{self._job}/{name}/{tries}/{sql}")
        started = self._athena.start_query_execution(QueryString=sql, ClientRequestToken=token, **self._place)
        return str(started["QueryExecutionId"])

    def _wait(self, query: str) -> Any:
        pause = 0.05
        while True:
            execution = self._athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
            if execution["Status"]["State"] not in _RUNNING:
                return execution
            if time.monotonic() + pause > self._until:
                raise StillRunningError(query)
            time.sleep(pause)
            pause = min(pause * 1.5, 2.0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
