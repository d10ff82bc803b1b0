"""Maintenance: bookmarks, and what S3 Tables does to snapshots and files."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from dynaberg import bookmarks, maintenance, snapshots
from dynaberg.workbench.ground import Ground, Moment

if TYPE_CHECKING:
    from pyiceberg.table import Table


class Maintenance(Ground):
    """What keeps the tables in shape."""

    def bookmark(self, table: str, name: str, when: Moment | None = None) -> pd.DataFrame:
        """Give a snapshot of a table a name that `read_as_of` takes; it does not keep the snapshot.

        Args:
            table: Name of the table.
            name: Letters, digits, `_`, `.` and `-`; a bookmark of that name moves.
            when: Timezone-aware moment, snapshot id or bookmark; by default the current snapshot.
        """
        native = self.load_table(table)
        moment = native.metadata.current_snapshot_id if when is None else when
        bookmarks.set_bookmark(native, name, snapshots.resolve_snapshot(native, moment or 0))
        return bookmarks.bookmarks(native)

    def remove_bookmark(self, table: str, name: str) -> None:
        """Forget a bookmark; its snapshot stays as it is."""
        bookmarks.remove_bookmark(self.load_table(table), name)

    def bookmarks(self, table: str | Table) -> pd.DataFrame:
        """The bookmarks of a table, and whether their snapshots still exist."""
        return bookmarks.bookmarks(self._table(table))

    def maintenance(self, table: str | Table) -> pd.DataFrame:
        """The maintenance settings of a table, and what the jobs last came to."""
        return maintenance.maintenance(self.session, self.settings, self._table(table))

    def preview_maintenance(
        self,
        table: str | Table,
        *,
        min_snapshots: int | None = None,
        max_age_hours: int | None = None,
        at: datetime | None = None,
    ) -> pd.DataFrame:
        """Which snapshots, moments and bookmarks would be gone under other settings, and the bytes freed.

        Args:
            table: Name of the table, or the native table.
            min_snapshots: How many snapshots stay, however old; by default as it is set.
            max_age_hours: Younger snapshots stay; by default as it is set.
            at: Timezone-aware moment at which the job runs; by default now.
        """
        return maintenance.preview_maintenance(
            self.session,
            self.settings,
            self._table(table),
            min_snapshots=min_snapshots,
            max_age_hours=max_age_hours,
            at=at,
        )

    def maintain(
        self,
        table: str | Table,
        *,
        target_mb: int | None = None,
        strategy: str | None = None,
        min_snapshots: int | None = None,
        max_age_hours: int | None = None,
        unreferenced_days: int | None = None,
        noncurrent_days: int | None = None,
        confirm: str = "",
    ) -> pd.DataFrame:
        """Apply maintenance settings and leave the others; locally the jobs run at once, on AWS within a day.

        Args:
            table: Name of the table, or the native table.
            target_mb: Size in MB that compaction aims at, 64 to 512.
            strategy: `auto`, `binpack`, `sort` or `z-order`.
            min_snapshots: How many snapshots stay, however old.
            max_age_hours: Younger snapshots stay.
            unreferenced_days: When unreferenced files become noncurrent, in all tables of the bucket.
            noncurrent_days: When noncurrent files are deleted, in all tables of the bucket.
            confirm: The table's name, typed, for the last four, which remove something.
        """
        return maintenance.maintain(
            self.session,
            self.settings,
            self._table(table),
            confirm=confirm,
            target_mb=target_mb,
            strategy=strategy,
            min_snapshots=min_snapshots,
            max_age_hours=max_age_hours,
            unreferenced_days=unreferenced_days,
            noncurrent_days=noncurrent_days,
        )
