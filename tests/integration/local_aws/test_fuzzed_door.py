"""Requests that no client would send: none is answered with a bare 500, and none ends a process."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import os
import random
import socket
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import boto3
import psutil
import pytest

import local_aws
from local_aws import Status

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "200"))
"""How many mutated requests are sent."""
SEED = int(os.environ.get("FUZZ_SEED", "11"))
STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/fuzzed/stream/x"
BUCKET = "arn:aws:s3tables:us-east-1:000000000000:bucket/fuzzed"
KEY = {"id": {"S": "a"}}


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def package() -> bytes:
    """A function that returns nothing."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): return None")
    return content.getvalue()


TABLE = {
    "TableName": "fuzzed",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}
FUNCTION = {
    "FunctionName": "fuzzed",
    "Runtime": "python3.12",
    "Handler": "index.handler",
    "Role": "arn:aws:iam::000000000000:role/any",
    "Code": {"ZipFile": package()},
}
DELIVERY = {
    "DeliveryStreamName": "fuzzed",
    "ExtendedS3DestinationConfiguration": {
        "RoleARN": "arn:aws:iam::000000000000:role/any",
        "BucketARN": "arn:aws:s3:::fuzzed",
    },
}
TEMPLATE = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "made"}}}})
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("s3", "create_bucket", {"Bucket": "fuzzed"}),
    ("dynamodb", "create_table", TABLE),
    ("lambda", "create_function", FUNCTION),
    ("firehose", "create_delivery_stream", DELIVERY),
    ("kinesis", "create_stream", {"StreamName": "fuzzed", "ShardCount": 1}),
    ("sqs", "create_queue", {"QueueName": "fuzzed"}),
    ("s3tables", "create_table_bucket", {"name": "fuzzed"}),
    ("s3tables", "create_namespace", {"tableBucketARN": BUCKET, "namespace": ["fuzzed"]}),
    ("s3tables", "list_tables", {"tableBucketARN": BUCKET}),
    (
        "s3tables",
        "create_table",
        {"tableBucketARN": BUCKET, "namespace": "fuzzed", "name": "t", "format": "ICEBERG"},
    ),
    ("s3tables", "get_table", {"tableBucketARN": BUCKET, "namespace": "fuzzed", "name": "t"}),
    ("dynamodb", "put_item", {"TableName": "fuzzed", "Item": {"id": {"S": "a"}, "n": {"N": "1.5"}}}),
    ("dynamodb", "get_item", {"TableName": "fuzzed", "Key": KEY}),
    (
        "dynamodb",
        "update_item",
        {
            "TableName": "fuzzed",
            "Key": KEY,
            "UpdateExpression": "SET n = n + :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        },
    ),
    (
        "dynamodb",
        "batch_write_item",
        {"RequestItems": {"fuzzed": [{"PutRequest": {"Item": {"id": {"S": "b"}}}}]}},
    ),
    ("dynamodb", "execute_statement", {"Statement": "SELECT * FROM \"fuzzed\" WHERE id = 'a'"}),
    (
        "dynamodb",
        "transact_write_items",
        {"TransactItems": [{"Delete": {"TableName": "fuzzed", "Key": KEY}}]},
    ),
    ("dynamodb", "scan", {"TableName": "fuzzed", "Limit": 5}),
    ("dynamodbstreams", "list_streams", {"TableName": "fuzzed"}),
    ("dynamodbstreams", "describe_stream", {"StreamArn": STREAM}),
    (
        "dynamodbstreams",
        "get_shard_iterator",
        {"StreamArn": STREAM, "ShardId": "shardId-00000000000000000000", "ShardIteratorType": "LATEST"},
    ),
    ("dynamodbstreams", "get_records", {"ShardIterator": "x" * 40}),
    ("kinesis", "put_record", {"StreamName": "fuzzed", "Data": b"{}", "PartitionKey": "a"}),
    ("kinesis", "put_records", {"StreamName": "fuzzed", "Records": [{"Data": b"{}", "PartitionKey": "a"}]}),
    ("kinesis", "get_records", {"ShardIterator": "x" * 40}),
    ("kinesis", "list_shards", {"StreamName": "fuzzed"}),
    ("firehose", "put_record_batch", {"DeliveryStreamName": "fuzzed", "Records": [{"Data": b"{}"}]}),
    ("firehose", "put_record", {"DeliveryStreamName": "fuzzed", "Record": {"Data": b"{}"}}),
    ("firehose", "describe_delivery_stream", {"DeliveryStreamName": "fuzzed"}),
    ("lambda", "invoke", {"FunctionName": "fuzzed", "Payload": b"{}"}),
    ("lambda", "list_functions", {}),
    ("lambda", "update_function_configuration", {"FunctionName": "fuzzed", "Timeout": 5}),
    ("lambda", "create_event_source_mapping", {"FunctionName": "fuzzed", "EventSourceArn": STREAM}),
    ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1/000000000000/fuzzed", "MessageBody": "hi"}),
    ("sqs", "receive_message", {"QueueUrl": "http://127.0.0.1/000000000000/fuzzed"}),
    ("s3", "put_object", {"Bucket": "fuzzed", "Key": "a/b", "Body": b"content", "ContentType": "text/plain"}),
    ("s3", "get_object", {"Bucket": "fuzzed", "Key": "a/b", "Range": "bytes=1-3"}),
    ("s3", "list_objects_v2", {"Bucket": "fuzzed", "Prefix": "a/", "MaxKeys": 5}),
    ("s3", "delete_objects", {"Bucket": "fuzzed", "Delete": {"Objects": [{"Key": "c"}]}}),
    ("s3", "create_multipart_upload", {"Bucket": "fuzzed", "Key": "m"}),
    (
        "s3",
        "complete_multipart_upload",
        {
            "Bucket": "fuzzed",
            "Key": "m",
            "UploadId": "x",
            "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "e"}]},
        },
    ),
    ("athena", "start_query_execution", {"QueryString": "SELECT 1", "WorkGroup": "primary"}),
    ("athena", "get_query_execution", {"QueryExecutionId": "00000000-0000-0000-0000-000000000000"}),
    ("athena", "get_query_results", {"QueryExecutionId": "00000000-0000-0000-0000-000000000000"}),
    ("athena", "list_table_metadata", {"CatalogName": "s3tablescatalog/fuzzed", "DatabaseName": "fuzzed"}),
    ("cloudformation", "create_stack", {"StackName": "fuzzed", "TemplateBody": TEMPLATE}),
    ("cloudformation", "describe_stacks", {"StackName": "fuzzed"}),
    ("sts", "get_caller_identity", {}),
    (
        "cloudwatch",
        "get_metric_data",
        {
            "StartTime": 1_700_000_000,
            "EndTime": 1_700_000_600,
            "MetricDataQueries": [
                {
                    "Id": "a",
                    "MetricStat": {
                        "Metric": {"Namespace": "AWS/SQS", "MetricName": "x"},
                        "Period": 60,
                        "Stat": "Sum",
                    },
                }
            ],
        },
    ),
    (
        "cloudwatch",
        "put_metric_data",
        {"Namespace": "fuzzed", "MetricData": [{"MetricName": "x", "Value": 1.0}]},
    ),
]
SCHEMA = {
    "type": "struct",
    "schema-id": 0,
    "fields": [{"id": 1, "name": "n", "type": "long", "required": False}],
}
PREFIX = "/iceberg/v1/arn%3Aaws%3As3tables%3Aus-east-1%3A000000000000%3Abucket%2Ffuzzed"
ICEBERG = [
    ("GET", "/iceberg/v1/config?warehouse=" + BUCKET, None),
    ("GET", f"{PREFIX}/namespaces", None),
    ("POST", f"{PREFIX}/namespaces/fuzzed/tables", {"name": "u", "schema": SCHEMA}),
    ("GET", f"{PREFIX}/namespaces/fuzzed/tables/u", None),
    (
        "POST",
        f"{PREFIX}/namespaces/fuzzed/tables/u",
        {"requirements": [], "updates": [{"action": "set-properties", "updates": {"a": "b"}}]},
    ),
]


def real_requests() -> list[Sent]:
    """What clients send for these calls; they are sent as well, so that later ones find what they need."""
    noted: list[Sent] = []

    def note(request: Any, **_: Any) -> None:
        address = urlsplit(request.url)
        path = address.path + (f"?{address.query}" if address.query else "")
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        body = request.body or b""
        body = body.getvalue() if isinstance(body, io.BytesIO) else body
        noted.append(
            Sent(request.method, path, headers, body.encode() if isinstance(body, str) else bytes(body))
        )

    for service, operation, parameters in CALLS:
        client = boto3.client(service)
        client.meta.events.register("before-send", note)
        try:
            getattr(client, operation)(**parameters)
        except client.exceptions.ClientError:
            continue
    for method, path, content in ICEBERG:
        body = b"" if content is None else json.dumps(content).encode()
        noted.append(Sent(method, path, {"Content-Type": "application/json"}, body))
    return noted


NONSENSE: list[Any] = [
    None, True, -1, 0, 2**63, 1.5, "", " ", "x" * 5_000, "..", "../../etc/passwd", "\0", "é\u2028", "\ud800",
    [], {}, [[]], [None], {"": ""}, {"S": 1}, {"N": "NaN"}, "2026-13-45", "arn:aws:x", "%ff", "<a>&",
]  # fmt: skip
HEADERS = {
    "Content-Type": [
        "",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/json; charset=x",
    ],
    "X-Amz-Target": [
        "",
        ".",
        "DynamoDB_20120810.",
        "DynamoDB_20120810.Nothing",
        "X" * 3_000,
        "AmazonAthena.é",
    ],
    "Authorization": [
        "",
        "Bearer x",
        "AWS4-HMAC-SHA256 Credential=a/b",
        "AWS4-HMAC-SHA256 Credential=////, =",
        "é",
    ],
    "Content-Encoding": ["gzip", "aws-chunked", "gzip, aws-chunked", "br"],
    "X-Amz-Content-Sha256": ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"],
    "X-Amz-Decoded-Content-Length": ["-1", "x", "99999999999"],
    "Range": ["bytes=", "bytes=9-1", "bytes=-", "lines=1-2", "bytes=0-99999999999999999999"],
    "If-Modified-Since": ["yesterday"],
    "Content-Md5": ["x"],
    "X-Amz-Copy-Source": ["..", "/", "fuzzed", "%ff/%00"],
    "X-Amz-Date": ["never"],
}
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"]
PATHS = [
    "/..",
    "/%00",
    "/%ff",
    "//",
    "/fuzzed/../..",
    "/a" * 500,
    "/" + "b" * 5_000,
    "/%C3%A9",
    "/iceberg/v1/%ff",
    "/iceberg",
]
QUERIES = [
    "%ff=%fe",
    "uploadId=%00",
    "X-Amz-Credential=x",
    "versionId=x",
    "list-type=9&max-keys=x",
    "Action=",
    "a" * 5_000,
]


def places(content: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every member of a JSON value, as its owner and its name or index."""
    if isinstance(content, dict | list):
        for name, value in list(content.items() if isinstance(content, dict) else enumerate(content)):
            found.append((content, name))
            places(value, found)
    return found


def other_value(sent: Sent, chance: random.Random) -> Sent:
    """A value of another kind somewhere in the body, or one value less."""
    try:
        content = json.loads(sent.body)
    except (ValueError, RecursionError):
        return other_bytes(sent, chance)
    for _ in range(chance.randint(1, 3)):
        found = places(content, [])
        if not found:
            content = chance.choice(NONSENSE)
            break
        owner, name = chance.choice(found)
        if chance.random() < 0.2:
            del owner[name]
        else:
            owner[name] = chance.choice(NONSENSE)
    return replace(sent, body=json.dumps(content).encode())


def other_bytes(sent: Sent, chance: random.Random) -> Sent:
    """Bytes that are lost, doubled, changed."""
    body = bytearray(sent.body or b"{}")
    at = chance.randrange(len(body) + 1)
    match chance.randrange(6):
        case 0:
            del body[at:]
        case 1:
            body[at:at] = bytes(chance.randrange(256) for _ in range(20))
        case 2:
            body[:] = chance.choice(
                [b"[" * 100_000, b'{"a":' * 50_000, b"<a>" * 50_000, b"\xff\xfe", b"null", b"<"]
            )
        case 3:
            body[:] = body * 2
        case 4:
            body[:] = gzip.compress(bytes(body))[: chance.choice([10, None])]
        case _:
            body[at : at + 1] = chance.choice([b"\0", b"\xff", b'"', b"}", b"<", b"&", b"%"])
    return replace(sent, body=bytes(body))


def other_header(sent: Sent, chance: random.Random) -> Sent:
    """A header that is lost or means something else."""
    name = chance.choice(list(HEADERS))
    headers = {key: value for key, value in sent.headers.items() if key.lower() != name.lower()}
    if chance.random() < 0.8:
        headers[name] = chance.choice(HEADERS[name])
    return replace(sent, headers=headers)


def other_address(sent: Sent, chance: random.Random) -> Sent:
    """Another path, query or method."""
    path, _, query = sent.path.partition("?")
    match chance.randrange(5):
        case 0:
            return replace(sent, method=chance.choice(METHODS))
        case 1:
            return replace(sent, path=f"{path}?{chance.choice(QUERIES)}&{query}")
        case 2:
            return replace(sent, path=chance.choice(PATHS))
        case 3:
            return replace(sent, path=path + chance.choice(PATHS))
        case _:
            parts = path.split("/")
            parts[chance.randrange(len(parts))] = chance.choice(["", "..", "%00", "x" * 300, "%ff"])
            return replace(sent, path="/" + "/".join(parts).lstrip("/"))


MUTATIONS: list[Callable[[Sent, random.Random], Sent]] = [
    other_value,
    other_value,
    other_bytes,
    other_header,
    other_address,
]


def mutated(sent: Sent, chance: random.Random) -> Sent:
    """A request with one or two faults."""
    for mutate in chance.choices(MUTATIONS, k=chance.randint(1, 2)):
        sent = mutate(sent, chance)
    return sent


def answer(port: int, sent: Sent) -> tuple[int, bytes]:
    """The status and the body of the answer to a request, which is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(sent.method, sent.path, skip_accept_encoding=True)
        for name, value in sent.headers.items():
            if name.lower() not in ("content-length", "host", "expect", "transfer-encoding"):
                connection.putheader(name, value.encode())
        connection.putheader("Content-Length", str(len(sent.body)))
        connection.endheaders(sent.body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def has_the_shape_of_an_error(body: bytes) -> bool:
    """Whether a client of AWS finds a code in it, as JSON or XML."""
    try:
        content = json.loads(body)
    except ValueError:
        try:
            return any(node.tag.rpartition("}")[2] == "Code" for node in ElementTree.fromstring(body).iter())
        except ElementTree.ParseError:
            return False
    error = content.get("error", content) if isinstance(content, dict) else {}
    return isinstance(error, dict) and bool(error.get("__type") or error.get("type"))


@pytest.fixture
def server(tmp_path: Any) -> Iterator[Status]:
    """A local AWS of its own: who knows what it is told to make."""
    before = dict(os.environ)
    status = local_aws.start(tmp_path / "fuzzed", port=free_port())
    os.environ.update(local_aws.env(status.endpoint, status.region))
    yield status
    os.environ.update(before)
    local_aws.stop(tmp_path / "fuzzed")


def test_no_request_gets_a_bare_500_or_ends_a_process(server: Status) -> None:
    corpus = real_requests()
    boto3.client("firehose").put_record(DeliveryStreamName="fuzzed", Record={"Data": b"{}"})
    processes = workers(server)
    chance = random.Random(SEED)
    for number in range(REQUESTS):
        sent = mutated(chance.choice(corpus), chance)
        status, body = answer(server.port, sent)
        if sent.method != "HEAD" and status >= 500:
            assert has_the_shape_of_an_error(body), f"{number}: {sent} got {status} {body[:300]!r}"
    assert workers(server) == processes
    assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def workers(server: Status) -> set[int]:
    """The server and its processes, but those of functions, which end when they are changed."""
    here = psutil.Process(server.pid)
    return {child.pid for child in (here, *here.children()) if "local_aws" in " ".join(child.cmdline())}
