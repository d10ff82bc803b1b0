"""What runs without a notebook: refreshes and builds on a schedule, `wb.schedule`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import schedule

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.workbench.connection import Connection


def update_schedule(connection: Connection) -> None:
    """Let the schedule, if there is one, know the contracts as they are now.

    While one of them cannot be used, the schedule stays as it is: it would leave out that table's refresh.

    Args:
        connection: The project.
    """
    project = connection.project()
    if not project.broken:
        schedule.update_schedule(connection.session, connection.settings, project.contracts)


class Schedule:
    """The refreshes and builds that run again and again on Athena, without a notebook.

    Args:
        connection: The project.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, every: str = "15 minutes", *, attempts: int = 3, retry_seconds: int = 60) -> pd.DataFrame:
        """Refresh all tables and build the curated ones again and again.

        Call it again after a contract or a curated SQL file has changed: what a run does is shipped with it.

        Args:
            every: How often, from `1 minute` to `1 day`.
            attempts: How often a table is tried in a run before there is an alarm, 1 to 10.
            retry_seconds: How long a run waits before it tries again what failed, 1 to 3600.

        Returns:
            One row per resource of the stack: resource, type, name, status, seconds.

        Raises:
            SettingsError: `every` cannot be read.
            NotFoundError: There is no delivery yet.

        Example:
            >>> wb.schedule.start("1 hour")
        """
        return schedule.deploy_schedule(
            self._connection.session,
            self._connection.settings,
            self._connection.contracts(),
            every,
            attempts=attempts,
            retry_seconds=retry_seconds,
        )

    def stop(self) -> None:
        """Remove the schedule, if there is one; what its runs did stays, and so do their records."""
        schedule.remove_schedule(self._connection.session, self._connection.settings)

    def runs(self, *, days: int = 7) -> pd.DataFrame:
        """What the runs of the last days did, one row per run and table, the latest run first.

        Args:
            days: How far back.

        Returns:
            started (UTC), table, action, rows, bytes_scanned, cost_usd (Decimal), seconds, attempts, outcome
            (`ok`, `failed: …`, or `busy` if the run before was not over), run.
        """
        return schedule.read_runs(self._connection.session, self._connection.settings, days=days)
