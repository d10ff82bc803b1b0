"""MERGE: in one transaction, rows to change are picked, their old versions deleted, the new ones inserted.

DuckDB's own MERGE takes a single action on an Iceberg table. Here every row of the join gets the first WHEN
clause whose condition holds, as in Trino; a step without rows is left out, so that a merge that changes
nothing makes no snapshot. A target row that several source rows match is an error, as in Trino.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import duckdb
from pyiceberg.table import Table
from sqlglot import exp

from local_aws.athena.dialect import QueryError, quoted, to_duckdb
from local_aws.athena.statements import dml, inner_maps, overwrite
from local_aws.athena.statements.dml import (
    ROWS,
    check_columns,
    check_values,
    column_types,
    insert,
    relation,
    target,
    transaction,
)
from local_aws.athena.statements.queries import Outcome, translate
from local_aws.athena.tables import Context, TableName, bytes_read

Node = exp.Expr
FILE, ROW = "merge_file", "merge_row"


@dataclass(frozen=True)
class Clause:
    """One WHEN clause.

    Attributes:
        matched: Whether it is for rows that the target has.
        condition: Its AND, or None.
        action: DELETE, UPDATE or INSERT.
        values: The new values by column, for UPDATE and INSERT.
    """

    matched: bool
    condition: Node | None
    action: str
    values: dict[str, Node]


def run_merge(context: Context, tree: exp.Merge) -> Outcome:
    """`MERGE INTO t USING s ON … WHEN …`."""
    table, name = target(context, tree)
    columns = [f.name for f in context.catalogs.load(name.catalog, name.database, name.table).schema().fields]
    clauses = [read_clause(when, columns) for when in tree.args["whens"].expressions]
    for clause in clauses:
        check_columns(context, name, list(clause.values), tree)
    with transaction(context, name):
        # Before DuckDB reads it, so that nothing can be lost that is committed in between.
        read = context.catalogs.load(name.catalog, name.database, name.table)
        select = picked_rows(table, tree, clauses, columns)
        query = to_duckdb(translate(context, select), copy=False)
        kinds = dict(zip(columns, context.describe(query)[-len(columns) :], strict=True))
        written = [
            c
            for c in columns
            if any(not isinstance(v, exp.Null) for k in clauses if (v := k.values.get(c.lower())))
        ]
        check_values(context, name, written, [kinds[c] for c in written], tree)
        context.cursor.execute(f"CREATE OR REPLACE TEMP TABLE picked AS {query}")
        scanned = bytes_read(context.cursor)
        try:
            updated = apply(context, name, read, clauses, columns)
        finally:
            # After an error the transaction is over, and this would hide which error it was.
            with suppress(duckdb.Error):
                context.cursor.execute("DROP TABLE IF EXISTS picked")
        return Outcome(ROWS, 0, updated, scanned)


def run_update(context: Context, tree: exp.Update) -> Outcome:
    """`UPDATE t SET column = value, … [WHERE condition]`; a MERGE where DuckDB cannot write the rows."""
    name = target(context, tree)[1]
    if inner_maps.are_in(context.catalogs.load(name.catalog, name.database, name.table).schema()):
        return run_merge(context, inner_maps.as_merge(tree))
    return dml.run_update(context, tree)


def read_clause(when: exp.When, columns: Sequence[str]) -> Clause:
    """A WHEN clause of the tree."""
    then = when.args["then"]
    values: dict[str, Node] = {}
    if isinstance(then, exp.Update):
        values = {a.this.name.lower(): a.expression for a in then.expressions}
        return Clause(True, when.args.get("condition"), "UPDATE", values)
    if isinstance(then, exp.Insert):
        listed = [c.name.lower() for c in then.this.expressions] if then.this else list(columns)
        given = then.expression.expressions
        if len(listed) != len(given):
            raise QueryError(
                "MISMATCHED_COLUMN_ALIASES",
                f"MERGE insert has {len(listed)} columns but {len(given)} values",
                when,
            )
        return Clause(False, when.args.get("condition"), "INSERT", dict(zip(listed, given, strict=True)))
    return Clause(True, when.args.get("condition"), "DELETE", {})


def picked_rows(
    table: exp.Table, tree: exp.Merge, clauses: Sequence[Clause], columns: Sequence[str]
) -> exp.Select:
    """A SELECT of every row that a clause applies to: which clause, where the old row is, the new values."""
    old = table.alias_or_name
    target_rows = exp.Subquery(
        this=exp.Select(
            expressions=[
                exp.Star(),
                exp.alias_(exp.column("filename"), FILE),
                exp.alias_(exp.column("file_row_number"), ROW),
            ],
            from_=exp.From(this=unaliased(table)),
        ),
        alias=exp.TableAlias(this=exp.to_identifier(old)),
    )
    cases = exp.Case()
    for number, clause in enumerate(clauses):
        cases.when(applies(clause, old), exp.Literal.number(number), copy=False)
    picked = exp.alias_(cases, "merge_clause", copy=False)
    expressions = [picked, exp.column(FILE, table=old), exp.column(ROW, table=old)]
    for column in columns:
        expressions.append(exp.alias_(new_value(column, clauses, old), quoted_name(column), copy=False))
    source = tree.args["using"].copy()
    join = exp.Join(this=target_rows, on=tree.args["on"].copy(), side="LEFT")
    inner = exp.Select(expressions=expressions, from_=exp.From(this=source), joins=[join])
    outer = exp.Select(
        expressions=[exp.Star()],
        from_=exp.From(
            this=exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier("merge_rows")))
        ),
    )
    applied = exp.Not(this=exp.Is(this=exp.column("merge_clause"), expression=exp.Null()))
    return outer.where(applied, copy=False)


def applies(clause: Clause, old: str) -> Node:
    """Whether a clause is for a row of the join."""
    found: Node = exp.Not(this=exp.Is(this=exp.column(ROW, table=old), expression=exp.Null()))
    test = found if clause.matched else exp.Not(this=exp.Paren(this=found))
    return test if clause.condition is None else exp.and_(test, clause.condition.copy(), copy=False)


def unaliased(table: exp.Table) -> exp.Table:
    """A table without its alias."""
    plain = table.copy()
    plain.set("alias", None)
    return plain


def quoted_name(column: str) -> exp.Identifier:
    """The name of a new value."""
    return exp.to_identifier(f"new_{column}", quoted=True)


def new_value(column: str, clauses: Sequence[Clause], old: str) -> Node:
    """A column's new value, by the clause that applies; the conditions repeat in their order."""
    cases = exp.Case()
    for clause in clauses:
        kept = exp.column(column, table=old, quoted=True)
        value = clause.values.get(column.lower(), kept if clause.matched else exp.Null())
        written = exp.Null() if clause.action == "DELETE" else value.copy()
        cases.when(applies(clause, old), written, copy=False)
    return cases


def apply(
    context: Context, name: TableName, read: Table, clauses: Sequence[Clause], columns: Sequence[str]
) -> int:
    """Deletes the old versions of the picked rows and inserts the new ones; how many rows were picked."""
    cursor = context.cursor
    written = [str(i) for i, clause in enumerate(clauses) if clause.action != "DELETE"]
    condition = f"merge_clause IN ({', '.join(written)})" if written else "false"
    counts = cursor.execute(
        f"SELECT count(*), count(merge_row), count(*) FILTER (WHERE {condition}) FROM picked"  # noqa: S608
    ).fetchone()
    total, matched, new = counts or (0, 0, 0)
    check_matches(cursor, matched)
    values = ", ".join(quoted(f"new_{c}") for c in columns)
    added = f"SELECT {values} FROM picked WHERE {condition}"  # noqa: S608
    gone = "(SELECT (merge_file, merge_row) FROM picked WHERE merge_row IS NOT NULL)"
    place = "(filename, file_row_number)"
    if matched and inner_maps.are_in(read.schema()):
        listed = ", ".join(quoted(c) for c in columns)
        kept = f"SELECT {listed} FROM {relation(name)} WHERE {place} NOT IN {gone}"  # noqa: S608
        inner_maps.write(context, read, columns, added, kept)
    elif matched and new and overwrite.is_possible(read) and are_all(cursor, name, read, matched):
        overwrite.write(context, read, column_types(context, name, columns), added)
    else:
        if matched:
            cursor.execute(f"DELETE FROM {relation(name)} WHERE {place} IN {gone}")  # noqa: S608
        if new:
            insert(context, name, columns, added)
    return int(total)


def check_matches(cursor: duckdb.DuckDBPyConnection, matched: int) -> None:
    """Refuses a MERGE in which several rows of the source match one of the target."""
    found = "FROM picked WHERE merge_row IS NOT NULL"
    # Numbers are counted several times as fast. If no two are equal, no two rows are.
    for row in ("hash(merge_file, merge_row)", "(merge_file, merge_row)"):
        if cursor.execute(f"SELECT count(DISTINCT {row}) {found}").fetchone() == (matched,):
            return
    raise QueryError(
        "MERGE_TARGET_ROW_MULTIPLE_MATCHES", "One MERGE target table row matched more than one source row"
    )


def are_all(cursor: duckdb.DuckDBPyConnection, name: TableName, read: Table, matched: int) -> bool:
    """Whether so many rows are all that a table has; they are counted only if its snapshot allows for it."""
    snapshot = read.current_snapshot()
    summary = snapshot.summary if snapshot else None
    said = {} if summary is None else summary.additional_properties
    least = int(said.get("total-records", 0)) - int(said.get("total-position-deletes", 0))
    if matched < least:
        return False
    return cursor.execute(f"SELECT count(*) FROM {relation(name)}").fetchone() == (matched,)  # noqa: S608
