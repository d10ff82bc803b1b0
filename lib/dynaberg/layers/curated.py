"""Curated tables: aggregates for analysts, each filled by one SQL file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import NotFoundError, QueryError
from dynaberg.sql import commit, query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog

    from dynaberg.settings import Settings


@dataclass(frozen=True)
class Curated:
    """One curated table: its name and the SELECT that fills it."""

    name: str
    select: str


def load_curated(settings: Settings, name: str) -> Curated:
    """Read `data/sql/curated/<name>.sql`: a SELECT, with comments above it.

    Raises:
        NotFoundError: No such file; the message names those that exist.
    """
    folder = Path(settings.root, "data", "sql", "curated")
    path = folder / f"{name}.sql"
    if not path.is_file():
        existing = [file.stem for file in folder.glob("*.sql")]
        raise NotFoundError.among("curated table", name, existing, hint=f"Write its SELECT into {path}.")
    lines = path.read_text(encoding="utf-8").splitlines()
    select = "\n".join(line for line in lines if not line.startswith("--"))
    return Curated(name, select.strip().rstrip(";"))


def build(session: boto3.Session, settings: Settings, name: str) -> pd.DataFrame:
    """Build a curated table from its SQL file.

    A table that does not exist yet is created by CREATE TABLE AS SELECT. The content of an existing one is
    replaced by one MERGE, so in one commit: readers see the old rows or the new ones, but always one of them.
    (S3 Tables has no rename to swap in a new table, and DELETE with INSERT would be two commits.)

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace, and the project's folder.
        name: Name of the table and of its file under `data/sql/curated/`.

    Returns:
        One row: table, action (`created` or `replaced`), rows, snapshot_id, bytes_scanned, seconds.

    Raises:
        NotFoundError: There is no such SQL file.
        QueryError: Athena refused the statement, or its columns no longer match those of the table.
    """
    import pandas as pd

    started = time.monotonic()
    curated = load_curated(settings, name)
    iceberg = catalog.open_catalog(session, settings)
    exists = name in catalog.table_names(iceberg, settings)
    statement = (
        _replace_statement(session, settings, iceberg, curated) if exists else _create_statement(curated)
    )
    result = commit(session, settings, statement)
    snapshot = catalog.load_table(iceberg, settings, name).current_snapshot()
    summary = snapshot.summary if snapshot else None
    row = {
        "table": name,
        "action": "replaced" if exists else "created",
        "rows": int(summary["added-records"] or 0) if summary else 0,
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "bytes_scanned": result.bytes_scanned,
        "seconds": round(time.monotonic() - started, 3),
    }
    return pd.DataFrame([row]).astype({"snapshot_id": "Int64"})


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
