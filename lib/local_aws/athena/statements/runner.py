"""One statement, from its text to its outcome; runs in a worker thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

import duckdb
from pyiceberg.exceptions import CommitFailedException
from sqlglot import exp

from local_aws.athena.dialect import QueryCancelled, QueryError, column_info, from_duckdb, kind_of, read
from local_aws.athena.statements import alter, ddl, dml, merge, show
from local_aws.athena.statements.executions import Execution
from local_aws.athena.statements.queries import Outcome, Plan, plan_query, run_plan
from local_aws.athena.statements.results import Row
from local_aws.athena.statements.unload import run_unload
from local_aws.athena.tables import Catalogs, Context, Engine, StandIns, Tables, keep

CHANGES: Mapping[str, Callable[[Context, Any], Outcome]] = {
    "INSERT": dml.run_insert,
    "UPDATE": merge.run_update,
    "DELETE": dml.run_delete,
    "MERGE": merge.run_merge,
}
DEFINITIONS: Mapping[str, Callable[[Context, str], Outcome]] = {
    "CREATE_TABLE": ddl.run_create_table,
    "DROP_TABLE": ddl.run_drop_table,
    "CREATE_DATABASE": ddl.run_create_database,
    "DROP_DATABASE": ddl.run_drop_database,
    "ALTER_TABLE": alter.run_alter_table,
}


CONFLICTS_BORNE = 3


class Runner:
    """Runs executions on the engine.

    Args:
        engine: The database.
        catalogs: The Iceberg catalogs.
    """

    def __init__(self, engine: Engine, catalogs: Catalogs) -> None:
        self.engine, self.catalogs = engine, catalogs
        self._stand_ins = StandIns(catalogs)
        self._plans: dict[tuple[str, tuple[str, ...], str, str], Plan] = {}
        self._cursors: dict[str, duckdb.DuckDBPyConnection] = {}

    def run(self, execution: Execution) -> Outcome:
        """Runs a statement; its file is then in the scratch folder.

        Raises:
            QueryError: What Athena would say.
            QueryCancelled: It was stopped.
        """
        with self.engine.cursor() as cursor:
            self._cursors[execution.id] = cursor
            try:
                if execution.is_finished:
                    raise QueryCancelled
                execution.started_at = time.time()
                cursor.execute("BEGIN")
                names = execution.catalog, execution.database
                context = Context(
                    self.engine, cursor, self.catalogs, *names, Tables(self._stand_ins, cursor), execution.id
                )
                return self._run(context, execution)
            except duckdb.InterruptException as error:
                raise QueryCancelled from error
            except duckdb.Error as error:
                raise from_duckdb(
                    error, as_written(execution), execution.catalog, execution.database
                ) from error
            except CommitFailedException as error:
                raise QueryError(
                    "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {error}"
                ) from error
            finally:
                self._cursors.pop(execution.id, None)

    def stop(self, execution_id: str) -> None:
        """Interrupts a statement until it has ended: between its queries an interrupt does nothing."""

        def interrupt() -> None:
            while cursor := self._cursors.get(execution_id):
                with suppress(duckdb.Error):
                    cursor.interrupt()
                time.sleep(0.02)

        Thread(target=interrupt, daemon=True).start()

    def stop_all(self) -> None:
        """Interrupts every running statement."""
        for execution_id in list(self._cursors):
            self.stop(execution_id)

    def _run(self, context: Context, execution: Execution) -> Outcome:
        kind = kind_of(execution.statement)
        file = execution.file = self.engine.scratch / execution.id
        if kind.is_query:
            tree = execution.tree or read(execution.statement, execution.values)
            execution.tree = None
            if change := CHANGES.get(kind.name):
                refuse_kms(execution)
                return again_after_conflict(lambda: change(context, tree.copy()))
            return run_plan(context, self._plan(context, execution, tree), file)
        if kind.name == "CREATE_TABLE_AS_SELECT":
            return ddl.run_create_as(context, execution.statement, execution.values)
        if kind.name == "UNLOAD":
            return run_unload(context, execution.statement, execution.values)
        if definition := DEFINITIONS.get(kind.name):
            outcome = definition(context, execution.statement)
            return text_outcome() if not outcome.columns else outcome
        if kind.name in ("PREPARE", "DEALLOCATE"):
            return text_outcome()
        if kind.type == "UTILITY":
            return text_outcome(*show.run_show(context, execution.statement, execution.values))
        raise QueryError("NOT_SUPPORTED", f"{kind.name} is not supported locally yet")

    def _plan(self, context: Context, execution: Execution, tree: exp.Expr) -> Plan:
        """The plan of a query, the cached one if it ran before and no table has changed."""
        asked = execution.statement, execution.values, execution.catalog, execution.database
        known = self._plans.get(asked)
        if known is not None and known.holds(context.tables):
            return known
        plan = plan_query(context, tree)
        if plan.is_lasting:
            keep(self._plans, asked, plan)
        return plan


def as_written(execution: Execution) -> exp.Expr | None:
    """A query as it was sent, to find the place of an error in; None for other statements."""
    is_query = kind_of(execution.statement).is_query
    return read(execution.statement, execution.values) if is_query else None


def again_after_conflict(change: Callable[[], Outcome]) -> Outcome:
    """Runs a statement once more where another writer committed first; its answer is computed again."""
    for _ in range(CONFLICTS_BORNE):
        try:
            return change()
        except QueryError as error:
            if error.code != "ICEBERG_COMMIT_ERROR":
                raise
    return change()


def refuse_kms(execution: Execution) -> None:
    """Athena writes to S3 Tables only where results are encrypted with SSE-S3 or not at all."""
    if execution.encryption in ("SSE_KMS", "CSE_KMS"):
        message = (
            f"DML on S3 Tables is not supported with {execution.encryption} result encryption; use SSE_S3"
        )
        raise QueryError("NOT_SUPPORTED", message)


def text_outcome(names: Sequence[str] = (), rows: Sequence[Row] = ()) -> Outcome:
    """Lines of text."""
    return Outcome([column_info(name, "VARCHAR") for name in names], len(rows), lines=rows)
