"""What AWS refuses in S3 Tables, S3 and CloudFormation is refused here."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import orjson
import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog.rest import RestCatalog

from local_aws import Status

pytestmark = pytest.mark.usefixtures("local_aws")


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def bucket_arn() -> str:
    s3tables = boto3.client("s3tables")
    arn = s3tables.create_table_bucket(name=unique("strict"))["arn"]
    s3tables.create_namespace(tableBucketARN=arn, namespace=["analytics"])
    return str(arn)


def make_table(bucket_arn: str, name: str, namespace: str = "analytics", **more: Any) -> dict[str, Any]:
    call = {"tableBucketARN": bucket_arn, "namespace": namespace, "name": name, "format": "ICEBERG"}
    return dict(boto3.client("s3tables").create_table(**call, **more))


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def run_stack(name: str, resources: dict[str, Any]) -> dict[str, Any]:
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=orjson.dumps({"Resources": resources}).decode())
    return settled(name)


def settled(name: str) -> dict[str, Any]:
    while True:
        stack = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            return dict(stack)


def reasons(name: str) -> str:
    events = boto3.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    return " ".join(event.get("ResourceStatusReason", "") for event in events)


@pytest.mark.parametrize("name", ["Upper", "with_underscore", "-edge", "aws-x", "x--table-s3"])
def test_table_bucket_names(name: str) -> None:
    with pytest.raises(ClientError) as error:
        boto3.client("s3tables").create_table_bucket(name=name)
    assert code_of(error) == "BadRequestException"


def test_a_table_bucket_exists_once(bucket_arn: str) -> None:
    with pytest.raises(ClientError) as error:
        boto3.client("s3tables").create_table_bucket(name=bucket_arn.rpartition("/")[2])
    assert code_of(error) == "ConflictException"


def test_what_is_not_empty_stays(bucket_arn: str) -> None:
    s3tables = boto3.client("s3tables")
    make_table(bucket_arn, "t")
    with pytest.raises(ClientError) as error:
        s3tables.delete_namespace(tableBucketARN=bucket_arn, namespace="analytics")
    assert code_of(error) == "ConflictException"
    with pytest.raises(ClientError) as error:
        s3tables.delete_table_bucket(tableBucketARN=bucket_arn)
    assert code_of(error) == "ConflictException"
    s3tables.delete_table(tableBucketARN=bucket_arn, namespace="analytics", name="t")
    s3tables.delete_namespace(tableBucketARN=bucket_arn, namespace="analytics")
    s3tables.delete_table_bucket(tableBucketARN=bucket_arn)
    with pytest.raises(ClientError) as error:
        s3tables.get_table_bucket(tableBucketARN=bucket_arn)
    assert code_of(error) == "NotFoundException"


@pytest.mark.parametrize("name", ["BadName", "with-hyphen", "_first", "ümlaut"])
def test_table_names(bucket_arn: str, name: str) -> None:
    with pytest.raises(ClientError) as error:
        make_table(bucket_arn, name)
    assert code_of(error) == "BadRequestException"


def test_a_table_needs_its_namespace(bucket_arn: str) -> None:
    with pytest.raises(ClientError) as error:
        make_table(bucket_arn, "t", namespace="nowhere")
    assert code_of(error) == "NotFoundException"


def test_a_table_exists_once(bucket_arn: str) -> None:
    schema = {"iceberg": {"schema": {"fields": [{"name": "id", "type": "long"}]}}}
    make_table(bucket_arn, "t", metadata=schema)
    for metadata in ({}, {"metadata": schema}):
        with pytest.raises(ClientError) as error:
            make_table(bucket_arn, "t", **metadata)
        assert code_of(error) == "ConflictException"


def test_create_table_keeps_all_that_it_is_told(local_aws: Status, bucket_arn: str) -> None:
    description = {
        "schema": {
            "fields": [
                {"name": "id", "type": "long", "required": True},
                {"name": "at", "type": "timestamptz"},
            ]
        },
        "partitionSpec": {"fields": [{"sourceId": 2, "transform": "day", "name": "at_day"}]},
        "writeOrder": {
            "orderId": 1,
            "fields": [
                {"sourceId": 1, "transform": "identity", "direction": "asc", "nullOrder": "nulls-first"}
            ],
        },
        "properties": {"owner": "me"},
    }
    made = make_table(bucket_arn, "full", metadata={"iceberg": description})
    catalog = RestCatalog("t", uri=f"{local_aws.endpoint}/iceberg", warehouse=bucket_arn)
    table = catalog.load_table("analytics.full")
    assert [(f.field_id, f.name, str(f.field_type), f.required) for f in table.schema().fields] == [
        (1, "id", "long", True),
        (2, "at", "timestamptz", False),
    ]
    assert str(table.spec().fields[0].transform) == "day"
    assert table.sort_order().fields[0].source_id == 1
    assert table.properties == {"owner": "me"}
    found = boto3.client("s3tables").get_table(tableArn=made["tableARN"])
    assert (found["name"], found["metadataLocation"]) == ("full", table.metadata_location)
    assert found["warehouseLocation"] == table.location()


def test_a_deleted_table_takes_its_files_along(local_aws: Status, bucket_arn: str) -> None:
    make_table(bucket_arn, "t")
    RestCatalog("t", uri=f"{local_aws.endpoint}/iceberg", warehouse=bucket_arn).load_table("analytics.t")
    s3, bucket = boto3.client("s3"), bucket_arn.rpartition("/")[2]
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    boto3.client("s3tables").delete_table(tableBucketARN=bucket_arn, namespace="analytics", name="t")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_filled_bucket_stays() -> None:
    s3, bucket = boto3.client("s3"), unique("iceberg")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a b/ü.txt", Body=b"x")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a b/ü.txt"]
    assert s3.get_object(Bucket=bucket, Key="a b/ü.txt")["Body"].read() == b"x"
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(error) == "BucketNotEmpty"


def test_a_table_bucket_may_be_called_iceberg_something(local_aws: Status) -> None:
    arn = boto3.client("s3tables").create_table_bucket(name=unique("iceberg"))["arn"]
    catalog = RestCatalog("t", uri=f"{local_aws.endpoint}/iceberg", warehouse=arn)
    catalog.create_namespace("raw")
    make_table(arn, "t", namespace="raw")
    assert catalog.load_table("raw.t").schema().fields == ()


def test_a_stack_fails_where_a_name_is_taken() -> None:
    dynamodb, name = boto3.client("dynamodb"), unique("taken")
    key = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    key["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}]
    dynamodb.create_table(TableName=name, BillingMode="PAY_PER_REQUEST", **key)
    dynamodb.put_item(TableName=name, Item={"id": {"S": "1"}})
    properties = {"TableName": name, "BillingMode": "PAY_PER_REQUEST", **key}
    stack = run_stack(name, {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert f"identifier '{name}' already exists" in reasons(name)
    assert dynamodb.scan(TableName=name)["Count"] == 1


def test_a_stack_fails_where_its_code_is_missing() -> None:
    bucket, name = unique("code"), unique("function")
    boto3.client("s3").create_bucket(Bucket=bucket)
    properties = {
        "FunctionName": name,
        "Runtime": "python3.12",
        "Handler": "f.handler",
        "Role": "arn:aws:iam::000000000000:role/r",
        "Code": {"S3Bucket": bucket, "S3Key": "f.zip"},
    }
    stack = run_stack(name, {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "NoSuchKey" in reasons(name)


def test_a_stack_does_not_delete_what_is_not_empty() -> None:
    bucket, table_bucket, name = unique("full"), unique("lake"), unique("stack")
    resources = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": bucket}},
        "TableBucket": {
            "Type": "AWS::S3Tables::TableBucket",
            "Properties": {"TableBucketName": table_bucket},
        },
        "Namespace": {
            "Type": "AWS::S3Tables::Namespace",
            "Properties": {
                "TableBucketARN": {"Fn::GetAtt": ["TableBucket", "TableBucketARN"]},
                "Namespace": "raw",
            },
        },
    }
    assert run_stack(name, resources)["StackStatus"] == "CREATE_COMPLETE"
    arn = boto3.client("s3tables").list_table_buckets(prefix=table_bucket)["tableBuckets"][-1]["arn"]
    boto3.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    make_table(arn, "t", namespace="raw")

    cloudformation = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    stack = settled(name)
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert "not empty" in reasons(name)
    assert boto3.client("s3tables").list_tables(tableBucketARN=arn)["tables"][0]["name"] == "t"

    boto3.client("s3").delete_object(Bucket=bucket, Key="k")
    boto3.client("s3tables").delete_table(tableBucketARN=arn, namespace="raw", name="t")
    cloudformation.delete_stack(StackName=stack["StackId"])
    assert settled(stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
