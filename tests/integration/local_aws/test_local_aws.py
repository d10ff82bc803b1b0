"""The door of the local AWS: start, stop, kill, and what is left then."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog

import local_aws
from local_aws import LocalAwsError, Status

# Some of them are held compressed.
RECORDS = 4_000
ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64())})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "state"
    local_aws.stop(tmp_path / "state")


def client(status: Status, service: str) -> Any:
    return boto3.client(service, endpoint_url=status.endpoint)


def catalog(status: Status, bucket_arn: str) -> RestCatalog:
    options = {"uri": f"{status.endpoint}/iceberg", "warehouse": bucket_arn, "s3.endpoint": status.endpoint}
    return RestCatalog("test", **options)


def fill(status: Status) -> str:
    """An item, an S3 object, records of a stream, Iceberg tables with rows; the ARN of the table bucket."""
    key = {"AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}
    key["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}]
    dynamodb = client(status, "dynamodb")
    dynamodb.create_table(TableName="things", BillingMode="PAY_PER_REQUEST", **key)
    dynamodb.put_item(TableName="things", Item={"id": {"S": "before"}})
    s3 = client(status, "s3")
    s3.create_bucket(Bucket="things")
    s3.put_object(Bucket="things", Key="before", Body=b"1")
    client(status, "kinesis").create_stream(StreamName="things", ShardCount=1)
    put_records(status, *(b"%d\n" % number for number in range(RECORDS)))
    arn = client(status, "s3tables").create_table_bucket(name="lake")["arn"]
    lake = catalog(status, arn)
    lake.create_namespace("raw")
    lake.create_table("raw.transactions", ROWS.schema).append(ROWS)
    lake.create_table("raw.other", ROWS.schema).append(ROWS)
    return str(arn)


def found(status: Status, bucket_arn: str) -> dict[str, Any]:
    tables = catalog(status, bucket_arn)
    return {
        "items": sorted(
            item["id"]["S"] for item in client(status, "dynamodb").scan(TableName="things")["Items"]
        ),
        "objects": [
            o["Key"] for o in client(status, "s3").list_objects_v2(Bucket="things").get("Contents", [])
        ],
        "records": [(r["SequenceNumber"], r["Data"]) for r in records(status)],
        "tables": {
            name: (len(tables.load_table((namespace, name)).history()), rows(tables, name))
            for namespace, name in sorted(tables.list_tables("raw"))
        },
    }


def put_records(status: Status, *data: bytes) -> None:
    kinesis = client(status, "kinesis")
    for first in range(0, len(data), 500):
        batch = [{"Data": each, "PartitionKey": "key"} for each in data[first : first + 500]]
        assert kinesis.put_records(StreamName="things", Records=batch)["FailedRecordCount"] == 0


def records(status: Status) -> list[dict[str, Any]]:
    kinesis = client(status, "kinesis")
    [shard] = kinesis.list_shards(StreamName="things")["Shards"]
    where = {"StreamName": "things", "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    page = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**where)["ShardIterator"])
    found: list[dict[str, Any]] = page["Records"]
    return found


def rows(tables: RestCatalog, name: str) -> int:
    return int(tables.load_table(("raw", name)).scan().to_arrow().num_rows)


def listening(pid: int) -> set[tuple[str, int]]:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return {
        tuple(c.laddr) for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN
    }


def start(state_dir: Path) -> Status:
    """Start without checkpoints."""
    return local_aws.start(state_dir, port=free_port(), checkpoint_seconds=3600)


def start_twice_at_once(state_dir: Path) -> list[Status]:
    answers = list[Status]()
    starts = [threading.Thread(target=lambda: answers.append(start(state_dir))) for _ in "ab"]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    return answers


def stop_seconds(status: Status) -> float:
    """How long a stop takes while a client keeps its connection open."""
    connection = http.client.HTTPConnection("127.0.0.1", status.port)
    connection.request("GET", "/_local_aws/health")
    connection.getresponse().read()
    began = time.monotonic()
    assert local_aws.stop(status.state_dir)
    connection.close()
    return time.monotonic() - began


UNANSWERED = """
Resources:
  Role: {Type: 'AWS::IAM::Role', Properties: {AssumeRolePolicyDocument: {}}}
  Silent:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: {ZipFile: 'def handler(event, context): pass'}
  Waiting: {Type: 'Custom::Waiting', Properties: {ServiceToken: !GetAtt Silent.Arn}}
"""


def test_a_stack_that_waits_for_an_answer_does_not_hold_the_stop_up(state_dir: Path) -> None:
    stacks = client(local_aws.start(state_dir, port=free_port()), "cloudformation")
    stacks.create_stack(StackName="waiting", TemplateBody=UNANSWERED, Capabilities=["CAPABILITY_IAM"])

    def is_waiting() -> bool:
        events = stacks.describe_stack_events(StackName="waiting")["StackEvents"]
        return any(event["ResourceType"] == "Custom::Waiting" for event in events)

    deadline = time.monotonic() + 60
    while not is_waiting():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert local_aws.stop(state_dir)


@pytest.mark.thorough
def test_a_life_with_a_clean_stop_and_a_kill(state_dir: Path) -> None:
    status, other = start_twice_at_once(state_dir)
    assert (status.pid, status.restored) == (other.pid, "empty")
    assert start(state_dir).pid == status.pid
    assert listening(status.pid) == {("127.0.0.1", status.port)}
    assert 0 < status.memory_bytes < 2**30
    arn = fill(status)
    before = found(status, arn)
    assert [data for _, data in before["records"]] == [b"%d\n" % number for number in range(RECORDS)]
    assert before["tables"] == {"other": (1, 3), "transactions": (1, 3)}
    assert stop_seconds(status) < 45
    assert not local_aws.stop(state_dir)

    status = start(state_dir)
    assert status.restored == "clean"
    assert found(status, arn) == before
    client(status, "dynamodb").put_item(TableName="things", Item={"id": {"S": "after"}})
    put_records(status, b"after")
    client(status, "s3").put_object(Bucket="things", Key="after", Body=b"2")
    client(status, "s3").put_object(Bucket="things", Key="before", Body=b"overwritten")
    catalog(status, arn).load_table("raw.transactions").append(ROWS)
    catalog(status, arn).purge_table("raw.other")
    saved_at = status.restored_from
    os.kill(status.pid, signal.SIGKILL)
    assert local_aws.status(state_dir) is None

    status = start(state_dir)
    assert (status.restored, status.restored_from) == ("unclean", saved_at)
    assert found(status, arn) == before
    assert client(status, "s3").get_object(Bucket="things", Key="before")["Body"].read() == b"1"
    catalog(status, arn).load_table("raw.transactions").append(ROWS)
    assert rows(catalog(status, arn), "transactions") == 6
    second = [
        sys.executable,
        "-m",
        "local_aws.server.serve",
        "--state-dir",
        str(state_dir),
        "--port",
        str(free_port()),
    ]
    refused = subprocess.run(second, capture_output=True, text=True, check=False)
    assert refused.stderr == f"A local AWS runs on {state_dir} already.\n"
    local_aws.reset(state_dir)
    assert list(state_dir.iterdir()) == []


def test_a_port_in_use_is_named_with_its_owner(state_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LocalAwsError, match=f"Port {port} is in use.*process {os.getpid()}") as error:
            local_aws.start(state_dir, port=port)
    assert "DYNABERG_LOCAL_PORT" in error.value.hint


def test_an_interpreter_without_the_extra_is_told_so(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = state_dir.parent / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv("LOCAL_AWS_PYTHON", str(bare))
    with pytest.raises(LocalAwsError, match="bare-python: there is no module 'local_aws'") as error:
        local_aws.start(state_dir, port=free_port())
    assert "pip install 'dynaberg[local]'" in error.value.hint


def test_a_server_that_dies_at_start_shows_the_end_of_its_log(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = state_dir.parent / "broken-python"
    broken.write_text("#!/bin/sh\necho it burns\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("LOCAL_AWS_PYTHON", str(broken))
    with pytest.raises(LocalAwsError, match=r"(?s)ended while it started.*it burns"):
        local_aws.start(state_dir, port=free_port())


def test_the_command_line(local_aws: Status) -> None:
    command = [sys.executable, "-m", "local_aws"]
    options = ["--state-dir", str(local_aws.state_dir)]
    told = subprocess.run([*command, "status", *options], capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"{local_aws.endpoint} (us-east-1), process {local_aws.pid}, ")

    script = (
        f'eval "$({" ".join([*command, "env", *options])})"; echo "$AWS_ENDPOINT_URL ${{AWS_PROFILE-none}}"'
    )
    shell = {"capture_output": True, "text": True, "check": True, "env": os.environ | {"AWS_PROFILE": "mine"}}
    assert subprocess.run(["sh", "-c", script], **shell).stdout == f"{local_aws.endpoint} none\n"

    nowhere = subprocess.run(
        [*command, "env", "--state-dir", "/nonexistent"], capture_output=True, text=True, check=False
    )
    assert (nowhere.returncode, nowhere.stderr.splitlines()[1]) == (
        1,
        "Hint: Start it: `python -m local_aws start`.",
    )
