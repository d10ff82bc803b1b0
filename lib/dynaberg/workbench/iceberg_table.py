"""One Iceberg table: its history, its profile and its maintenance, no matter what writes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from dynaberg import past, profile, upkeep
from dynaberg.past import Moment
from dynaberg.workbench.connection import Connection

if TYPE_CHECKING:
    import pyiceberg.table

    from dynaberg.contracts import Contract


class IcebergTable:
    """One Iceberg table of the namespace: a change log, a current, a curated or a reference table.

    Args:
        connection: The project that it belongs to.
        name: Name of the table, without the namespace.
        key: Columns that identify a row; by default the table's identifier fields.
        contract: The contract of a current table.
    """

    def __init__(
        self, connection: Connection, name: str, key: Sequence[str] = (), contract: Contract | None = None
    ) -> None:
        self._connection, self._contract = connection, contract
        self.name = name
        self.key = tuple(key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def current(self) -> pyiceberg.table.Table:
        """The table as it is now, a native pyiceberg `Table`."""
        return self._connection.load_table(self.name)

    def snapshots(self) -> pd.DataFrame:
        """The snapshots of the table, oldest first."""
        return past.snapshots(self.current)

    def read_as_of(self, when: Moment, *, columns: Sequence[str] = ("*",)) -> pd.DataFrame:
        """Read the table as it was at a moment, by commit time: what was known then.

        Args:
            when: Timezone-aware moment, a snapshot id, or the name of a bookmark.
            columns: Columns to read.

        Raises:
            NotFoundError: The moment precedes the first snapshot; the message names it.
        """
        shared = self._connection
        return past.read_as_of(
            shared.session, shared.settings, self.current, when, columns=columns, contract=self._contract
        )

    def changes_between(self, a: Moment, b: Moment) -> pd.DataFrame:
        """What changed between two moments, snapshots or bookmarks: rows added, removed and changed."""
        return past.changes_between(self.current, a, b, key=self.key, contract=self._contract)

    def bookmark(self, name: str, when: Moment | None = None) -> pd.DataFrame:
        """Give a snapshot a name that `read_as_of` accepts; it does not keep the snapshot from expiring.

        Args:
            name: Letters, digits, `_`, `.` and `-`; an existing bookmark of that name moves.
            when: Timezone-aware moment, snapshot id or bookmark; by default the current snapshot.
        """
        table = self.current
        moment = table.metadata.current_snapshot_id if when is None else when
        past.set_bookmark(table, name, past.resolve_snapshot(table, moment or 0))
        return past.bookmarks(table)

    def bookmarks(self) -> pd.DataFrame:
        """The bookmarks of the table, and whether their snapshots still exist."""
        return past.bookmarks(self.current)

    def remove_bookmark(self, name: str) -> None:
        """Remove a bookmark; its snapshot stays as it is."""
        past.remove_bookmark(self.current, name)

    def profile_columns(self, *, snapshot: Moment | None = None) -> pd.DataFrame:
        """Profile the columns with Athena: in one statement, or in several for a wide table.

        Args:
            snapshot: Timezone-aware moment, snapshot id or bookmark; by default the current snapshot.
        """
        shared = self._connection
        return profile.profile_columns(shared.session, shared.settings, self.current, snapshot=snapshot)

    def profile_files(self) -> pd.DataFrame:
        """The data files, from the table's metadata alone."""
        return profile.profile_files(self.current)

    def profile_partitions(self) -> pd.DataFrame:
        """The partitions, from the table's metadata alone."""
        return profile.profile_partitions(self.current)

    def drift(self, a: Moment, b: Moment) -> pd.DataFrame:
        """How far the columns have drifted between two moments or snapshots, the largest drift first."""
        return profile.drift(self.profile_columns(snapshot=a), self.profile_columns(snapshot=b))

    def maintenance(self) -> pd.DataFrame:
        """The maintenance settings, and the result of each job's last run."""
        shared = self._connection
        return upkeep.maintenance(shared.session, shared.settings, self.current)

    def preview_maintenance(
        self,
        *,
        min_snapshots: int | None = None,
        max_age_hours: int | None = None,
        at: datetime | None = None,
    ) -> pd.DataFrame:
        """Which snapshots, moments and bookmarks other settings would remove, and the bytes freed.

        Args:
            min_snapshots: How many snapshots stay, however old; by default the current setting.
            max_age_hours: Younger snapshots stay; by default the current setting.
            at: Timezone-aware moment at which the job runs; by default now.
        """
        shared = self._connection
        return upkeep.preview_maintenance(
            shared.session,
            shared.settings,
            self.current,
            min_snapshots=min_snapshots,
            max_age_hours=max_age_hours,
            at=at,
        )

    def maintain(
        self,
        *,
        target_mb: int | None = None,
        strategy: str | None = None,
        min_snapshots: int | None = None,
        max_age_hours: int | None = None,
        unreferenced_days: int | None = None,
        noncurrent_days: int | None = None,
        confirm: str = "",
    ) -> pd.DataFrame:
        """Apply maintenance settings and keep the others; locally the jobs run at once, on AWS within a day.

        Args:
            target_mb: Size in MB that compaction aims at, 64 to 512.
            strategy: `auto`, `binpack`, `sort` or `z-order`.
            min_snapshots: How many snapshots stay, however old.
            max_age_hours: Younger snapshots stay.
            unreferenced_days: When unreferenced files become noncurrent, in all tables of the bucket.
            noncurrent_days: When noncurrent files are deleted, in all tables of the bucket.
            confirm: The table's name; required for the last four, because they remove something.
        """
        shared = self._connection
        return upkeep.maintain(
            shared.session,
            shared.settings,
            self.current,
            confirm=confirm,
            target_mb=target_mb,
            strategy=strategy,
            min_snapshots=min_snapshots,
            max_age_hours=max_age_hours,
            unreferenced_days=unreferenced_days,
            noncurrent_days=noncurrent_days,
        )

    def compaction_saving(self, *, target_bytes: int = upkeep.TARGET_BYTES) -> pd.DataFrame:
        """How many files of each partition would remain after a compaction, from metadata alone.

        Args:
            target_bytes: Size in bytes that the compaction aims at.
        """
        return upkeep.compaction_saving(self.profile_files(), target_bytes=target_bytes)
