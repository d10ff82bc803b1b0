"""Deployment: the three stacks, from the settings and the table contract."""

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
    stack_parameters,
    stack_resources,
)
from dynaberg.deploy.handover import aws_seconds, handover_steps, wait_for_kinesis
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
    "stack_parameters",
    "stack_resources",
    "tags",
]

TEMPLATES = Path(__file__).parent / "templates"
Part = Literal["foundation", "delivery", "observe"]
PARTS: tuple[Part, ...] = ("foundation", "delivery", "observe")
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
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    buffer_seconds: int = 10,
    redrive_attempts: int = 8,
    redrive_seconds: int = 30,
) -> pd.DataFrame:
    """Deploy the delivery into the change log, which must exist, with its alarms.

    Where the stream type of the settings is another one than that of the deployment, the deployment changes
    over, the foundation too: the new path is up before the old one ends, and the change log stays. Around
    that moment a change may come on both paths and so be in the log twice, under two change ids; the current
    table has it once, and the order of one key's changes stays right (`functions/handover.py` says why). On
    the way back from Kinesis all that DynamoDB Streams hold, 24 hours of changes, is read again.

    Args:
        session: An open session.
        settings: The names and the stream type.
        contract: The table contract; it is shipped with the functions.
        buffer_seconds: How long Firehose gathers rows before it commits a snapshot, 0 to 900.
        redrive_attempts: How often rows that Firehose refused are tried again before being parked, 1 to 50.
        redrive_seconds: How long they wait after the first attempt, then twice as long each time, 1 to 900.

    Returns:
        One row per resource of the delivery and its observation: resource, type, name, status, seconds.

    Raises:
        NotFoundError: There is no foundation yet.
        SettingsError: A buffer or a redrive that the delivery cannot have.
        DeploymentError: CloudFormation could not create or update something.
    """
    _check_limits(buffer_seconds, redrive_attempts, redrive_seconds)
    found = _foundation_for(session, settings, contract)
    wait_for_kinesis(session, found)
    parameters = {
        "Project": settings.name,
        "ChangeStreamArn": found["DynamoDbStreamArn"],
        "KinesisStreamName": found.get("KinesisStreamName", ""),
        "TableBucketArn": found["TableBucketArn"],
        "TableBucketName": found["TableBucketName"],
        "Namespace": found["Namespace"],
        "LogTableName": settings.log_name,
        "ErrorBucketName": found["ErrorBucketName"],
        "CodeBucketName": found["CodeBucketName"],
        "CodeKey": upload(session, found["CodeBucketName"], package(contract)),
        "BufferSeconds": str(buffer_seconds),
        "RedriveAttempts": str(redrive_attempts),
        "FirstDelaySeconds": str(redrive_seconds),
    }
    before = stack_parameters(session, stack_name(settings, "delivery"))
    for step in handover_steps(settings.stream_type, before, lambda: aws_seconds(session)):
        delivery = _deploy(session, settings, "delivery", parameters | step)
    observe = _deploy(session, settings, "observe", _observe_parameters(settings, found, delivery.outputs))
    return pd.concat([delivery.resources, observe.resources], ignore_index=True)


def exists(session: boto3.Session, settings: Settings, part: Part) -> bool:
    """Whether a stack is deployed: `foundation`, `delivery` or `observe`."""
    return stack_exists(session, stack_name(settings, part))


def outputs(session: boto3.Session, settings: Settings, part: Part) -> dict[str, str]:
    """The outputs of a stack: `foundation`, `delivery` or `observe`.

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
        "RetentionHours": str(settings.retention_hours),
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


def _foundation_for(session: boto3.Session, settings: Settings, contract: Contract) -> dict[str, str]:
    """The outputs of the foundation, brought to the settings' stream type before."""
    found = outputs(session, settings, "foundation")
    if found.get("StreamType") == settings.stream_type:
        return found
    return _deploy(session, settings, "foundation", foundation_parameters(settings, contract)).outputs


def _observe_parameters(
    settings: Settings, foundation: dict[str, str], delivery: dict[str, str]
) -> dict[str, str]:
    wanted = [
        *("SourceTableName", "KinesisStreamName", "DeliveryStreamName", "KinesisDeliveryStreamName"),
        *("ForwarderName", "TransformName", "RedriveName", "DeadLetterQueueName", "ParkedQueueName"),
    ]
    named = {name: (foundation | delivery).get(name, "none") for name in wanted}
    return named | {
        "Project": settings.name,
        "StreamType": settings.stream_type,
        "AlarmEmail": settings.alarm_email,
    }


def _check_limits(buffer_seconds: int, redrive_attempts: int, redrive_seconds: int) -> None:
    limits = {
        "buffer_seconds": (
            buffer_seconds,
            0,
            900,
            "10 to see rows soon, 60 or more for fewer and larger files",
        ),
        "redrive_attempts": (redrive_attempts, 1, 50, "8"),
        "redrive_seconds": (redrive_seconds, 1, 900, "30"),
    }
    for name, (value, least, most, sensible) in limits.items():
        if not least <= value <= most:
            msg = f"`{name}` is {value}; it can be {least} to {most}."
            raise SettingsError(msg, hint=f"Use {sensible}.")
