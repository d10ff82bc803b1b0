"""Which table a name means: catalogs, databases, time travel and metadata tables."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from dataclasses import dataclass

import duckdb
import pyarrow as pa
from sqlglot import exp

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables import hive_tables, metadata_tables, time_travel
from local_aws.athena.tables.catalog import Catalogs
from local_aws.athena.tables.engine import Engine
from local_aws.athena.tables.stand_ins import Tables
from local_aws.athena.typed import named_cte

Node = exp.Expr
VIEW = "rows_at_hand_"
VIEWS = itertools.count()


@dataclass
class Context:
    """What unqualified names mean, and where a query runs.

    Attributes:
        engine: The database.
        cursor: The query's own cursor.
        catalogs: The Iceberg catalogs.
        catalog: The catalog of names without one.
        database: The database of names without one.
        tables: What the statement knows of its tables.
        query_id: The execution's id.
    """

    engine: Engine
    cursor: duckdb.DuckDBPyConnection
    catalogs: Catalogs
    catalog: str
    database: str
    tables: Tables
    query_id: str

    def writing(self, table: TableName) -> AbstractContextManager[None]:
        """Notes that this statement writes a table, for as long as it does."""
        return self.catalogs.written_by(table.catalog, table.database, table.table, self.query_id)

    def describe(self, sql: str) -> list[str]:
        """The types of a query's columns, by DuckDB's names."""
        return [kind for _, kind in self.tables.described(sql)]

    def columns(self, sql: str) -> list[str]:
        """The names of a query's columns."""
        return [name for name, _ in self.tables.described(sql)]


@dataclass(frozen=True)
class TableName:
    """A table's full name."""

    catalog: str
    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.catalog}.{self.database}.{self.table}"


def resolve(context: Context, node: exp.Table) -> TableName:
    """The full name of a table as it is written.

    Raises:
        QueryError: Where the context lacks the database or the catalog.
    """
    catalog, database = node.catalog or context.catalog, node.db or context.database
    if not database:
        raise QueryError(
            "MISSING_SCHEMA_NAME", "Schema must be specified when session schema is not set", node
        )
    name = TableName(catalog.lower(), database.lower(), node.name.lower())
    if name.catalog in ("", "awsdatacatalog"):
        raise QueryError(
            "TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{name.database}.{name.table}' does not exist", node
        )
    if not context.engine.is_attached(name.catalog):
        context.catalogs.check(name.catalog)
        context.engine.attach(name.catalog)
    return name


def qualify(context: Context, tree: Node) -> None:
    """Gives every table of a tree its full name, its snapshot or its metadata, in place."""
    shorten_columns(context, tree)
    for node in list(tree.find_all(exp.Table)):
        if named_cte(node) is not None:
            continue
        if isinstance(node.this, exp.Anonymous):
            raise QueryError("NOT_SUPPORTED", f"Table function {node.name} is not supported locally", node)
        if node.db.lower() == "information_schema":
            replace_by_rows(
                context,
                node,
                metadata_tables.information_schema(
                    context.catalogs, node.catalog or context.catalog, node.name.lower(), node
                ),
            )
        elif "$" in node.name:
            base, _, kind = node.name.partition("$")
            plain = node.copy()
            plain.set("this", exp.to_identifier(base))
            name = resolve(context, plain)
            table = context.catalogs.load(name.catalog, name.database, name.table, node)
            replace_by_rows(context, node, metadata_tables.rows_of(table, kind.lower(), node))
        elif database := hive_tables.own_database(node, context.catalog, context.database):
            rows = hive_tables.rows_of(context.cursor, context.catalogs, database, node)
            replace_by_rows(context, node, rows)
        else:
            pin(context, node)


def shorten_columns(context: Context, tree: Node) -> None:
    """`database.table.column` becomes `table.column`: a table without an alias has its name for one."""
    tables = {
        ((node.db or context.database).lower(), node.name.lower())
        for node in tree.find_all(exp.Table)
        if not node.alias
    }
    for column in tree.find_all(exp.Column):
        if column.args.get("db") and (column.db.lower(), column.table.lower()) in tables:
            column.set("db", None)
            column.set("catalog", None)


def pin(context: Context, node: exp.Table) -> None:
    """A data table, as it is or as it was."""
    name = resolve(context, node)
    version = node.args.get("version")
    if version is not None:
        table = context.catalogs.load(name.catalog, name.database, name.table, node)
        snapshot = time_travel.snapshot_of(table, version, context.cursor, node)
        node.set(
            "version", exp.Version(this="VERSION", kind="AS OF", expression=exp.Literal.number(snapshot))
        )
    if not node.alias and not isinstance(node.parent, (exp.Insert, exp.Update, exp.Delete)):
        node.set("alias", exp.TableAlias(this=exp.to_identifier(name.table, quoted=True)))
    for part, value in (("catalog", name.catalog), ("db", name.database), ("this", name.table)):
        meta = node.args[part].meta if node.args.get(part) else {}
        identifier = exp.to_identifier(value, quoted=True)
        identifier.meta.update(meta)
        node.set(part, identifier)
    if version is not None:
        alias = node.args["alias"]
        node.set("alias", None)
        node.replace(
            exp.Subquery(
                this=exp.Select(expressions=[exp.Star()], from_=exp.From(this=node.copy())),
                alias=alias.copy(),
            )
        )


def replace_by_rows(context: Context, node: exp.Table, rows: pa.Table | str) -> None:
    """Puts rows in memory, or a query, in the place of a table, under a name that is never used again."""
    view = f"{VIEW}{next(VIEWS)}"
    if isinstance(rows, str):
        context.cursor.execute(f"CREATE TEMP VIEW {view} AS {rows}")
    else:
        context.cursor.register(view, rows)
    alias = node.args.get("alias") or exp.TableAlias(this=exp.to_identifier(node.name, quoted=True))
    node.replace(exp.Table(this=exp.to_identifier(view), alias=alias))


def is_view(node: exp.Table) -> bool:
    """Whether a table of a translated query is rows in memory."""
    return node.name.startswith(VIEW)
