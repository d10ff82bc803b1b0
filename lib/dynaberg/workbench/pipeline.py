"""The pipeline: what is deployed, who may use it, and how changes get through it into the layers."""

from __future__ import annotations

from typing import Any, Literal, Self, get_args

import boto3
import pandas as pd

from dynaberg import deploy, layers, references, traffic, waiting
from dynaberg.contract import Contract
from dynaberg.doctor import doctor
from dynaberg.settings import Settings, check_choice
from dynaberg.workbench.ground import Ground

Stage = Literal["cdc", "firehose", "traffic", "refresh"]


class Pipeline(Ground):
    """From the source table to the current and the curated tables."""

    def __init__(self, settings: Settings, session: boto3.Session, contract: Contract) -> None:
        super().__init__(settings, session, contract)
        self._traffic: list[traffic.TrafficReport] = []

    def doctor(self) -> pd.DataFrame:
        """Check every precondition, each with its fix."""
        return doctor(self.session, self.settings)

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

    def prepare(self, through: Stage) -> Self:
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
