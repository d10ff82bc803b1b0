"""INSERT, UPDATE and DELETE on Iceberg tables: one commit each, and none where no row changes."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import QueryError, coerces, column_info, quoted, text_name, to_duckdb
from local_aws.athena.statements import inner_maps
from local_aws.athena.statements.queries import Outcome, translate
from local_aws.athena.tables import Context, TableName, bytes_read, names
from local_aws.athena.typed import only_nulls

Node = exp.Expr

ROWS = [column_info("rows", "BIGINT")]
LOCKS: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


@contextmanager
def transaction(context: Context, table: TableName) -> Iterator[None]:
    """One writer for each table at a time; others' commits in between make ICEBERG_COMMIT_ERROR."""
    with LOCKS[str(table)], context.writing(table):
        context.cursor.execute("COMMIT; BEGIN")
        try:
            yield
        except BaseException:
            context.cursor.execute("ROLLBACK; BEGIN")
            raise
        try:
            context.cursor.execute("COMMIT")
        except duckdb.Error as error:
            raise QueryError(
                "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {table}"
            ) from error
        finally:
            context.cursor.execute("BEGIN")


def target(context: Context, tree: Node) -> tuple[exp.Table, TableName]:
    """The table that a statement writes, and its full name."""
    found = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if "$" in found.name:
        raise QueryError("NOT_SUPPORTED", "Metadata tables cannot be written", found)
    name = names.resolve(context, found)
    context.catalogs.load(name.catalog, name.database, name.table, found)
    return found, name


def run_insert(context: Context, tree: exp.Insert) -> Outcome:
    """`INSERT INTO t [(columns)] query`."""
    _, name = target(context, tree)
    columns = [c.name for c in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
    check_columns(context, name, columns, tree)
    with transaction(context, name):
        query = to_duckdb(translate(context, tree.expression.copy()), copy=False)
        check_insert(context, name, columns, query, tree)
        return insert(context, name, columns, query)


def insert(context: Context, name: TableName, columns: Sequence[str], query: str) -> Outcome:
    """Inserts the rows of a translated query, into all columns where none is named."""
    table = context.catalogs.load(name.catalog, name.database, name.table)
    if inner_maps.are_in(table.schema()):
        count = inner_maps.write(context, table, columns, query)
        return Outcome(ROWS, 0, count, bytes_read(context.cursor))
    listed = f" ({', '.join(quoted(c) for c in columns)})" if columns else ""
    context.cursor.execute(f"INSERT INTO {relation(name)}{listed} {query}")
    return changed(context)


def run_delete(context: Context, tree: exp.Delete) -> Outcome:
    """`DELETE FROM t [WHERE condition]`."""
    table, name = target(context, tree)
    with transaction(context, name):
        where = translated_parts(context, table, [], tree.args.get("where"))[1]
        context.cursor.execute(f"DELETE FROM {relation(name)} AS {alias_of(table)}{where}")  # noqa: S608
        return changed(context)


def run_update(context: Context, tree: exp.Update) -> Outcome:
    """`UPDATE t SET column = value, … [WHERE condition]`."""
    table, name = target(context, tree)
    columns = [assignment.this.name for assignment in tree.expressions]
    check_columns(context, name, columns, tree)
    with transaction(context, name):
        given = [assignment.expression for assignment in tree.expressions]
        values, where = translated_parts(context, table, given, tree.args.get("where"))
        source = f"{relation(name)} AS {alias_of(table)}"
        kinds = context.describe(f"SELECT {', '.join(values)} FROM {source}")  # noqa: S608
        kinds = ["NULL" if isinstance(g, exp.Null) else k for g, k in zip(given, kinds, strict=True)]
        check_values(context, name, columns, kinds, tree)
        assignments = ", ".join(f"{quoted(c)} = {v}" for c, v in zip(columns, values, strict=True))
        context.cursor.execute(f"UPDATE {source} SET {assignments}{where}")  # noqa: S608
        return changed(context)


def changed(context: Context) -> Outcome:
    """How many rows the last statement changed."""
    row = context.cursor.fetchone()
    return Outcome(ROWS, 0, int(row[0]) if row else 0, bytes_read(context.cursor))


def translated_parts(
    context: Context, table: exp.Table, values: Sequence[Node], where: Node | None
) -> tuple[list[str], str]:
    """Values and condition of a statement, translated in the scope of its table."""
    select = exp.Select(
        expressions=[exp.alias_(v.copy(), f"v{i}") for i, v in enumerate(values)] or [exp.Literal.number(1)]
    )
    select.set("from_", exp.From(this=table.copy()))
    select.set("where", where.copy() if where else None)
    done = translate(context, select)
    condition = done.args.get("where")
    texts = [to_duckdb(e.unalias()) for e in done.expressions] if values else []
    return texts, f" WHERE {to_duckdb(condition.this)}" if condition else ""


def check_columns(context: Context, name: TableName, columns: Sequence[str], tree: Node) -> None:
    """Names of columns that a statement writes."""
    known = {
        f.name.lower() for f in context.catalogs.load(name.catalog, name.database, name.table).schema().fields
    }
    for column in columns:
        if column.lower() not in known:
            raise QueryError(
                "COLUMN_NOT_FOUND",
                f"Insert column name does not exist in target table: {column}"
                if isinstance(tree, exp.Insert)
                else f"The UPDATE SET target column {column} doesn't exist",
                tree,
            )


def check_insert(
    context: Context, name: TableName, columns: Sequence[str], query: str, tree: exp.Insert
) -> None:
    """Athena inserts only what fits a column's type without a cast."""
    wanted, given = column_types(context, name, columns), context.describe(query)
    for position in only_nulls(tree.expression):
        given[position] = "NULL"
    if len(wanted) != len(given) or not all(map(coerces, given, wanted)):
        found = f"Table: [{type_list(wanted)}], Query: [{type_list(given)}]"
        raise QueryError("TYPE_MISMATCH", f"Insert query has mismatched column types: {found}", tree.this)


def check_values(
    context: Context, name: TableName, columns: Sequence[str], given: Sequence[str], tree: Node
) -> None:
    """UPDATE and MERGE, too, set only what fits."""
    wanted = column_types(context, name, columns)
    if not all(map(coerces, given, wanted)):
        kind = "MERGE" if isinstance(tree, exp.Merge) else "UPDATE"
        found = f"Table: [{type_list(wanted)}], Expressions: [{type_list(given)}]"
        raise QueryError(
            "TYPE_MISMATCH", f"{kind} table column types don't match SET expressions: {found}", tree
        )


def column_types(context: Context, name: TableName, columns: Sequence[str]) -> list[str]:
    """The types of a table's columns, all of them where none is named."""
    listed = ", ".join(quoted(c) for c in columns) or "*"
    return context.describe(f"SELECT {listed} FROM {relation(name)}")  # noqa: S608


def type_list(kinds: Sequence[str]) -> str:
    """Types as Trino's message lists them."""
    return ", ".join(text_name(kind) for kind in kinds)


def relation(name: TableName) -> str:
    """A full name in DuckDB's SQL."""
    return f"{quoted(name.catalog)}.{quoted(name.database)}.{quoted(name.table)}"


def alias_of(table: exp.Table) -> str:
    """The alias of a table in a statement, its own name where it has none."""
    return quoted(table.alias_or_name.lower())
