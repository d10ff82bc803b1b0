"""A DynamoDB table that somebody else created: described, checked, and its change stream switched on and off.

Nothing else about the table is ever changed.
Sources: "Change data capture for DynamoDB Streams" and "Using Kinesis Data Streams to capture changes to
DynamoDB", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError

from dynaberg import aws
from dynaberg.errors import ContractError, DeploymentError, NotFoundError, NotReadyError

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract

VIEW = "NEW_AND_OLD_IMAGES"
_WAIT_SECONDS = 600
# The second is for what cannot be the name of a table.
_NO_TABLE = ("ResourceNotFoundException", "ValidationException")
_SENDING = {"ACTIVE", "ENABLING", "UPDATING"}


@dataclass(frozen=True)
class ExistingTable:
    """A DynamoDB table as DescribeTable shows it.

    Attributes:
        name: Its name.
        key: DynamoDB's type letter of each key attribute, the partition key first.
        items: Number of items, as DynamoDB last counted: about every six hours.
        stream_arn: Its change stream; empty if it has none.
        view: What the records of the stream hold, such as `NEW_AND_OLD_IMAGES`; empty without a stream.
        replicas: The other Regions of a global table.
    """

    name: str
    key: dict[str, str]
    items: int
    stream_arn: str
    view: str
    replicas: tuple[str, ...]


def describe_source(session: boto3.Session, name: str) -> ExistingTable:
    """A DynamoDB table that can be used.

    Args:
        session: An open session.
        name: Name of the DynamoDB table.

    Raises:
        NotFoundError: There is no such table; the message names those that exist.
        NotReadyError: It is being created, deleted or archived.
    """
    dynamodb = aws.client(session, "dynamodb")
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except (ClientError, ParamValidationError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] not in _NO_TABLE:
            raise
        existing: list[str] = []
        # Without the right to list the tables, the error is as true.
        with suppress(ClientError):
            pages = dynamodb.get_paginator("list_tables").paginate()
            existing = [found for page in pages for found in page["TableNames"]]
        hint = f"Choose the table's Region; this is {session.region_name}."
        raise NotFoundError.among("DynamoDB table", name, existing, hint=hint) from error
    if table["TableStatus"] not in ("ACTIVE", "UPDATING"):
        msg = f"The DynamoDB table {name!r} is {table['TableStatus']}."
        raise NotReadyError(msg, hint="Wait until it is ACTIVE, or choose another table.")
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    key = sorted(table["KeySchema"], key=lambda each: each["KeyType"] != "HASH")
    stream = table.get("StreamSpecification", {})
    has_stream = bool(stream.get("StreamEnabled"))
    return ExistingTable(
        name=name,
        key={each["AttributeName"]: types[each["AttributeName"]] for each in key},
        items=table.get("ItemCount", 0),
        stream_arn=table["LatestStreamArn"] if has_stream else "",
        view=stream["StreamViewType"] if has_stream else "",
        replicas=tuple(replica["RegionName"] for replica in table.get("Replicas", [])),
    )


def check_source(session: boto3.Session, table: ExistingTable, contract: Contract) -> None:
    """Refuse a table that has another key than its contract, or a stream that others need as it is.

    Args:
        session: An open session.
        table: The table.
        contract: Its contract.

    Raises:
        ContractError: Its key is not the contract's.
        DeploymentError: Its stream has another view than both images; the message names who reads it.
    """
    wanted = contract.key_attribute_types()
    if table.key != wanted:
        msg = (
            f"The key of the DynamoDB table {table.name!r} is {_spelled(table.key)}, "
            f"but its contract has {_spelled(wanted)}."
        )
        raise ContractError(msg, hint="Correct `key` and the types of its columns in the contract.")
    if table.stream_arn and table.view != VIEW:
        names = ", ".join(stream_readers(session, table.stream_arn)) or "no Lambda function"
        msg = (
            f"The stream of {table.name!r} holds {table.view}, but {VIEW} is needed. "
            f"It is read by: {names}. Nothing was changed."
        )
        hint = (
            "A table has one stream. When those that read it accept both images, switch it off and on again "
            f"with StreamViewType={VIEW}; or use Kinesis Data Streams for them."
        )
        raise DeploymentError(msg, hint=hint)


def stream_readers(session: boto3.Session, stream_arn: str) -> list[str]:
    """The names of the Lambda functions that read a stream; others cannot be found out."""
    pages = aws.client(session, "lambda").get_paginator("list_event_source_mappings")
    return sorted(
        mapping["FunctionArn"].split(":function:")[-1]
        for page in pages.paginate(EventSourceArn=stream_arn)
        for mapping in page["EventSourceMappings"]
    )


def recovers_to_a_point(session: boto3.Session, name: str) -> bool:
    """Whether point-in-time recovery is on, without which a table cannot be exported."""
    answer = aws.client(session, "dynamodb").describe_continuous_backups(TableName=name)
    described = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    return bool(described.get("PointInTimeRecoveryStatus") == "ENABLED")


def switch_on_stream(session: boto3.Session, name: str) -> None:
    """Switch on the stream of a table that has none, with both images.

    Raises:
        DeploymentError: DynamoDB refused it.
        NotReadyError: DynamoDB took longer than ten minutes.
    """
    dynamodb = aws.client(session, "dynamodb")
    _wait_until_active(session, name)
    with _explained(name, "dynamodb:UpdateTable"):
        dynamodb.update_table(
            TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": VIEW}
        )
    _wait_until_active(session, name)


def switch_off_stream(session: boto3.Session, name: str) -> None:
    """Switch off the stream of a table.

    Raises:
        DeploymentError: DynamoDB refused it.
        NotReadyError: DynamoDB took longer than ten minutes.
    """
    _wait_until_active(session, name)
    with _explained(name, "dynamodb:UpdateTable"):
        aws.client(session, "dynamodb").update_table(
            TableName=name, StreamSpecification={"StreamEnabled": False}
        )
    _wait_until_active(session, name)


def start_sending(session: boto3.Session, name: str, kinesis_arn: str) -> None:
    """Let DynamoDB send a table's changes to a Kinesis data stream, if it does not yet.

    Raises:
        DeploymentError: DynamoDB refused it, for example because the table has all the destinations it can.
    """
    if _destinations(session, name).get(kinesis_arn) not in _SENDING:
        with _explained(name, "dynamodb:EnableKinesisStreamingDestination"):
            aws.client(session, "dynamodb").enable_kinesis_streaming_destination(
                TableName=name,
                StreamArn=kinesis_arn,
                EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
            )


def stop_sending(session: boto3.Session, name: str, kinesis_arn: str) -> None:
    """End what `start_sending` started, and wait until it has ended.

    Raises:
        DeploymentError: DynamoDB refused it.
        NotReadyError: DynamoDB took longer than ten minutes.
    """
    if _destinations(session, name).get(kinesis_arn) not in _SENDING:
        return
    with _explained(name, "dynamodb:DisableKinesisStreamingDestination"):
        aws.client(session, "dynamodb").disable_kinesis_streaming_destination(
            TableName=name, StreamArn=kinesis_arn
        )
    aws.wait_for(
        lambda: _destinations(session, name).get(kinesis_arn, "DISABLED") == "DISABLED",
        timeout=_WAIT_SECONDS,
        what=f"The end of the Kinesis destination of table {name!r}",
    )


def _destinations(session: boto3.Session, name: str) -> Mapping[str, str]:
    answer = aws.client(session, "dynamodb").describe_kinesis_streaming_destination(TableName=name)
    return {each["StreamArn"]: each["DestinationStatus"] for each in answer["KinesisDataStreamDestinations"]}


def _wait_until_active(session: boto3.Session, name: str) -> None:
    def active() -> bool:
        table: Any = aws.client(session, "dynamodb").describe_table(TableName=name)["Table"]
        return bool(table["TableStatus"] == "ACTIVE")

    aws.wait_for(active, timeout=_WAIT_SECONDS, what=f"The end of the change of table {name!r}")


@contextmanager
def _explained(name: str, action: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        said = error.response["Error"]
        msg = f"DynamoDB refused {action} on {name!r}: {said.get('Message') or said['Code']}"
        hint = "Nothing was changed. See what the reason names, then run it again."
        if "AccessDenied" in said["Code"]:
            hint = f"Ask for {action} on this table, or ask its owner to do it; then run it again."
        raise DeploymentError(msg, hint=hint) from error


def _spelled(key: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({letter})" for name, letter in key.items())
