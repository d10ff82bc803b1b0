"""Dynaberg: the changes of a DynamoDB table, in Iceberg tables, in a notebook.

>>> import dynaberg
>>> wb = dynaberg.connect()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynaberg.errors import (
    ContractError,
    CredentialsError,
    DeploymentError,
    DynabergError,
    LocalAwsError,
    NotFoundError,
    NotReadyError,
    QueryCancelledError,
    QueryError,
    SettingsError,
    TrafficError,
)
from dynaberg.settings import Settings

if TYPE_CHECKING:
    from dynaberg.functions.packing import unpack
    from dynaberg.upkeep import estimate_cost
    from dynaberg.workbench import IcebergTable, Table, Workbench, connect

__version__ = "0.2.0"

__all__ = [
    "ContractError",
    "CredentialsError",
    "DeploymentError",
    "DynabergError",
    "IcebergTable",
    "LocalAwsError",
    "NotFoundError",
    "NotReadyError",
    "QueryCancelledError",
    "QueryError",
    "Settings",
    "SettingsError",
    "Table",
    "TrafficError",
    "Workbench",
    "connect",
    "estimate_cost",
    "unpack",
]


def __getattr__(name: str) -> Any:
    """Import the workbench only when it is used: `dynaberg local env` needs neither pandas nor boto3."""
    if name == "estimate_cost":
        from dynaberg.upkeep import estimate_cost

        return estimate_cost
    if name == "unpack":
        from dynaberg.functions.packing import unpack

        return unpack
    if name in ("IcebergTable", "Table", "Workbench", "connect"):
        from dynaberg import workbench

        return getattr(workbench, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
