"""The workbench: what a notebook holds. Each method is one call into a room of the house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import boto3
import pandas as pd

from dynaberg import (
    aws,
    bill,
    bookmarks,
    catalog,
    cleanup,
    compaction,
    cost,
    deploy,
    display,
    drift,
    failures,
    freshness,
    layers,
    maintenance,
    profiling,
    query,
    queues,
    reconcile,
    references,
    repair,
    replay,
    snapshots,
    stream_replay,
    time_travel,
    traffic,
    waiting,
)
from dynaberg.contract import Contract, load_contract
from dynaberg.doctor import doctor
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings, check_choice, load_settings

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from dynaberg.reconcile import ReconcileReport

Stage = Literal["cdc", "firehose", "traffic", "refresh"]
Moment = datetime | int | str


def connect(
    target: str | None = None, *, region: str | None = None, root: Path | None = None, **settings: Any
) -> Workbench:
    """Open the workbench on the local AWS or on AWS.

    Locally the local AWS is started where it does not run yet, and the process's `AWS_*` variables
    are set to it, so that plain boto3, PyAthena and pyiceberg reach it too.

    Args:
        target: `local` or `aws`; by default `DYNABERG_TARGET`, then `local`.
        region: AWS Region; by default the session's.
        root: The project's folder; by default found upwards from the working directory.
        **settings: Any other field of `Settings`, `stream_type="kinesis"` for example.

    Returns:
        The workbench; as the last line of a cell it shows where it is connected to.

    Raises:
        SettingsError: A setting that cannot be used.
        LocalAwsError: The local AWS cannot be started.
        CredentialsError: AWS does not know who is asking.

    Example:
        >>> wb = dynaberg.connect()
        >>> wb.enable_cdc()
    """
    chosen = load_settings(root, target=target, region=region, **settings)
    contract = load_contract(chosen.root / "data" / "tables" / f"{chosen.table_name}.yaml")
    return Workbench(chosen, aws.open_session(chosen), contract)


class Workbench:
    """One DynamoDB table, its pipeline, and the Iceberg tables that it fills.

    Args:
        settings: Names, target and folders.
        session: An open boto3 session; the native way to everything.
        contract: The table contract.
    """

    def __init__(self, settings: Settings, session: boto3.Session, contract: Contract) -> None:
        self.settings = settings
        self.session = session
        self.contract = contract
        self._traffic: list[traffic.TrafficReport] = []

    # What it is, and the native objects ---------------------------------------------------------

    @property
    def name(self) -> str:
        """Beginning of the names of the stacks; a clean-up is confirmed with it."""
        return self.settings.name

    @cached_property
    def catalog(self) -> Catalog:
        """The Iceberg REST catalog of the table bucket, a native pyiceberg `Catalog`."""
        return catalog.open_catalog(self.session, self.settings)

    def client(self, service: str) -> Any:
        """A native boto3 client, such as `wb.client("firehose")`."""
        return aws.client(self.session, service)

    def load_table(self, name: str) -> Table:
        """Load a table as a native pyiceberg `Table`.

        Args:
            name: Table of the namespace, without the namespace.

        Raises:
            NotFoundError: No such table; the message names those that exist.
        """
        return catalog.load_table(self.catalog, self.settings, name)

    def data_path(self, *parts: str) -> Path:
        """A path under the project's `data/` folder, wherever the notebook runs."""
        return self.settings.root.joinpath("data", *parts)

    def doctor(self) -> pd.DataFrame:
        """Check every precondition, each with its fix."""
        return doctor(self.session, self.settings)

    # The pipeline -------------------------------------------------------------------------------

    def enable_cdc(self) -> pd.DataFrame:
        """Create the source table with its stream, the table bucket and the namespace (foundation stack)."""
        return deploy.enable_cdc(self.session, self.settings, self.contract)

    def integrate_analytics(self, *, data_access_role_arn: str = "") -> pd.DataFrame:
        """Make the catalog by which Athena and Firehose see table buckets, where the account has none.

        It is for the whole account and Region; what exists is never changed, and no clean-up removes it.

        Args:
            data_access_role_arn: With Lake Formation, the role by which it reads and writes table buckets.
        """
        return deploy.integrate_analytics(
            self.session, self.settings, data_access_role_arn=data_access_role_arn
        )

    def deploy_firehose(
        self, *, buffer_seconds: int = 10, redrive_attempts: int = 8, redrive_seconds: int = 30
    ) -> pd.DataFrame:
        """Create the Iceberg tables, the roles, the delivery into the change log, its alarms (three stacks).

        With another `stream_type` than before, a live deployment changes over: nothing is lost, and what
        came on both paths is in the log twice, in the current table once.

        Args:
            buffer_seconds: How long Firehose gathers records before it commits a snapshot, 0 to 900.
            redrive_attempts: How often what Firehose refused is tried again before it is parked, 1 to 50.
            redrive_seconds: How long that waits at first; twice as long after each attempt, 1 to 900.
        """
        layers.create_tables(self.session, self.settings, self.contract)
        return deploy.deploy_firehose(
            self.session,
            self.settings,
            self.contract,
            buffer_seconds=buffer_seconds,
            redrive_attempts=redrive_attempts,
            redrive_seconds=redrive_seconds,
        )

    def preview(self) -> pd.DataFrame:
        """What `enable_cdc` and `deploy_firehose` would do now, resource by resource, without doing it."""
        return deploy.preview(self.session, self.settings, self.contract)

    def stack_drift(self) -> pd.DataFrame:
        """Where what is deployed is no longer what the stacks say, because someone changed it by hand."""
        return deploy.stack_drift(self.session, self.settings)

    def grants(self, access_mode: str | None = None) -> pd.DataFrame:
        """Who may do what on which resource: the roles of the pipeline, and analysts.

        Args:
            access_mode: `iam` or `lakeformation`; by default that of the settings.
        """
        return deploy.grants(self.session, self.settings, self.contract, access_mode)

    def policy(self, name: Literal["work", "deploy"]) -> dict[str, Any]:
        """An IAM policy for the caller: to `work` with the library, or to `deploy` by CloudFormation."""
        return deploy.policy(self.session, self.settings, self.contract, name)

    def generate_traffic(self, changes: int = 10_000, *, seed: int = 7) -> traffic.TrafficReport:
        """Write inserts, updates and deletes into the source table through the DynamoDB API.

        Args:
            changes: How many change records shall come of it.
            seed: The same seed makes the same traffic.
        """
        report = traffic.generate_traffic(
            self.session, self.contract.source_table, changes=changes, seed=seed
        )
        self._traffic.append(report)
        return report

    def wait_for_delivery(self, *, timeout: float = 300) -> pd.DataFrame:
        """Wait until the change log holds every change.

        After `generate_traffic` the changes that it wrote are waited for; otherwise those that the
        table's stream still holds.

        Args:
            timeout: Deadline in seconds.

        Raises:
            NotReadyError: The deadline passed; the message says what is missing and where to look.
        """
        reports, self._traffic = self._traffic, []
        return waiting.wait_for_delivery(
            self.session,
            self.settings,
            self.contract,
            expected=sum(report.changes for report in reports) or None,
            since=reports[0].started_at if reports else None,
            timeout=timeout,
        )

    def refresh(self, name: str | None = None) -> pd.DataFrame:
        """Bring the current table up to the change log with one Athena MERGE.

        Args:
            name: The current table; by default the settings' `table_name`.
        """
        self._check_current(name)
        return layers.refresh(self.session, self.settings, self.contract)

    def build(self, name: str) -> pd.DataFrame:
        """Build a curated table from `data/sql/curated/<name>.sql`."""
        return layers.build(self.session, self.settings, name)

    def load_reference(self, name: str) -> pd.DataFrame:
        """Bring a CSV file into the table bucket as a table to join with, by `data/references/<name>.yaml`.

        Args:
            name: Name of the YAML file, and of the table.
        """
        return references.load_reference(self.session, self.settings, name)

    def prepare(self, through: Stage) -> Workbench:
        """Bring the pipeline to where a notebook needs it; what is there already is left as it is.

        Args:
            through: The last stage that must be done: `cdc`, `firehose`, `traffic` or `refresh`.

        Returns:
            The workbench.
        """
        stages = get_args(Stage)
        check_choice("through", through, stages)
        for stage in stages[: stages.index(through) + 1]:
            getattr(self, f"_prepare_{stage}")()
        return self

    def _prepare_cdc(self) -> None:
        if not deploy.exists(self.session, self.settings, "foundation"):
            self.enable_cdc()

    def _prepare_firehose(self) -> None:
        if not deploy.exists(self.session, self.settings, "delivery"):
            self.integrate_analytics()
            self.deploy_firehose()

    def _prepare_traffic(self) -> None:
        if self.load_table(self.settings.log_name).current_snapshot() is None:
            self.generate_traffic()
            self.wait_for_delivery()

    def _prepare_refresh(self) -> None:
        self.refresh()

    # Asking -------------------------------------------------------------------------------------

    def query(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> query.QueryResult:
        """Run Athena SQL.

        Args:
            sql: One statement; `:name` and `?` stand for parameters.
            params: Values by name or by place; they are bound by Athena, never formatted in.

        Returns:
            The result: `.df`, `.bytes_scanned`, `.runtime_ms`, `.query_id`.

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

    # Keeping it in shape ------------------------------------------------------------------------

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

    # When things break --------------------------------------------------------------------------

    def freshness(self, *, since: datetime | None = None) -> pd.DataFrame:
        """The lag of each hop: item → stream → Lambda → snapshot of the change log.

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

    # The bill -----------------------------------------------------------------------------------

    def estimate_cost(self, changes_per_day: int, item_bytes: int = 1_000, **workload: int) -> pd.DataFrame:
        """A month's bill of both patterns, and of zero-ETL beside them, from dated list prices.

        Args:
            changes_per_day: Inserts, updates and deletes; 0 gives what the pipeline costs while idle.
            item_bytes: Average size of an item, as DynamoDB counts it.
            **workload: The other arguments of `cost.estimate_cost`, such as `refreshes_per_day`.
        """
        return cost.estimate_cost(changes_per_day, item_bytes, **workload)

    def cost_so_far(self) -> pd.DataFrame:
        """What this deployment has cost so far, at list prices; locally, what AWS would bill."""
        return bill.cost_so_far(self.session, self.settings)

    # The end ------------------------------------------------------------------------------------

    def list_resources(self) -> pd.DataFrame:
        """Everything that this workbench created and that still exists, and what each costs while idle."""
        return cleanup.list_resources(self.session, self.settings)

    def clean_up(self, *, confirm: str) -> pd.DataFrame:
        """Remove everything that this workbench created, its data too.

        Args:
            confirm: The workbench's name, typed.

        Raises:
            SettingsError: The name does not match; nothing was removed.
        """
        self.__dict__.pop("catalog", None)
        return cleanup.clean_up(self.session, self.settings, confirm=confirm)

    def stop(self) -> None:
        """Stop the local AWS, its state kept; on AWS there is nothing to stop."""
        aws.stop_local(self.settings)

    def __repr__(self) -> str:
        return (
            f"Workbench({self.name!r}, target={self.settings.target!r}, region={self.session.region_name!r})"
        )

    def _repr_html_(self) -> str:
        account = aws.account_id(self.session)
        money = cost.cost_class(self.settings) if self.settings.target == "aws" else ""
        return display.workbench_card(self.settings, self.session.region_name, account, cost=money)

    def _table(self, table: str | Table) -> Table:
        return self.load_table(table) if isinstance(table, str) else table

    def _check_current(self, name: str | None) -> None:
        if name not in (None, self.settings.table_name):
            raise NotFoundError.among(
                "current table",
                str(name),
                [self.settings.table_name],
                hint="Curated tables are built with wb.build().",
            )
