"""The library's statements, judged: the rows of each SELECT, and what a MERGE or CREATE leaves."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Any

import boto3
from tests.trino.compare import same_rows
from tests.trino.local import as_column_type, column_type
from tests.trino.pipeline import Statement
from tests.trino.server import Answer, Trino, of_the_page
from tests.trino.texts import outcome

import dynaberg

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
    names = [theirs["names"][i] for i in exact]
    rows = [
        sorted(([in_order(row[i]) for i in exact] for row in side["rows"]), key=str)
        for side in (theirs, ours)
    ]
    if same_rows(rows[0], rows[1], kinds):
        return "same"
    cells = [
        f"{name}: {str(a)[:150]} and {str(b)[:150]}"
        for one, other in zip(*rows, strict=False)
        for name, a, b in zip(names, one, other, strict=True)
        if a != b
    ]
    return f"{len(rows[0])} and {len(rows[1])} rows; {cells[:3]}"


def in_order(value: str | None) -> str | None:
    """The counted values of a profile are a JSON array of arrays, in any order."""
    return json.dumps(sorted(json.loads(value))) if value and value.startswith('[["') else value


def judge_library(server: Trino, wb: dynaberg.Workbench, statements: Sequence[Statement]) -> int:
    """Prints a verdict for each statement; the count of those that differ or join without an equality."""
    by_kind: dict[str, list[Statement]] = {}
    for statement in {one.sql: one for one in statements if one.state == "SUCCEEDED"}.values():
        by_kind.setdefault(statement.kind, []).append(statement)
    print({kind: len(found) for kind, found in by_kind.items()})
    failed = judge_plans(server, wb, [*by_kind["SELECT"], *by_kind["MERGE"]])
    asked = [*by_kind["SELECT"], *page_statements()]
    failed += sum(judge_select(server, wb, statement) for statement in asked)
    for statement in by_kind.get("CREATE_TABLE_AS_SELECT", []):
        failed += select_again(server, wb, statement)
    for statement in by_kind["MERGE"]:
        if "transactions_changes" not in statement.sql:
            failed += merge_again(server, wb, statement)
    failed += replay(server, wb, [s for s in by_kind["MERGE"] if "transactions_changes" in s.sql])
    print(f"{failed} of the library's statements differ")
    return failed


def judge_select(server: Trino, wb: dynaberg.Workbench, statement: Statement) -> bool:
    """Prints a verdict on one SELECT; whether the answers differ."""
    answer = server.run(with_parameters(statement), CATALOG, wb.settings.namespace)
    theirs = outcome(answer)
    if answer.error:
        theirs["error"] = f"{answer.error}: {answer.message}"
    said = verdict(theirs, athena_outcome(wb, statement))
    print(f"{said}  <-  {brief(statement.sql)}")
    return said != "same"


def page_statements() -> list[Statement]:
    """The SELECTs of `engines.md`, on the tables of the pipeline."""
    found = of_the_page("sql").replace("lake.analytics.", "").split(";")
    return [Statement(text.strip(), (), "SELECT", "SUCCEEDED", "") for text in found if text.strip()]


def brief(sql: str) -> str:
    return " ".join(sql.split())[:110]


def judge_plans(server: Trino, wb: dynaberg.Workbench, statements: Sequence[Statement]) -> int:
    """Prints the statements with a join without an equality: it takes every pair of rows."""
    failed = 0
    for statement in statements:
        plan = run(server, wb, f"EXPLAIN {inlined(statement)}")
        text = "\n".join(row[0] for row in plan.rows)
        if loops := re.findall(r"\w+Join\[filter = [^\n]*", text):
            failed += 1
            print(f"a join without an equality, {loops}  <-  {brief(statement.sql)}")
    return failed


def inlined(statement: Statement) -> str:
    """A statement with its parameters in their places: EXPLAIN takes none."""
    text = statement.sql
    for parameter in statement.parameters:
        text = text.replace("?", parameter, 1)
    return text


def rows_of(server: Trino, wb: dynaberg.Workbench, table: str) -> list[Any]:
    answer = server.run(f"SELECT * FROM {table}", CATALOG, wb.settings.namespace)
    assert not answer.error, answer.message
    return sorted(answer.rows, key=str)


def run(server: Trino, wb: dynaberg.Workbench, sql: str) -> Answer:
    answer = server.run(sql, CATALOG, wb.settings.namespace)
    if answer.error:
        print(f"{answer.error}: {answer.message}  <-  {' '.join(sql.split())[:110]}")
    return answer


def replay(server: Trino, wb: dynaberg.Workbench, merges: Sequence[Statement]) -> int:
    """Lets Trino merge the log again, from nothing: the rows must be the same, for every reader."""
    before = rows_of(server, wb, "transactions")
    failed = bool(run(server, wb, "DELETE FROM transactions").error)
    for merge in merges:
        failed += bool(run(server, wb, with_parameters(merge)).error)
    after = rows_of(server, wb, "transactions")
    same = "the same" if before == after else "OTHERS"
    print(f"{len(merges)} MERGE of the log by Trino: {len(before)} rows before, {len(after)} after, {same}")
    run(server, wb, "DELETE FROM transactions WHERE currency = 'USD'")
    table = wb.table().current.refresh()
    counts = {
        "Trino": len(rows_of(server, wb, "transactions")),
        "Athena": len(wb.query("SELECT transaction_id FROM transactions").df),
        "pyiceberg": table.scan().count(),
    }
    print(f"position deletes by Trino; rows left: {counts}")
    return failed + (before != after) + len(set(counts.values())) - 1


def merge_again(server: Trino, wb: dynaberg.Workbench, merge: Statement) -> int:
    """Lets Trino rebuild a curated table: the rows must be the same."""
    before = rows_of(server, wb, "hourly_activity")
    failed = bool(run(server, wb, with_parameters(merge)).error)
    same = before == rows_of(server, wb, "hourly_activity")
    print(f"MERGE of a curated table by Trino: {'the same' if same else 'OTHER'} rows")
    return failed + (not same)


def select_again(server: Trino, wb: dynaberg.Workbench, create: Statement) -> int:
    """The query of a CREATE TABLE: Trino itself creates tables in S3 Tables' own places only."""
    query = create.sql.partition(" AS\n")[2]
    same = sorted(run(server, wb, query).rows, key=str) == rows_of(server, wb, "hourly_activity")
    print(f"the query of CREATE TABLE by Trino: {'the same' if same else 'OTHER'} rows")
    return not same
