"""Backfill by export and by scan, each against a bare peer that reads the same items, in one run.

python tests/benchmarks/bench_backfill.py [items]

- by export: from a complete export to all its rows in the change log, acknowledged, committed and counted,
  against DuckDB that reads the same data files, with the same types, into one Parquet file; seconds. DuckDB
  has the files on its disk and keeps no order, no history and no failures; the median of three is taken;
- what no program in Python can do without: json.loads of the same lines, in one process for each core;
- by scan: the same against a parallel scan of 8 segments that throws its items away; items a second;
- the most memory of this process and of the local AWS with all its workers.
Items are those of the traffic model, 1,000,000 by default.
"""

from __future__ import annotations

import gc
import gzip
import http.client
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import duckdb
import orjson
import psutil
from bench_conversion import CONTRACT
from report import at_least, at_most, medians, print_header, print_row

import dynaberg
import local_aws
from dynaberg import delivery, deploy
from dynaberg.contracts import Contract
from dynaberg.contracts.contract import load_contract
from dynaberg.settings import Settings
from dynaberg.source import PageReader
from dynaberg.source.traffic import split
from dynaberg.source.transactions_model import plan_changes

NAME, SEGMENTS, BATCH, ITEMS_AT_ONCE, PEER_ROUNDS = "bench-backfill", 8, 25, 50_000, 3
MOST_MIB, LINES_AT_ONCE = 1.2 * 1024, 2_000
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}
DUCKDB_TYPES = {"int": "INTEGER", "long": "BIGINT", "boolean": "BOOLEAN", "date": "DATE"}


def items(count: int) -> Iterator[dict[str, Any]]:
    """Items of the traffic model."""
    for begin in range(0, count, ITEMS_AT_ONCE):
        some = min(ITEMS_AT_ONCE, count - begin)
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        for change in plan_changes(split(some, (1.0, 0.0, 0.0)), seed=begin, now=moment):
            yield change.transaction.item()


def fill(contract: Contract, count: int) -> None:
    """A table with these items and point-in-time recovery."""
    dynamodb, types = boto3.client("dynamodb"), contract.key_attribute_types()
    kinds = ("HASH", "RANGE")
    dynamodb.create_table(
        TableName=contract.source_table,
        KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(types, kinds, strict=True)],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in types.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName=contract.source_table,
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    endpoint = urlsplit(dynamodb.meta.endpoint_url)
    connection = http.client.HTTPConnection(endpoint.hostname or "", endpoint.port)
    source = items(count)
    while batch := list(islice(source, BATCH)):
        # Written by hand: boto3 would take longer than the local AWS.
        puts = [{"PutRequest": {"Item": item}} for item in batch]
        body = orjson.dumps({"RequestItems": {contract.source_table: puts}})
        connection.request("POST", "/", body, HEADERS | {"X-Amz-Target": "DynamoDB_20120810.BatchWriteItem"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content


def make_export(source_table: str, bucket: str) -> dict[str, Any]:
    """A complete export of the table."""
    dynamodb = boto3.client("dynamodb")
    arn = dynamodb.describe_table(TableName=source_table)["Table"]["TableArn"]
    begun = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=bucket, S3Prefix="bench")
    while True:
        arn = begun["ExportDescription"]["ExportArn"]
        found: dict[str, Any] = dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        if found["ExportStatus"] != "IN_PROGRESS":
            return found
        time.sleep(0.2)


def download(found: dict[str, Any], folder: Path) -> None:
    """The data files of an export, for DuckDB."""
    s3, bucket = boto3.client("s3"), found["S3Bucket"]
    prefix = found["ExportManifest"].rpartition("/")[0] + "/data/"
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page["Contents"]:
            s3.download_file(bucket, each["Key"], str(folder / each["Key"].rpartition("/")[2]))


def read_with_duckdb(contract: Contract, folder: Path) -> None:
    """The same files, as the contract types them, in one Parquet file."""
    letters = {"int": "N", "long": "N", "boolean": "BOOL"}
    columns, members = [], []
    for column in contract.columns:
        name = str(column.type)
        letter = "N" if name.startswith("decimal") else letters.get(name, "S")
        kind = name.upper() if name.startswith("decimal") else DUCKDB_TYPES.get(name, "VARCHAR")
        columns.append(f'CAST("Item"."{column.attribute}"."{letter}" AS {kind}) AS "{column.name}"')
        members.append(f'"{column.attribute}" STRUCT("{letter}" VARCHAR)')
    source = f"read_json('{folder}/*.json.gz', columns = {{Item: 'STRUCT({', '.join(members)})'}})"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {', '.join(columns)} FROM {source}) TO '{folder}/peer.parquet'")


def parse(file: Path) -> None:
    """Read the lines of a data file and parse them, some thousands at a time."""
    lines = gzip.decompress(file.read_bytes()).splitlines()
    for first in range(0, len(lines), LINES_AT_ONCE):
        json.loads(b"[%b]" % b",".join(lines[first : first + LINES_AT_ONCE]))


def parse_all(folder: Path) -> None:
    with multiprocessing.Pool(os.cpu_count(), gc.disable) as pool:
        pool.map(parse, sorted(folder.glob("*.json.gz")), chunksize=1)


def bare_scan(session: boto3.Session, contract: Contract) -> None:
    """A parallel scan that throws its items away."""
    reader = PageReader(session, contract.source_table, SEGMENTS, read_units_per_second=None)

    def read(segment: int) -> None:
        for _ in reader.pages(segment, None):
            pass

    with ThreadPoolExecutor(SEGMENTS) as pool:
        list(pool.map(read, range(SEGMENTS)))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def peak_memory(server: int) -> Iterator[dict[str, float]]:
    """The most resident memory of this process and of the local AWS with its workers, in MiB."""
    peak, stop = {"client": 0.0, "local AWS": 0.0}, threading.Event()

    def of(process: psutil.Process, *, workers: bool) -> float:
        total = 0
        for each in (process, *(process.children(recursive=True) if workers else ())):
            try:
                total += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total / 2**20

    def watch() -> None:
        while not stop.wait(0.2):
            peak["client"] = max(peak["client"], of(psutil.Process(), workers=False))
            peak["local AWS"] = max(peak["local AWS"], of(psutil.Process(server), workers=True))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def run(root: Path, count: int, server: int) -> None:
    contract, session = load_contract(CONTRACT), boto3.Session()
    names: dict[str, Any] = {"name": NAME, "namespace": "bench_backfill", "bucket_name": NAME}
    settings = Settings(table_bucket_name=f"{NAME}-tables", root=root, **names)
    wb = dynaberg.Workbench(settings, session, contract)
    print(f"{'written':40}{seconds(lambda: fill(contract, count)):>12,.1f} s")
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=1)
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    began = time.perf_counter()
    found = make_export(contract.source_table, bucket)
    print(f"{'exported':40}{time.perf_counter() - began:>12,.1f} s")
    files = root / "files"
    files.mkdir()
    download(found, files)
    bring_in = partial(delivery.backfill, session, settings, contract)
    with peak_memory(server) as peak:
        by_export = seconds(lambda: bring_in(export=found["ExportArn"]))
    peers = {
        "DuckDB": lambda: seconds(lambda: read_with_duckdb(contract, files)),
        "json.loads": lambda: seconds(lambda: parse_all(files)),
    }
    taken = medians(peers, PEER_ROUNDS)
    print_header(f"backfill of {count:,} items, s")
    print_row("by export, against DuckDB", by_export, taken["DuckDB"], at_most(2))
    print_row("json.loads alone, against DuckDB", taken["json.loads"], taken["DuckDB"], None)
    with peak_memory(server) as peak_of_scan:
        by_scan = seconds(lambda: bring_in(method="scan"))
    print_header("items/s")
    bare = count / seconds(lambda: bare_scan(session, contract))
    print_row("by scan, against a bare scan", count / by_scan, bare, at_least(0.7))
    print_header("MiB")
    for whose, most in peak.items():
        print_row(f"memory of the {whose}, export", most, None, at_most(MOST_MIB))
        print_row(f"memory of the {whose}, scan", peak_of_scan[whose], None, at_most(MOST_MIB))
    print(f"{'refreshed':40}{seconds(wb.table().refresh):>12,.1f} s")
    held = wb.query("SELECT count(*) AS n FROM transactions").df["n"].tolist()
    if held != [count]:
        raise SystemExit(f"the current table has {held} rows, not {count}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        status = local_aws.start(Path(name) / "state", port=int(os.environ.get("PORT", "4897")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            run(Path(name), count, status.pid)
        finally:
            local_aws.stop(Path(name) / "state")


if __name__ == "__main__":
    main()
