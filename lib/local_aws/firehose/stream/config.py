"""What a delivery stream is set to do, read from DescribeDeliveryStream.

CloudFormation and the API spell some members differently, and ministack hands back what it was given;
`normalize` makes of either what AWS answers (Amazon Data Firehose API Reference).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws.wire import AwsError

CATALOG_ARN = re.compile(
    r"arn:[^:]+:glue:(?P<region>[^:]+):(?P<account>\d{12}):catalog/s3tablescatalog/(?P<bucket>[a-z0-9-]+)"
)
TABLE_BUCKET_ARN = re.compile(r"arn:[^:]+:s3tables:[^:]+:\d{12}:bucket/[a-z0-9-]+")
NAME = re.compile(r"[a-zA-Z0-9._]+")
MEBIBYTE = 2**20
DEFAULT_HINTS = {"SizeInMBs": 5, "IntervalInSeconds": 300}
LIMITS = {
    ("BufferingHints", "SizeInMBs"): range(1, 129),
    ("BufferingHints", "IntervalInSeconds"): range(901),
    ("RetryOptions", "DurationInSeconds"): range(7201),
}


@dataclass(frozen=True)
class Transformation:
    """The Lambda function that records pass through.

    Attributes:
        function_arn: ARN of the function.
        buffer_bytes: How much is handed over in one invocation.
        retries: How often a failed invocation is repeated.
    """

    function_arn: str
    buffer_bytes: int
    retries: int


@dataclass(frozen=True)
class Destination:
    """A table that records go to.

    Attributes:
        database: Its namespace.
        table: Its name.
        error_prefix: Where its failed records go in the error bucket.
    """

    database: str
    table: str
    error_prefix: str


@dataclass(frozen=True)
class DeliveryConfig:
    """An Iceberg delivery stream, as the worker needs it.

    Attributes:
        name: Name of the delivery stream.
        arn: Its ARN.
        created_us: When it was made, epoch microseconds; a new stream of the old name is another one.
        version: Counts the changes of its destination; part of an error object's name.
        source_arn: The Kinesis stream it reads, None for Direct PUT.
        source_start_ms: From when on it reads that, epoch milliseconds.
        table_bucket_arn: The table bucket that is its catalog.
        destinations: Its configured tables; the first one is for records without a route.
        buffer_bytes: Records are delivered when so many bytes wait …
        buffer_seconds: … or when the oldest has waited so long.
        retry_seconds: How long a commit is repeated before its records go to the error bucket.
        transformation: The Lambda function that records pass through, if any.
        error_bucket: Bucket for what cannot be delivered.
        error_prefix: Prefix there for records that belong to no configured table.
        log_group: CloudWatch Logs group for failures, if any.
        log_stream: Its log stream.
    """

    name: str
    arn: str
    created_us: int
    version: str
    source_arn: str | None
    source_start_ms: int
    table_bucket_arn: str
    destinations: tuple[Destination, ...]
    buffer_bytes: int
    buffer_seconds: int
    retry_seconds: int
    transformation: Transformation | None
    error_bucket: str
    error_prefix: str
    log_group: str | None
    log_stream: str | None

    @property
    def folder_name(self) -> str:
        """The name of the stream's folder."""
        return folder_name(self.name, self.created_us)

    def destination(self, database: str | None, table: str | None) -> Destination | None:
        """Where a record goes: its own route, completed by the first configured table."""
        default = self.destinations[0] if self.destinations else None
        database = database or (default.database if default else None)
        table = table or (default.table if default else None)
        if not database or not table:
            return None
        known = (d for d in self.destinations if (d.database, d.table) == (database, table))
        return next(known, Destination(database, table, self.error_prefix))


def normalize(description: Mapping[str, Any]) -> dict[str, Any]:
    """A DeliveryStreamDescription in AWS's words, for a stream of any creator."""
    destinations = [
        destination | {"IcebergDestinationDescription": normalize_iceberg(iceberg)}
        if (iceberg := destination.get("IcebergDestinationDescription"))
        else destination
        for destination in description["Destinations"]
    ]
    return dict(description) | {"Destinations": destinations}


def normalize_iceberg(given: Mapping[str, Any]) -> dict[str, Any]:
    """An IcebergDestinationDescription, from a configuration in either spelling."""
    catalog = dict(given.get("CatalogConfiguration") or {})
    if "CatalogArn" in catalog:
        catalog["CatalogARN"] = catalog.pop("CatalogArn")
    backup = given.get("S3DestinationDescription") or given.get("S3Configuration") or {}
    known = {k: v for k, v in given.items() if k not in ("S3Configuration", "s3BackupMode")}
    return known | {
        "CatalogConfiguration": catalog,
        "BufferingHints": DEFAULT_HINTS | whole_numbers(given.get("BufferingHints")),
        "RetryOptions": {"DurationInSeconds": 300} | whole_numbers(given.get("RetryOptions")),
        "S3BackupMode": given.get("S3BackupMode") or given.get("s3BackupMode") or "FailedDataOnly",
        "AppendOnly": truth(given.get("AppendOnly", False)),
        "ProcessingConfiguration": {"Processors": []} | switched(given.get("ProcessingConfiguration")),
        "CloudWatchLoggingOptions": switched(given.get("CloudWatchLoggingOptions")),
        "S3DestinationDescription": {"CompressionFormat": "UNCOMPRESSED"}
        | backup
        | {
            "BufferingHints": DEFAULT_HINTS | whole_numbers(backup.get("BufferingHints")),
            "EncryptionConfiguration": backup.get("EncryptionConfiguration")
            or {"NoEncryptionConfig": "NoEncryption"},
            "CloudWatchLoggingOptions": switched(backup.get("CloudWatchLoggingOptions")),
        },
    }


def switched(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings with their switch as a truth value."""
    return dict(given or {}) | {"Enabled": truth((given or {}).get("Enabled", False))}


def whole_numbers(given: Mapping[str, Any] | None) -> dict[str, int]:
    """CloudFormation hands numbers over as text where a parameter supplies them."""
    return {name: int(value) for name, value in (given or {}).items()}


def truth(value: object) -> bool:
    """CloudFormation hands truth values over as text where a parameter supplies them."""
    return str(value).lower() == "true"


def iceberg_description(description: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The Iceberg destination of a delivery stream, None where it has another kind."""
    found = (d.get("IcebergDestinationDescription") for d in description["Destinations"])
    return next((iceberg for iceberg in found if iceberg), None)


def table_bucket_arn(catalog_arn: str) -> str:
    """The table bucket behind a Firehose catalog ARN; its own ARN, which AWS does not take, is taken too."""
    if TABLE_BUCKET_ARN.fullmatch(catalog_arn):
        return catalog_arn
    match = CATALOG_ARN.fullmatch(catalog_arn)
    if match is None:
        raise AwsError(
            "InvalidArgumentException",
            f"CatalogARN {catalog_arn!r} names no table bucket: "
            "arn:aws:glue:<region>:<account>:catalog/s3tablescatalog/<table bucket> is expected.",
        )
    return "arn:aws:s3tables:{region}:{account}:bucket/{bucket}".format(**match.groupdict())


def validate_iceberg(given: Mapping[str, Any]) -> None:
    """Refuse an Iceberg destination that AWS refuses.

    Raises:
        AwsError: InvalidArgumentException, with the member and its value.
    """
    destination = normalize_iceberg(given)
    read_transformation(destination["ProcessingConfiguration"])
    table_bucket_arn(destination["CatalogConfiguration"].get("CatalogARN", ""))
    for (member, field), allowed in LIMITS.items():
        if destination[member][field] not in allowed:
            limits = f"between {allowed.start} and {allowed.stop - 1}"
            raise invalid(f"{member}.{field}", destination[member][field], limits)
    tables = destination.get("DestinationTableConfigurationList") or []
    error_prefix_of(destination["S3DestinationDescription"], tables)
    for table in tables:
        for member in ("DestinationDatabaseName", "DestinationTableName"):
            if not NAME.fullmatch(table.get(member, "")):
                raise invalid(member, table.get(member), "of letters, digits, underscores and dots")


def invalid(member: str, value: object, expectation: str) -> AwsError:
    """The error for a member with a value that is not taken."""
    return AwsError("InvalidArgumentException", f"{member} must be {expectation}, and is {value!r}.")


def error_prefix_of(backup: Mapping[str, Any], tables: Sequence[Mapping[str, Any]]) -> str:
    """The prefix of failed records that belong to no configured table."""
    prefixes = [backup.get("ErrorOutputPrefix"), *(table.get("S3ErrorOutputPrefix") for table in tables)]
    for prefix in prefixes:
        if "!{" in (prefix or ""):
            raise invalid("ErrorOutputPrefix", prefix, "without expressions on the local AWS")
    return next(filter(None, prefixes[:2]), "")


def read_config(description: Mapping[str, Any]) -> DeliveryConfig | None:
    """The worker's view of a normalized description, None where the destination is not Iceberg."""
    iceberg = iceberg_description(description)
    if iceberg is None:
        return None
    backup, hints, logs = (
        iceberg[member]
        for member in ("S3DestinationDescription", "BufferingHints", "CloudWatchLoggingOptions")
    )
    source = description.get("Source", {}).get("KinesisStreamSourceDescription")
    tables = iceberg.get("DestinationTableConfigurationList") or []
    error_prefix = error_prefix_of(backup, tables)
    return DeliveryConfig(
        name=description["DeliveryStreamName"],
        arn=description["DeliveryStreamARN"],
        created_us=epoch_us(description["CreateTimestamp"]),
        version=description["VersionId"],
        source_arn=source["KinesisStreamARN"] if source else None,
        source_start_ms=epoch_us(source["DeliveryStartTimestamp"]) // 1000 if source else 0,
        table_bucket_arn=table_bucket_arn(iceberg["CatalogConfiguration"].get("CatalogARN", "")),
        destinations=tuple(
            Destination(
                table["DestinationDatabaseName"],
                table["DestinationTableName"],
                table.get("S3ErrorOutputPrefix") or error_prefix,
            )
            for table in tables
        ),
        buffer_bytes=hints["SizeInMBs"] * MEBIBYTE,
        buffer_seconds=hints["IntervalInSeconds"],
        retry_seconds=iceberg["RetryOptions"]["DurationInSeconds"],
        transformation=read_transformation(iceberg["ProcessingConfiguration"]),
        error_bucket=backup.get("BucketARN", "").rpartition(":")[2],
        error_prefix=error_prefix,
        log_group=logs.get("LogGroupName") if logs["Enabled"] else None,
        log_stream=logs.get("LogStreamName") if logs["Enabled"] else None,
    )


def read_transformation(processing: Mapping[str, Any]) -> Transformation | None:
    """The Lambda processor of a ProcessingConfiguration, if it is enabled."""
    processors = processing["Processors"] if processing["Enabled"] else []
    functions = (processor for processor in processors if processor["Type"] == "Lambda")
    processor = next(functions, None)
    if processor is None:
        return None
    values = {p["ParameterName"]: p["ParameterValue"] for p in processor.get("Parameters", [])}
    try:
        return Transformation(
            function_arn=values["LambdaArn"],
            buffer_bytes=int(float(values.get("BufferSizeInMBs", "1")) * MEBIBYTE),
            retries=int(values.get("NumberOfRetries", "3")),
        )
    except (KeyError, ValueError) as error:
        expectation = "of a LambdaArn and numbers"
        raise invalid("ProcessingConfiguration.Processors.Parameters", values, expectation) from error


def epoch_us(moment: float | datetime) -> int:
    """Epoch microseconds of a timestamp, given as seconds or as a datetime."""
    seconds = moment.timestamp() if isinstance(moment, datetime) else moment
    return round(seconds * 1_000_000)


def folder_name(stream: str, created_us: int) -> str:
    """The name of a delivery stream's folder."""
    return f"{stream}@{created_us}"
