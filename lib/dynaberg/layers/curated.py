"""Curated tables: aggregates for analysts, each filled by one SELECT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import QueryError
from dynaberg.sql import QueryResult, commit, query

if TYPE_CHECKING:
    import boto3
    from pyiceberg.catalog import Catalog

    from dynaberg.settings import Settings


@dataclass(frozen=True)
class Curated:
    """One curated table: its name and the SELECT that fills it."""

    name: str
    select: str


def create_curated(session: boto3.Session, settings: Settings, curated: Curated) -> QueryResult:
    """Create a curated table with the rows of its SELECT, in one commit.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        curated: Its name and its SELECT.

    Raises:
        QueryError: Athena refused the statement, or the table exists.
    """
    return commit(session, settings, _create_statement(curated))


def replace_curated(session: boto3.Session, settings: Settings, curated: Curated) -> QueryResult:
    """Replace the whole content of a curated table by one MERGE, so in one commit.

    Readers see the old rows or the new ones, but always one of them. (S3 Tables has no rename to swap in a
    new table, and DELETE with INSERT would be two commits.)

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        curated: Its name and its SELECT.

    Raises:
        QueryError: Athena refused the statement, or its columns no longer match those of the table.
    """
    iceberg = catalog.open_catalog(session, settings)
    return commit(session, settings, _replace_statement(session, settings, iceberg, curated))


def _create_statement(curated: Curated) -> str:
    return f"CREATE TABLE \"{curated.name}\" WITH (format = 'PARQUET') AS\n{curated.select}"


def _replace_statement(session: boto3.Session, settings: Settings, iceberg: Catalog, curated: Curated) -> str:
    """The MERGE that replaces all rows, after a check that the columns are still those of the table."""
    names = [field.name for field in catalog.load_table(iceberg, settings, curated.name).schema().fields]
    probe = query(session, settings, f"SELECT * FROM (\n{curated.select}\n) LIMIT 0")  # noqa: S608
    wanted = [column.name for column in probe.columns]
    if sorted(wanted) != sorted(names):
        msg = f"{curated.name}.sql gives the columns {', '.join(wanted)}; the table has {', '.join(names)}."
        hint = (
            f'Drop it, wb.catalog.purge_table(("{settings.namespace}", "{curated.name}")), and build again.'
        )
        raise QueryError(msg, hint=hint)
    return replace_statement(curated, names)


def replace_statement(curated: Curated, columns: Sequence[str]) -> str:
    """The MERGE that replaces all rows of a curated table in one commit.

    One row of its source has `old` = 1. It matches every row of the table, which is deleted. All other rows
    of the source match none, and are inserted. An array of one element has the cardinality 1, also if the
    element is NULL. No engine computes this in advance, so it remains an equality of both sides, by which
    Athena joins with a hash table. Under `ON s.old = 1`, it would compare every new row with every old one.

    Args:
        curated: The table and its SELECT.
        columns: The columns of the existing table.
    """
    return _REPLACE.format(
        table=curated.name,
        select=curated.select,
        columns=", ".join(f'"{name}"' for name in columns),
        nulls=", ".join("NULL" for _ in columns),
        one=f'cardinality(ARRAY[t."{columns[0]}"])',
        values=", ".join(f's."{name}"' for name in columns),
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
