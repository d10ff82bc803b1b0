"""`FOR VERSION AS OF` and `FOR TIMESTAMP AS OF`: which snapshot they mean."""

from __future__ import annotations

import datetime

import duckdb
from pyiceberg.table import Table
from sqlglot import exp

from local_aws.athena.dialect import QueryError, rewrite, to_duckdb


def snapshot_of(
    table: Table, version: exp.Version, cursor: duckdb.DuckDBPyConnection, node: exp.Table
) -> int:
    """The snapshot that a statement asks for."""
    value = constant(version.expression, cursor)
    if version.name.upper() == "TIMESTAMP":
        if not isinstance(value, datetime.date):
            raise QueryError("TYPE_MISMATCH", f"FOR TIMESTAMP AS OF is not a moment: {value}", node)
        moment = aware(value)
        found = table.snapshot_as_of_timestamp(int(moment.timestamp() * 1000))
        if found is None:
            name = ".".join(f'"{part}"' for part in table.name())
            message = f"No version history table {name} at or before {moment.isoformat()}"
            raise QueryError("INVALID_ARGUMENTS", message, node)
        return found.snapshot_id
    return snapshot_named(table, value, node)


def snapshot_named(table: Table, value: object, node: exp.Table) -> int:
    """A snapshot by its id, or by the name of a branch or a tag."""
    if isinstance(value, int) and table.snapshot_by_id(value) is not None:
        return value
    if isinstance(value, str) and (snapshot := table.snapshot_by_name(value)) is not None:
        return snapshot.snapshot_id
    what = "ID" if isinstance(value, int) else "ref"
    raise QueryError("INVALID_ARGUMENTS", f"Iceberg snapshot {what} does not exists: {value}", node)


def aware(value: datetime.date) -> datetime.datetime:
    """A moment with its zone; what has none is in UTC, and a date is its midnight."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time(), datetime.UTC)
    return value if value.tzinfo else value.replace(tzinfo=datetime.UTC)


def constant(expression: exp.Expr, cursor: duckdb.DuckDBPyConnection) -> object:
    """The value of an expression without columns."""
    select = exp.Select(expressions=[expression.copy()])
    row = cursor.execute(to_duckdb(rewrite(select))).fetchone()
    return row[0] if row else None
