"""Backfill by export and by scan, each against a bare peer that reads the same items, in one run.

python tests/benchmarks/bench_backfill.py [items [scanned]]

- by export of 1,000,000 items: from a complete export to all its rows in the change log, committed and
  counted, against DuckDB that reads the same data files, with the same types, into one Parquet file; seconds.
  DuckDB has the files on its disk and keeps no order, no history and no failures; its median of three counts;
- what no program in Python can do without: json.loads of the same lines, in one process for each core;
- what nothing can do without that goes through Lambda and Firehose: DuckDB in two steps, which writes change
  rows as JSON and makes Parquet of those, without sending, keeping or committing them;
- by scan of 100,000 items: the same against a parallel scan of 8 segments that throws its items away; items
  a second;
- the most memory of this process, and of the local AWS with all its workers but without the table itself:
  what its memory grew by when the table was written.
Items are those of the traffic model. The export is written here, in the format and the sizes of the local
AWS, because writing so many items to the local DynamoDB takes longer than all the rest.
"""

from __future__ import annotations

import base64
import gc
import gzip
import hashlib
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
from contextlib import contextmanager, suppress
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
LETTERS = {"INTEGER": "N", "BIGINT": "N", "DECIMAL": "N", "BOOLEAN": "BOOL"}
DUCKDB_TYPES = {"int": "INTEGER", "long": "BIGINT", "boolean": "BOOLEAN", "date": "DATE"}


def items(count: int) -> Iterator[dict[str, Any]]:
    """Items of the traffic model."""
    for begin in range(0, count, ITEMS_AT_ONCE):
        some = min(ITEMS_AT_ONCE, count - begin)
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        for change in plan_changes(split(some, (1.0, 0.0, 0.0)), seed=begin, now=moment):
            yield change.transaction.item()


def fill(contract: Contract, count: int) -> None:
    """A table with these items."""
    dynamodb, types = boto3.client("dynamodb"), contract.key_attribute_types()
    kinds = ("HASH", "RANGE")
    dynamodb.create_table(
        TableName=contract.source_table,
        KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(types, kinds, strict=True)],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": t} for n, t in types.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    write_items(contract.source_table, items(count))


def write_items(table: str, source: Iterator[dict[str, Any]]) -> None:
    """Write items by requests that are made by hand: boto3 would take longer than the local AWS."""
    endpoint = urlsplit(boto3.client("dynamodb").meta.endpoint_url)
    connection = http.client.HTTPConnection(endpoint.hostname or "", endpoint.port)
    while batch := list(islice(source, BATCH)):
        puts = [{"PutRequest": {"Item": item}} for item in batch]
        body = orjson.dumps({"RequestItems": {table: puts}})
        connection.request("POST", "/", body, HEADERS | {"X-Amz-Target": "DynamoDB_20120810.BatchWriteItem"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content


def write_export(contract: Contract, count: int, bucket: str, folder: Path) -> str:
    """A complete export in the bucket; its data files are in a local folder, too. Returns its address."""
    s3, described = (
        boto3.client("s3"),
        boto3.client("dynamodb").describe_table(TableName=contract.source_table),
    )
    place = f"backfills/exports/{contract.source_table}/AWSDynamoDB/01-bench"
    source, files = items(count), list[dict[str, Any]]()
    while part := list(islice(source, ITEMS_AT_ONCE)):
        body = gzip.compress(b"".join(orjson.dumps({"Item": item}) + b"\n" for item in part), 1)
        path = folder / f"{len(files):06d}.json.gz"
        path.write_bytes(body)
        key, md5 = f"{place}/data/{path.name}", hashlib.md5(body, usedforsecurity=False)
        etag = s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
        checksum = base64.b64encode(md5.digest()).decode()
        files.append({"itemCount": len(part), "md5Checksum": checksum, "etag": etag, "dataFileS3Key": key})
    summary = {
        "tableArn": described["Table"]["TableArn"],
        "tableId": described["Table"]["TableId"],
        "exportTime": datetime.now(UTC).isoformat(),
        "manifestFilesS3Key": f"{place}/manifest-files.json",
        "billedSizeBytes": 0,
        "itemCount": count,
        "outputFormat": "DYNAMODB_JSON",
    }
    listed = b"".join(orjson.dumps(file) + b"\n" for file in files)
    s3.put_object(Bucket=bucket, Key=f"{place}/manifest-files.json", Body=listed)
    s3.put_object(Bucket=bucket, Key=f"{place}/manifest-summary.json", Body=orjson.dumps(summary))
    return f"s3://{bucket}/{place}/manifest-summary.json"


def kinds_of(contract: Contract) -> dict[str, str]:
    """DuckDB's type of each column."""
    names = {column.name: str(column.type) for column in contract.columns}
    return {
        name: kind.upper() if kind.startswith("decimal") else DUCKDB_TYPES.get(kind, "VARCHAR")
        for name, kind in names.items()
    }


def items_in(contract: Contract, folder: Path) -> tuple[str, str]:
    """The columns of the contract, and the files to select them from, for DuckDB."""
    columns, members = [], []
    for column, kind in zip(contract.columns, kinds_of(contract).values(), strict=True):
        letter = LETTERS.get(kind.partition("(")[0], "S")
        columns.append(f'CAST("Item"."{column.attribute}"."{letter}" AS {kind}) AS "{column.name}"')
        members.append(f'"{column.attribute}" STRUCT("{letter}" VARCHAR)')
    source = f"read_json('{folder}/*.json.gz', columns = {{Item: 'STRUCT({', '.join(members)})'}})"
    return ", ".join(columns), source


def read_with_duckdb(contract: Contract, folder: Path) -> None:
    """The same files, as the contract types them, in one Parquet file."""
    columns, source = items_in(contract, folder)
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT {columns} FROM {source}) TO '{folder}/peer.parquet'")


def read_in_two_steps(contract: Contract, folder: Path) -> None:
    """The same, over change rows in JSON with what the change log has besides."""
    columns, source = items_in(contract, folder)
    key = ", ".join(f"CAST({name} AS VARCHAR)" for name in contract.key)
    log = f"""'!snapshot-' || left(sha256(concat({key})), 32) AS change_id, 'SNAPSHOT' AS operation,
        0 AS changed_at, repeat('0', 40) AS sequence_number, 0 AS received_at"""
    kinds = {"change_id": "VARCHAR", "operation": "VARCHAR", "changed_at": "BIGINT"}
    kinds |= {"sequence_number": "VARCHAR", "received_at": "BIGINT"} | kinds_of(contract)
    listed = ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items())
    rows = folder / "rows.ndjson"
    with duckdb.connect() as connection:
        typed = f"SELECT {columns} FROM {source}"
        connection.execute(f"COPY (SELECT {log}, * FROM ({typed})) TO '{rows}' (FORMAT json)")
        parquet = f"'{folder}/peer.parquet' (COMPRESSION zstd)"
        connection.execute(f"COPY (FROM read_json('{rows}', columns = {{{listed}}})) TO {parquet}")
    rows.unlink()


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


def resident_mib(process: psutil.Process) -> float:
    """The resident memory of a process and of those that it started."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total / 2**20


@contextmanager
def peak_memory(server: psutil.Process, table_mib: float) -> Iterator[dict[str, float]]:
    """The most resident memory of this process, and of the local AWS without its table, in MiB."""
    peak, stop = {"client": 0.0, "local AWS": 0.0}, threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            peak["client"] = max(peak["client"], psutil.Process().memory_info().rss / 2**20)
            peak["local AWS"] = max(peak["local AWS"], resident_mib(server) - table_mib)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def run(root: Path, count: int, scanned: int, server: psutil.Process) -> None:
    contract, session = load_contract(CONTRACT), boto3.Session()
    names: dict[str, Any] = {"name": NAME, "namespace": "bench_backfill", "bucket_name": NAME}
    settings = Settings(table_bucket_name=f"{NAME}-tables", root=root, **names)
    wb = dynaberg.Workbench(settings, session, contract)
    before = resident_mib(server)
    print(f"{'written':40}{seconds(lambda: fill(contract, scanned)):>12,.1f} s", flush=True)
    table_mib = resident_mib(server) - before
    print(f"{'memory of the table':40}{table_mib:>12,.0f} MiB", flush=True)
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=1)
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    files = root / "files"
    files.mkdir()
    export = write_export(contract, count, bucket, files)
    bring_in = partial(delivery.backfill, session, settings, contract)
    with peak_memory(server, table_mib) as peak:
        by_export = seconds(lambda: bring_in(export=export))
    peers = {
        "DuckDB": lambda: seconds(lambda: read_with_duckdb(contract, files)),
        "two steps": lambda: seconds(lambda: read_in_two_steps(contract, files)),
        "json.loads": lambda: seconds(lambda: parse_all(files)),
    }
    taken = medians(peers, PEER_ROUNDS)
    print_header(f"backfill of {count:,} items, s")
    print_row("by export, against DuckDB", by_export, taken["DuckDB"], at_most(2))
    print_row("DuckDB in two steps, against one", taken["two steps"], taken["DuckDB"], None)
    print_row("json.loads alone, against DuckDB", taken["json.loads"], taken["DuckDB"], None)
    with peak_memory(server, table_mib) as peak_of_scan:
        by_scan = seconds(lambda: bring_in(method="scan"))
    print_header("items/s")
    bare = scanned / seconds(lambda: bare_scan(session, contract))
    print_row(f"by scan of {scanned:,}, against a bare scan", scanned / by_scan, bare, at_least(0.7))
    print_header("MiB")
    for whose, most in peak.items():
        print_row(f"memory of the {whose}, export", most, None, at_most(MOST_MIB))
        print_row(f"memory of the {whose}, scan", peak_of_scan[whose], None, at_most(MOST_MIB))
    print(f"{'refreshed':40}{seconds(wb.table().refresh):>12,.1f} s")
    held = wb.query("SELECT count(*) AS n FROM transactions").df["n"].tolist()
    if held != [max(count, scanned)]:
        raise SystemExit(f"the current table has {held} rows, not {count}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    scanned = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    with tempfile.TemporaryDirectory() as name:
        port = int(os.environ.get("PORT", "4897"))
        status = local_aws.start(Path(name) / "state", port=port)
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            run(Path(name), count, scanned, psutil.Process(status.pid))
        finally:
            local_aws.stop(Path(name) / "state")


if __name__ == "__main__":
    main()
