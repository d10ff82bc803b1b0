"""The refresh: an Athena MERGE brings the current table up to date with the change log."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dynaberg import catalog
from dynaberg.functions.statements.merges import (
    MERGED_COLUMNS,
    MERGED_SEQUENCE_NUMBER,
    MERGED_SNAPSHOT,
    Merge,
    merge_sql,
)
from dynaberg.layers import log_progress
from dynaberg.layers.column_changes import UNPACKED_COLUMNS, check_renamed
from dynaberg.layers.gained import filled, gained_columns
from dynaberg.layers.gained_packed import PackedRows, fill_packed
from dynaberg.layers.reach import plan_merges
from dynaberg.sql import commit

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.functions.statements.reach import Reach
    from dynaberg.settings import Settings

UNPACKED_SNAPSHOT = "dynaberg.unpacked-snapshot-id"
"""The merged snapshot up to which the columns of `UNPACKED_COLUMNS` are filled."""


def refresh(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Bring the current table up to date with the change log.

    pyiceberg reads from the change log's metadata when the first change was made and received that was not
    merged yet. One Athena MERGE applies, for each key touched since then, its latest change. What it reads of
    the change log begins there, too, so its cost follows the changes and how late they came, not the length
    of the log. More than 5 GB are merged in steps of whole days; a full refresh of an existing table may then
    show earlier states of items until it ends. Running it twice, or a crash before the merged snapshot is
    stored, does no harm.

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
    started = time.monotonic()
    iceberg = catalog.open_catalog(session, settings)
    log = catalog.load_table(iceberg, settings, contract.log_name)
    current = catalog.load_table(iceberg, settings, contract.table)
    check_renamed(log, [column.name for column in contract.columns])
    # Read before the MERGE: what arrives while it runs is merged again next time, which changes nothing.
    merged = current.properties.get(MERGED_SNAPSHOT)
    unmerged = log_progress.unmerged_changes(log, merged, current.properties.get(MERGED_SEQUENCE_NUMBER))
    fresh = _never_merged(current, log, contract) if merged else []
    if fresh and unmerged.snapshot_id is not None:
        unmerged = replace(unmerged, action="full", since=None, changed_since=None)
    gained, version = gained_columns(log, contract), str(unmerged.snapshot_id)
    is_unpacked = set(gained) <= _unpacked_columns(current)
    bytes_scanned = 0
    if unmerged.action != "none":
        for reach in plan_merges(log, unmerged):
            statement = merge_statement(contract, reach, gained=gained, fresh=fresh)
            bytes_scanned += commit(session, settings, statement).bytes_scanned
    elif unmerged.snapshot_id is None or (version == merged and is_unpacked):
        return _report(current, current, unmerged, 0, started)
    if unmerged.action != "none" or not is_unpacked:
        packed = PackedRows(contract, gained, unmerged.changed_since if is_unpacked else None)
        bytes_scanned += fill_packed(session, settings, packed)
    after = catalog.load_table(iceberg, settings, contract.table)
    catalog.set_properties(
        after,
        {
            MERGED_SNAPSHOT: version,
            MERGED_SEQUENCE_NUMBER: str(unmerged.sequence_number),
            MERGED_COLUMNS: json.dumps(_columns(contract)),
            UNPACKED_COLUMNS: json.dumps(gained),
            UNPACKED_SNAPSHOT: version,
        },
    )
    return _report(current, after, unmerged, bytes_scanned, started)


def _unpacked_columns(current: Table) -> set[str]:
    """Columns that were filled for all rows whose `unmapped` is packed; the schedule's MERGE fills none."""
    if current.properties.get(UNPACKED_SNAPSHOT) != current.properties.get(MERGED_SNAPSHOT):
        return set()
    return set(json.loads(current.properties.get(UNPACKED_COLUMNS, "[]")))


def _columns(contract: Contract) -> list[str]:
    """The columns that the current table takes from the change log, without those that order changes."""
    return [*(column.name for column in contract.columns), "unmapped"]


def _never_merged(current: Table, log: Table, contract: Contract) -> list[str]:
    """Columns that rows of the current table may lack: they were merged before the contract had them."""
    stored = current.properties.get(MERGED_COLUMNS)
    if stored is None:
        return [*gained_columns(log, contract), "unmapped"]
    return [name for name in _columns(contract) if name not in json.loads(stored)]


def merge_of(contract: Contract, gained: Collection[str]) -> Merge:
    """What the MERGE of a contract's current table is made from.

    Args:
        contract: The table contract.
        gained: Columns for which older rows may have a value in `unmapped`.
    """
    columns = {column.name: filled(column) for column in contract.columns if column.name in gained}
    return Merge(contract.table, contract.log_name, tuple(contract.key), tuple(_columns(contract)), columns)


def merge_statement(
    contract: Contract, reach: Reach, *, gained: Collection[str] = (), fresh: Collection[str] = ()
) -> str:
    """The MERGE that brings the current table up to date with the change log.

    Args:
        contract: The table contract.
        reach: The part of the change log to merge.
        gained: Columns that were added to the contract after the change log's first rows.
        fresh: Columns that rows of the current table may lack, though their change was merged.
    """
    return merge_sql(merge_of(contract, gained), reach, gained=gained, fresh=fresh)


def _report(
    before: Table, after: Table, unmerged: log_progress.Unmerged, bytes_scanned: int, started: float
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
        "seconds": round(time.monotonic() - started, 3),
    }
    frame = pd.DataFrame([row], dtype=object).infer_objects()
    return frame.astype({"log_snapshot_id": "Int64", "snapshot_id": "Int64", "since": "datetime64[us, UTC]"})


def _rows_since(before: Table, after: Table) -> tuple[int, int]:
    """How many rows the snapshots between two states of a table wrote and deleted."""
    known = {snapshot.snapshot_id for snapshot in before.snapshots()}
    written = deleted = 0
    for snapshot in after.snapshots():
        summary = snapshot.summary
        # A compaction rewrites rows and changes none.
        if snapshot.snapshot_id not in known and summary and summary.operation.value != "replace":
            written += int(summary["added-records"] or 0)
            deleted += int(summary["deleted-records"] or 0) + int(summary["added-position-deletes"] or 0)
    return written, deleted
