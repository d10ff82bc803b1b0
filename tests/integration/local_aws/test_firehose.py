"""The Firehose data plane over the wire: boto3 puts, pyiceberg reads."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import signal
import socket
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import DayTransform
from pyiceberg.types import DecimalType, LongType, NestedField, StringType, TimestamptzType

import local_aws
from local_aws import Status
from local_aws.firehose.stream.checkpoint import load_checkpoint, stream_folders
from local_aws.firehose.stream.journal import written_position

T = TypeVar("T")
ROLE = "arn:aws:iam::000000000000:role/delivery"
ICEBERG_MEMBERS = (
    "BufferingHints",
    "CloudWatchLoggingOptions",
    "ProcessingConfiguration",
    "RetryOptions",
    "S3Configuration",
)
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "amount", DecimalType(18, 2)),
    NestedField(3, "at", TimestamptzType()),
    NestedField(4, "note", StringType()),
)
BY_DAY = PartitionSpec(PartitionField(3, 1000, DayTransform(), "at_day"))


def client(name: str) -> Any:
    """A client of the local AWS of the moment, made once: that takes longer than most calls."""
    return cached_client(name, os.environ["AWS_ENDPOINT_URL"])


@cache
def cached_client(name: str, endpoint: str) -> Any:
    return boto3.client(name, endpoint_url=endpoint)  # type: ignore[call-overload]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(check: Callable[[], T], timeout_seconds: float = 60) -> T:
    """The first true answer of a check."""
    deadline = time.monotonic() + timeout_seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not in {timeout_seconds} s"
        time.sleep(0.05)
    return answer


@dataclass
class Lake:
    """A table bucket, an error bucket, and the delivery streams made on them."""

    status: Status
    catalog: Catalog
    bucket: str
    errors: str
    streams: list[str] = field(default_factory=list)

    def table(self, name: str = "log", spec: PartitionSpec = BY_DAY) -> Table:
        return self.catalog.create_table(("ns", name), SCHEMA, partition_spec=spec)

    def stream(self, table: str = "log", **changes: Any) -> str:
        name = f"stream-{uuid4().hex[:8]}"
        destination = {
            "RoleARN": ROLE,
            "AppendOnly": True,
            "CatalogConfiguration": {
                "CatalogARN": f"arn:aws:glue:us-east-1:000000000000:catalog/s3tablescatalog/{self.bucket}"
            },
            "BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 64},
            "DestinationTableConfigurationList": [
                {
                    "DestinationDatabaseName": "ns",
                    "DestinationTableName": table,
                    "S3ErrorOutputPrefix": "errors/",
                }
            ],
            "S3Configuration": {"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{self.errors}"},
        }
        stream = {key: changes.pop(key) for key in list(changes) if key not in ICEBERG_MEMBERS}
        client("firehose").create_delivery_stream(
            DeliveryStreamName=name, IcebergDestinationConfiguration=destination | changes, **stream
        )
        self.streams.append(name)
        return name

    def progress(self, stream: str) -> dict[str, Any]:
        folders = stream_folders(self.status.state_dir / "firehose")
        folder = next((folder for folder in folders if folder.name.startswith(f"{stream}@")), None)
        if folder is None:
            return {}
        return asdict(load_checkpoint(folder)) | {"written": written_position(folder)}

    def worker(self) -> psutil.Process:
        children = psutil.Process(self.status.pid).children()
        return next(child for child in children if "local_aws.firehose.delivery" in child.cmdline())

    def wait(self, stream: str, position: int, timeout_seconds: float = 60) -> dict[str, Any]:
        def delivered() -> dict[str, Any] | None:
            progress = self.progress(stream)
            return progress if progress.get("committed") == position else None

        return wait_for(delivered, timeout_seconds)  # type: ignore[return-value]

    def error_records(self) -> list[tuple[str, dict[str, Any]]]:
        s3 = client("s3")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=self.errors).get("Contents", [])]
        lines = [
            (key, line)
            for key in keys
            for line in s3.get_object(Bucket=self.errors, Key=key)["Body"].iter_lines()
        ]
        return [(key, json.loads(line)) for key, line in lines]


def make_lake(status: Status) -> Lake:
    name = f"lake-{uuid4().hex[:8]}"
    s3tables, s3 = client("s3tables"), client("s3")
    arn = s3tables.create_table_bucket(name=name)["arn"]
    s3tables.create_namespace(tableBucketARN=arn, namespace=["ns"])
    s3.create_bucket(Bucket=f"{name}-errors")
    return Lake(status, open_catalog(status, arn), name, f"{name}-errors")


def open_catalog(status: Status, arn: str) -> Catalog:
    return load_catalog(
        "test",
        type="rest",
        uri=f"{status.endpoint}/iceberg",
        warehouse=arn,
        **{
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
            "s3.endpoint": status.endpoint,
            "s3.access-key-id": "test",
            "s3.secret-access-key": "test",
            "s3.region": "us-east-1",
        },
    )


@pytest.fixture
def lake(local_aws: Status) -> Iterator[Lake]:
    lake = make_lake(local_aws)
    yield lake
    for stream in lake.streams:
        client("firehose").delete_delivery_stream(DeliveryStreamName=stream)


def put(stream: str, *records: dict[str, Any] | bytes) -> None:
    firehose = client("firehose")
    data = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]
    for start in range(0, len(data), 500):
        answer = firehose.put_record_batch(
            DeliveryStreamName=stream, Records=[{"Data": one} for one in data[start : start + 500]]
        )
        assert answer["FailedPutCount"] == 0


def ids(table: Table) -> Counter[int]:
    return Counter(table.refresh().scan().to_arrow()["id"].to_pylist())


def test_one_flush_is_one_snapshot_in_all_partitions(lake: Lake) -> None:
    table = lake.table("transactions")
    stream = lake.stream("transactions", BufferingHints={"IntervalInSeconds": 1, "SizeInMBs": 64})
    day_us = 86_400_000_000
    put(
        stream,
        *({"id": n, "amount": f"{n}.25", "at": n % 3 * day_us, "extra": "skipped"} for n in range(700)),
    )
    progress = lake.wait(stream, 700)
    rows = table.refresh().scan().to_arrow()
    assert sorted(rows["id"].to_pylist()) == list(range(700))
    assert {str(row["amount"]) for row in rows.to_pylist()} == {f"{n}.25" for n in range(700)}
    snapshots = table.snapshots()
    assert len(snapshots) == progress["snapshots"] <= 2
    assert len(table.inspect.partitions()) == 3
    summary = snapshots[-1].summary
    assert summary is not None
    assert (summary["firehose.position"], str(summary["firehose.stream"]).split("@")[0]) == ("700", stream)


def test_a_full_buffer_does_not_wait_for_the_interval(lake: Lake) -> None:
    table, stream = lake.table(), lake.stream(BufferingHints={"IntervalInSeconds": 600, "SizeInMBs": 1})
    put(stream, {"id": 1})
    time.sleep(1.5)
    assert lake.progress(stream)["committed"] == 0
    put(stream, *({"id": n, "note": "x" * 4000} for n in range(2, 302)))
    lake.wait(stream, 301, timeout_seconds=60)
    assert len(table.refresh().snapshots()) == 1


def test_the_interval_is_waited_for(lake: Lake) -> None:
    table, stream = lake.table(), lake.stream(BufferingHints={"IntervalInSeconds": 3, "SizeInMBs": 1})
    began_ms = time.time() * 1000
    put(stream, {"id": 1})
    lake.wait(stream, 1, timeout_seconds=60)
    [snapshot] = table.refresh().snapshots()
    assert snapshot.timestamp_ms - began_ms > 2_500


def test_records_that_cannot_be_delivered_are_in_the_error_bucket(lake: Lake) -> None:
    table, stream = lake.table(), lake.stream()
    bad = [
        b"not json",
        b'{"id": "many"}',
        b'{"amount": "1.00"}',
        b'{"id": 1}{"id": 2}',
        b'{"id": 3, "amount": "0.001"}',
    ]
    put(stream, {"id": 1}, *bad, {"id": 2})
    lake.wait(stream, 7)
    assert ids(table) == Counter([1, 2])
    failed = lake.error_records()
    assert [base64.b64decode(record["rawData"]) for _, record in failed] == bad
    assert [record["errorCode"] for _, record in failed] == [
        "Iceberg.InvalidJson",
        "Iceberg.SchemaTypeMismatch",
        "Iceberg.MissingColumnWithinRecord",
        "Iceberg.InvalidJson",
        "Iceberg.SchemaTypeMismatch",
    ]
    key, record = failed[0]
    assert key.startswith(time.strftime("errors/iceberg-failed/%Y/%m/%d/", time.gmtime()))
    assert f"/{stream}-1-" in key
    assert set(record) == {
        "attemptsMade",
        "arrivalTimestamp",
        "errorCode",
        "errorMessage",
        "attemptEndingTimestamp",
        "rawData",
    }


def test_what_nobody_can_write_stops_nothing(lake: Lake) -> None:
    table, stream = lake.table(), lake.stream()
    put(stream, {"id": 0})
    bad = [
        b'{"id": 1, "at": 1800000000000000000}',  # in the year 59010
        b'{"id": 2, "at": "9999-12-31T23:59:59-05:00"}',
        b'{"id": 3, "amount": %s}' % (b"1" * 5_000),  # more digits than Python reads
        b'{"id": 4, "at": -62135596800000001}',
    ]
    edges = ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
    bounds = ["\ud7ff" * 20, "\U0010ffff" * 20, "e\u0301\u2022" * 9]
    good = [*({"id": 10 + n, "at": at} for n, at in enumerate(edges))]
    good += [{"id": 20 + n, "at": edges[0], "note": note} for n, note in enumerate(bounds)]
    put(stream, good[0], *bad, *good[1:])
    lake.wait(stream, 1 + len(bad) + len(good))
    put(stream, {"id": 99})
    lake.wait(stream, 2 + len(bad) + len(good))
    assert ids(table) == Counter([0, 99, *(row["id"] for row in good)])
    assert [base64.b64decode(record["rawData"]) for _, record in lake.error_records()] == bad
    rows = table.scan(f"note == '{bounds[0]}'").to_arrow().to_pylist()
    assert [row["note"] for row in rows] == bounds[:1]


def test_a_missing_table_sends_everything_to_the_error_bucket(lake: Lake) -> None:
    stream = lake.stream("missing")
    put(stream, {"id": 1}, {"id": 2})
    lake.wait(stream, 2)
    assert [record["errorCode"] for _, record in lake.error_records()] == ["Iceberg.NoSuchTable"] * 2


def test_a_missing_error_bucket_holds_records_back_until_it_is_there(lake: Lake) -> None:
    table = lake.table()
    stream = lake.stream(S3Configuration={"RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{lake.bucket}-later"})
    put(stream, {"id": 1}, b"bad")
    wait_for(lambda: "NoSuchBucket" in (lake.progress(stream).get("last_error") or ""))
    assert lake.progress(stream)["committed"] == 0
    client("s3").create_bucket(Bucket=f"{lake.bucket}-later")
    progress = lake.wait(stream, 2)
    assert progress["last_error"] is None
    lake.errors = f"{lake.bucket}-later"
    assert [base64.b64decode(record["rawData"]) for _, record in lake.error_records()] == [b"bad"]
    assert ids(table) == Counter([1])


def test_a_column_added_meanwhile_is_filled(lake: Lake) -> None:
    table, stream = lake.table(), lake.stream(BufferingHints={"IntervalInSeconds": 2, "SizeInMBs": 1})
    put(stream, {"id": 1, "city": "early"})
    lake.wait(stream, 1)
    put(stream, *({"id": n, "city": "Kiel", "note": "x" * 5000} for n in range(2, 152)))
    with table.update_schema() as update:
        update.add_column("city", StringType())
    lake.wait(stream, 151)
    rows = table.refresh().scan().to_arrow().to_pylist()
    assert {row["id"]: row["city"] for row in rows} == {1: None} | dict.fromkeys(range(2, 152), "Kiel")


@pytest.mark.thorough
def test_a_worker_killed_again_and_again_loses_and_repeats_nothing(lake: Lake) -> None:
    table = lake.table()
    stream = lake.stream()
    rng, sent = random.Random(7), 0
    for _ in range(3):
        snapshots = lake.progress(stream).get("snapshots", 0)
        while lake.progress(stream).get("snapshots", 0) < snapshots + 1:
            put(stream, *({"id": n} if n % 10 else b"bad %d" % n for n in range(sent, sent + 50)))
            sent += 50
            time.sleep(0.05)
        time.sleep(rng.random() / 10)
        lake.worker().kill()
    lake.wait(stream, sent, timeout_seconds=60)
    assert ids(table) == Counter(n for n in range(sent) if n % 10)
    failed = Counter(base64.b64decode(record["rawData"]) for _, record in lake.error_records())
    assert failed == Counter(b"bad %d" % n for n in range(0, sent, 10))


def test_a_concurrent_writer_costs_nothing(lake: Lake) -> None:
    table, stream = lake.table(), lake.stream()
    for start in range(0, 200, 10):
        put(stream, *({"id": n} for n in range(start, start + 10)))
        table.refresh()
        with table.transaction() as transaction:
            transaction.set_properties(round=str(start))
    lake.wait(stream, 200)
    assert ids(table) == Counter(range(200))


TRANSFORM = """
import base64, json

def handler(event, context):
    def transform(record):
        row = json.loads(base64.b64decode(record["data"]))
        if row["id"] < 0:
            return {"recordId": record["recordId"], "result": "Dropped"}
        if row["id"] == 13:
            return {"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]}
        row["note"] = "transformed"
        table = "even" if row["id"] % 2 == 0 else "log"
        return {
            "recordId": record["recordId"],
            "result": "Ok",
            "data": base64.b64encode(json.dumps(row).encode()).decode(),
            "metadata": {"otfMetadata": {"destinationTableName": table, "operation": "insert"}},
        }
    return {"records": [transform(record) for record in event["records"]]}
"""


def make_function(code: str) -> str:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("index.py", code)
    answer = client("lambda").create_function(
        FunctionName=f"transform-{uuid4().hex[:8]}",
        Runtime="python3.12",
        Role=ROLE,
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
        Timeout=30,
    )
    return str(answer["FunctionArn"])


def test_records_pass_through_the_transformation(lake: Lake) -> None:
    odd, even = lake.table("log"), lake.table("even", PartitionSpec())
    arn = make_function(TRANSFORM)
    processor = {"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": arn}]}
    stream = lake.stream(ProcessingConfiguration={"Enabled": True, "Processors": [processor]})
    put(stream, *({"id": n} for n in range(-5, 600)))
    lake.wait(stream, 605)
    assert ids(odd) == Counter(n for n in range(1, 600, 2) if n != 13)
    assert ids(even) == Counter(range(0, 600, 2))
    assert set(even.scan().to_arrow()["note"].to_pylist()) == {"transformed"}
    [(key, failed)] = lake.error_records()
    assert key.startswith("errors/processing-failed/")
    assert (failed["errorCode"], failed["lambdaArn"]) == ("Lambda.ProcessingFailedStatus", arn)
    assert json.loads(base64.b64decode(failed["rawData"])) == {"id": 13}


TEMPLATE = """
Parameters:
  Seconds: {Type: Number, Default: 1}
Resources:
  Stream:
    Type: AWS::KinesisFirehose::DeliveryStream
    Properties:
      IcebergDestinationConfiguration:
        AppendOnly: true
        RoleARN: %(role)s
        CatalogConfiguration:
          CatalogArn: arn:aws:glue:us-east-1:000000000000:catalog/s3tablescatalog/%(bucket)s
        BufferingHints: {IntervalInSeconds: !Ref Seconds, SizeInMBs: 1}
        DestinationTableConfigurationList:
          - {DestinationDatabaseName: ns, DestinationTableName: log}
        s3BackupMode: FailedDataOnly
        S3Configuration: {RoleARN: %(role)s, BucketARN: "arn:aws:s3:::%(errors)s"}
Outputs:
  Name: {Value: !Ref Stream}
"""


def test_a_stream_made_by_cloudformation_delivers(lake: Lake) -> None:
    table, formation = lake.table(), client("cloudformation")
    stack = f"delivery-{uuid4().hex[:8]}"
    body = TEMPLATE % {"role": ROLE, "bucket": lake.bucket, "errors": lake.errors}
    formation.create_stack(StackName=stack, TemplateBody=body)
    formation.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    stream = formation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"][0]["OutputValue"]
    description = client("firehose").describe_delivery_stream(DeliveryStreamName=stream)
    destination = description["DeliveryStreamDescription"]["Destinations"][0]["IcebergDestinationDescription"]
    assert destination["CatalogConfiguration"]["CatalogARN"].endswith(f"s3tablescatalog/{lake.bucket}")
    assert destination["BufferingHints"] == {"IntervalInSeconds": 1, "SizeInMBs": 1}
    assert destination["AppendOnly"] is True
    put(stream, {"id": 1})
    lake.wait(stream, 1)
    assert ids(table) == Counter([1])
    unusable = body.replace("catalog/s3tablescatalog/", "catalog/").replace("Stream:", "Unusable:")
    formation.create_stack(
        StackName=f"{stack}-x", TemplateBody=unusable.replace("!Ref Stream", "!Ref Unusable")
    )
    formation.get_waiter("stack_create_complete").wait(StackName=f"{stack}-x", WaiterConfig={"Delay": 1})
    stranger = formation.describe_stacks(StackName=f"{stack}-x")["Stacks"][0]["Outputs"][0]["OutputValue"]
    put(stranger, {"id": 1})
    put(stream, {"id": 2})
    lake.wait(stream, 2)
    wait_for(lambda: "names no table bucket" in (lake.progress(stranger)["last_error"] or ""))
    assert (lake.progress(stranger)["committed"], lake.progress(stranger)["written"]) == (0, 1)
    formation.delete_stack(StackName=f"{stack}-x")
    formation.delete_stack(StackName=stack)
    wait_for(lambda: not lake.progress(stream))


def test_a_deleted_stream_refuses_records(lake: Lake) -> None:
    lake.table()
    stream = lake.stream(BufferingHints={"IntervalInSeconds": 900, "SizeInMBs": 1})
    put(stream, {"id": 1})
    client("firehose").delete_delivery_stream(DeliveryStreamName=lake.streams.pop())
    with pytest.raises(ClientError, match="not found") as refusal:
        put(stream, {"id": 2})
    assert refusal.value.response["Error"]["Code"] == "ResourceNotFoundException"
    wait_for(lambda: not lake.progress(stream))


def test_a_kinesis_stream_is_a_source(lake: Lake) -> None:
    table, kinesis = lake.table(), client("kinesis")
    name = f"changes-{uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    kinesis.put_record(StreamName=name, PartitionKey="early", Data=b'{"id": -1}')
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    source = {"KinesisStreamARN": arn, "RoleARN": ROLE}
    stream = lake.stream(DeliveryStreamType="KinesisStreamAsSource", KinesisStreamSourceConfiguration=source)
    with pytest.raises(ClientError, match="KinesisStreamAsSource"):
        put(stream, {"id": 0})
    for start in range(0, 1000, 250):
        records = [
            {"Data": json.dumps({"id": n}).encode() if n % 100 else b"bad", "PartitionKey": str(n)}
            for n in range(start, start + 250)
        ]
        assert kinesis.put_records(StreamName=name, Records=records)["FailedRecordCount"] == 0
        if start == 500:
            wait_for(lambda: lake.progress(stream).get("snapshots"))
            lake.worker().kill()
    wait_for(lambda: sum(ids(table).values()) >= 990)
    assert ids(table) == Counter(n for n in range(1000) if n % 100)
    wait_for(lambda: len(lake.error_records()) >= 10)
    assert len(lake.error_records()) == 10
    kinesis.delete_stream(StreamName=name)


def test_metrics_tell_what_was_delivered(lake: Lake) -> None:
    lake.table()
    stream = lake.stream()
    put(stream, {"id": 1}, {"id": 2}, b"bad")
    lake.wait(stream, 3)
    cloudwatch = client("cloudwatch")

    def total(metric: str) -> float:
        now = time.time()
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Firehose",
            MetricName=metric,
            Dimensions=[{"Name": "DeliveryStreamName", "Value": stream}],
            StartTime=now - 600,
            EndTime=now + 600,
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    wait_for(lambda: total("IncomingRecords") == 3)
    assert total("DeliveryToIceberg.SuccessfulRowCount") == 2
    assert total("DeliveryToIceberg.FailedRowCount") == 1
    assert 0 < total("DeliveryToIceberg.DataFreshness") < 30


def test_failures_are_logged_without_values(lake: Lake) -> None:
    lake.table()
    logs, group = client("logs"), f"/aws/kinesisfirehose/{lake.bucket}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="delivery")
    options = {"Enabled": True, "LogGroupName": group, "LogStreamName": "delivery"}
    stream = lake.stream(CloudWatchLoggingOptions=options)
    put(stream, b"secret", b"secret", b'{"id": "secret"}')
    lake.wait(stream, 3)
    events = wait_for(lambda: logs.get_log_events(logGroupName=group, logStreamName="delivery")["events"])
    told = [json.loads(event["message"]) for event in events]
    assert {one["errorCode"]: one["failedRecords"] for one in told} == {
        "Iceberg.InvalidJson": 2,
        "Iceberg.SchemaTypeMismatch": 1,
    }
    assert "secret" not in str(events)


def test_the_worker_is_idle_when_there_is_nothing_to_do(lake: Lake) -> None:
    lake.table()
    stream = lake.stream()
    put(stream, {"id": 1})
    lake.wait(stream, 1)
    worker = lake.worker()
    before = worker.cpu_times()
    time.sleep(2)
    after = worker.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.4
    assert worker.memory_info().rss < 400 * 2**20


def test_a_dropped_table_is_missed(lake: Lake) -> None:
    lake.table()
    stream = lake.stream()
    put(stream, {"id": 1})
    lake.wait(stream, 1)
    lake.catalog.purge_table(("ns", "log"))
    with pytest.raises(NoSuchTableError):
        lake.catalog.load_table(("ns", "log"))
    put(stream, {"id": 2})
    lake.wait(stream, 2)
    assert [record["errorCode"] for _, record in lake.error_records()] == ["Iceberg.NoSuchTable"]


@pytest.mark.thorough
def test_buffers_outlive_a_stop_and_go_back_with_the_tables_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir, port = tmp_path / "state", free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    status = local_aws.start(state_dir, port=port, checkpoint_seconds=3600)
    try:
        lake = make_lake(status)
        table = lake.table()
        quick, slow = lake.stream(), lake.stream(BufferingHints={"IntervalInSeconds": 900, "SizeInMBs": 1})
        put(quick, {"id": 1})
        put(slow, {"id": 2})
        lake.wait(quick, 1)
        local_aws.stop(state_dir)

        local_aws.start(state_dir, port=port, checkpoint_seconds=3600)
        assert (lake.progress(slow)["committed"], lake.progress(slow)["written"]) == (0, 1)
        put(quick, {"id": 3})
        put(slow, *({"id": n, "note": "x" * 5000} for n in range(10, 230)))
        lake.wait(quick, 2)
        lake.wait(slow, 221)
        assert ids(table) == Counter([1, 2, 3, *range(10, 230)])
        os.kill(json.loads((state_dir / "gateway.json").read_text())["pid"], signal.SIGKILL)

        assert local_aws.start(state_dir, port=port, checkpoint_seconds=3600).restored == "unclean"
        table = lake.catalog.load_table(("ns", "log"))
        assert (lake.progress(quick)["written"], lake.progress(slow)["written"]) == (1, 1)
        put(slow, *({"id": n, "note": "x" * 5000} for n in range(300, 520)))
        lake.wait(slow, 221)
        assert ids(table) == Counter([1, 2, *range(300, 520)])
    finally:
        local_aws.stop(state_dir)
