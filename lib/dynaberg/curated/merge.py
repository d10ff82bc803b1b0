"""Incremental builds: the rows from a watermark on are computed again, and put in place by one MERGE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.curated.checks import quoted
from dynaberg.curated.files import CuratedFile, Incremental
from dynaberg.errors import BuildError
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    from pyiceberg.catalog import Catalog

    from dynaberg.settings import Settings

_CASTS = {
    "date": "date",
    "int": "integer",
    "long": "bigint",
    "string": "varchar",
    "timestamp": "timestamp(6)",
    "timestamptz": "timestamp(6) with time zone",
}
_MERGE = """\
MERGE INTO "{table}" AS t
USING (
  SELECT {both}, {others}n.present AS present
  FROM (SELECT *, true AS present FROM "{staging}") AS n
  FULL JOIN (SELECT {key} FROM "{table}" WHERE {watermark} >= {bound}) AS o ON {same}
) AS s
ON {matched}
WHEN MATCHED AND s.present IS NULL THEN DELETE
WHEN MATCHED AND s.present THEN UPDATE SET {sets}
WHEN NOT MATCHED AND s.present THEN INSERT ({columns}) VALUES ({values})"""


def watermark_bound(session: boto3.Session, settings: Settings, name: str, how: Incremental) -> str | None:
    """From which value on rows are computed again, as a literal of SQL; None if the table has no row.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        name: The curated table.
        how: Its key, its watermark and how far to look back.

    Raises:
        BuildError: The table has no such column, or its type has no order that can be written as text.
    """
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, name)
    types = {field.name: str(field.field_type) for field in table.schema().fields}
    missing = [column for column in (*how.key, how.watermark) if column not in types]
    if missing:
        msg = f"{name} has no column {', '.join(missing)}. Its columns: {', '.join(types)}."
        raise BuildError(msg, hint=f"Correct `-- build:` in {name}.sql.")
    cast = _CASTS.get(types[how.watermark])
    if cast is None:
        msg = f"{name} has the watermark {how.watermark}, a {types[how.watermark]}."
        raise BuildError(msg, hint=f"Choose a column of one of these types: {', '.join(_CASTS)}.")
    back = f" - {how.lookback}" if how.lookback else ""
    statement = f'SELECT CAST(max({quoted(how.watermark)}){back} AS varchar) AS bound FROM "{name}"'  # noqa: S608
    bound = query(session, settings, statement, progress=False).df["bound"].iloc[0]
    if not isinstance(bound, str):
        return None
    written = bound.replace("'", "''")
    return f"CAST('{written}' AS {cast})"


def region(file: CuratedFile, bound: str) -> str:
    """The SELECT of a file's rows from a bound on.

    Args:
        file: An incremental file.
        bound: From `watermark_bound`.
    """
    watermark = quoted(file.incremental.watermark if file.incremental else "")
    return f"SELECT * FROM (\n{file.select}\n) WHERE {watermark} >= {bound}"  # noqa: S608


def content_after(settings: Settings, file: CuratedFile, staging: str, bound: str) -> str:
    """What the table will hold after the MERGE, as a subquery.

    Args:
        settings: Name of the namespace.
        file: An incremental file.
        staging: The table that has the rows from the bound on.
        bound: From `watermark_bound`.
    """
    how = file.incremental or Incremental((), "")
    same = " AND ".join(f"n.{quoted(column)} = t.{quoted(column)}" for column in how.key)
    kept = (
        f'SELECT t.* FROM "{settings.namespace}"."{file.name}" AS t '  # noqa: S608
        f'LEFT JOIN (SELECT *, true AS present FROM "{staging}") AS n ON {same} '
        f"WHERE n.present IS NULL AND t.{quoted(how.watermark)} < {bound}"
    )
    return f'({kept} UNION ALL SELECT * FROM "{staging}")'  # noqa: S608


def merge_from(iceberg: Catalog, settings: Settings, file: CuratedFile, staging: str, bound: str) -> str:
    """The MERGE after which the table has, from a bound on, exactly the rows of a staging table.

    Args:
        iceberg: The catalog.
        settings: Name of the namespace.
        file: An incremental file.
        staging: The table that has the rows from the bound on.
        bound: From `watermark_bound`.
    """
    how = file.incremental or Incremental((), "")
    names = [field.name for field in catalog.load_table(iceberg, settings, file.name).schema().fields]
    key = [quoted(column) for column in how.key]
    others = [quoted(name) for name in names if name not in how.key]
    columns = [quoted(name) for name in names]
    return _MERGE.format(
        table=file.name,
        staging=staging,
        bound=bound,
        watermark=quoted(how.watermark),
        key=", ".join(key),
        both=", ".join(f"coalesce(n.{column}, o.{column}) AS {column}" for column in key),
        others="".join(f"n.{column}, " for column in others),
        same=" AND ".join(f"n.{column} = o.{column}" for column in key),
        matched=" AND ".join(f"t.{column} = s.{column}" for column in key),
        sets=", ".join(f"{column} = s.{column}" for column in columns),
        columns=", ".join(columns),
        values=", ".join(f"s.{column}" for column in columns),
    )
