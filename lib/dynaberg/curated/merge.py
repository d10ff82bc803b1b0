"""Incremental builds: from which value on rows are computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import BuildError
from dynaberg.functions.builds import Build, CannotBuildError, bound_literal, bound_sql, bound_type
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings


def watermark_bound(session: boto3.Session, settings: Settings, build: Build) -> str | None:
    """From which value on rows are computed again, as a literal of SQL; None if the table has no row.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        build: An incremental build.

    Raises:
        BuildError: The table has no such column, or its type has no order that can be written as text.
    """
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, build.name)
    types = {field.name: str(field.field_type) for field in table.schema().fields}
    try:
        cast = bound_type(build, types)
    except CannotBuildError as error:
        raise BuildError(str(error), hint=f"Correct `-- build:` in {build.name}.sql.") from None
    bound = query(session, settings, bound_sql(build), progress=False).df["bound"].iloc[0]
    return bound_literal(bound, cast) if isinstance(bound, str) else None
