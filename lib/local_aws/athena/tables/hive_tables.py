"""Tables of the account's own Glue catalog over Parquet files in S3, partitioned by projection.

DuckDB reads the files, finds columns by their names, and leaves out the folders that a query does not want.
Source: Amazon Athena User Guide, "Set up partition projection".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import QueryError, literal, quoted
from local_aws.athena.tables.catalog import Catalogs


def own_database(node: exp.Table, catalog: str, database: str) -> str:
    """The database of a table that is in the account's own catalog; empty for any other."""
    is_own = (node.catalog or catalog).lower() in ("", "awsdatacatalog")
    return (node.db or database).lower() if is_own else ""


def rows_of(cursor: duckdb.DuckDBPyConnection, catalogs: Catalogs, database: str, node: exp.Table) -> str:
    """DuckDB's query for all rows of a table.

    Args:
        cursor: The query's own.
        catalogs: Where Glue is asked.
        database: The table's database.
        node: The table as it is written.

    Raises:
        QueryError: There is no such table, or it is of another kind.
    """
    name = f"awsdatacatalog.{database}.{node.name.lower()}"
    found = catalogs.glue_table(database, node.name.lower())
    if found is None:
        raise QueryError("TABLE_NOT_FOUND", f"Table '{name}' does not exist", node)
    given = found.get("Parameters", {})
    template = given.get("storage.location.template")
    if given.get("projection.enabled") != "true" or not template:
        raise QueryError("NOT_SUPPORTED", f"Locally, {name} needs partition projection and Parquet", node)
    return select(cursor, found, template)


def select(cursor: duckdb.DuckDBPyConnection, table: dict[str, Any], template: str) -> str:
    """The rows of a table's files in the folders that its template describes, with its columns and types.

    Files of one schema are read together. DuckDB could unite the schemas itself, but it then opens all files
    at once, and can wait for ever for threads that wait for Python.
    """
    pattern = re.sub(r"\\\$\\\{\w+\\\}", "[^/]+", re.escape(template)) + ".*"
    folder = template.partition("$")[0].rpartition("/")[0]
    glob = f"SELECT file FROM glob({literal(folder + '/**')}) ORDER BY file"  # noqa: S608
    files: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for (file,) in cursor.execute(glob).fetchall():
        if re.fullmatch(pattern, file):
            described = cursor.execute(f"DESCRIBE FROM {source([file])}").fetchall()
            files.setdefault(tuple((name, kind) for name, kind, *_ in described), []).append(file)
    columns = [*table["StorageDescriptor"]["Columns"], *table["PartitionKeys"]]
    parts = [
        f"SELECT {shown(columns, dict(schema))} FROM {source(named)}"  # noqa: S608
        for schema, named in files.items()
    ]
    return " UNION ALL ".join(parts) or f"SELECT {shown(columns, ())} WHERE false"


def source(files: Sequence[str]) -> str:
    """DuckDB's call that reads files of one schema, and the folders that they lie in."""
    options = "hive_partitioning = true, hive_types_autocast = false"
    return f"read_parquet([{', '.join(map(literal, files))}], {options})"


def shown(columns: Sequence[dict[str, Any]], there: Collection[str]) -> str:
    """A table's columns for files that have some of them."""
    return ", ".join(f"{value(each, there)} AS {quoted(each['Name'])}" for each in columns)


def value(column: dict[str, Any], there: Collection[str]) -> str:
    """A column as Athena reads it: NULL where no file has it, and moments to the millisecond."""
    kind = exp.DataType.build(column["Type"], dialect="hive").sql("duckdb")
    name = quoted(column["Name"]) if column["Name"] in there else "NULL"
    if kind == "TIMESTAMP" and name != "NULL":
        name = f"date_trunc('milliseconds', {name})"
    return f"CAST({name} AS {kind})"
