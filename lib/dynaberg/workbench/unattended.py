"""What a workbench does about refreshes and builds that run without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import schedule

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.workbench.connection import Connection


class Unattended:
    """The part of a workbench that concerns the schedule; the connection is the workbench's."""

    _connection: Connection

    def schedule(
        self, every: str | None = "15 minutes", *, attempts: int = 3, retry_seconds: int = 60
    ) -> pd.DataFrame | None:
        """Refresh all tables and build the curated ones again and again, on Athena, without a notebook.

        Call it again after a contract or a curated SQL file has changed: what a run does is shipped with it.

        Args:
            every: How often, from `1 minute` to `1 day`; None ends it.
            attempts: How often a table is tried in a run before there is an alarm, 1 to 10.
            retry_seconds: How long a run waits before it tries again what failed, 1 to 3600.

        Returns:
            One row per resource of the stack: resource, type, name, status, seconds; None if it was ended.

        Raises:
            SettingsError: `every` cannot be read.
            NotFoundError: There is no delivery yet.

        Example:
            >>> wb.schedule("1 hour")
            >>> wb.schedule(None)
        """
        session, settings = self._connection.session, self._connection.settings
        if every is None:
            schedule.remove_schedule(session, settings)
            return None
        return schedule.deploy_schedule(
            session,
            settings,
            self._connection.contracts(),
            every,
            attempts=attempts,
            retry_seconds=retry_seconds,
        )

    def runs(self, *, days: int = 7) -> pd.DataFrame:
        """What the scheduled runs of the last days did, one row per run and table, the latest first.

        Args:
            days: How far back.

        Returns:
            started (UTC), table, action, rows, bytes_scanned, cost_usd (Decimal), seconds, attempts, outcome
            (`ok`, `failed: …`, or `busy` if the run before was not over), run.
        """
        return schedule.read_runs(self._connection.session, self._connection.settings, days=days)
