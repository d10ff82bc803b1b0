"""Opening a workbench, on the local AWS or on AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynaberg import aws
from dynaberg.contracts import project_contract
from dynaberg.settings import load_settings
from dynaberg.workbench.workbench import Workbench


def connect(
    target: str | None = None,
    *,
    region: str | None = None,
    root: Path | None = None,
    contract: Path | None = None,
    **settings: Any,
) -> Workbench:
    """Open the workbench on the local AWS or on AWS.

    With the target `local`, the local AWS is started if it is not running, and the process's `AWS_*`
    variables point to it, so that plain boto3, PyAthena and pyiceberg reach it too.

    Args:
        target: `local` or `aws`; by default `DYNABERG_TARGET`, then `local`.
        region: AWS Region; by default the session's.
        root: The project's folder; by default the nearest one above the working directory.
        contract: The table contract's YAML file; by default `data/tables/<table_name>.yaml`.
        **settings: Any other field of `Settings`, `stream_type="kinesis"` for example.

    Returns:
        The workbench; as the last line of a cell, it shows what it is connected to.

    Raises:
        SettingsError: A setting that cannot be used.
        LocalAwsError: The local AWS cannot be started.
        CredentialsError: AWS cannot identify the caller.

    Example:
        >>> wb = dynaberg.connect()
        >>> wb.enable_cdc()
    """
    chosen = load_settings(root, target=target, region=region, **settings)
    described = project_contract(chosen, contract)
    return Workbench(chosen, aws.open_session(chosen), described)
