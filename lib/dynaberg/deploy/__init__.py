"""Deployment: the two stacks, from the settings and the table contract."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import boto3
import pandas as pd

from dynaberg.contract import Contract
from dynaberg.deploy.deployer import (
    StackResult,
    delete_stack,
    deploy_stack,
    preview,
    stack_exists,
    stack_outputs,
    stack_resources,
)
from dynaberg.deploy.packaging import package, upload
from dynaberg.errors import SettingsError
from dynaberg.settings import Settings

__all__ = [
    "PARTS",
    "TEMPLATES",
    "Part",
    "StackResult",
    "delete_stack",
    "deploy_firehose",
    "deploy_stack",
    "enable_cdc",
    "exists",
    "foundation_parameters",
    "outputs",
    "preview",
    "stack_name",
    "stack_outputs",
    "stack_resources",
    "tags",
]

TEMPLATES = Path(__file__).parent / "templates"
Part = Literal["foundation", "delivery"]
PARTS: tuple[Part, ...] = ("foundation", "delivery")
TAG = "dynaberg:name"


def enable_cdc(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Create the source table with its change stream, the table bucket, the namespace and the buckets.

    Args:
        session: An open session.
        settings: The names.
        contract: The source table and its key.

    Returns:
        One row per resource: resource, type, name, status, seconds.

    Raises:
        DeploymentError: CloudFormation could not create or update the foundation.
    """
    parameters = foundation_parameters(settings, contract)
    return _deploy(session, settings, "foundation", parameters).resources


def deploy_firehose(
    session: boto3.Session, settings: Settings, contract: Contract, *, buffer_seconds: int = 10
) -> pd.DataFrame:
    """Deploy the forwarder and the delivery stream into the change log, which must exist.

    Args:
        session: An open session.
        settings: The names.
        contract: The table contract; it is shipped with the forwarder.
        buffer_seconds: How long Firehose gathers rows before it commits a snapshot, 0 to 900.

    Returns:
        One row per resource: resource, type, name, status, seconds.

    Raises:
        NotFoundError: There is no foundation yet.
        SettingsError: A stream type or a buffer that the delivery cannot have.
        DeploymentError: CloudFormation could not create or update the delivery.
    """
    _check_delivery(settings, buffer_seconds)
    found = outputs(session, settings, "foundation")
    parameters = {
        "Project": settings.name,
        "ChangeStreamArn": found["ChangeStreamArn"],
        "TableBucketArn": found["TableBucketArn"],
        "TableBucketName": found["TableBucketName"],
        "Namespace": found["Namespace"],
        "LogTableName": settings.log_name,
        "ErrorBucketName": found["ErrorBucketName"],
        "CodeBucketName": found["CodeBucketName"],
        "CodeKey": upload(session, found["CodeBucketName"], package(contract)),
        "BufferSeconds": str(buffer_seconds),
    }
    return _deploy(session, settings, "delivery", parameters).resources


def exists(session: boto3.Session, settings: Settings, part: Part) -> bool:
    """Whether a stack is deployed: `foundation` or `delivery`."""
    return stack_exists(session, stack_name(settings, part))


def outputs(session: boto3.Session, settings: Settings, part: Part) -> dict[str, str]:
    """The outputs of a stack: `foundation` or `delivery`.

    Raises:
        NotFoundError: It is not deployed; the hint names the notebook that does it.
    """
    return stack_outputs(session, stack_name(settings, part))


def stack_name(settings: Settings, part: Part) -> str:
    """Name of a stack, such as `dynaberg-foundation`."""
    return f"{settings.name}-{part}"


def tags(settings: Settings) -> dict[str, str]:
    """The tag by which everything that was created is found again."""
    return {TAG: settings.name}


def foundation_parameters(settings: Settings, contract: Contract) -> dict[str, str]:
    """The foundation's parameters."""
    types = contract.key_attribute_types()
    sort_key = (
        {"SortKeyName": contract.sort_key, "SortKeyType": types[contract.sort_key]}
        if contract.sort_key
        else {}
    )
    return {
        "Project": settings.name,
        "StreamType": settings.stream_type,
        "SourceTableName": contract.source_table,
        "PartitionKeyName": contract.partition_key,
        "PartitionKeyType": types[contract.partition_key],
        **sort_key,
        "TableBucketName": settings.table_bucket_name,
        "Namespace": settings.namespace,
        "BucketName": settings.bucket_name,
    }


def _deploy(
    session: boto3.Session, settings: Settings, part: Part, parameters: dict[str, str]
) -> StackResult:
    name, template = stack_name(settings, part), TEMPLATES / f"{part}.yaml"
    return deploy_stack(session, name, template, parameters, tags=tags(settings))


def _check_delivery(settings: Settings, buffer_seconds: int) -> None:
    if settings.stream_type != "dynamodb":
        msg = f"`stream_type` is {settings.stream_type!r}; so far the delivery reads DynamoDB Streams only."
        raise SettingsError(msg, hint='Use stream_type="dynamodb".')
    if not 0 <= buffer_seconds <= 900:
        msg = f"`buffer_seconds` is {buffer_seconds}; Firehose takes 0 to 900."
        raise SettingsError(msg, hint="Use 10 to see rows soon, 60 or more for fewer and larger files.")
