"""Inferring a contract against a bare parallel scan of the same items, in one run.

python tests/benchmarks/bench_inference.py [items]

Seconds: `infer_contract` of all items, against a scan of 8 segments that throws its items away, once with the
items left in JSON as they come, as inference reads them (medians of several rounds in turn), and once, a
single time, with boto3's own parsing. Items are those of the traffic model, with a map, a list of maps, a set
and a moment.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
from bench_backfill import write_items
from bench_conversion import change_records
from report import at_most, medians, print_header, print_row

import local_aws
from dynaberg.settings import load_settings
from dynaberg.source.infer import infer_contract
from dynaberg.source.sampling import Sample

TABLE = "Bench-Items"
ROUNDS, SEGMENTS = 3, 8


def items(count: int) -> Iterator[dict[str, Any]]:
    """Items of the traffic model, with what they do not have: nested attributes, sets, moments in text."""
    found = (r["dynamodb"]["NewImage"] for r in change_records(count * 2) if r["eventName"] == "INSERT")
    for number, item in enumerate(islice(found, count)):
        at = f"2026-01-{number % 28 + 1:02d}T12:00:00.{number % 1_000:03d}Z"
        line = {"M": {"sku": {"S": f"SKU-{number % 977:04d}"}, "qty": {"N": str(number % 7)}}}
        yield item | {
            "createdAt": {"S": at},
            "address": {"M": {"city": {"S": "Berlin"}, "zip": {"N": str(10_000 + number % 90_000)}}},
            "lines": {"L": [line] * (number % 4)},
            "tags": {"SS": ["a", "b"]},
        }


def fill(count: int) -> None:
    """A table with these items."""
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "transaction_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "transaction_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    write_items(TABLE, items(count))


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_scan(session: boto3.Session) -> None:
    """The same pages as inference reads, thrown away."""
    for _ in Sample(session, TABLE, None).pages():
        pass


def boto3_scan(session: boto3.Session) -> None:
    """A scan as boto3 alone does it, thrown away."""
    dynamodb = session.client("dynamodb")

    def scan(segment: int) -> None:
        pages = dynamodb.get_paginator("scan")
        for _ in pages.paginate(TableName=TABLE, Segment=segment, TotalSegments=SEGMENTS):
            pass

    with ThreadPoolExecutor(SEGMENTS) as pool:
        list(pool.map(scan, range(SEGMENTS)))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        status = local_aws.start(folder / "state", port=int(os.environ.get("PORT", "4898")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            fill(count)
            session, settings = boto3.Session(), load_settings(folder, target="local")
            ways = {
                "a scan of the same pages": partial(bare_scan, session),
                "ours": partial(
                    infer_contract, session, settings, TABLE, sample=None, path=folder / "t.yaml"
                ),
            }
            taken = medians({way: partial(seconds, work) for way, work in ways.items()}, ROUNDS)
            taken["boto3's own parallel scan"] = seconds(lambda: boto3_scan(session))
        finally:
            local_aws.stop(folder / "state")
    print_header(f"inference of {count:,} items against, s")
    for way in taken:
        if way != "ours":
            print_row(way, taken["ours"], taken[way], at_most(1.5))


if __name__ == "__main__":
    main()
