"""Bookmarks: names for snapshots that someone wants to return to.

They are table properties, so they belong to the table and everyone sees them. They are not Iceberg tags,
which would keep the snapshot, because S3 Tables' maintenance fails on a table that has any. So a bookmark
breaks when its snapshot expires; `preview_maintenance` shows that in advance.
Source: Amazon S3 User Guide, "Considerations and limitations for maintenance jobs".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dynaberg.catalog import set_properties
from dynaberg.errors import NotFoundError, SettingsError

if TYPE_CHECKING:
    import pandas as pd
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

PREFIX = "dynaberg.bookmark."
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def bookmarks(table: Table) -> pd.DataFrame:
    """The bookmarks of a table, by name.

    Args:
        table: Native pyiceberg table.

    Returns:
        One row per bookmark: bookmark, table, snapshot_id, committed_at (UTC; NaT once expired), exists.
    """
    import pandas as pd

    rows = []
    for name, snapshot_id in bookmarked(table).items():
        snapshot = table.snapshot_by_id(snapshot_id)
        moment = pd.Timestamp(snapshot.timestamp_ms, unit="ms", tz="UTC") if snapshot else pd.NaT
        rows.append((name, table.name()[-1], snapshot_id, moment, snapshot is not None))
    frame = pd.DataFrame(rows, columns=["bookmark", "table", "snapshot_id", "committed_at", "exists"])
    types = {"snapshot_id": "int64", "committed_at": "datetime64[ms, UTC]", "exists": "bool"}
    return frame.astype(types).sort_values("bookmark", ignore_index=True)


def bookmarked(table: Table) -> dict[str, int]:
    """The snapshot id that each bookmark of a table names."""
    found = table.properties.items()
    return {name.removeprefix(PREFIX): int(value) for name, value in found if name.startswith(PREFIX)}


def set_bookmark(table: Table, name: str, snapshot: Snapshot) -> None:
    """Give a snapshot a name; a bookmark of that name moves to it.

    Args:
        table: Native pyiceberg table.
        name: Letters, digits, `_`, `.` and `-`, at most 64.
        snapshot: The snapshot.

    Raises:
        SettingsError: An invalid name.
    """
    if not _NAME.fullmatch(name):
        msg = f"{name!r} cannot be the name of a bookmark."
        raise SettingsError(msg, hint="Use letters, digits, `_`, `.` and `-`, as in month-end-2026-01.")
    set_properties(table, {PREFIX + name: str(snapshot.snapshot_id)})


def remove_bookmark(table: Table, name: str) -> None:
    """Remove a bookmark; its snapshot stays as it is.

    Raises:
        NotFoundError: No such bookmark.
    """
    find_bookmark(table, name)
    set_properties(table, {}, [PREFIX + name])


def find_bookmark(table: Table, name: str) -> int:
    """The snapshot id that a bookmark names, whether or not the snapshot still exists.

    Raises:
        NotFoundError: No such bookmark; the message names those that exist.
    """
    known = bookmarked(table)
    if name not in known:
        hint = f'Set it: wb.iceberg_table("{table.name()[-1]}").bookmark("{name}").'
        raise NotFoundError.among("bookmark", name, known, hint=hint)
    return known[name]
