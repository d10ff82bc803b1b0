"""What a request needs of its caller's policies, and what ministack's evaluation says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local_aws.seams import iam
from local_aws.wire import Request

BUCKET = "arn:aws:s3tables:us-east-1:000000000000:bucket/lake"
RAW = BUCKET.replace("/", "%2F").replace(":", "%3A")
OF_TABLE = {"s3tables:namespace": "sales", "s3tables:tablename": "orders"}


def request(
    service: str,
    method: str = "POST",
    path: str = "/",
    *,
    target: str = "",
    body: Mapping[str, Any] | str | None = None,
    key: str = "AKIAORDINARY",
    **query: str,
) -> Request:
    """A request as a client of AWS signs it."""
    scope = f"Credential={key}/20260131/us-east-1/{service}/aws4_request"
    headers = {"authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
    headers |= {"x-amz-target": target} if target else {}
    if isinstance(body, str):
        headers["content-type"] = "application/x-www-form-urlencoded"
    content = body.encode() if isinstance(body, str) else json.dumps(body or {}).encode()
    return Request(method, path.replace("%2F", "/").replace("%3A", ":"), path, query, headers, content)


@pytest.mark.parametrize(
    ("made", "needed"),
    [
        (
            request("dynamodb", target="DynamoDB_20120810.Scan", body={"TableName": "orders"}),
            [("dynamodb:Scan", "arn:aws:dynamodb:us-east-1:000000000000:table/orders", {})],
        ),
        (
            request(
                "dynamodb", target="DynamoDBStreams_20120810.GetShardIterator", body={"StreamArn": "arn:s"}
            ),
            [("dynamodb:GetShardIterator", "arn:s", {})],
        ),
        (
            request("dynamodb", target="DynamoDBStreams_20120810.GetRecords", body={"ShardIterator": "x"}),
            [("dynamodb:GetRecords", None, {})],
        ),
        (
            request("firehose", target="Firehose_20150804.PutRecordBatch", body={"DeliveryStreamName": "o"}),
            [("firehose:PutRecordBatch", "arn:aws:firehose:us-east-1:000000000000:deliverystream/o", {})],
        ),
        (
            request("logs", target="Logs_20140328.FilterLogEvents", body={"logGroupName": "/aws/x"}),
            [("logs:FilterLogEvents", "arn:aws:logs:us-east-1:000000000000:log-group:/aws/x:*", {})],
        ),
        (
            request("cloudformation", body="Action=DescribeStacks&StackName=orders-access"),
            [
                (
                    "cloudformation:DescribeStacks",
                    "arn:aws:cloudformation:us-east-1:000000000000:stack/orders-access/*",
                    {},
                )
            ],
        ),
        (request("s3", "GET", "/errors/a/b"), [("s3:GetObject", "arn:aws:s3:::errors/a/b", {})]),
        (
            request("s3tables", "GET", f"/namespaces/{RAW}"),
            [("s3tables:ListNamespaces", BUCKET, {"s3tables:namespace": "", "s3tables:tablename": ""})],
        ),
        (
            request("s3tables", "DELETE", f"/tables/{RAW}/sales/orders"),
            [("s3tables:DeleteTable", f"{BUCKET}/table/any", OF_TABLE)],
        ),
        (
            request("s3tables", "GET", f"/iceberg/v1/{RAW}/namespaces/sales/tables/orders"),
            [
                ("s3tables:GetTableMetadataLocation", f"{BUCKET}/table/any", OF_TABLE),
                ("s3tables:GetTableData", f"{BUCKET}/table/any", OF_TABLE),
            ],
        ),
        (
            request("s3tables", "POST", f"/iceberg/v1/{RAW}/namespaces/sales/tables/transactions"),
            [
                (
                    f"s3tables:{action}",
                    f"{BUCKET}/table/any",
                    OF_TABLE | {"s3tables:tablename": "transactions"},
                )
                for action in ("UpdateTableMetadataLocation", "PutTableData", "GetTableData")
            ],
        ),
        (
            request("lakeformation", "POST", "/ListPermissions"),
            [("lakeformation:ListPermissions", None, {})],
        ),
        (request("sts", body="Action=AssumeRole&RoleArn=arn"), []),
    ],
)
def test_what_a_request_needs(made: Request, needed: list[tuple[str, str | None, dict[str, str]]]) -> None:
    found = [(need.action, need.resource, dict(need.keys)) for need in iam.needs(made)]
    assert found == needed


@pytest.mark.parametrize(
    ("sql", "actions"),
    [
        ("SELECT 1", {"GetTableData", "GetTableMetadataLocation"}),
        ("/* a note */ -- another\n(WITH a AS (SELECT 1) SELECT * FROM a)", {"GetTableData"}),
        ("delete from orders", {"PutTableData", "UpdateTableMetadataLocation"}),
        ("MERGE INTO orders …", {"GetTableData", "PutTableData"}),
        ("CREATE TABLE x AS SELECT 1 AS n", {"CreateTable", "PutTableData"}),
        ("DROP TABLE x", {"DeleteTable"}),
        ("EXECUTE prepared", {"PutTableData"}),
    ],
)
def test_a_statement_needs_what_it_does_to_tables(sql: str, actions: set[str]) -> None:
    context = {"Catalog": "s3tablescatalog/lake", "Database": "sales"}
    body = {"QueryString": sql, "WorkGroup": "orders", "QueryExecutionContext": context}
    made = request("athena", target="AmazonAthena.StartQueryExecution", body=body)
    needed = {need.action: need for need in iam.needs(made)}
    assert "athena:StartQueryExecution" in needed
    assert {f"s3tables:{action}" for action in actions} <= needed.keys()
    reads_only = "PutTableData" not in actions
    assert ("s3tables:PutTableData" not in needed) is reads_only


# The evaluation -----------------------------------------------------------------------------------

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "arn:aws:dynamodb:*:*:table/orders*"},
        {"Effect": "Deny", "Action": "dynamodb:DeleteTable", "Resource": "*"},
        {"Effect": "Allow", "Action": "kinesis:GetRecords", "Resource": "arn:aws:kinesis:*:*:stream/one"},
        {
            "Effect": "Allow",
            "Action": ["s3tables:Get*"],
            "Resource": f"{BUCKET}/table/*",
            "Condition": {"StringEquals": {"s3tables:namespace": "sales"}},
        },
    ],
}


@pytest.fixture(scope="module")
def key() -> Iterator[str]:
    """The key of a user who has a policy."""
    from ministack.services import iam as service

    account, name, found = "000000000000", "ordinary", "AKIAORDINARY"
    user = {"UserName": name, "Arn": f"arn:aws:iam::{account}:user/{name}", "UserId": "AIDA1"}
    service._users.set_scoped(account, None, name, user)
    service._user_inline_policies[name] = {"given": json.dumps(POLICY)}
    record = {"UserName": name, "SecretAccessKey": "s", "Status": "Active", "AccessKeyId": found}
    service._access_keys.set_scoped(account, None, found, record)
    yield found
    service._users.pop(name, None)
    service._user_inline_policies.pop(name, None)
    service._access_keys.pop(found, None)


def table_of(namespace: str) -> Request:
    return request("s3tables", "GET", f"/iceberg/v1/{RAW}/namespaces/{namespace}/tables/orders")


@pytest.mark.parametrize(
    ("made", "allowed"),
    [
        (request("dynamodb", target="DynamoDB_20120810.Scan", body={"TableName": "orders"}), True),
        (request("dynamodb", target="DynamoDB_20120810.Scan", body={"TableName": "payroll"}), False),
        (request("dynamodb", target="DynamoDB_20120810.DeleteTable", body={"TableName": "orders"}), False),
        (request("kinesis", target="Kinesis_20131202.GetRecords", body={"ShardIterator": "x"}), True),
        (request("kinesis", target="Kinesis_20131202.DeleteStream", body={"StreamName": "one"}), False),
        (table_of("sales"), True),
        (table_of("payroll"), False),
        (request("sts", body="Action=GetCallerIdentity"), True),
    ],
)
def test_policies_decide(key: str, made: Request, allowed: bool) -> None:
    refused = iam.refusal(made)
    assert (refused is None) is allowed
    if refused is not None:
        assert b"ordinary is not authorized to perform" in refused.body
        assert refused.status in (400, 403)


@pytest.mark.parametrize(("name", "status"), [("test", None), ("000000000000", None), ("AKIANOBODY", 403)])
def test_the_accounts_own_keys_may_do_all_and_unknown_ones_nothing(name: str, status: int | None) -> None:
    made = request("dynamodb", target="DynamoDB_20120810.ListTables", key=name)
    refused = iam.refusal(made)
    assert (refused and refused.status) in (status, 400 if status else None)
