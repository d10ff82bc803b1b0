"""The workbench: what a notebook holds. Each method is one call into a room of the house."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynaberg import aws, cost, display
from dynaberg.contract import load_contract
from dynaberg.settings import load_settings
from dynaberg.workbench.ending import Ending
from dynaberg.workbench.maintenance import Maintenance
from dynaberg.workbench.pipeline import Pipeline
from dynaberg.workbench.questions import Questions
from dynaberg.workbench.repairs import Repairs


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


class Workbench(Pipeline, Questions, Maintenance, Repairs, Ending):
    """One DynamoDB table, its pipeline, and the Iceberg tables that it fills.

    Args:
        settings: Names, target and folders.
        session: An open boto3 session; the native way to everything.
        contract: The table contract.
    """

    def __repr__(self) -> str:
        return (
            f"Workbench({self.name!r}, target={self.settings.target!r}, region={self.session.region_name!r})"
        )

    def _repr_html_(self) -> str:
        account = aws.account_id(self.session)
        money = cost.cost_class(self.settings) if self.settings.target == "aws" else ""
        return display.workbench_card(self.settings, self.session.region_name, account, cost=money)
