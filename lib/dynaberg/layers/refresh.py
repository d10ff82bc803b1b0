"""The refresh: one Athena MERGE brings the current table up to the change log."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dynaberg import catalog
from dynaberg.layers import log_progress
from dynaberg.sql import commit

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

MERGED_SNAPSHOT = "dynaberg.merged-snapshot-id"
MERGED_SEQUENCE_NUMBER = "dynaberg.merged-sequence-number"


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
        bytes_scanned = commit(session, settings, merge_statement(contract, unmerged.since)).bytes_scanned
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
