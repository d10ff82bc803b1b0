"""One table with a contract: from its change stream to the proof that it equals DynamoDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import delivery, deploy, erasure, layers, past, proof, schedule
from dynaberg.contracts import Changes, Contract
from dynaberg.erasure import ForgetReport
from dynaberg.proof import ReconcileReport
from dynaberg.workbench.backfill import BackfillReport, Ending, backfill, preview_backfill
from dynaberg.workbench.column_changes import change_columns, preview_columns
from dynaberg.workbench.connection import Connection, Place
from dynaberg.workbench.iceberg_table import IcebergTable
from dynaberg.workbench.table_parts import TableMasks, TableParquet

if TYPE_CHECKING:
    import pyiceberg.table


class Table(IcebergTable):
    """One DynamoDB table in Iceberg: its change log, its current table, and its contract.

    The methods of `IcebergTable` work on the current table.

    Args:
        connection: The project that it belongs to.
        contract: The table contract.
    """

    def __init__(self, connection: Connection, contract: Contract) -> None:
        super().__init__(connection, contract.table, contract.key, contract)
        self.contract = contract

    @property
    def _place(self) -> Place:
        return self._connection.place_of(self.contract)

    @property
    def _reading_place(self) -> Place:
        return self._connection.reading_place_of(self.contract)

    @property
    def log(self) -> pyiceberg.table.Table:
        """The change log, a native pyiceberg `Table`."""
        return self._connection.load_table(self.contract.log_name)

    @property
    def masks(self) -> TableMasks:
        """The masks of rows that are in the tables already, their key, and the values behind tokens."""
        return TableMasks(lambda: self._place)

    @property
    def parquet(self) -> TableParquet:
        """The change log as plain Parquet files, too."""
        return TableParquet(lambda: self._place)

    # delivery into the change log

    def wait_for_delivery(self, *, timeout: float = 300) -> pd.DataFrame:
        """Wait until the change log holds every change.

        After `wb.generate_traffic`, this waits for the changes that it wrote; otherwise for those that the
        DynamoDB table's stream still holds.

        Args:
            timeout: Deadline in seconds.

        Raises:
            NotReadyError: The deadline passed; the message says what is missing and where to look.
        """
        shared = self._connection
        reports, shared.written = shared.written, []
        return delivery.wait_for_delivery(
            *self._place,
            expected=sum(report.changes for report in reports) or None,
            since=reports[0].started_at if reports else None,
            timeout=timeout,
        )

    def preview_backfill(
        self, *, method: str | None = None, reconcile: bool = True, sample: int | None = None
    ) -> pd.DataFrame:
        """What `backfill` with these arguments would read, and what that costs, before it reads anything."""
        return preview_backfill(self._connection, self.contract, Ending(reconcile, sample), method)

    def backfill(
        self,
        *,
        method: str | None = None,
        export: str = "",
        read_units_per_second: float | None = None,
        reconcile: bool = True,
        sample: int | None = None,
        settle_seconds: float | None = None,
    ) -> BackfillReport:
        """Bring in what was in the DynamoDB table before its stream was switched on; refresh; reconcile.

        It reads every item once; any change takes precedence. If interrupted, it continues where it stopped.

        Args:
            method: `scan`, or `export` to S3, which takes no reads from the table; by default `export` for a
                large table on AWS that has point-in-time recovery, else `scan`.
            export: An export that exists already: its ARN, or
                `s3://bucket/prefix/AWSDynamoDB/<id>/manifest-summary.json`.
            read_units_per_second: What a scan may consume of the table's capacity; by default half of a
                provisioned table's, and no limit on demand.
            reconcile: Whether all tables of the source are refreshed and compared with DynamoDB at the end.
            sample: Compare about this many items; by default all, or 10,000 of a table of a GiB or more.
            settle_seconds: How long it waits for changes on their way; by default Firehose's buffer and 120.

        Returns:
            The report: `.df` (what was read), `.reconciled` (by table), `.matches`, `.summary`.

        Raises:
            NotReadyError: The table's stream is off, or another backfill is at work.
            SettingsError: The export is not one that this table can be filled from.
        """
        ending = Ending(reconcile, sample, settle_seconds)
        reading = {"method": method, "export": export, "read_units_per_second": read_units_per_second}
        return backfill(self._connection, self.contract, ending, **reading)

    def freshness(self, *, since: datetime | None = None) -> pd.DataFrame:
        """The lag of each hop: item → stream → Lambda → Firehose → snapshot of the change log.

        Args:
            since: Timezone-aware; by default 24 hours before the log's latest snapshot.
        """
        return delivery.freshness(*self._place, since=since)

    def failures(self) -> pd.DataFrame:
        """Every change that failed and waits in the error bucket or a queue, with the reason."""
        return delivery.failures(*self._place)

    def wait_for_failures(self, changes: int, *, timeout: float = 180) -> pd.DataFrame:
        """Wait until at least so many changes have failed, and list them; for tests of failures.

        Raises:
            NotReadyError: Fewer have failed after `timeout` seconds.
        """
        return delivery.wait_for_failures(*self._place, changes, timeout=timeout)

    def queue_depths(self) -> pd.DataFrame:
        """Approximately how many messages the dead-letter queue and the parked queue hold."""
        return delivery.queue_depths(*self._place[:2])

    def preview_replay(self) -> pd.DataFrame:
        """What `replay_errors` would do with each failed change."""
        return delivery.preview_replay(*self._place)

    def replay_errors(self) -> pd.DataFrame:
        """Send every failed change again, by the contract as it is now, and archive what was accepted."""
        return delivery.replay_errors(*self._place)

    def replay_stream(self, *, since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
        """Read a time range of the change stream again (timezone-aware, by default all that it holds).

        What is missing from the change log is sent.
        """
        return delivery.replay_stream(*self._place, since=since, until=until)

    # the current table, and its history

    def refresh(self) -> pd.DataFrame:
        """Bring the current table up to date with the change log, with one Athena MERGE."""
        return layers.refresh(*self._place)

    def runs(self, *, days: int = 7) -> pd.DataFrame:
        """What the scheduled runs of the last days did to this table, as `wb.schedule.runs()`."""
        return schedule.read_runs(*self._place[:2], self.name, days=days)

    def state_as_of(self, when: datetime, *, columns: Sequence[str] = ("*",)) -> pd.DataFrame:
        """The items as they were at a moment, by business time: what was true then, from the change log.

        Args:
            when: Timezone-aware moment, to the microsecond; DynamoDB Streams dates changes to the second.
            columns: Columns of the current table to read.

        Raises:
            NotFoundError: The moment precedes the first change; the message names it.
        """
        return past.state_as_of(*self._reading_place, when, columns=columns)

    def item_history(self, key: Mapping[str, Any]) -> pd.DataFrame:
        """Every version of one DynamoDB item, by changed attribute.

        Args:
            key: The item's key, `{"transaction_id": "TXN_…", "timestamp": 1700000000000}`.
        """
        return past.item_history(*self._reading_place, key)

    # the contract

    def drift_report(self) -> pd.DataFrame:
        """What the contract does not know yet: attributes without a column, and values that fit no column.

        Returns:
            One row per attribute: attribute, found (`no column`, `does not fit`), types and kinds (DynamoDB's
            letters and the kinds of items, with counts), changes, first_changed_at, last_changed_at (UTC),
            column and type (what `evolve` would add or change; None if no live item shows it).
        """
        return layers.find_drift(*self._place).df

    def evolve(
        self,
        columns: Sequence[str] | None = None,
        *,
        rename: Mapping[str, str] | None = None,
        widen: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        confirm: str = "",
    ) -> pd.DataFrame:
        """Take what `drift_report` proposes into the contract, or change columns that it has; and deploy it.

        The contract's file is rewritten, with everything else in it as it was. The Iceberg tables change by
        field id, so earlier snapshots stay readable. The functions are deployed, and new columns are filled
        from `unmapped`: in the change log now, in the current table by the next refresh. Killed at any point,
        the same call finishes it; once more, it fills what the former functions still sent.

        Args:
            columns: Names of proposed columns; by default all of them, if nothing else is asked for.
            rename: New names by the present ones; the attributes stay.
            widen: New types by name: int to long, or a decimal of more digits before the point.
            drop: Columns that go; their attributes arrive in `unmapped` from then on, masked as before.
            confirm: The workbench's name, as a confirmation of a drop.

        Returns:
            One row per Iceberg table: table, status, columns_added (or columns_changed), location, and
            rows_filled if columns were added.

        Raises:
            NotFoundError: A column that does not exist or is not proposed, or a contract without a file.
            ContractError, SettingsError: It cannot be made, or a drop was not confirmed; nothing was changed.
            NotReadyError: Changes are still on their way to the change log; call it again later.

        Example:
            >>> orders.evolve(rename={"amt": "amount"})
        """
        changes = Changes(rename or {}, widen or {}, drop)
        self.contract, done = change_columns(self._connection, self.contract, columns, changes, confirm)
        layers.follow_parquet(*self._place)
        return done

    def preview_evolve(
        self,
        columns: Sequence[str] | None = None,
        *,
        rename: Mapping[str, str] | None = None,
        widen: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
    ) -> pd.DataFrame:
        """What `evolve` with these arguments would touch, how many rows it would fill, and what it breaks.

        Returns:
            One row each: change, touches (`table`, `values`, `mask`, `curated SQL`, …), name, effect.
        """
        changes = Changes(rename or {}, widen or {}, drop)
        return preview_columns(self._connection, self.contract, columns, changes)

    # proof

    def reconcile(
        self,
        *,
        settle_seconds: float = 0,
        sample: int | None = None,
        partition_keys: Sequence[Any] | None = None,
    ) -> ReconcileReport:
        """Compare DynamoDB with the current table and the change log: every attribute of every item.

        Args:
            settle_seconds: How long to wait for differences to settle, on a table that is being written to.
            sample: Compare only about this many items: all items of randomly chosen partition keys.
            partition_keys: Compare only the items of these partition keys.
        """
        return proof.reconcile(
            *self._place, settle_seconds=settle_seconds, sample=sample, partition_keys=partition_keys
        )

    def preview_reconcile(self) -> pd.DataFrame:
        """What `reconcile` would read, without reading it: items, bytes, read units, and Athena's price."""
        return proof.preview_reconcile(*self._place)

    def repair(self, report: ReconcileReport, *, confirm: str) -> pd.DataFrame:
        """Fix what `reconcile` found: by a refresh, or through the change log where that lacks the change.

        Args:
            report: What `reconcile` found.
            confirm: The workbench's name, as a confirmation.

        Raises:
            SettingsError: The name does not match; nothing was done.
        """
        return proof.repair(*self._place, report, confirm=confirm)

    # leaving

    def remove_source(self, *, confirm: str, delete_items_of: Sequence[str] = ()) -> pd.DataFrame:
        """Remove this table's source from a project of several: its stacks, Iceberg tables and failures.

        An adopted DynamoDB table stays. No other source is interrupted.

        Args:
            confirm: The name of the DynamoDB table, as a confirmation.
            delete_items_of: Its name once more, if it was created here and others wrote items into it.

        Raises:
            SettingsError: It is the project's first source, or the name does not match.
        """
        return deploy.remove_source(*self._place, confirm=confirm, delete_items_of=delete_items_of)

    # people who can be forgotten

    def preview_forget(
        self,
        key: Mapping[str, Any] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        everywhere: bool = False,
    ) -> ForgetReport:
        """Where items are, in every table, bucket and queue, without removing anything.

        Args:
            key: The item's key.
            where: Instead of a key `{"customer_id": "C-17"}`: all items that have, or had, that value.
            everywhere: With `where`, in all tables of the project that have the column.
        """
        if everywhere:
            return erasure.preview_person(self._all_places, where, key)
        return erasure.preview_forget(*self._place, key, where=where)

    def forget(
        self,
        key: Mapping[str, Any] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        confirm: str,
        everywhere: bool = False,
        even_if_alive: bool = False,
    ) -> ForgetReport:
        """Remove items from every table, bucket and queue, and let no replay or backfill bring them back.

        Args:
            key: The item's key.
            where: As for `preview_forget`.
            confirm: The values of the key joined by `/`, or the value of `where`, as a confirmation.
            everywhere: With `where`, in all tables of the project that have the column.
            even_if_alive: Forget what the tables hold of an item, although DynamoDB still has it.

        Returns:
            The report: `.df` (each place, what was found, removed and left, and until when), `.snapshots`
            (those that still hold rows), `.gone_at`; `.check()` looks again.

        Raises:
            SettingsError: The confirmation does not match, or an item is still in DynamoDB.
            NotFoundError: No place holds the items.
        """
        if everywhere:
            places = self._all_places
            return erasure.forget_person(places, where, key, confirm=confirm, even_if_alive=even_if_alive)
        return erasure.forget(*self._place, key, where=where, confirm=confirm, even_if_alive=even_if_alive)

    @property
    def _all_places(self) -> list[Place]:
        contracts = self._connection.contracts()
        own = [each for each in contracts if each.table == self.contract.table] or [self.contract]
        others = [each for each in contracts if each.table != self.contract.table]
        return [self._connection.place_of(each) for each in (*own, *others)]

    def forgotten(self) -> pd.DataFrame:
        """The tombstones of the table's source: when items were forgotten, and a hash of each key."""
        return erasure.forgotten(*self._place)

    # what the change log keeps

    def preview_retention(self, *, days: int) -> pd.DataFrame:
        """What `apply_retention` would fold now, by day: rows, and how many are base, folded, or stay.

        Args:
            days: As for `apply_retention`.
        """
        return erasure.preview_retention(*self._place, days=days)

    def apply_retention(self, *, days: int, confirm: str) -> pd.DataFrame:
        """Fold older days of the change log into a base: the latest change of each key, as a SNAPSHOT.

        `state_as_of` stays exact from then on, and says where history begins.

        Args:
            days: Whole days that stay, today not counted.
            confirm: The table's name.

        Raises:
            SettingsError: The name does not match; nothing was changed.
        """
        return erasure.apply_retention(*self._place, days=days, confirm=confirm)
