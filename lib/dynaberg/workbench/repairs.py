"""Repairs: whether everything arrived, how late, what failed, and how it is brought back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from dynaberg import failures, freshness, queues, reconcile, repair, replay, stream_replay
from dynaberg.workbench.ground import Ground

if TYPE_CHECKING:
    from dynaberg.reconcile import ReconcileReport


class Repairs(Ground):
    """What proves the tables right, and puts right what is wrong."""

    def reconcile(self, name: str | None = None) -> reconcile.ReconcileReport:
        """Compare DynamoDB with the current table and the change log, every column of every row."""
        self._check_current(name)
        return reconcile.reconcile(self.session, self.settings, self.contract)

    def repair(self, report: ReconcileReport, *, confirm: str) -> pd.DataFrame:
        """Put right what `reconcile` found: by a refresh, and where the log lacks it through the log.

        Args:
            report: What `reconcile` found.
            confirm: The workbench's name, typed.

        Raises:
            SettingsError: The name does not match; nothing was done.
        """
        return repair.repair(self.session, self.settings, self.contract, report, confirm=confirm)

    def freshness(self, *, since: datetime | None = None) -> pd.DataFrame:
        """The lag of each hop: item → stream → Lambda → Firehose → snapshot of the change log.

        Args:
            since: Timezone-aware; by default 24 hours before the log's latest snapshot.
        """
        return freshness.freshness(self.session, self.settings, self.contract, since=since)

    def failures(self) -> pd.DataFrame:
        """Every change that failed and waits in the error bucket or a queue, with the reason."""
        return failures.failures(self.session, self.settings, self.contract)

    def wait_for_failures(self, changes: int, *, timeout: float = 180) -> pd.DataFrame:
        """Wait until so many changes have failed, and list them; for a test of what happens then.

        Args:
            changes: How many failed changes, at least.
            timeout: Deadline in seconds.

        Raises:
            NotReadyError: Fewer have failed by the deadline.
        """
        return failures.wait_for_failures(
            self.session, self.settings, self.contract, changes, timeout=timeout
        )

    def queue_depths(self) -> pd.DataFrame:
        """How many messages the dead-letter queue and the parked queue hold, about."""
        return queues.queue_depths(self.session, self.settings)

    def preview_replay(self) -> pd.DataFrame:
        """What `replay_errors` would do with each failed change."""
        return replay.preview_replay(self.session, self.settings, self.contract)

    def replay_errors(self) -> pd.DataFrame:
        """Send every failed change once more, by the contract as it is now, and archive what was taken."""
        return replay.replay_errors(self.session, self.settings, self.contract)

    def replay_stream(self, *, since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
        """Read a time range of the change stream again, and send what the change log lacks.

        Args:
            since: Timezone-aware; by default the oldest change that the stream holds.
            until: Timezone-aware; by default now.
        """
        return stream_replay.replay_stream(
            self.session, self.settings, self.contract, since=since, until=until
        )
