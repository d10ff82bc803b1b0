"""The statements that the library sent, judged: each SELECT's rows, and the MERGE and CREATE by what they leave."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import boto3

import dynaberg
from tests.trino.compare import same_rows
from tests.trino.local import as_column_type, column_type
from tests.trino.pipeline import Statement
from tests.trino.server import Answer, Trino
from tests.trino.texts import outcome

CATALOG = "library"
ESTIMATED = re.compile(r"approx_|quantiles_", re.IGNORECASE)
"""Columns whose values are estimates, which differ between engines by their nature."""


def with_parameters(statement: Statement) -> str:
    if not statement.parameters:
        return statement.sql
    text = statement.sql.replace("'", "''")
    return f"EXECUTE IMMEDIATE '{text}' USING {', '.join(statement.parameters)}"


def athena_outcome(wb: dynaberg.Workbench, statement: Statement) -> dict[str, Any]:
    """Types, names and rows from the local Athena, of a statement asked again."""
    athena = boto3.client("athena")
    more: Any = {"ExecutionParameters": list(statement.parameters)} if statement.parameters else {}
    context = {
        "Catalog": f"s3tablescatalog/{wb.settings.table_bucket_name}",
        "Database": wb.settings.namespace,
    }
    query_id = athena.start_query_execution(
        QueryString=statement.sql, QueryExecutionContext=context, WorkGroup=wb.name, **more
    )["QueryExecutionId"]
    while (state := athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"])[
        "State"
    ] not in (
        "SUCCEEDED",
        "FAILED",
    ):
        time.sleep(0.05)
    if state["State"] == "FAILED":
        return {"error": state["StateChangeReason"]}
    rows: list[list[str | None]] = []
    for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id):
        columns = page["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        rows += [[value.get("VarCharValue") for value in row["Data"]] for row in page["ResultSet"]["Rows"]]
    return {
        "names": [column["Name"] for column in columns],
        "types": [column_type(column) for column in columns],
        "rows": rows[1:],
    }


def verdict(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """`same`, or what differs."""
    if "error" in theirs or "error" in ours:
        return f"Trino: {theirs.get('error', 'answers')}; local: {ours.get('error', 'answers')}"
    if theirs["names"] != ours["names"]:
        return f"names {theirs['names']} and {ours['names']}"
    if [as_column_type(name) for name in theirs["types"]] != ours["types"]:
        pairs = zip(theirs["names"], theirs["types"], ours["types"], strict=True)
        return f"types {[p for p in pairs if as_column_type(p[1]) != p[2]]}"
    exact = [i for i, name in enumerate(theirs["names"]) if not ESTIMATED.search(name)]
    kinds = [theirs["types"][i] for i in exact]
    rows = [sorted(([row[i] for i in exact] for row in side["rows"]), key=str) for side in (theirs, ours)]
    if same_rows(rows[0], rows[1], kinds):
        return "same"
    unlike = [(a, b) for a, b in zip(*rows, strict=False) if a != b]
    return f"{len(rows[0])} and {len(rows[1])} rows, first difference {str(unlike[:1])[:600]}"


def judge_library(server: Trino, wb: dynaberg.Workbench, statements: Sequence[Statement]) -> int:
    """Prints a verdict for each statement; the count of those that differ."""
    seen: set[str] = set()
    failed = 0
    for statement in statements:
        if statement.kind != "SELECT" or statement.state != "SUCCEEDED" or statement.sql in seen:
            continue
        seen.add(statement.sql)
        answer = server.run(with_parameters(statement), CATALOG, wb.settings.namespace)
        theirs = outcome(answer)
        if answer.error:
            theirs["error"] = f"{answer.error}: {answer.message}"
        said = verdict(theirs, athena_outcome(wb, statement))
        failed += said != "same"
        print(f"{said}  <-  {' '.join(statement.sql.split())[:110]}")
    merges = [
        statement for statement in statements if statement.kind == "MERGE" and statement.state == "SUCCEEDED"
    ]
    failed += replay_merges(server, wb, merges)
    failed += create_again(server, wb, [s for s in statements if s.kind == "CREATE_TABLE_AS_SELECT"])
    print(f"\nStatements of the library: {len(seen)} SELECT, {len(merges)} MERGE; {failed} differ")
    return failed


def rows_of(server: Trino, wb: dynaberg.Workbench, table: str) -> list[Any]:
    answer = server.run(f"SELECT * FROM {table}", CATALOG, wb.settings.namespace)
    assert not answer.error, answer.message
    return sorted(answer.rows, key=str)


def run(server: Trino, wb: dynaberg.Workbench, sql: str) -> Answer:
    answer = server.run(sql, CATALOG, wb.settings.namespace)
    if answer.error:
        print(f"{answer.error}: {answer.message}  <-  {' '.join(sql.split())[:110]}")
    return answer


def replay_merges(server: Trino, wb: dynaberg.Workbench, merges: Sequence[Statement]) -> int:
    """Empties the current table, and lets Trino merge the log again: the rows must be the same, for every reader."""
    before = rows_of(server, wb, "transactions")
    failed = bool(run(server, wb, "DELETE FROM transactions").error)
    for merge in merges:
        failed += bool(run(server, wb, with_parameters(merge)).error)
    after = rows_of(server, wb, "transactions")
    run(server, wb, "DELETE FROM transactions WHERE currency = 'USD'")
    count = len(wb.query("SELECT transaction_id FROM transactions").df)
    wb.table().current.refresh()
    scanned = wb.table().current.scan().count()
    left = len(rows_of(server, wb, "transactions"))
    print(
        f"MERGE by Trino: {len(before)} rows before, {len(after)} after, {'the same' if before == after else 'OTHERS'}"
    )
    print(
        f"position deletes by Trino: {left} rows left for Trino, {count} for Athena, {scanned} for pyiceberg"
    )
    return failed + (before != after) + len({count, scanned, left}) - 1


def create_again(server: Trino, wb: dynaberg.Workbench, creates: Sequence[Statement]) -> int:
    """A table as the library creates it, under another name, and back."""
    failed = 0
    for statement in creates[:1]:
        sql = statement.sql.replace('"hourly_activity"', '"by_trino"', 1)
        failed += bool(run(server, wb, sql).error)
        run(server, wb, "DROP TABLE by_trino")
        print(f"CREATE TABLE AS by Trino: {'refused' if failed else 'done'}")
    return failed
