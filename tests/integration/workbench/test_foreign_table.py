"""A table of somebody else with items of several kinds, from its items to a clean comparison."""

from __future__ import annotations

import random
import runpy
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg.contracts import project_contract
from dynaberg.settings import Settings
from dynaberg.source import infer_contracts
from local_aws import Status

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
CUSTOMERS = 400
CHANGES = 300
SOURCE = "ForeignShop"


def change_some(seed: int) -> None:
    """What an application does meanwhile: orders are paid, placed and withdrawn, and some become others."""
    chance, table = random.Random(seed), boto3.resource("dynamodb").Table(SOURCE)
    for _ in range(CHANGES):
        number = chance.randrange(4 * CUSTOMERS)
        key = {"PK": f"CUSTOMER#{number % CUSTOMERS:05d}", "SK": f"ORDER#{number:06d}"}
        match chance.randrange(5):
            case 0:
                table.delete_item(Key=key)
            case 1:
                table.put_item(Item=key | {"entity": "Wish", "note": "later"})
            case 2:
                table.put_item(Item=key | {"entity": "Order", "orderTotal": Decimal(number) / 100})
            case _:
                table.update_item(
                    Key=key,
                    UpdateExpression="SET orderStatus = :s, entity = :e",
                    ExpressionAttributeValues={":s": "paid", ":e": "Order"},
                )


def test_a_foreign_table_goes_through(local_aws: Status, tmp_path: Path) -> None:
    make: Any = runpy.run_path(str(ROOT / "data" / "make_shop.py"))["make"]
    assert make(SOURCE, CUSTOMERS) == 5 * CUSTOMERS
    session = boto3.Session()
    names = {"name": "foreign", "namespace": "foreign", "bucket_name": "foreign"}
    settings = Settings(
        table_name="foreign_shop_order", table_bucket_name="foreign-tables", root=tmp_path, **names
    )
    inferred = {each.contract.table: each for each in infer_contracts(session, settings, SOURCE)}
    assert set(inferred) == {"foreign_shop_customer", "foreign_shop_order"}
    customers = inferred["foreign_shop_customer"]
    customers.path.write_text(customers.text.replace("# mask:", "mask:"))

    wb = dynaberg.Workbench(settings, session, project_contract(settings))
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=1)
    writer = threading.Thread(target=change_some, args=(7,))
    writer.start()
    done = wb.table().backfill()
    writer.join()
    assert not done.df["unfit"].any()
    assert set(done.reconciled) == set(inferred)
    for table in inferred:
        wb.table(table).wait_for_delivery(timeout=240)
        wb.table(table).refresh()
        report = wb.table(table).reconcile()
        assert report.matches, f"{table}: {report.summary}"
        assert report.items == wb.tables().set_index("table").loc[table, "rows"]
    assert wb.table().failures().empty
    rest = wb.query('SELECT count(DISTINCT sk) AS n FROM "foreign_shop_other_changes"').df
    assert rest["n"].iloc[0] > 0
    wb.clean_up(confirm="foreign")
