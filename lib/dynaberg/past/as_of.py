"""A table as of a moment, by two clocks.

`read_as_of` shows what was known at 09:00, by commit time of the snapshots; `state_as_of` shows what was true
at 09:00, by the time at which DynamoDB made each change, no matter when the pipeline received it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.contracts import CURRENT_COLUMNS_AFTER
from dynaberg.errors import NotFoundError, require_moment
from dynaberg.layers import CLOCKS_DIFFER, HISTORY_BEGINS, gained_columns, latest_changes, unpack_frame
from dynaberg.past.snapshots import Moment, resolve_snapshot
from dynaberg.sql import query, read_columns

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings


def state_as_of(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    when: datetime,
    *,
    columns: Sequence[str] = ("*",),
) -> pd.DataFrame:
    """The items of the source table as they were at a moment: what was true then.

    This is business time: for each key, the latest change in the change log that was made at or before
    `when`, even before the first refresh; a key whose latest change is a REMOVE is absent. Changes that the
    pipeline received later count, too. `read_as_of` answers the other question: what was known then, by
    commit time.

    DynamoDB Streams dates a change to the whole second, Kinesis to the microsecond. With DynamoDB Streams, a
    moment within a second therefore includes all changes of that second. Source: DynamoDB API Reference,
    "StreamRecord".

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        when: Timezone-aware moment, to the microsecond; naive values are rejected.
        columns: Columns of the current table to read; all by default.

    Returns:
        One row per item, with the columns of the current table; lists, maps and structs with exact values.

    Raises:
        SettingsError: `when` has no time zone.
        NotFoundError: `when` precedes the first change, or the moment to which older changes were folded; the
            message names it. Or a column does not exist.

    Example:
        >>> state_as_of(session, settings, contract, datetime(2026, 1, 31, 9, tzinfo=timezone.utc))
    """
    require_moment(when)
    existing = [*(column.name for column in contract.columns), *CURRENT_COLUMNS_AFTER]
    chosen = [name for asked in columns for name in (existing if asked == "*" else [asked])]
    for name in chosen:
        if name not in existing:
            raise NotFoundError.among("column", name, existing)
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    _check_kept(log, when)
    # What was too large for its column is in `unmapped`.
    needed = list(dict.fromkeys([*chosen, "unmapped"]))
    latest = latest_changes(
        contract,
        needed,
        # Files of later changes need not be read. Only this much later may the one be that outdates a change.
        f'"{contract.log_name}" WHERE changed_at <= ?',
        gained=gained_columns(log, contract),
        condition="moment <= ?",
    )
    fields = {field.name: field for field in (*contract.current_schema().fields, *log.schema().fields)}
    source = f"(\n{latest}\n) WHERE operation <> 'REMOVE'"
    bounds = [when + CLOCKS_DIFFER, when]
    found = read_columns(session, settings, [fields[name] for name in needed], source, bounds)
    if found.empty:
        _check_begun(session, settings, contract, when)
    return unpack_frame(found, contract)[chosen]


def _check_kept(log: Table, when: datetime) -> None:
    """Raise an error if the changes up to then were folded: what was true between them is not known."""
    begins = log.properties.get(HISTORY_BEGINS)
    if begins and when < datetime.fromisoformat(begins):
        msg = (
            f"The history in {log.name()[-1]!r} begins at {begins}, so {when.isoformat()} is not known: "
            "older changes were folded by apply_retention."
        )
        raise NotFoundError(msg, hint="Use that moment, or a later one.")


def _check_begun(session: boto3.Session, settings: Settings, contract: Contract, when: datetime) -> None:
    """Raise an error if no change was made yet: an empty result would be wrong before the first one."""
    import pandas as pd

    sql = f'SELECT min(changed_at) AS "first" FROM "{contract.log_name}"'  # noqa: S608
    first = query(session, settings, sql).df["first"].iloc[0]
    if pd.isna(first):
        msg = f"The change log {contract.log_name!r} holds no change yet."
        raise NotFoundError(msg, hint="Wait for the delivery: wait_for_delivery().")
    if when < first:
        msg = (
            f"The change log {contract.log_name!r} has no data for {when.isoformat()}: "
            f"its first change was made at {first.isoformat()}."
        )
        raise NotFoundError(msg, hint="Use that moment, or a later one.")


def read_as_of(
    session: boto3.Session,
    settings: Settings,
    table: Table,
    when: Moment,
    *,
    columns: Sequence[str] = ("*",),
    contract: Contract | None = None,
) -> pd.DataFrame:
    """Read a table as it was at a moment, through Athena's FOR VERSION AS OF: what was known then.

    Uses the last snapshot committed at or before `when`. What was true then, by the time of the changes
    themselves, is `state_as_of`.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        table: Native pyiceberg table.
        when: Timezone-aware moment, or a snapshot id; naive values are rejected.
        columns: Columns to read; all by default.
        contract: The contract of the table, if it has one: packed values are then unpacked.

    Returns:
        The rows; lists, maps and structs as lists and dicts of exact values.

    Raises:
        SettingsError: `when` has no time zone.
        NotFoundError: `when` precedes the first snapshot, or a column does not exist.

    Example:
        >>> read_as_of(session, settings, table, datetime.now(timezone.utc) - timedelta(hours=1))
    """
    snapshot = resolve_snapshot(table, when)
    existing = {field.name: field for field in table.schemas()[snapshot.schema_id or 0].fields}
    chosen = [name for asked in columns for name in (existing if asked == "*" else [asked])]
    for name in chosen:
        if name not in existing:
            raise NotFoundError.among("column", name, existing)
    source = f'"{table.name()[-1]}" FOR VERSION AS OF {snapshot.snapshot_id} AS rows_of_table'
    if contract is None or "unmapped" not in existing:
        return read_columns(session, settings, [existing[name] for name in chosen], source)
    needed = list(dict.fromkeys([*chosen, "unmapped"]))
    found = read_columns(session, settings, [existing[name] for name in needed], source)
    return unpack_frame(found, contract)[chosen]
