"""The content of a curated table: created, or replaced as a whole, each in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import QueryError
from dynaberg.sql import QueryResult, commit, query

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings


def create_content(session: boto3.Session, settings: Settings, name: str, select: str) -> QueryResult:
    """Create a table with the rows of a SELECT, in one commit.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        name: The table.
        select: The SELECT that fills it.

    Raises:
        QueryError: Athena refused the statement, or the table exists.
    """
    return commit(session, settings, f"CREATE TABLE \"{name}\" WITH (format = 'PARQUET') AS\n{select}")


def replace_content(session: boto3.Session, settings: Settings, name: str, select: str) -> QueryResult:
    """Replace the whole content of a table by one MERGE, so in one commit.

    Readers see the old rows or the new ones, but always one of them. (S3 Tables has no rename to swap in a
    new table, and DELETE with INSERT would be two commits.)

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        name: The table.
        select: The SELECT that fills it.

    Raises:
        QueryError: Athena refused the statement, or its columns no longer match those of the table.
    """
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, name)
    names = [field.name for field in table.schema().fields]
    probe = query(session, settings, f"SELECT * FROM (\n{select}\n) LIMIT 0")  # noqa: S608
    wanted = [column.name for column in probe.columns]
    if sorted(wanted) != sorted(names):
        msg = f"{name}.sql gives the columns {', '.join(wanted)}; the table has {', '.join(names)}."
        hint = f"Drop it, wb.query('DROP TABLE \"{name}\"'), and build again."
        raise QueryError(msg, hint=hint)
    return commit(session, settings, replace_statement(name, select, names))


def replace_statement(name: str, select: str, columns: Sequence[str]) -> str:
    """The MERGE that replaces all rows of a table in one commit.

    One row of its source has `old` = 1. It matches every row of the table, which is deleted. All other rows
    of the source match none, and are inserted. An array of one element has the cardinality 1, also if the
    element is NULL. No engine computes this in advance, so it remains an equality of both sides, by which
    Athena joins with a hash table. Under `ON s.old = 1`, it would compare every new row with every old one.

    Args:
        name: The table.
        select: The SELECT that fills it.
        columns: The columns of the existing table.
    """
    return _REPLACE.format(
        table=name,
        select=select,
        columns=", ".join(f'"{column}"' for column in columns),
        nulls=", ".join("NULL" for _ in columns),
        one=f'cardinality(ARRAY[t."{columns[0]}"])',
        values=", ".join(f's."{column}"' for column in columns),
    )


_REPLACE = """\
MERGE INTO "{table}" AS t
USING (
  SELECT 0 AS old, {columns} FROM (
{select}
  )
  UNION ALL SELECT 1, {nulls}
) AS s
ON s.old = {one}
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND s.old = 0 THEN INSERT ({columns}) VALUES ({values})"""
