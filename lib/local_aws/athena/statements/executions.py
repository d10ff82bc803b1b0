"""Query executions: what `GetQueryExecution` answers, and the store of the last ones."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp

from local_aws.athena.statements.results import Row
from local_aws.wire import AwsError

KEPT = 5_000
ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}


@dataclass
class Execution:
    """One query execution.

    Attributes:
        query: The statement as it was sent.
        parameters: `ExecutionParameters`, each a literal of SQL.
        catalog: The catalog of unqualified names.
        database: The database of unqualified names.
        workgroup: Its workgroup.
        output: Where results go, an S3 address ending in `/`.
        statement: What runs: the query, or the prepared statement that it executes.
        values: The parameters of what runs.
        token: `ClientRequestToken`.
        encryption: How results are encrypted: SSE_S3, SSE_KMS, CSE_KMS or nothing.
        file: What DuckDB wrote, until it is an object.
        lines: The rows of a text.
        tree: The query as it was parsed, until it runs.
        ended: Set with the final state.
    """

    query: str
    parameters: tuple[str, ...]
    catalog: str
    database: str
    workgroup: str
    output: str
    statement: str
    values: tuple[str, ...] = ()
    token: str = ""
    encryption: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "QUEUED"
    reason: str = ""
    error: Mapping[str, Any] | None = None
    statement_type: str = "DML"
    substatement_type: str = "SELECT"
    submitted_at: float = field(default_factory=time.time)
    started_at: float = 0.0
    completed_at: float = 0.0
    planning_ms: int = 0
    bytes_scanned: int = 0
    rows: int = 0
    update_count: int | None = None
    columns: list[Mapping[str, Any]] = field(default_factory=list)
    file: Path | None = None
    lines: Sequence[Row] = ()
    tree: exp.Expr | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    suffix: str = ".csv"
    manifest: str = ""

    @property
    def location(self) -> str:
        """The S3 address of the result."""
        return f"{self.output}{self.id}{self.suffix}"

    @property
    def is_finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("SUCCEEDED", "FAILED", "CANCELLED")

    def finish(self, state: str, reason: str = "", error: Mapping[str, Any] | None = None) -> None:
        """Sets the final state, unless there is one already."""
        if not self.is_finished:
            self.state, self.reason, self.error, self.completed_at = state, reason, error, time.time()
            self.ended.set()

    def statistics(self) -> dict[str, Any]:
        """`Statistics`."""
        end = self.completed_at or time.time()
        begin = self.started_at or end
        engine = round((end - begin) * 1000)
        total = round((end - self.submitted_at) * 1000)
        return {
            "EngineExecutionTimeInMillis": engine,
            "DataScannedInBytes": self.bytes_scanned,
            "TotalExecutionTimeInMillis": total,
            "QueryQueueTimeInMillis": max(total - engine, 0),
            "QueryPlanningTimeInMillis": self.planning_ms,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        } | ({"DataManifestLocation": self.manifest} if self.manifest else {})

    def as_json(self) -> dict[str, Any]:
        """`QueryExecution`."""
        status = {
            "State": self.state,
            "SubmissionDateTime": self.submitted_at,
            "CompletionDateTime": self.completed_at,
            "StateChangeReason": self.reason,
            "AthenaError": self.error,
        }
        context = {"Catalog": self.catalog, "Database": self.database}
        answer: dict[str, Any] = {
            "QueryExecutionId": self.id,
            "Query": self.query,
            "StatementType": self.statement_type,
            "SubstatementType": self.substatement_type,
            "ResultConfiguration": {"OutputLocation": self.location},
            "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
            "QueryExecutionContext": {name: value for name, value in context.items() if value},
            "Status": {name: value for name, value in status.items() if value},
            "Statistics": self.statistics(),
            "WorkGroup": self.workgroup,
            "EngineVersion": ENGINE,
        }
        if self.parameters:
            answer["ExecutionParameters"] = list(self.parameters)
        return answer


def invalid(message: str, code: str = "INVALID_INPUT") -> AwsError:
    """A request that Athena refuses."""
    return AwsError("InvalidRequestException", message, AthenaErrorCode=code)


class Executions:
    """The last executions, oldest first."""

    def __init__(self) -> None:
        self._by_id: dict[str, Execution] = {}
        self._by_token: dict[str, str] = {}

    def add(self, execution: Execution) -> None:
        """Keeps an execution, and forgets the oldest finished one beyond the limit."""
        self._by_id[execution.id] = execution
        if execution.token:
            self._by_token[execution.token] = execution.id
        for old in list(self._by_id.values())[: max(len(self._by_id) - KEPT, 0)]:
            if old.is_finished:
                del self._by_id[old.id]
                self._by_token.pop(old.token, None)

    def get(self, execution_id: str) -> Execution:
        """An execution by its id.

        Raises:
            AwsError: InvalidRequestException, where there is none.
        """
        if execution_id not in self._by_id:
            raise invalid(f"QueryExecution {execution_id} was not found")
        return self._by_id[execution_id]

    def find(self, execution_id: str) -> Execution | None:
        """An execution by its id, or None."""
        return self._by_id.get(execution_id)

    def by_token(self, token: str) -> Execution | None:
        """The execution that a `ClientRequestToken` started."""
        return self._by_id.get(self._by_token.get(token, ""))

    def of_workgroup(self, workgroup: str) -> list[str]:
        """Ids of a workgroup's executions, latest first."""
        return [e.id for e in reversed(self._by_id.values()) if e.workgroup == workgroup]
