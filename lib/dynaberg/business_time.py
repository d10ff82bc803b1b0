"""Business time: what was true at a moment, whenever the pipeline learned of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dynaberg.errors import NotFoundError
from dynaberg.query import query
from dynaberg.snapshots import require_moment

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contract import Contract
    from dynaberg.settings import Settings

_STATE = """\
SELECT {selected} FROM (
  SELECT operation, {columns}, row_number() OVER (
    PARTITION BY {keys} ORDER BY changed_at DESC, sequence_number DESC, change_id DESC
  ) AS newest
  FROM "{log}" WHERE changed_at <= ?
) WHERE newest = 1 AND operation <> 'REMOVE'"""


def state_as_of(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    when: datetime,
    *,
    columns: Sequence[str] = ("*",),
) -> pd.DataFrame:
    """The items of the source table as they were at a moment: what was true then.

    This is business time: of each key the latest change of the change log that was made at or before `when`,
    also before the first refresh; a key whose latest change is a REMOVE is absent. What the pipeline learned
    later counts too. `read_as_of` answers the other question, what was known then, by commit time.

    DynamoDB Streams date a change to the whole second, Kinesis to the microsecond. Of several changes in one
    second a moment within it sees all. Source: DynamoDB API Reference, "StreamRecord".

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        when: Timezone-aware moment, to the microsecond; naive values are refused.
        columns: Columns of the current table to read; all by default.

    Returns:
        One row per item, with the columns of the current table.

    Raises:
        SettingsError: `when` has no time zone.
        NotFoundError: `when` precedes the first change, which the message names; or a column does not exist.

    Example:
        >>> state_as_of(session, settings, contract, datetime(2026, 1, 31, 9, tzinfo=timezone.utc))
    """
    require_moment(when, wanted="a moment")
    existing = [*(column.name for column in contract.columns), "changed_at", "sequence_number"]
    chosen = [name for asked in columns for name in (existing if asked == "*" else [asked])]
    for name in chosen:
        if name not in existing:
            raise NotFoundError.among("column", name, existing)
    statement = _STATE.format(
        selected=_listed(chosen),
        columns=_listed(existing),
        keys=_listed(contract.key),
        log=contract.log_name,
    )
    found = query(session, settings, statement, [when]).df
    if found.empty:
        _check_begun(session, settings, contract, when)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _check_begun(session: boto3.Session, settings: Settings, contract: Contract, when: datetime) -> None:
    """No item is an answer once there was a change; before the first one it is none."""
    import pandas as pd

    sql = f'SELECT min(changed_at) AS first FROM "{contract.log_name}"'  # noqa: S608
    first = query(session, settings, sql).df["first"].iloc[0]
    if pd.isna(first):
        msg = f"The change log {contract.log_name!r} holds no change yet."
        raise NotFoundError(msg, hint="Wait for the delivery: wb.wait_for_delivery().")
    if when < first:
        msg = (
            f"The change log {contract.log_name!r} knows nothing of {when.isoformat()}: "
            f"its first change was made at {first.isoformat()}."
        )
        raise NotFoundError(msg, hint="Take that moment, or a later one.")
