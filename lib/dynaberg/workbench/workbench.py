"""The workbench: the project as a whole. Each method is one call into the package that does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import boto3
import pandas as pd

from dynaberg import aws, curated, deploy, display, layers, local, source, upkeep
from dynaberg import sql as athena
from dynaberg.contracts import LOG_KEY, Contract
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings
from dynaberg.workbench.adopting import adopt
from dynaberg.workbench.connection import Connection
from dynaberg.workbench.iceberg_table import IcebergTable
from dynaberg.workbench.schedule import Schedule, update_schedule
from dynaberg.workbench.stages import Stage, bring_to
from dynaberg.workbench.table import Table
from dynaberg.workbench.tables import list_tables

if TYPE_CHECKING:
    import pyiceberg.catalog
    from matplotlib.axes import Axes

    from dynaberg.sql import QueryResult


class Workbench:
    """The project: what is deployed, who may use it, SQL over all of its tables, its bill and its clean-up.

    Everything that concerns one table is in `wb.table("transactions")`.

    Args:
        settings: Names, target and folders.
        session: An open boto3 session, for native access to everything.
        contract: The table contract.
    """

    def __init__(self, settings: Settings, session: boto3.Session, contract: Contract) -> None:
        self._connection = Connection(settings, session, contract)

    def __repr__(self) -> str:
        region = self.session.region_name
        return f"Workbench({self.name!r}, target={self.settings.target!r}, region={region!r})"

    def _repr_html_(self) -> str:
        account = aws.account_id(self.session)
        money = upkeep.cost_class(self.settings) if self.settings.target == "aws" else ""
        return display.workbench_card(self.settings, self.session.region_name, account, cost=money)

    @property
    def _contract(self) -> Contract:
        return self._connection.contract

    # native objects, and where things are

    @property
    def name(self) -> str:
        """Prefix of the names of the stacks; a clean-up is confirmed with it."""
        return self.settings.name

    @property
    def settings(self) -> Settings:
        """Names, target and folders."""
        return self._connection.settings

    @property
    def session(self) -> boto3.Session:
        """The open boto3 session."""
        return self._connection.session

    @property
    def catalog(self) -> pyiceberg.catalog.Catalog:
        """The Iceberg REST catalog of the table bucket, a native pyiceberg `Catalog`."""
        return self._connection.catalog

    def client(self, service: str) -> Any:
        """A native boto3 client, such as `wb.client("firehose")`."""
        return self._connection.client(service)

    def data_path(self, *parts: str) -> Path:
        """A path under the project's `data/` folder, wherever the notebook runs."""
        return self.settings.root.joinpath("data", *parts)

    # tables

    def table(self, name: str | None = None) -> Table:
        """One table: its delivery, its history, its profile, its proof, its maintenance.

        A contract that was written since this workbench was opened is found, too.

        Args:
            name: Name of a table contract, such as `transactions`; the table need not be deployed yet. By
                default the table of the settings.

        Raises:
            NotFoundError: There is no such contract; the message names those that exist.

        Example:
            >>> transactions = wb.table("transactions")
            >>> transactions.refresh()
        """
        if name in (None, self._contract.table):
            return Table(self._connection, self._contract)
        project = self._connection.project()
        found = {contract.table: contract for contract in project.contracts if not contract.is_rest}
        if name not in found:
            project.refuse_broken(str(name))
            advice = ("wb.infer_contract(…)", "dynaberg contract infer TABLE")
            infer = local.advice("for a DynamoDB table, {}", *advice)
            hint = f"{infer} Change logs, curated and reference tables: wb.iceberg_table({name!r})."
            raise NotFoundError.among("table with a contract", str(name), list(found), hint=hint)
        return Table(self._connection, found[str(name)])

    def tables(self) -> pd.DataFrame:
        """Every table of the project, deployed or not: its source, stream type and rows, and how fresh it is.

        Returns:
            One row per contract: table, source_table, state (`not deployed`, `source only`, `deployed`,
            `contract cannot be used`: see `doctor()`), stream_type, rows (of the current table), log_rows,
            delivered_at and refreshed_at (UTC: the latest snapshots of the two Iceberg tables).

        Example:
            >>> wb.tables()[["table", "state", "rows"]]
        """
        return list_tables(self._connection, self._connection.project())

    def iceberg_table(self, name: str) -> IcebergTable:
        """Any Iceberg table of the namespace, no matter what writes it: its history, profile and maintenance.

        Args:
            name: Name of a change log, a current, a curated or a reference table.

        Raises:
            NotFoundError: There is no such table; the message names those that exist.

        Example:
            >>> wb.iceberg_table("transactions_changes").snapshots()
            >>> wb.iceberg_table("hourly_activity").current.scan().to_pandas()
        """
        logs = [self._contract.log_name, *(each.log_name for each in self._connection.project().contracts)]
        table = IcebergTable(self._connection, name, LOG_KEY if name in logs else ())
        self._connection.load_table(name)
        return table

    def infer_contract(
        self, table: str, *, sample: int | None = 10_000, path: Path | None = None, overwrite: bool = False
    ) -> source.InferredContract:
        """Infer a table contract from the items of any DynamoDB table, and write it if there is none yet.

        Args:
            table: Name of the DynamoDB table, which is only read.
            sample: How many items to read; None for all.
            path: The YAML file; by default `data/tables/<table in snake_case>.yaml`.
            overwrite: Replace a file that exists; otherwise `.diff` shows what would change.

        Returns:
            The contract and what reading took: `.contract`, `.path`, `.diff`, `.items`, `.read_units`.

        Raises:
            NotFoundError: There is no such table, or it has no items.
        """
        return source.infer_contract(
            self.session, self.settings, table, sample=sample, path=path, overwrite=overwrite
        )

    def infer_contracts(
        self, table: str, *, sample: int | None = 10_000, folder: Path | None = None, overwrite: bool = False
    ) -> list[source.InferredContract]:
        """The same for each kind of items, into a folder; by default `data/tables`."""
        return source.infer_contracts(
            self.session, self.settings, table, sample=sample, folder=folder, overwrite=overwrite
        )

    # what is deployed, and who may use it

    def doctor(self) -> pd.DataFrame:
        """Check every precondition, each with its fix."""
        return deploy.doctor(self.session, self.settings)

    def enable_cdc(self, name: str | None = None) -> pd.DataFrame:
        """Create the source table with its stream, the table bucket and the namespace (foundation stack).

        The first source of a project brings what all of them share; a further one has a stack for itself.

        Args:
            name: Name of a table contract; by default the table of the settings.
        """
        return deploy.enable_cdc(*self._connection.place_of(self.table(name).contract))

    def adopt(self, name: str | None = None) -> pd.DataFrame:
        """Take an existing DynamoDB table as the source, instead of creating one with `enable_cdc`.

        The table is described and checked. If it has no stream, the stream is switched on; nothing else is
        changed, and a clean-up leaves it where it is. If that is refused, nothing is left of what was begun.

        Args:
            name: Name of a table contract; by default the table of the settings.

        Returns:
            One row per subject: what, found, done.
        """
        return adopt(self._connection, self.table(name).contract)

    def integrate_analytics(self, *, data_access_role_arn: str = "") -> pd.DataFrame:
        """Create the catalog through which Athena and Firehose see table buckets, if the account has none.

        It belongs to the whole account and Region; an existing one is never changed, nor cleaned up.

        Args:
            data_access_role_arn: With Lake Formation, the role with which it reads and writes table buckets.
        """
        return deploy.integrate_analytics(
            self.session, self.settings, data_access_role_arn=data_access_role_arn
        )

    def deploy_firehose(
        self,
        name: str | None = None,
        *,
        buffer_seconds: int = 60,
        redrive_attempts: int = 8,
        redrive_seconds: int = 30,
    ) -> pd.DataFrame:
        """Create the Iceberg tables, the roles, the delivery into the change log, its alarms (three stacks).

        With another `stream_type` than before, a live deployment switches over: nothing is lost, and a change
        that came on both paths is in the change log twice and in the current table once.

        Args:
            name: Name of a table contract, to deploy its source alone; by default every source with a stream.
            buffer_seconds: How long Firehose gathers records before a commit, 0 to 900; each adds metadata.
            redrive_attempts: How often rows that Firehose refused are tried again, then parked, 1 to 50.
            redrive_seconds: Their first delay, which doubles after each attempt, 1 to 900.
        """
        named = None if name is None else self.table(name).contract
        pace = {"redrive_attempts": redrive_attempts, "redrive_seconds": redrive_seconds}
        pace["buffer_seconds"] = buffer_seconds
        done = []
        for session, settings, contract in self._connection.places(named):
            layers.create_tables(session, settings, contract)
            done.append(deploy.deploy_firehose(session, settings, contract, **pace))
            layers.put_parquet_tables(session, settings, contract)
        update_schedule(self._connection)
        return pd.concat([*done, *self._connection.left_out(named)], ignore_index=True)

    def preview(self) -> pd.DataFrame:
        """What `enable_cdc` and `deploy_firehose` would do now, resource by resource, without doing it."""
        return pd.concat([deploy.preview(*place) for place in self._connection.places()], ignore_index=True)

    def stack_drift(self) -> pd.DataFrame:
        """Where the deployed resources differ from their templates because someone changed them by hand."""
        return deploy.stack_drift(self.session, self.settings)

    def grants(self, access_mode: str | None = None) -> pd.DataFrame:
        """Who may do what on which resource: the roles of the pipeline, and analysts.

        Args:
            access_mode: `iam` or `lakeformation`; by default that of the settings.
        """
        return deploy.grants(*self._connection.place, access_mode)

    def policy(self, name: Literal["work", "deploy"]) -> dict[str, Any]:
        """An IAM policy for the caller: to `work` with the library, or to `deploy` by CloudFormation."""
        others = [contract for contract in self._connection.contracts() if contract != self._contract]
        return deploy.policy(*self._connection.place, name, others)

    def prepare(self, through: Stage) -> Self:
        """Bring the pipeline to the stage that a notebook needs; what already exists is left as it is.

        Args:
            through: The last stage that must be done: `cdc`, `firehose`, `traffic`, `refresh` of all tables.

        Returns:
            The workbench.
        """
        bring_to(self, through)
        return self

    # traffic, SQL, curated and reference tables, with a notebook and without

    @property
    def schedule(self) -> Schedule:
        """Refreshes and builds that run again and again, without a notebook."""
        return Schedule(self._connection)

    def generate_traffic(self, changes: int = 10_000, *, seed: int = 7) -> source.TrafficReport:
        """Write inserts, updates and deletes into the source table through the DynamoDB API.

        Args:
            changes: How many change records to produce.
            seed: The same seed makes the same traffic.

        Raises:
            SettingsError: The source table was adopted; nothing was written.
        """
        deploy.refuse_adopted(*self._connection.place[:2])
        report = source.generate_traffic(
            self.session, self._contract.source_table, changes=changes, seed=seed
        )
        self._connection.written.append(report)
        return report

    def query(self, sql: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> QueryResult:
        """Run Athena SQL.

        Args:
            sql: One statement; `:name` and `?` stand for parameters.
            params: Values by name or by position; Athena binds them, they are never formatted in.

        Returns:
            The result: `.df`, `.bytes_scanned`, `.runtime_ms`, `.query_id`; on AWS `.cost_usd`, too.

        Raises:
            QueryError: Athena refused the statement.

        Example:
            >>> sql = "SELECT count(*) AS n FROM transactions WHERE status = :status"
            >>> wb.query(sql, {"status": "APPROVED"}).df
        """
        return athena.query(self.session, self.settings, sql, params)

    def build(self, name: str | None = None, *, full: bool = False) -> pd.DataFrame:
        """Build the curated tables of `data/sql/curated/` that changed, in order; or one of them in any case.

        Args:
            name: One file; by default all, but only what changed and what depends on it.
            full: Build everything, and incremental tables from their first row on.

        Raises:
            BuildError: A check failed, or files cannot be read; what is in the tables stays.
        """
        if name is None:
            return curated.build_all(self.session, self.settings, full=full)
        return curated.build(self.session, self.settings, name, full=full)

    def preview_build(self) -> pd.DataFrame:
        """What `build()` would do, and how the last build of each curated table ended."""
        return curated.preview_build(self.catalog, self.settings)

    def lineage(self) -> Axes:
        """Draw where every number comes from, source to chart: rows, age and last outcome of each box."""
        from dynaberg.plots import plot_lineage  # matplotlib takes as long to import as all the rest

        return plot_lineage(self.lineage_boxes())

    def lineage_boxes(self) -> pd.DataFrame:
        """What `lineage()` draws, one row per box."""
        contracts = [each for *_, found in self._connection.places() for each in found.of_source]
        return curated.lineage(self.session, self.settings, self.catalog, contracts)

    def load_reference(self, name: str) -> pd.DataFrame:
        """Load a CSV file as a reference table, to join with, as `data/references/<name>.yaml` describes it.

        Args:
            name: Name of the YAML file, and of the table.
        """
        return layers.load_reference(self.session, self.settings, name)

    # the bill and the clean-up

    def estimate_cost(self, changes_per_day: int, item_bytes: int = 1_000, **workload: Any) -> pd.DataFrame:
        """A month's bill for both patterns, and for zero-ETL in comparison, from dated list prices.

        Args:
            changes_per_day: Inserts, updates and deletes; 0 gives what the pipeline costs while idle.
            item_bytes: Average size of an item, as DynamoDB counts it.
            **workload: The other arguments of `dynaberg.estimate_cost`, such as `refreshes_per_day`.
        """
        return upkeep.estimate_cost(changes_per_day, item_bytes, **workload)

    def cost_so_far(self) -> pd.DataFrame:
        """What this deployment has cost so far, at list prices; locally, what AWS would bill."""
        return upkeep.cost_so_far(self.session, self.settings)

    def list_resources(self) -> pd.DataFrame:
        """Everything that this workbench created and that still exists, and what each costs while idle."""
        return deploy.list_resources(self.session, self.settings)

    def clean_up(self, *, confirm: str, delete_items_of: Sequence[str] = ()) -> pd.DataFrame:
        """Remove everything that this workbench created, including its data.

        Args:
            confirm: The workbench's name, as a confirmation.
            delete_items_of: Created DynamoDB tables that may go although others wrote items into them.
        """
        self._connection.forget_catalog()
        return deploy.clean_up(self.session, self.settings, confirm=confirm, delete_items_of=delete_items_of)

    def stop(self, *, force: bool = False) -> None:
        """Stop the local AWS and keep its state; on AWS there is nothing to stop.

        Args:
            force: Stop it although somebody else is connected; otherwise it says so and lets it run.
        """
        self._connection.stop(force=force)
