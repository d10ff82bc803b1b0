"""How a query reads its tables: from the files that hold their objects, by DuckDB's own scan of Iceberg.

By its name in the attached catalog, a table's metadata would come over HTTP and each part of a file through
Python. Both ways read the same snapshot, with its deletes and with the same files left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import HIDDEN_COLUMN, SHOWS_PATH, QueryError, call, to_duckdb
from local_aws.athena.tables.engine import CATALOG_PREFIX
from local_aws.athena.tables.names import is_view
from local_aws.athena.tables.object_files import ADDRESS, put_scan
from local_aws.athena.tables.stand_ins import Tables

Node = exp.Expr
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Texts:
    """A query in DuckDB's SQL.

    Attributes:
        by_name: With the names of its tables.
        on_files: With scans of their files, or None where only names will do.
    """

    by_name: str
    on_files: str | None

    def within(self, around: Callable[[str], str]) -> Texts:
        """The texts with something around them."""
        return Texts(around(self.by_name), None if self.on_files is None else around(self.on_files))

    def run(self, cursor: duckdb.DuckDBPyConnection, execute: Callable[[str], Answer]) -> Answer:
        """Runs the query on files, and by name where one of them is not in its table's folder."""
        if self.on_files is None:
            return execute(self.by_name)
        try:
            return execute(self.on_files)
        except duckdb.IOException:
            cursor.execute("ROLLBACK; BEGIN")
            return execute(self.by_name)


def texts_of(tables: Tables, query: Node) -> Texts:
    """Both texts of a query.

    Args:
        tables: Says where each table's metadata is.
        query: The query, translated; it is changed.
    """
    by_name = to_duckdb(query)
    return Texts(by_name, to_duckdb(query, copy=False) if put_scans(tables, query) else None)


def put_scans(tables: Tables, query: Node) -> bool:
    """Puts a scan in the place of each table's name; False where there is no such table.

    Rows in memory do not outlast a second try, so that names do for a query that has any.
    """
    paths = [column for column in query.find_all(exp.Column) if column.meta.get(SHOWS_PATH)]
    for column in paths:
        put_address(column)
    for node in query.find_all(exp.Table):
        if is_view(node):
            return False
        if node.catalog.startswith(CATALOG_PREFIX):
            location = tables.location(node.catalog, node.db, node.name)
            if not location:
                return False
            if paths and tables.has_column(node, HIDDEN_COLUMN):
                message = f'"$path" is not supported locally for a table with a column {HIDDEN_COLUMN}'
                raise QueryError("NOT_SUPPORTED", message, node)
            put_scan(node, location)
    return True


def put_address(column: exp.Column) -> None:
    """Makes the file of a row the address of the object that it holds, under the same name."""
    address = call(ADDRESS, column.copy())
    is_named = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
    column.replace(exp.alias_(address, HIDDEN_COLUMN, quoted=True) if is_named else address)
