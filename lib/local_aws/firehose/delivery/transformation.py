"""The transformation of records by a Lambda function.

Sources: "Transform source data in Amazon Data Firehose" and "Handle data transformation failures"
(Amazon Data Firehose Developer Guide).
"""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import orjson
from botocore.exceptions import ClientError

from local_aws.firehose.delivery.error_records import ICEBERG_FAILED, PROCESSING_FAILED, FailedRecord
from local_aws.firehose.stream import DeliveryConfig, Destination, Records, Transformation

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

PAYLOAD_BYTES = 6 * 2**20 - 64 * 2**10
RECORD_OVERHEAD_BYTES = 160
MISSING = (
    "One or more record Ids were not returned. "
    "Ensure that the Lambda function returns all received record Ids."
)
DUPLICATED = (
    "Multiple records were returned with the same record ID. "
    "Ensure that the Lambda function returns unique record IDs for each record."
)
UNREADABLE = (
    "Error parsing records returned from Lambda function. Ensure that the records returned "
    "follow the status model required for AWS Lambda processing."
)
FUNCTION_ERROR = "The Lambda function was successfully invoked but it returned an error result."


@dataclass
class Routed:
    """Records on their way to tables.

    Attributes:
        by_destination: Data and arrival times of the records for each table.
        failures: Records that have no way.
    """

    by_destination: dict[Destination, Records] = field(default_factory=dict)
    failures: list[FailedRecord] = field(default_factory=list)

    def add(self, destination: Destination, data: bytes, arrived_ms: int) -> None:
        """Send one record to a table."""
        records = self.by_destination.setdefault(destination, Records([], []))
        records.data.append(data)
        records.arrived_ms.append(arrived_ms)


class InvocationError(Exception):
    """An invocation that gave no usable answer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def record(
        self,
        data: bytes,
        arrived_ms: int,
        config: DeliveryConfig,
        transformation: Transformation,
        attempts: int,
    ) -> FailedRecord:
        """A record that the function did not process."""
        failure = (self.code, self.message, config.error_prefix, attempts, transformation.function_arn)
        return FailedRecord(PROCESSING_FAILED, data, arrived_ms, *failure)


def route_directly(records: Records, config: DeliveryConfig) -> Routed:
    """Send records to the stream's table as they came."""
    destination = config.destination(None, None)
    if destination is not None:
        return Routed({destination: records})
    arrivals = zip(records.data, records.arrived_ms, strict=True)
    return Routed({}, [unroutable(data, arrived_ms, config) for data, arrived_ms in arrivals])


def transform(
    records: Records, config: DeliveryConfig, transformation: Transformation, client: LambdaClient
) -> Routed:
    """Send records through the function, and what comes back to its tables."""
    routed = Routed()
    for batch in batches(records, transformation.buffer_bytes):
        transform_batch(batch, config, transformation, client, routed)
    return routed


def batches(records: Records, buffer_bytes: int) -> Iterator[Records]:
    """Records in portions for one invocation each."""
    batch, size_bytes, payload_bytes = Records([], []), 0, 0
    for data, arrived_ms in zip(records.data, records.arrived_ms, strict=True):
        encoded_bytes = 4 * (len(data) + 2) // 3 + RECORD_OVERHEAD_BYTES
        full = size_bytes + len(data) > buffer_bytes or payload_bytes + encoded_bytes > PAYLOAD_BYTES
        if full and batch.data:
            yield batch
            batch, size_bytes, payload_bytes = Records([], []), 0, 0
        batch.data.append(data)
        batch.arrived_ms.append(arrived_ms)
        size_bytes += len(data)
        payload_bytes += encoded_bytes
    if batch.data:
        yield batch


def transform_batch(
    batch: Records,
    config: DeliveryConfig,
    transformation: Transformation,
    client: LambdaClient,
    routed: Routed,
) -> None:
    """Hand one batch to the function and send what comes back to its tables."""
    ids = [f"{index:049d}" for index in range(len(batch))]
    attempts = 0
    while True:
        attempts += 1
        try:
            returned = invoke(event(batch, ids, config), transformation, client)
            break
        except InvocationError as error:
            if attempts > transformation.retries:
                for data, arrived_ms in zip(batch.data, batch.arrived_ms, strict=True):
                    routed.failures.append(error.record(data, arrived_ms, config, transformation, attempts))
                return
    counts = Counter(record["recordId"] for record in returned)
    by_id = {record["recordId"]: record for record in returned}
    for record_id, data, arrived_ms in zip(ids, batch.data, batch.arrived_ms, strict=True):
        try:
            outcome = interpret(by_id.get(record_id), counts[record_id])
        except InvocationError as error:
            routed.failures.append(error.record(data, arrived_ms, config, transformation, attempts))
            continue
        if outcome is not None:
            route_transformed(*outcome, arrived_ms, config, routed)


def event(batch: Records, ids: list[str], config: DeliveryConfig) -> dict[str, Any]:
    """The event of one invocation."""
    source = {"sourceKinesisStreamArn": config.source_arn} if config.source_arn else {}
    return source | {
        "invocationId": str(uuid4()),
        "deliveryStreamArn": config.arn,
        "region": config.arn.split(":")[3],
        "records": [
            {
                "recordId": record_id,
                "approximateArrivalTimestamp": arrived_ms,
                "data": b64encode(data).decode(),
            }
            for record_id, data, arrived_ms in zip(ids, batch.data, batch.arrived_ms, strict=True)
        ],
    }


def invoke(
    event: Mapping[str, Any], transformation: Transformation, client: LambdaClient
) -> list[dict[str, Any]]:
    """Invoke the function once."""
    try:
        answer = client.invoke(FunctionName=transformation.function_arn, Payload=orjson.dumps(event))
    except ClientError as error:
        details = error.response["Error"]
        raise InvocationError(f"Lambda.{details['Code']}", details["Message"]) from error
    payload = answer["Payload"].read()
    if answer.get("FunctionError"):
        raise InvocationError(
            "Lambda.FunctionError", f"{FUNCTION_ERROR} {payload[:500].decode(errors='replace')}"
        )
    try:
        returned = orjson.loads(payload)["records"]
        if all(isinstance(record["recordId"], str) for record in returned):
            return list(returned)
    except (orjson.JSONDecodeError, TypeError, KeyError) as error:
        raise InvocationError("Lambda.JsonProcessingException", UNREADABLE) from error
    raise InvocationError("Lambda.JsonProcessingException", UNREADABLE)


def interpret(record: Mapping[str, Any] | None, count: int) -> tuple[bytes, Mapping[str, Any]] | None:
    """What the function made of one record: its data and its route, None where it was dropped."""
    if record is None:
        raise InvocationError("Lambda.MissingRecordId", MISSING)
    if count > 1:
        raise InvocationError("Lambda.DuplicatedRecordId", DUPLICATED)
    result = record.get("result")
    if result == "Dropped":
        return None
    if result == "ProcessingFailed":
        raise InvocationError("Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record")
    try:
        data = binascii.a2b_base64(record["data"], strict_mode=True)
        metadata = (record.get("metadata") or {}).get("otfMetadata") or {}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvocationError("Lambda.JsonProcessingException", UNREADABLE) from error
    if result != "Ok" or not isinstance(metadata, dict):
        raise InvocationError("Lambda.JsonProcessingException", UNREADABLE)
    return data, metadata


def route_transformed(
    data: bytes, metadata: Mapping[str, Any], arrived_ms: int, config: DeliveryConfig, routed: Routed
) -> None:
    """Send one transformed record where its metadata says."""
    destination = config.destination(
        metadata.get("destinationDatabaseName"), metadata.get("destinationTableName")
    )
    operation = str(metadata.get("operation") or "insert").lower()
    if destination is None:
        routed.failures.append(unroutable(data, arrived_ms, config))
    elif operation != "insert":
        message = f"The local AWS appends only; operation {operation!r} is not applied."
        refused = FailedRecord(
            ICEBERG_FAILED, data, arrived_ms, "Iceberg.InvalidOperation", message, destination.error_prefix
        )
        routed.failures.append(refused)
    else:
        routed.add(destination, data, arrived_ms)


def unroutable(data: bytes, arrived_ms: int, config: DeliveryConfig) -> FailedRecord:
    """A record for which neither the stream nor its metadata names a table."""
    message = "Neither the delivery stream nor the record's otfMetadata names a database and a table."
    return FailedRecord(
        ICEBERG_FAILED, data, arrived_ms, "Iceberg.InvalidTableName", message, config.error_prefix
    )
