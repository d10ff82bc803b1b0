"""The parameters of each template, from the settings, the table contract and the stacks before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg.contracts import Contract
from dynaberg.deploy.stack_state import stack_name, stack_parameters
from dynaberg.deploy.template import STREAM_OUTPUTS, stream_output
from dynaberg.errors import SettingsError, require_whole
from dynaberg.settings import Settings

if TYPE_CHECKING:
    import boto3

# The value of a parameter for something that this deployment does not have.
NONE = "none"
Outputs = Mapping[str, str]
_NEW: Outputs = {}
MOST_KINESIS_LOGS = 5


@dataclass(frozen=True)
class Pace:
    """How fast the delivery is, and how long it retries.

    Attributes:
        buffer_seconds: How long Firehose gathers rows before it commits a snapshot, 0 to 900.
        redrive_attempts: How often rows that Firehose refused are retried before they are parked, 1 to 50.
        redrive_seconds: Their delay after the first attempt, which doubles each time, 1 to 900.
    """

    buffer_seconds: int = 60
    redrive_attempts: int = 8
    redrive_seconds: int = 30

    def __post_init__(self) -> None:
        """Reject what the template would refuse later with a less clear message."""
        limits = {
            "buffer_seconds": (0, 900, "10 to see rows soon, 60 or more for fewer and larger files"),
            "redrive_attempts": (1, 50, "8"),
            "redrive_seconds": (1, 900, "30"),
        }
        for name, (least, most, sensible) in limits.items():
            value = require_whole(name, getattr(self, name), least=least, most=most, hint=f"Use {sensible}.")
            object.__setattr__(self, name, value)


ADOPTION = ("SourceOrigin", "StreamSwitchedOn")
"""The foundation's parameters that say whose the DynamoDB table is."""


def foundation_parameters(settings: Settings, contract: Contract, before: Outputs = _NEW) -> dict[str, str]:
    """The foundation's parameters.

    Args:
        settings: The names.
        contract: The source table and its key.
        before: Parameters of the foundation that is up: an adopted table stays adopted.
    """
    partition, *sort = contract.key_attribute_types().items()
    sort_key = {"SortKeyName": sort[0][0], "SortKeyType": sort[0][1]} if sort else {}
    return {
        "Project": settings.pipeline,
        "Holds": "source" if settings.source else "everything",
        "StreamType": settings.stream_type,
        "RetentionHours": str(settings.retention_hours),
        "SourceTableName": contract.source_table,
        **{name: before[name] for name in ADOPTION if before.get(name)},
        "PartitionKeyName": partition[0],
        "PartitionKeyType": partition[1],
        **sort_key,
        "TableBucketName": settings.table_bucket_name,
        "Namespace": settings.namespace,
        "BucketName": settings.bucket_name,
        "KmsKeyArn": settings.kms_key_arn,
        "FailuresKmsKeyArn": settings.failures_kms_key_arn,
        "DeletionProtection": str(settings.protect).lower(),
    }


def access_parameters(
    settings: Settings, foundation: Outputs, before: Outputs, log: str = "", *, mask_key: str = ""
) -> dict[str, str]:
    """The access's parameters.

    Args:
        settings: The names, the access mode and the principals.
        foundation: Outputs of the foundation.
        before: Parameters of the delivery that is up: what reads Kinesis keeps its permissions until it is
            removed.
        log: The first change log of the source; by default that of the settings.
        mask_key: Version of the key of the masks; empty if none needs one.
    """
    with_kinesis = "kinesis" in (settings.stream_type, before.get("StreamType"))
    stream = foundation.get("KinesisStreamName") or before.get("KinesisStreamName", "")
    return {
        "Project": settings.pipeline,
        "StreamType": "kinesis" if with_kinesis else "dynamodb",
        "AccessMode": settings.deployed_access_mode,
        # The first source's stack gives people what they may do with every table.
        "ForAnalysts": str(not settings.source).lower(),
        "AnalystArn": "" if settings.source else settings.analyst_arn,
        "OperatorArn": "" if settings.source else settings.operator_arn,
        "KmsKeyArn": settings.kms_key_arn,
        "FailuresKmsKeyArn": settings.failures_kms_key_arn,
        "ChangeStreamArn": foundation["DynamoDbStreamArn"],
        "KinesisStreamName": stream if with_kinesis else "",
        "TableBucketArn": foundation["TableBucketArn"],
        "TableBucketName": foundation["TableBucketName"],
        "Namespace": foundation["Namespace"],
        "LogTableName": log or settings.log_name,
        "MaskKeyVersion": mask_key,
        "ErrorBucketName": foundation["ErrorBucketName"],
        "ResultsBucketName": foundation["ResultsBucketName"],
        "WorkGroupName": foundation["WorkGroupName"],
        "DeliveryStackName": f"{settings.pipeline}-delivery",
    }


def delivery_parameters(
    settings: Settings, foundation: Outputs, access: Outputs, *, code_key: str, pace: Pace, log: str = ""
) -> dict[str, str]:
    """The delivery's parameters, except those of a change of the stream type (`handover.py`).

    Args:
        settings: The names.
        foundation: Outputs of the foundation.
        access: Outputs of the access.
        code_key: Key of the functions' code in the code bucket.
        pace: How fast it is.
        log: The first change log of the source; by default that of the settings.
    """
    return {
        "Project": settings.pipeline,
        "ChangeStreamArn": foundation["DynamoDbStreamArn"],
        "KinesisStreamName": foundation.get("KinesisStreamName", ""),
        "FirehoseRoleArn": access["FirehoseRoleArn"],
        "ForwarderRoleArn": access["ForwarderRoleArn"],
        "RedriveRoleArn": access["RedriveRoleArn"],
        "TransformRoleArn": access.get("TransformRoleArn", NONE),
        "MaskKeyArn": access.get("MaskKeyArn", ""),
        "MaskKeyVersion": access.get("MaskKeyVersion", ""),
        "KmsKeyArn": settings.kms_key_arn,
        "TableBucketName": foundation["TableBucketName"],
        "Namespace": foundation["Namespace"],
        "LogTableName": log or settings.log_name,
        "ErrorPrefix": f"errors/{log or settings.log_name}/" if settings.source else "errors/",
        "ErrorBucketName": foundation["ErrorBucketName"],
        "CodeBucketName": foundation["CodeBucketName"],
        "CodeKey": code_key,
        "BufferSeconds": str(pace.buffer_seconds),
        "RedriveAttempts": str(pace.redrive_attempts),
        "FirstDelaySeconds": str(pace.redrive_seconds),
        "LogRetentionDays": str(settings.log_retention_days),
    }


def check_readers(settings: Settings, others: Sequence[str]) -> None:
    """Refuse more change logs of one source than its Kinesis stream can be read for.

    Every delivery stream reads each shard once a second, and a shard allows five reads a second ("Quotas and
    limits", Amazon Kinesis Data Streams Developer Guide).

    Raises:
        SettingsError: There are more.
    """
    if settings.stream_type == "kinesis" and len(others) >= MOST_KINESIS_LOGS:
        msg = f"A source with {len(others) + 1} change logs cannot be read from Kinesis by all of them."
        hint = f'At most {MOST_KINESIS_LOGS} can. Use stream_type="dynamodb", or fewer tables.'
        raise SettingsError(msg, hint=hint)


def observe_parameters(
    settings: Settings, foundation: Outputs, delivery: Outputs, others: Sequence[str] = ()
) -> dict[str, str]:
    """The observation's parameters; `others` are the further change logs of the source."""
    wanted = [
        *("SourceTableName", "KinesisStreamName", "DeliveryStreamName", "KinesisDeliveryStreamName"),
        *("ForwarderName", "TransformName", "RedriveName", "DeadLetterQueueName", "ParkedQueueName"),
        *(stream_output(log, name) for log in others for name in STREAM_OUTPUTS),
    ]
    named = {name: ({**foundation, **delivery}).get(name, NONE) for name in wanted}
    return named | {
        "Project": settings.pipeline,
        "StreamType": settings.stream_type,
        "AlarmEmail": settings.alarm_email,
    }


def parquet_parameters(settings: Settings) -> dict[str, str]:
    """The parameters of the bucket for plain Parquet; the database's name is the account's only one."""
    return {
        "BucketName": settings.bucket_name,
        "DatabaseName": f"{settings.name.replace('-', '_')}_parquet",
        "KmsKeyArn": settings.kms_key_arn,
    }


def planned_foundation(settings: Settings, contract: Contract, account: str, region: str) -> dict[str, str]:
    """What the foundation's outputs will be, as far as a preview of the later stacks needs them."""
    bucket = {n: f"{settings.bucket_name}-{n}-{account}-{region}" for n in ("errors", "code", "results")}
    arn = f"arn:aws:{{service}}:{region}:{account}:{{resource}}"
    table = f"table/{contract.source_table}/stream/planned"
    kinesis = {"KinesisStreamName": "planned"} if settings.stream_type == "kinesis" else {}
    return kinesis | {
        "DynamoDbStreamArn": arn.format(service="dynamodb", resource=table),
        "TableBucketArn": arn.format(service="s3tables", resource=f"bucket/{settings.table_bucket_name}"),
        "TableBucketName": settings.table_bucket_name,
        "Namespace": settings.namespace,
        "ErrorBucketName": bucket["errors"],
        "CodeBucketName": bucket["code"],
        "ResultsBucketName": bucket["results"],
        "WorkGroupName": settings.name,
        "SourceTableName": contract.source_table,
    }


def planned_access(settings: Settings, account: str) -> dict[str, str]:
    """What the access's outputs will look like, as far as a preview of the delivery needs them."""
    names = ["FirehoseRoleArn", "ForwarderRoleArn", "RedriveRoleArn"]
    names += ["TransformRoleArn"] if settings.stream_type == "kinesis" else []
    return dict.fromkeys(names, f"arn:aws:iam::{account}:role/planned")


def pace_of(session: boto3.Session, settings: Settings) -> dict[str, int]:
    """How fast the delivery that is up is, as arguments of `deploy_firehose`."""
    before = stack_parameters(session, stack_name(settings, "delivery"))
    names = ("buffer_seconds", "redrive_attempts", "redrive_seconds")
    return {
        name: int(before.get(parameter, default))
        for name, (parameter, default) in zip(names, _PACE.items(), strict=True)
    }


_PACE = {
    "BufferSeconds": Pace.buffer_seconds,
    "RedriveAttempts": Pace.redrive_attempts,
    "FirstDelaySeconds": Pace.redrive_seconds,
}
