"""Questions: SQL, the past, and profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import compaction, drift, profiling, query, time_travel
from dynaberg.workbench.ground import Ground, Moment

if TYPE_CHECKING:
    from pyiceberg.table import Table

    from dynaberg.query_result import QueryResult


class Questions(Ground):
    """What an analyst asks the tables."""

    def query(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> QueryResult:
        """Run Athena SQL.

        Args:
            sql: One statement; `:name` and `?` stand for parameters.
            params: Values by name or by place; they are bound by Athena, never formatted in.

        Returns:
            The result: `.df`, `.bytes_scanned`, `.runtime_ms`, `.query_id`, `.sql`; on AWS `.cost_usd` and
            `.console_url`, too.

        Raises:
            QueryError: Athena refused the statement.

        Example:
            >>> sql = "SELECT count(*) AS n FROM transactions WHERE status = :status"
            >>> wb.query(sql, {"status": "APPROVED"}).df
        """
        return query.query(self.session, self.settings, sql, params)

    def snapshots(self, table: str | Table) -> pd.DataFrame:
        """The snapshots of a table, oldest first."""
        return time_travel.snapshots(self._table(table))

    def read_as_of(self, table: str, when: Moment, *, columns: Sequence[str] = ("*",)) -> pd.DataFrame:
        """Read a table as it was at a moment, by commit time: what was known then.

        Args:
            table: Name of the table.
            when: Timezone-aware moment, a snapshot id, or the name of a bookmark.
            columns: Columns to read.

        Raises:
            NotFoundError: The moment precedes the first snapshot; the message names it.
        """
        return time_travel.read_as_of(self.session, self.settings, self._table(table), when, columns=columns)

    def state_as_of(self, when: datetime, *, columns: Sequence[str] = ("*",)) -> pd.DataFrame:
        """The items as they were at a moment, by business time: what was true then, from the change log.

        Args:
            when: Timezone-aware moment, to the microsecond; Streams date changes to the second.
            columns: Columns of the current table to read.

        Raises:
            NotFoundError: The moment precedes the first change; the message names it.
        """
        return time_travel.state_as_of(self.session, self.settings, self.contract, when, columns=columns)

    def changes_between(self, table: str | Table, a: Moment, b: Moment) -> pd.DataFrame:
        """What changed in a table between two moments or snapshots: added, removed and changed rows."""
        return time_travel.changes_between(self._table(table), self.contract, a, b)

    def item_history(self, key: Mapping[str, Any]) -> pd.DataFrame:
        """Every version of one DynamoDB item, by changed attribute.

        Args:
            key: The item's key, `{"transaction_id": "TXN_…", "timestamp": 1700000000000}`.
        """
        return time_travel.item_history(self.session, self.settings, self.contract, key)

    def profile_columns(self, table: str, *, snapshot: Moment | None = None) -> pd.DataFrame:
        """Profile the columns of a table in one Athena statement."""
        return profiling.profile_columns(self.session, self.settings, self._table(table), snapshot=snapshot)

    def profile_files(self, table: str | Table) -> pd.DataFrame:
        """The data files of a table, from its metadata alone."""
        return profiling.profile_files(self._table(table))

    def profile_partitions(self, table: str | Table) -> pd.DataFrame:
        """The partitions of a table, from its metadata alone."""
        return profiling.profile_partitions(self._table(table))

    def compaction_saving(
        self, table: str | Table, *, target_bytes: int = compaction.TARGET_BYTES
    ) -> pd.DataFrame:
        """How many files a compaction would leave of each partition, from metadata alone.

        Args:
            table: Name of the table, or the native table.
            target_bytes: Size in bytes that the compaction aims at.
        """
        return compaction.compaction_saving(self.profile_files(table), target_bytes=target_bytes)

    def drift(self, table: str, a: Moment, b: Moment) -> pd.DataFrame:
        """How far the columns of a table have moved between two moments or snapshots, the farthest first."""
        return drift.drift(self.profile_columns(table, snapshot=a), self.profile_columns(table, snapshot=b))
