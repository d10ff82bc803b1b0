"""The integration of S3 Tables with AWS's analytics services: once for each account and Region.

Athena and Firehose see table buckets through the federated catalog `s3tablescatalog`. It belongs to the whole
account: it is created if there is none, and an existing one is only read, never changed.
Source: "Integrating Amazon S3 Tables with AWS analytics services", Amazon S3 User Guide; "Amazon S3 Tables
integration with AWS Glue Data Catalog and AWS Lake Formation", AWS Lake Formation Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pandas as pd
from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import DeploymentError, SettingsError
from dynaberg.settings import Settings

CATALOG = "s3tablescatalog"
CONNECTION = "aws:s3tables"
_EVERYBODY = [
    {"Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"}, "Permissions": ["ALL"]}
]
_DEFAULTS = ("CreateDatabaseDefaultPermissions", "CreateTableDefaultPermissions")


@dataclass(frozen=True)
class Integration:
    """The state of the integration in an account.

    Attributes:
        access_mode: `iam` or `lakeformation`, whichever controls table buckets; None if neither does.
        exists: Whether the catalog exists.
    """

    access_mode: str | None
    exists: bool


def find_integration(session: boto3.Session) -> Integration:
    """Read the account's integration, in the Region of the session.

    Raises:
        DeploymentError: A catalog of that name exists that does not contain table buckets.
    """
    catalog = _catalog(session)
    if catalog is None:
        return Integration("lakeformation" if _is_registered(session) else None, exists=False)
    if catalog.get("FederatedCatalog", {}).get("ConnectionName") != CONNECTION:
        msg = f"There is a Glue catalog {CATALOG!r}, but it does not contain table buckets."
        raise DeploymentError(msg, hint="S3 Tables needs this name; ask the owner of that catalog.")
    return Integration(_mode(catalog), exists=True)


def integrate_analytics(
    session: boto3.Session, settings: Settings, *, data_access_role_arn: str = ""
) -> pd.DataFrame:
    """Create the catalog `s3tablescatalog` if the account has none in this Region; never change one.

    Args:
        session: An open session.
        settings: The access mode.
        data_access_role_arn: With `lakeformation`, the role with which Lake Formation reads and writes table
            buckets, if they are not registered with it yet.

    Returns:
        One row: catalog, access_mode, made (whether it was created now).

    Raises:
        SettingsError: The account's access mode differs from that of the settings, or a role is missing.
        DeploymentError: A catalog of that name exists that does not contain table buckets.

    Example:
        >>> integrate_analytics(session, settings)
    """
    found, wanted = find_integration(session), settings.deployed_access_mode
    check_mode(found, wanted)
    if not found.exists:
        if wanted == "lakeformation" and found.access_mode is None:
            _register(session, data_access_role_arn)
        _create(session, wanted)
        # Someone else may have created it first, with another mode.
        check_mode(find_integration(session), wanted)
    return pd.DataFrame([(CATALOG, wanted, not found.exists)], columns=["catalog", "access_mode", "made"])


def check_mode(found: Integration, wanted: str) -> None:
    """Refuse to work with another access mode than the account's.

    Raises:
        SettingsError: It differs from that of the settings.
    """
    if found.access_mode not in (None, wanted):
        msg = f"This account controls table buckets with {found.access_mode!r}, the settings with {wanted!r}."
        hint = f'Set access_mode to "{found.access_mode}". Only administrators should change an account:'
        raise SettingsError(msg, hint=f"{hint} everyone who reads table buckets would be affected at once.")


def _catalog(session: boto3.Session) -> dict[str, Any] | None:
    try:
        answer = aws.client(session, "glue").get_catalog(CatalogId=CATALOG)
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return None
        raise
    found: dict[str, Any] = answer["Catalog"]
    return found


def _mode(catalog: Mapping[str, Any]) -> str:
    """Who decides: IAM alone if every IAM principal is allowed by default."""
    return "iam" if all(catalog.get(key) == _EVERYBODY for key in _DEFAULTS) else "lakeformation"


def _every_bucket(session: boto3.Session) -> str:
    partition = session.get_partition_for_region(session.region_name)
    return f"arn:{partition}:s3tables:{session.region_name}:{aws.account_id(session)}:bucket/*"


def _is_registered(session: boto3.Session) -> bool:
    """Whether table buckets are registered with Lake Formation."""
    try:
        aws.client(session, "lakeformation").describe_resource(ResourceArn=_every_bucket(session))
    except ClientError as error:
        if error.response["Error"]["Code"] == "EntityNotFoundException":
            return False
        raise
    return True


def _register(session: boto3.Session, role_arn: str) -> None:
    if not role_arn:
        msg = "Lake Formation has no role yet with which it could read and write table buckets."
        hint = "Pass one: wb.integrate_analytics(data_access_role_arn=…); CONTRIBUTING.md says what it needs."
        raise SettingsError(msg, hint=hint)
    aws.client(session, "lakeformation").register_resource(
        ResourceArn=_every_bucket(session), RoleArn=role_arn, WithFederation=True, WithPrivilegedAccess=True
    )


def _create(session: boto3.Session, access_mode: str) -> None:
    by_iam = access_mode == "iam"
    try:
        aws.client(session, "glue").create_catalog(
            Name=CATALOG,
            CatalogInput={
                "FederatedCatalog": {"Identifier": _every_bucket(session), "ConnectionName": CONNECTION},
                **{key: _EVERYBODY if by_iam else [] for key in _DEFAULTS},
                **({} if by_iam else {"AllowFullTableExternalDataAccess": "True"}),
            },
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException":
            raise
