"""What stands in for an Iceberg table where only types are asked for.

DuckDB reads a table's manifests whenever it binds its name, and a statement is bound several times while it
is translated. Columns change only with the table's metadata, so they are asked for once for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import duckdb

from local_aws.athena.catalog import Catalogs
from local_aws.athena.engine import CATALOG_PREFIX

NAME = r'"((?:[^"]|"")+)"'
TABLE = re.compile(rf'"({CATALOG_PREFIX}[^"]+)"\.{NAME}\.{NAME}(?: AT \(VERSION => \d+\))?(?!\.)')
HIDDEN = '"filename"'
KEPT = 512

Columns = list[tuple[str, str]]


class StandIns:
    """Queries without rows that have the columns of Iceberg tables.

    Args:
        catalogs: Where tables are looked up.
    """

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs
        self._known: dict[tuple[str, str], Columns] = {}

    def within(self, cursor: duckdb.DuckDBPyConnection) -> Callable[[str], Columns]:
        """A question for the columns of queries, for the duration of one statement.

        Args:
            cursor: The statement's own.
        """
        locations: dict[str, str] = {}

        def replace(found: re.Match[str], shows_path: bool) -> str:
            catalog, database, table = (part.replace('""', '"') for part in found.groups())
            name = f"{catalog}.{database}.{table}"
            if name not in locations:
                locations[name] = self._catalogs.metadata_location(catalog, database, table)
            key = found[0], locations[name]
            if key not in self._known:
                if len(self._known) >= KEPT:
                    self._known.clear()
                self._known[key] = columns_of(cursor, f"SELECT * FROM {found[0]}")  # noqa: S608
            return empty(self._known[key], shows_path)

        def describe(sql: str) -> Columns:
            # The hidden column must not be among those of a star.
            shows_path = HIDDEN in sql and "*" not in sql
            try:
                return columns_of(cursor, TABLE.sub(lambda found: replace(found, shows_path), sql))
            except duckdb.Error:
                return columns_of(cursor, sql)

        return describe


def columns_of(cursor: duckdb.DuckDBPyConnection, sql: str) -> Columns:
    """The names and types of a query's columns, by DuckDB's names."""
    return [(row[0], row[1]) for row in cursor.execute(f"DESCRIBE {sql}").fetchall()]


def empty(columns: Columns, shows_path: bool) -> str:
    """A query without rows that has these columns."""
    hidden = [("filename", "VARCHAR")] if shows_path else []
    values = ", ".join(
        f'CAST(NULL AS {kind}) AS "{name.replace(chr(34), chr(34) * 2)}"'
        for name, kind in [*columns, *hidden]
    )
    return f"(SELECT {values} WHERE false)"
