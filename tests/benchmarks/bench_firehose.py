"""The Firehose data plane against its floor, on the same change rows, in one run.

python tests/benchmarks/bench_firehose.py [rows]

The floor is what any delivery has to do: parse every record (orjson.loads) and write the rows once as
Parquet. It is measured twice: with the rows as an Arrow table that was made before, and as the shortest
program that has only the records, with pa.Table.from_pylist between. Against both stands the way from the
first PutRecordBatch to the last committed snapshot, over the wire, with bodies that were made before. The
floor has one process and pyarrow's threads, delivery has the producer, the gateway and the worker.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import boto3
import orjson
import psutil
import pyarrow as pa
from bench_conversion import CONTRACT, RECEIVED_AT_US, change_records
from pyarrow import parquet
from pyiceberg.catalog import load_catalog
from report import at_least, medians, print_header, print_row

import local_aws
from dynaberg.contracts.contract import load_contract
from dynaberg.functions.change_row import ChangeConverter
from local_aws.firehose.arrow.rows import RowConverter

RECORDS_PER_CALL = 500
ROUNDS = 5
ROLE = "arn:aws:iam::000000000000:role/delivery"
STREAM = "bench"
HEADERS = {
    "X-Amz-Target": "Firehose_20150804.PutRecordBatch",
    "Content-Type": "application/x-amz-json-1.1",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/firehose/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


def change_rows(count: int) -> list[bytes]:
    """Change rows of the traffic model, as the forwarder sends them."""
    converter = ChangeConverter(json.loads(load_contract(CONTRACT).to_lambda_json()))
    return [converter.to_row(record, RECEIVED_AT_US) for record in change_records(count)]


def bodies(rows: Sequence[bytes]) -> list[bytes]:
    """PutRecordBatch requests that hold the rows."""
    encoded = [{"Data": base64.b64encode(row).decode()} for row in rows]
    return [
        orjson.dumps({"DeliveryStreamName": STREAM, "Records": encoded[at : at + RECORDS_PER_CALL]})
        for at in range(0, len(encoded), RECORDS_PER_CALL)
    ]


def floor_seconds(rows: Sequence[bytes], table: pa.Table, path: Path) -> float:
    """Parse every record, and write a table that was made before."""
    began = time.perf_counter()
    parsed = [orjson.loads(row) for row in rows]
    parquet.write_table(table, path)
    seconds = time.perf_counter() - began
    assert len(parsed) == table.num_rows
    return seconds


def program_seconds(rows: Sequence[bytes], path: Path) -> float:
    """Parse every record, make a table of them, and write it."""
    began = time.perf_counter()
    parquet.write_table(pa.Table.from_pylist([orjson.loads(row) for row in rows]), path)
    return time.perf_counter() - began


def make_pipeline(status: local_aws.Status) -> None:
    """A table bucket with an empty change log, and a delivery stream to it."""
    contract = load_contract(CONTRACT)
    s3tables, s3, firehose = (boto3.client(name) for name in ("s3tables", "s3", "firehose"))
    arn = s3tables.create_table_bucket(name="bench")["arn"]
    s3tables.create_namespace(tableBucketARN=arn, namespace=["ns"])
    s3.create_bucket(Bucket="bench-errors")
    catalog = load_catalog("bench", type="rest", uri=f"{status.endpoint}/iceberg", warehouse=arn)
    catalog.create_table(
        ("ns", contract.log_name), contract.log_schema(), partition_spec=contract.log_partition_spec()
    )
    firehose.create_delivery_stream(
        DeliveryStreamName=STREAM,
        IcebergDestinationConfiguration={
            "RoleARN": ROLE,
            "AppendOnly": True,
            "CatalogConfiguration": {
                "CatalogARN": "arn:aws:glue:us-east-1:000000000000:catalog/s3tablescatalog/bench"
            },
            "BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 64},
            "DestinationTableConfigurationList": [
                {"DestinationDatabaseName": "ns", "DestinationTableName": contract.log_name}
            ],
            "S3Configuration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::bench-errors"},
        },
    )


class DataPlane:
    """Puts requests and waits for their commit."""

    def __init__(self, status: local_aws.Status) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", status.port)
        self.journals = status.state_dir / "firehose"

    def deliver(self, requests: Sequence[bytes], rows: int) -> float:
        """Seconds from the first put to the last commit."""
        end = self.committed() + rows
        began = time.perf_counter()
        for request in requests:
            self.connection.request("POST", "/", request, HEADERS)
            answer = self.connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
        while self.committed() < end:
            time.sleep(0.005)
        return time.perf_counter() - began

    def committed(self) -> int:
        checkpoints = list(self.journals.glob(f"{STREAM}@*/checkpoint.json"))
        return int(json.loads(checkpoints[0].read_bytes())["committed"]) if checkpoints else 0


FLOOR = "orjson.loads + one Parquet write"
PROGRAM = "the same with from_pylist between"


def measure(rows: Sequence[bytes], data_plane: DataPlane, folder: Path) -> dict[str, float]:
    """Rows a second of delivery and of both floors."""
    requests, path, count = bodies(rows), folder / "floor.parquet", len(rows)
    table = pa.Table.from_batches([RowConverter(load_contract(CONTRACT).log_schema()).convert(rows)[0]])
    data_plane.deliver(requests[:1], min(count, RECORDS_PER_CALL))
    return medians(
        {
            FLOOR: lambda: count / floor_seconds(rows, table, path),
            PROGRAM: lambda: count / program_seconds(rows, path),
            "ours": lambda: count / data_plane.deliver(requests, count),
        },
        ROUNDS,
    )


def memory_mib(status: local_aws.Status) -> float:
    """Resident memory of the local AWS."""
    server = psutil.Process(status.pid)
    return sum(one.memory_info().rss for one in (server, *server.children(recursive=True))) / 2**20


def main() -> None:
    rows = change_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        status = local_aws.start(folder / "state", port=int(os.environ.get("PORT", "4897")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            make_pipeline(status)
            rates = measure(rows, DataPlane(status), folder)
            mib = memory_mib(status)
        finally:
            local_aws.stop(folder / "state")
    print_header("Firehose data plane against, rows/s")
    print_row(FLOOR, rates["ours"], rates[FLOOR], at_least(0.5))
    print_row(PROGRAM, rates["ours"], rates[PROGRAM], None)
    print_row("memory of the local AWS, MiB", mib, None, None)


if __name__ == "__main__":
    main()
