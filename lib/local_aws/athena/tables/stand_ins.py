"""What stands in for an Iceberg table where only types are asked for.

DuckDB reads a table's manifests whenever it binds its name, and a statement is bound several times while it
is translated. Columns change only with the table's metadata, so they are asked for once for each; and what a
query without tables answers with never changes, so it is asked for once too.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import HIDDEN_COLUMN, QueryError, quoted, to_duckdb
from local_aws.athena.tables.catalog import Catalogs
from local_aws.athena.tables.engine import CATALOG_PREFIX
from local_aws.athena.tables.object_files import put_scan

NAME = r'"((?:[^"]|"")+)"'
TABLE = re.compile(rf'"({CATALOG_PREFIX}[^"]+)"\.{NAME}\.{NAME}(?: AT \(VERSION => \d+\))?(?!\.)')
VERSION = re.compile(r" AT \(VERSION => (\d+)\)\Z")
KEPT = 512

Columns = list[tuple[str, str]]
TableKey = tuple[str, str, str]


class StandIns:
    """Queries without rows that have the columns of Iceberg tables.

    Args:
        catalogs: Where tables are looked up.
    """

    def __init__(self, catalogs: Catalogs) -> None:
        self.catalogs = catalogs
        self.columns: dict[tuple[str, str], Columns] = {}
        self.answers: dict[str, Columns] = {}


class Tables:
    """The tables of one statement, each as it was when it was first asked for.

    Args:
        stand_ins: What is known from other statements.
        cursor: The statement's own.

    Attributes:
        locations: Where the metadata is of each table that was asked for: catalog, database, table.
    """

    def __init__(self, stand_ins: StandIns, cursor: duckdb.DuckDBPyConnection) -> None:
        self._stand_ins, self._cursor = stand_ins, cursor
        self.locations: dict[TableKey, str] = {}

    def location(self, catalog: str, database: str, table: str) -> str:
        """Where a table's metadata is; empty where there is no table."""
        name = catalog, database, table
        if name not in self.locations:
            self.locations[name] = self._stand_ins.catalogs.metadata_location(*name)
        return self.locations[name]

    def described(self, sql: str) -> Columns:
        """The names and types of a query's columns."""
        # The hidden column must not be among those of a star.
        shows_path = f'"{HIDDEN_COLUMN}"' in sql and "*" not in sql
        answers = self._stand_ins.answers
        asked = TABLE.sub(lambda found: empty(self._columns(found), shows_path), sql)
        try:
            if asked not in answers:
                # Outside the statement's transaction, which some errors would end.
                with self._cursor.cursor() as beside:
                    keep(answers, asked, columns_of(beside, asked))
            return answers[asked]
        except (duckdb.BinderException, duckdb.CatalogException):
            return columns_of(self._cursor, sql)

    def has_column(self, table: exp.Table, name: str) -> bool:
        """Whether a table of a translated query has a column of its own by a name."""
        asked = exp.Select(expressions=[exp.Star()], from_=exp.From(this=table.copy()))
        return name in {column.lower() for column, _ in self.described(to_duckdb(asked))}

    def _columns(self, found: re.Match[str]) -> Columns:
        catalog, database, table = (part.replace('""', '"') for part in found.groups())
        key = found[0], self.location(catalog, database, table)
        columns = self._stand_ins.columns
        if key not in columns:
            keep(columns, key, self._read_columns(*key))
        return columns[key]

    def _read_columns(self, name: str, location: str) -> Columns:
        """The columns of a table, outside the statement's transaction; from its files, if they are there."""
        version = VERSION.search(name)
        node = exp.Table(version=exp.Version(expression=exp.Literal.number(version[1])) if version else None)
        with self._cursor.cursor() as beside:
            if location:
                put_scan(node, location)
                with suppress(duckdb.IOException):
                    return columns_of(beside, to_duckdb(exp.select("*").from_(node)))
            try:
                return columns_of(beside, f"SELECT * FROM {name}")  # noqa: S608
            except duckdb.IOException as error:
                # Not a reason to translate a statement as if its types were unknown.
                raise QueryError("GENERIC_INTERNAL_ERROR", str(error).partition("\n")[0]) from error


def keep(known: dict[Any, Any], key: object, answer: object) -> None:
    """Remembers an answer, and forgets all others where they have become too many."""
    if len(known) >= KEPT:
        known.clear()
    known[key] = answer


def columns_of(cursor: duckdb.DuckDBPyConnection, sql: str) -> Columns:
    """The names and types of a query's columns, by DuckDB's names; bound, not run."""
    relation = cursor.sql(sql)
    return list(zip(relation.columns, map(str, relation.types), strict=True))


def empty(columns: Columns, shows_path: bool) -> str:
    """A query without rows that has these columns."""
    hidden = [(HIDDEN_COLUMN, "VARCHAR")] if shows_path else []
    values = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in [*columns, *hidden])
    return f"(SELECT {values} WHERE false)"
