"""The layers: the change log and the current table are made here, refreshed and summarized."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynaberg import catalog, log_progress
from dynaberg.errors import ContractError, NotFoundError, QueryError
from dynaberg.query import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from dynaberg.contract import Contract
    from dynaberg.query_result import QueryResult
    from dynaberg.settings import Settings

MERGED_SNAPSHOT = "dynaberg.merged-snapshot-id"
MERGED_SEQUENCE_NUMBER = "dynaberg.merged-sequence-number"
_CONFLICT, _ATTEMPTS = "ICEBERG_COMMIT_ERROR", 5


def create_tables(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Create the change log and the current table, or add the columns that the contract has gained.

    Nothing is ever dropped, and running it again changes nothing.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.

    Returns:
        One row per table: table, status (`created`, `evolved`, `unchanged`), columns_added, location.

    Raises:
        ContractError: A column changed its type in a way that Iceberg does not allow.
        NotFoundError: No such table bucket.
    """
    import pandas as pd
    from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC

    tables = {
        contract.log_name: (contract.log_schema(), contract.log_partition_spec()),
        contract.table: (contract.current_schema(), UNPARTITIONED_PARTITION_SPEC),
    }
    iceberg = catalog.open_catalog(session, settings)
    existing = catalog.table_names(iceberg, settings)
    rows = []
    for name, (schema, spec) in tables.items():
        if name in existing:
            table = catalog.load_table(iceberg, settings, name)
            added = _add_columns(table, schema)
            status = "evolved" if added else "unchanged"
        else:
            table = iceberg.create_table((settings.namespace, name), schema, partition_spec=spec)
            added, status = [], "created"
        rows.append((name, status, added, table.location()))
    return pd.DataFrame(rows, columns=["table", "status", "columns_added", "location"])


def _add_columns(table: Table, wanted: Schema) -> list[str]:
    """Bring a table's columns up to a schema; returns the names of the new ones."""
    from pyiceberg.exceptions import ValidationError

    before = {field.name for field in table.schema().fields}
    try:
        table.update_schema().union_by_name(wanted).commit()
    except (ValidationError, ValueError) as error:
        msg = f"Table {table.name()[-1]!r} cannot take the contract's columns: {error}."
        hint = "Iceberg widens int to long and a decimal's precision only; give the column a new name."
        raise ContractError(msg, hint=hint) from error
    return [field.name for field in wanted.fields if field.name not in before]


def refresh(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Bring the current table up to the change log.

    pyiceberg reads from the log's metadata since when changes arrived that were not merged yet; one Athena
    MERGE takes, for each key touched since then, its latest change in the whole log. Running it twice, or
    crashing before the merged snapshot is stored, changes nothing.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.

    Returns:
        One row: table, action (`none`, `incremental`, `full`), since (UTC), log_snapshot_id, snapshot_id,
        rows_written, rows_deleted, bytes_scanned, seconds. An update writes a row and deletes one.

    Raises:
        NotFoundError: A table does not exist.
        QueryError: Athena refused the MERGE.
    """
    begun = time.monotonic()
    iceberg = catalog.open_catalog(session, settings)
    log = catalog.load_table(iceberg, settings, contract.log_name)
    current = catalog.load_table(iceberg, settings, contract.table)
    # Read before the MERGE: what arrives while it runs is merged again next time, and changes nothing then.
    merged = current.properties.get(MERGED_SNAPSHOT)
    unmerged = log_progress.unmerged_changes(log, merged, current.properties.get(MERGED_SEQUENCE_NUMBER))
    bytes_scanned = 0
    if unmerged.action != "none":
        bytes_scanned = _commit(session, settings, merge_statement(contract, unmerged.since)).bytes_scanned
    elif unmerged.snapshot_id is None or str(unmerged.snapshot_id) == merged:
        return _report(current, current, unmerged, 0, begun)
    after = catalog.load_table(iceberg, settings, contract.table)
    with after.transaction() as transaction:
        transaction.set_properties(
            {
                MERGED_SNAPSHOT: str(unmerged.snapshot_id),
                MERGED_SEQUENCE_NUMBER: str(unmerged.sequence_number),
            }
        )
    return _report(current, after, unmerged, bytes_scanned, begun)


def _commit(session: boto3.Session, settings: Settings, statement: str) -> QueryResult:
    """Run a statement that may be run again, until no compaction commits between its read and its write."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return query(session, settings, statement)
        except QueryError as error:
            if _CONFLICT not in error.message:
                raise
    return query(session, settings, statement)


def merge_statement(contract: Contract, since: datetime | None) -> str:
    """The MERGE that brings the current table up to the log.

    Args:
        contract: The table contract.
        since: The earliest `received_at` of what was not merged yet; None takes the whole log.
    """
    keys = ", ".join(f'"{name}"' for name in contract.key)
    columns = [*(column.name for column in contract.columns), "changed_at", "sequence_number"]
    bound = f"TIMESTAMP '{since:%Y-%m-%d %H:%M:%S.%f} UTC'" if since else ""
    touched = _TOUCHED.format(log=contract.log_name, keys=keys, bound=bound) if since else ""
    return _MERGE.format(
        table=contract.table,
        log=contract.log_name,
        keys=keys,
        touched=touched,
        columns=", ".join(f'"{name}"' for name in columns),
        values=", ".join(f's."{name}"' for name in columns),
        assignments=", ".join(f'"{name}" = s."{name}"' for name in columns),
        same_key=" AND ".join(f't."{name}" = s."{name}"' for name in contract.key),
    )


_TOUCHED = """
    JOIN (SELECT DISTINCT {keys} FROM "{log}" WHERE received_at >= {bound}) AS touched USING ({keys})"""
_MERGE = """\
MERGE INTO "{table}" AS t
USING (
  SELECT operation, {columns} FROM (
    SELECT operation, {columns}, row_number() OVER (
      PARTITION BY {keys} ORDER BY changed_at DESC, sequence_number DESC, change_id DESC
    ) AS newest
    FROM "{log}"{touched}
  ) WHERE newest = 1
) AS s
ON {same_key}
WHEN MATCHED AND s.operation = 'REMOVE' THEN DELETE
WHEN MATCHED AND (t.changed_at <> s.changed_at OR t.sequence_number <> s.sequence_number)
  THEN UPDATE SET {assignments}
WHEN NOT MATCHED AND s.operation <> 'REMOVE' THEN INSERT ({columns}) VALUES ({values})"""


def _report(
    before: Table, after: Table, unmerged: log_progress.Unmerged, bytes_scanned: int, begun: float
) -> pd.DataFrame:
    import pandas as pd

    written, deleted = _rows_since(before, after)
    snapshot = after.current_snapshot()
    row: dict[str, Any] = {
        "table": after.name()[-1],
        "action": unmerged.action,
        "since": pd.Timestamp(unmerged.since) if unmerged.since else pd.NaT,
        "log_snapshot_id": unmerged.snapshot_id,
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "rows_written": written,
        "rows_deleted": deleted,
        "bytes_scanned": bytes_scanned,
        "seconds": round(time.monotonic() - begun, 3),
    }
    frame = pd.DataFrame([row], dtype=object).infer_objects()
    return frame.astype({"log_snapshot_id": "Int64", "snapshot_id": "Int64", "since": "datetime64[us, UTC]"})


def _rows_since(before: Table, after: Table) -> tuple[int, int]:
    """Rows that the snapshots between two states of a table wrote and deleted."""
    known = {snapshot.snapshot_id for snapshot in before.snapshots()}
    written = deleted = 0
    for snapshot in after.snapshots():
        summary = snapshot.summary
        # A compaction writes rows anew and changes none.
        if snapshot.snapshot_id not in known and summary and summary.operation.value != "replace":
            written += int(summary["added-records"] or 0)
            deleted += int(summary["deleted-records"] or 0) + int(summary["added-position-deletes"] or 0)
    return written, deleted


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

    A table that does not exist yet is made by CREATE TABLE AS SELECT. One that exists gets its whole content
    replaced by one MERGE, hence in one commit: readers see the old rows or the new ones, never neither. (S3
    Tables has no rename to swap a new table in, and DELETE with INSERT would be two commits.)

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace, and the project's folder.
        name: Name of the table and of its file under `data/sql/curated/`.

    Returns:
        One row: table, action (`created` or `replaced`), rows, snapshot_id, bytes_scanned, seconds.

    Raises:
        NotFoundError: There is no such SQL file.
        QueryError: Athena refused the statement, or its columns are no longer those of the table.
    """
    import pandas as pd

    begun = time.monotonic()
    curated = load_curated(settings, name)
    iceberg = catalog.open_catalog(session, settings)
    exists = name in catalog.table_names(iceberg, settings)
    statement = (
        _replace_statement(session, settings, iceberg, curated) if exists else _create_statement(curated)
    )
    result = _commit(session, settings, statement)
    snapshot = catalog.load_table(iceberg, settings, name).current_snapshot()
    summary = snapshot.summary if snapshot else None
    row = {
        "table": name,
        "action": "replaced" if exists else "created",
        "rows": int(summary["added-records"] or 0) if summary else 0,
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "bytes_scanned": result.bytes_scanned,
        "seconds": round(time.monotonic() - begun, 3),
    }
    return pd.DataFrame([row]).astype({"snapshot_id": "Int64"})


def _create_statement(curated: Curated) -> str:
    return f"CREATE TABLE \"{curated.name}\" WITH (format = 'PARQUET') AS\n{curated.select}"


def _replace_statement(session: boto3.Session, settings: Settings, iceberg: Catalog, curated: Curated) -> str:
    """The MERGE whose one row marked `old` meets, and deletes, every row of the table; the others come in."""
    names = [field.name for field in catalog.load_table(iceberg, settings, curated.name).schema().fields]
    probe = query(session, settings, f"SELECT * FROM (\n{curated.select}\n) LIMIT 0")  # noqa: S608
    wanted = [column.name for column in probe.columns]
    if sorted(wanted) != sorted(names):
        msg = f"{curated.name}.sql gives the columns {', '.join(wanted)}; the table has {', '.join(names)}."
        hint = (
            f'Drop it, wb.catalog.purge_table(("{settings.namespace}", "{curated.name}")), and build again.'
        )
        raise QueryError(msg, hint=hint)
    return _REPLACE.format(
        table=curated.name,
        select=curated.select,
        columns=", ".join(f'"{name}"' for name in names),
        nulls=", ".join("NULL" for _ in names),
        values=", ".join(f's."{name}"' for name in names),
    )


_REPLACE = """\
MERGE INTO "{table}" AS t
USING (
  SELECT false AS old, {columns} FROM (
{select}
  )
  UNION ALL SELECT true, {nulls}
) AS s
ON s.old
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND NOT s.old THEN INSERT ({columns}) VALUES ({values})"""
