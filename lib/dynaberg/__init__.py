"""Dynaberg: the changes of a DynamoDB table, in Iceberg tables, in a notebook.

    >>> import dynaberg
    >>> wb = dynaberg.connect()
"""

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
from dynaberg.workbench import Workbench, connect

__version__ = "0.1.0"

__all__ = [
    "ContractError",
    "CredentialsError",
    "DeploymentError",
    "DynabergError",
    "LocalAwsError",
    "NotFoundError",
    "NotReadyError",
    "QueryCancelledError",
    "QueryError",
    "Settings",
    "SettingsError",
    "TrafficError",
    "Workbench",
    "connect",
]
