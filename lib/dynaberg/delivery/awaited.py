"""Which changes are waited for: those that the source table's streams still hold, by their ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dynaberg import aws, deploy
from dynaberg.delivery.reentry import held_back
from dynaberg.errors import NotFoundError
from dynaberg.functions.masks import ANY_KEY
from dynaberg.functions.routing import Router
from dynaberg.functions.tombstones import HeldBack
from dynaberg.source import Shard, StreamRecord, read_changes, read_shard, shards_of

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

# "DynamoDB Streams Limits": a stream keeps a change for 24 hours.
STREAM_HOURS = 24
# Allowance for the clocks of AWS's services, and for times that have no fraction.
_CLOCK_SECONDS = 2
_SHARDS_AT_ONCE = 8


def awaited_ids(session: boto3.Session, settings: Settings, contract: Contract) -> set[str]:
    """The ids of a table's changes that its source's streams hold, on every path to the change log.

    While the stream type changes, the forwarder sends what is on DynamoDB Streams beside Kinesis. There the
    same change has another id, and until both are in the change log, its current table may still go back.
    """
    is_held, kinesis = _held_back(session, settings, contract), _kinesis_source(session, settings, contract)
    now = datetime.fromtimestamp(deploy.aws_seconds(session) + _CLOCK_SECONDS, UTC)
    if kinesis is None:
        if contract.siblings or is_held:
            return _own_ids(_on_streams(session, contract, now), contract, is_held)
        return change_ids_in_stream(session, _stream_arn(session, contract))
    ids = _own_ids(_on_kinesis(session, kinesis), contract, is_held)
    if until := deploy.forwarded_until(session, settings):
        ids |= _own_ids(_on_streams(session, contract, min(until, now)), contract, is_held)
    return ids


def has_two_paths(session: boto3.Session, settings: Settings) -> bool:
    """Whether a change may be in the change log under two ids, because the stream type is changing."""
    return deploy.forwarded_until(session, settings) is not None


def _kinesis_source(session: boto3.Session, settings: Settings, contract: Contract) -> dict[str, Any] | None:
    """What Firehose reads, if that is Kinesis; None if the forwarder reads DynamoDB Streams."""
    try:
        outputs = deploy.outputs(session, settings, "delivery")
        name = deploy.stream_name(outputs, contract.log_name, "KinesisDeliveryStreamName")
    except NotFoundError:
        return None
    if not name:
        return None
    answer = aws.client(session, "firehose").describe_delivery_stream(DeliveryStreamName=name)
    source: dict[str, Any] = answer["DeliveryStreamDescription"]["Source"]["KinesisStreamSourceDescription"]
    return source


def _held_back(session: boto3.Session, settings: Settings, contract: Contract) -> HeldBack | None:
    """Which changes are not waited for, because their items were forgotten; None if there are none."""
    try:
        found = held_back(session, settings, contract)
    except NotFoundError:
        return None
    return found if found.any else None


def _on_kinesis(session: boto3.Session, source: dict[str, Any]) -> Iterable[StreamRecord]:
    """The changes that entered Kinesis after Firehose started."""
    now = datetime.now(UTC)
    since = max(source["DeliveryStartTimestamp"], now - timedelta(hours=STREAM_HOURS))
    return read_changes(session, source["KinesisStreamARN"], since, now)


def _on_streams(session: boto3.Session, contract: Contract, until: datetime) -> Iterable[StreamRecord]:
    """The changes on DynamoDB Streams; it may hold one for longer than the change log is searched for it."""
    since = datetime.now(UTC) - timedelta(hours=STREAM_HOURS)
    return read_changes(session, _stream_arn(session, contract), since, until)


def _own_ids(records: Iterable[StreamRecord], contract: Contract, is_held: HeldBack | None) -> set[str]:
    """The ids of the changes that concern a table, without those of forgotten items."""
    router = Router(json.loads(contract.to_lambda_json()), ANY_KEY)

    def is_forgotten(document: Any) -> bool:
        return is_held is not None and any(is_held(*row) for row in router.rows(document, 0)[0])

    documents = (record.document for record in records)
    return {
        document["eventID"]
        for document in documents
        if isinstance(document, dict)
        and router.concerns(document, contract.log_name)
        and not is_forgotten(document)
    }


def _stream_arn(session: boto3.Session, contract: Contract) -> str:
    dynamodb = aws.client(session, "dynamodb")
    try:
        table = dynamodb.describe_table(TableName=contract.source_table)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        msg = f"There is no DynamoDB table {contract.source_table!r}."
        raise NotFoundError(msg, hint="Create it with wb.enable_cdc() (01_enable_cdc).") from error
    if "LatestStreamArn" not in table:
        msg = f"The DynamoDB table {contract.source_table!r} has no stream, so its changes are not known."
        raise NotFoundError(msg, hint="Pass how many to wait for: expected=…, since=….")
    return str(table["LatestStreamArn"])


def change_ids_in_stream(session: boto3.Session, stream_arn: str) -> set[str]:
    """The ids (`eventID`) of all changes that a DynamoDB stream still holds, up to now.

    Source: Amazon DynamoDB API Reference, "GetRecords (Amazon DynamoDB Streams)".

    Args:
        session: Open boto3 session.
        stream_arn: ARN of the stream.

    Returns:
        The ids, of all shards.
    """
    streams = aws.new_client(session, "dynamodbstreams")
    streams.meta.events.register("before-parse.dynamodb-streams.GetRecords", _keep_ids)
    # The stream may hold a change for longer than the log is searched for it.
    oldest = datetime.now(UTC) - timedelta(hours=STREAM_HOURS)
    # A shard that is written to all the while has no end: later changes are not waited for.
    latest = datetime.fromtimestamp(deploy.aws_seconds(session) + _CLOCK_SECONDS, UTC)

    def ids(shard: Shard) -> list[str]:
        found = []
        for record in read_shard(streams, stream_arn, shard):
            made = record["dynamodb"]["ApproximateCreationDateTime"]
            if made > latest:
                break
            if made >= oldest:
                found.append(record["eventID"])
        return found

    with ThreadPoolExecutor(_SHARDS_AT_ONCE) as threads:
        return {found for each in threads.map(ids, shards_of(streams, stream_arn)) for found in each}


def _keep_ids(response_dict: dict[str, Any], **_: Any) -> None:
    """Remove the images from a response before botocore parses it, which takes most of the time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        answer = json.loads(response_dict["body"])
        name = "ApproximateCreationDateTime"
        answer["Records"] = [
            {"eventID": record["eventID"], "dynamodb": {name: record["dynamodb"][name]}}
            for record in answer["Records"]
        ]
        response_dict["body"] = json.dumps(answer).encode()
