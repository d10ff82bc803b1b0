"""Time travel: the snapshots of a table, reads as of a moment, what changed, and one item's history.

Two questions, two clocks: what did we know at 09:00 is `read_as_of`, by when a snapshot was committed; what
was true at 09:00 is `state_as_of`, by when DynamoDB made the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dynaberg.business_time import state_as_of
from dynaberg.errors import NotFoundError
from dynaberg.item_history import item_history
from dynaberg.query import query
from dynaberg.snapshot_diff import changes_between
from dynaberg.snapshots import Moment, resolve_snapshot, snapshot_at, snapshots

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.settings import Settings

__all__ = ["changes_between", "item_history", "read_as_of", "snapshot_at", "snapshots", "state_as_of"]


def read_as_of(
    session: boto3.Session, settings: Settings, table: Table, when: Moment, *, columns: Sequence[str] = ("*",)
) -> pd.DataFrame:
    """Read a table as it was at a moment, through Athena's FOR VERSION AS OF: what was known then.

    Uses the last snapshot committed at or before `when`. What was true then, by the time of the changes
    themselves, is `state_as_of`.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        table: Native pyiceberg table.
        when: Timezone-aware moment, or a snapshot id; naive values are refused.
        columns: Columns to read; all by default.

    Raises:
        SettingsError: `when` has no time zone.
        NotFoundError: `when` precedes the first snapshot, or a column does not exist.

    Example:
        >>> read_as_of(session, settings, table, datetime.now(timezone.utc) - timedelta(hours=1))
    """
    snapshot = resolve_snapshot(table, when)
    existing = [field.name for field in table.schemas()[snapshot.schema_id or 0].fields]
    for name in columns:
        if name != "*" and name not in existing:
            raise NotFoundError.among("column", name, existing)
    selected = ", ".join("*" if name == "*" else f'"{name}"' for name in columns)
    name = table.name()[-1]
    sql = f'SELECT {selected} FROM "{name}" FOR VERSION AS OF {snapshot.snapshot_id}'  # noqa: S608
    return query(session, settings, sql).df
