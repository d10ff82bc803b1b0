from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from local_aws.firehose.stream.config import (
    Destination,
    Transformation,
    normalize,
    read_config,
    table_bucket_arn,
    validate_iceberg,
)
from local_aws.wire import AwsError

CATALOG = "arn:aws:glue:us-east-1:000000000000:catalog/s3tablescatalog/lake"
BUCKET = "arn:aws:s3tables:us-east-1:000000000000:bucket/lake"


def iceberg(**changes: Any) -> dict[str, Any]:
    return {
        "RoleARN": "role",
        "CatalogConfiguration": {"CatalogARN": CATALOG},
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 0},
        "DestinationTableConfigurationList": [
            {
                "DestinationDatabaseName": "ns",
                "DestinationTableName": "log",
                "S3ErrorOutputPrefix": "log-errors/",
            }
        ],
        "S3Configuration": {
            "RoleARN": "role",
            "BucketARN": "arn:aws:s3:::errors",
            "ErrorOutputPrefix": "errors/",
        },
    } | changes


def description(destination: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "DeliveryStreamName": "orders",
        "DeliveryStreamARN": "arn:stream",
        "DeliveryStreamType": "DirectPut",
        "VersionId": "3",
        "CreateTimestamp": 1.5,
        "Destinations": [{"DestinationId": "1", "IcebergDestinationDescription": destination}],
    } | changes


def test_cloudformation_and_api_give_the_same_description() -> None:
    by_api = iceberg(AppendOnly=True, S3BackupMode="FailedDataOnly")
    by_cloudformation = iceberg(
        CatalogConfiguration={"CatalogArn": CATALOG},
        BufferingHints={"SizeInMBs": "1", "IntervalInSeconds": "0"},
        AppendOnly="true",
        s3BackupMode="FailedDataOnly",
    )
    normal = normalize(description(by_api))
    assert normal == normalize(description(by_cloudformation))
    assert normalize(normal) == normal
    destination = normal["Destinations"][0]["IcebergDestinationDescription"]
    assert destination["AppendOnly"] is True
    assert destination["CatalogConfiguration"] == {"CatalogARN": CATALOG}
    assert destination["RetryOptions"] == {"DurationInSeconds": 300}
    assert destination["S3DestinationDescription"]["CompressionFormat"] == "UNCOMPRESSED"
    assert destination["S3DestinationDescription"]["BucketARN"] == "arn:aws:s3:::errors"


def test_other_destinations_are_left_alone() -> None:
    other = {
        "DeliveryStreamName": "s",
        "Destinations": [{"DestinationId": "1", "S3DestinationDescription": {}}],
    }
    assert normalize(other) == other
    assert read_config(other) is None


def test_the_workers_view() -> None:
    processing = {
        "Enabled": "true",
        "Processors": [
            {
                "Type": "Lambda",
                "Parameters": [
                    {"ParameterName": "LambdaArn", "ParameterValue": "arn:function"},
                    {"ParameterName": "BufferSizeInMBs", "ParameterValue": "0.5"},
                ],
            }
        ],
    }
    source = {
        "KinesisStreamSourceDescription": {
            "KinesisStreamARN": "arn:kinesis",
            "DeliveryStartTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
        }
    }
    given = description(iceberg(ProcessingConfiguration=processing), Source=source, CreateTimestamp=5.000001)
    config = read_config(normalize(given))
    assert config is not None
    assert config.table_bucket_arn == BUCKET
    assert config.folder_name == "orders@5000001"
    assert (config.buffer_bytes, config.buffer_seconds, config.retry_seconds) == (2**20, 0, 300)
    assert config.transformation == Transformation("arn:function", 2**19, 3)
    assert (config.source_arn, config.source_start_ms) == ("arn:kinesis", 1767225600000)
    assert (config.error_bucket, config.error_prefix) == ("errors", "errors/")
    assert config.destination(None, None) == Destination("ns", "log", "log-errors/")
    assert config.destination(None, "other") == Destination("ns", "other", "errors/")


def test_a_disabled_transformation_is_none() -> None:
    processing = {"Enabled": False, "Processors": [{"Type": "Lambda", "Parameters": []}]}
    config = read_config(normalize(description(iceberg(ProcessingConfiguration=processing))))
    assert config is not None
    assert config.transformation is None


@pytest.mark.parametrize("arn", [CATALOG, BUCKET])
def test_catalogs_name_their_table_bucket(arn: str) -> None:
    assert table_bucket_arn(arn) == BUCKET


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"CatalogConfiguration": {}}, "names no table bucket"),
        (
            {"CatalogConfiguration": {"CatalogARN": "arn:aws:glue:us-east-1:000000000000:catalog"}},
            "names no table",
        ),
        (
            {"BufferingHints": {"SizeInMBs": 200}},
            "BufferingHints.SizeInMBs must be between 1 and 128, and is 200",
        ),
        ({"BufferingHints": {"IntervalInSeconds": 901}}, "between 0 and 900"),
        ({"RetryOptions": {"DurationInSeconds": -1}}, "between 0 and 7200"),
        (
            {
                "ProcessingConfiguration": {
                    "Enabled": True,
                    "Processors": [{"Type": "Lambda", "Parameters": []}],
                }
            },
            "must be of a LambdaArn",
        ),
        (
            {"S3Configuration": {"BucketARN": "arn:aws:s3:::e", "ErrorOutputPrefix": "e/!{timestamp:yyyy}/"}},
            "ErrorOutputPrefix must be without expressions on the local AWS",
        ),
        (
            {
                "DestinationTableConfigurationList": [
                    {"DestinationDatabaseName": "a-b", "DestinationTableName": "t"}
                ]
            },
            "DestinationDatabaseName must be of letters, digits, underscores and dots, and is 'a-b'",
        ),
    ],
)
def test_what_aws_refuses_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words) as refusal:
        validate_iceberg(iceberg(**changes))
    assert refusal.value.code == "InvalidArgumentException"


def test_a_good_configuration_passes() -> None:
    validate_iceberg(iceberg())
