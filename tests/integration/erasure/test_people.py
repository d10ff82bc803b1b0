"""A person in two DynamoDB tables of a project is forgotten in both, or in none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg.contracts import project_contract
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.settings import Settings
from local_aws import Status

pytestmark = pytest.mark.thorough

CONTRACT = """\
source_table: {source}
table: {table}
key: {{partition: id}}
columns:
  - {{name: id, type: string}}
  - {{name: customer, type: string}}
"""
SOURCES = {"orders": "people-orders", "tickets": "people-tickets"}
PERSON = {"customer": "C-17"}


@pytest.fixture
def wb(local_aws: Status, tmp_path: Path) -> Any:
    folder = tmp_path / "data" / "tables"
    folder.mkdir(parents=True)
    for table, source in SOURCES.items():
        boto3.client("dynamodb").create_table(
            TableName=source,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        (folder / f"{table}.yaml").write_text(CONTRACT.format(table=table, source=source))
    names: dict[str, Any] = {"name": "people", "namespace": "people", "bucket_name": "people"}
    settings = Settings(table_name="orders", root=tmp_path, table_bucket_name="people-tables", **names)
    return dynaberg.Workbench(settings, boto3.Session(), project_contract(settings))


def put(source: str, item_id: str, customer: str) -> None:
    item = {"id": {"S": item_id}, "customer": {"S": customer}}
    boto3.client("dynamodb").put_item(TableName=source, Item=item)


def remove(source: str, item_id: str) -> None:
    boto3.client("dynamodb").delete_item(TableName=source, Key={"id": {"S": item_id}})


def ids(wb: Any, name: str) -> set[str]:
    return set(wb.iceberg_table(name).current.scan().to_arrow()["id"].to_pylist())


def test_a_person_is_forgotten_in_all_tables_or_in_none(wb: Any) -> None:
    for table in SOURCES:
        wb.adopt(table)
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    for table, source in SOURCES.items():
        put(source, "hers", "C-17")
        put(source, "his", "C-18")
        wb.table(table).wait_for_delivery(timeout=90)
        wb.table(table).refresh()
    orders = wb.table("orders")
    remove(SOURCES["orders"], "hers")
    assert orders.preview_forget(where=PERSON, everywhere=True).items == 2
    with pytest.raises(SettingsError, match="'people-tickets' still has hers"):
        orders.forget(where=PERSON, everywhere=True, confirm="C-17")
    assert "hers" in ids(wb, "orders_changes"), "nothing was removed"
    with pytest.raises(NotFoundError, match="'nickname'"):
        orders.forget(where={"nickname": "Z"}, everywhere=True, confirm="Z")

    remove(SOURCES["tickets"], "hers")
    report = orders.forget(where=PERSON, everywhere=True, confirm="C-17")
    assert report.items == 2
    for table in SOURCES:
        assert ids(wb, f"{table}_changes") == {"his"}
        assert ids(wb, table) == {"his"}
        wb.table(table).wait_for_delivery(timeout=90)
        wb.table(table).refresh()
        assert wb.table(table).reconcile().matches
        assert len(wb.table(table).forgotten()) == 2
    held = report.check().snapshots
    assert set(held["table"]) == {"orders", "tickets", "orders_changes", "tickets_changes"}
