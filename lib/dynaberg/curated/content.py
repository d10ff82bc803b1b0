"""The content of a curated table: created, or replaced as a whole, each in one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import QueryError
from dynaberg.functions.statements.builds import CannotBuildError, check_columns, create_sql, replace_sql
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
    return commit(session, settings, create_sql(name, select))


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
    try:
        check_columns(name, [column.name for column in probe.columns], names)
    except CannotBuildError as error:
        hint = f"Drop it, wb.query('DROP TABLE \"{name}\"'), and build again."
        raise QueryError(str(error), hint=hint) from None
    return commit(session, settings, replace_sql(name, select, names))
