"""One DynamoDB table with items of several kinds: each in its own table, and nothing lost between."""

from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg.contracts import project_contract
from dynaberg.errors import ContractError, NotFoundError
from dynaberg.settings import Settings
from local_aws import Status

ORDERS = """\
source_table: {source}
table: orders
key: {{partition: customer_id, sort: order_id}}
when:
  - {{attribute: PK, begins_with: "CUSTOMER#"}}
  - {{attribute: SK, begins_with: "ORDER#"}}
  - {{attribute: entity, equals: Order}}
columns:
  - {{name: customer_id, attribute: PK, after: "CUSTOMER#", type: string}}
  - {{name: order_id, attribute: SK, after: "ORDER#", type: string}}
  - {{name: order_number, attribute: SK, after: "ORDER#", type: long}}
  - {{name: total, attribute: orderTotal, type: "decimal(12,2)"}}
"""
CUSTOMERS = """\
source_table: {source}
table: customers
key: {{partition: pk, sort: sk}}
when: {{attribute: entity, equals: Customer}}
columns:
  - {{name: pk, attribute: PK, type: string}}
  - {{name: sk, attribute: SK, type: string}}
  - {{name: email, type: string, mask: hash}}
"""
KINDS = ("Order", "Customer", "Wish", None)
ITEMS = 12


def open_shop(root: Path, name: str, **more: Any) -> dynaberg.Workbench:
    """A workbench for a shop's table, with a contract for two kinds of its items."""
    boto3.client("dynamodb").create_table(
        TableName=f"{name}-Shop",
        KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("PK", "SK")],
        BillingMode="PAY_PER_REQUEST",
    )
    folder = root / "data" / "tables"
    folder.mkdir(parents=True)
    for table, text in (("orders", ORDERS), ("customers", CUSTOMERS)):
        (folder / f"{table}.yaml").write_text(text.format(source=f"{name}-Shop"))
    names = {"name": name, "namespace": name, "bucket_name": name, "table_bucket_name": f"{name}-tables"}
    settings = Settings(table_name="orders", root=root, **names, **more)
    return dynaberg.Workbench(settings, boto3.Session(), project_contract(settings))


def change(name: str, number: int, kind: str | bool | None, total: str = "1.50") -> None:
    """Make an item one of a kind; False deletes it."""
    dynamodb, key = boto3.client("dynamodb"), {"PK": {"S": "CUSTOMER#7"}, "SK": {"S": f"ORDER#{number}"}}
    if kind is False:
        dynamodb.delete_item(TableName=f"{name}-Shop", Key=key)
        return
    entity = {"entity": {"S": kind}} if isinstance(kind, str) else {}
    item = key | entity | {"orderTotal": {"N": total}, "email": {"S": "a@b"}}
    dynamodb.put_item(TableName=f"{name}-Shop", Item=item)


def expect(wb: dynaberg.Workbench, kinds: dict[int, Any]) -> None:
    """Each table has the items of its kind, by its rows and by the comparison with DynamoDB."""
    for table, kind, column in (("orders", "Order", "order_id"), ("customers", "Customer", "sk")):
        found = wb.table(table)
        found.wait_for_delivery(timeout=90)
        found.refresh()
        report = found.reconcile()
        assert report.matches, f"{table}: {report.summary}"
        rows = wb.query(f"SELECT {column} FROM {table}").df[column]
        wanted = {str(number) for number, each in kinds.items() if each == kind}
        assert {row.removeprefix("ORDER#") for row in rows} == wanted, table
        assert report.items == len(rows)


@pytest.mark.parametrize("stream_type", ["dynamodb", pytest.param("kinesis", marks=pytest.mark.thorough)])
def test_items_move_from_table_to_table_and_none_is_lost(
    local_aws: Status, tmp_path: Path, stream_type: str
) -> None:
    name, chance = f"kinds{stream_type[0]}", random.Random(4)
    wb = open_shop(tmp_path, name, stream_type=stream_type)
    kinds: dict[int, Any] = {number: KINDS[number % len(KINDS)] for number in range(ITEMS)}
    for number, kind in kinds.items():
        change(name, number, kind)
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    wb.table("customers").backfill()
    expect(wb, kinds)
    for _ in range(5 * ITEMS):
        number = chance.randrange(ITEMS)
        kinds[number] = chance.choice((*KINDS, False))
        change(name, number, kinds[number], str(chance.randrange(100)))
    expect(wb, kinds)

    rest = f"{name}_shop_other_changes"
    listed = wb.tables().set_index("table")
    counted = {
        "customers": list(kinds.values()).count("Customer"),
        "orders": list(kinds.values()).count("Order"),
    }
    assert listed.loc[list(counted), "rows"].to_dict() == counted
    assert listed.loc[rest, "log_rows"] > 0
    unclaimed = wb.query(
        f'SELECT sk, max_by(operation, (changed_at, sequence_number)) AS last FROM "{rest}" GROUP BY sk'
    ).df
    here = unclaimed[unclaimed["last"] != "REMOVE"]["sk"]
    assert set(here) == {f"ORDER#{n}" for n, kind in kinds.items() if kind in ("Wish", None)}
    assert "a@b" not in wb.query(f'SELECT * FROM "{rest}"').df.to_string()
    assert wb.preview().empty
    wb.clean_up(confirm=name)


class Writer(threading.Thread):
    """Makes items now of this kind and now of that, until it is stopped; nobody else changes them."""

    def __init__(self, name: str, kinds: dict[int, Any]) -> None:
        super().__init__()
        self._name, self._kinds, self._chance = name, kinds, random.Random(6)
        self._over = threading.Event()
        self.changes = 0

    def run(self) -> None:
        """Change one item after the other."""
        while not self._over.is_set():
            number = self._chance.randrange(ITEMS)
            kind = self._chance.choice((*KINDS, False))
            change(self._name, number, kind, str(self.changes % 1_000))
            self._kinds[number] = kind
            self.changes += 1
            self._over.wait(0.01)

    def stop(self) -> None:
        """End it, after the change at which it is."""
        self._over.set()
        self.join()


@pytest.mark.thorough
def test_the_stream_type_changes_there_and_back_while_items_change(local_aws: Status, tmp_path: Path) -> None:
    """Three change logs: each has a delivery stream on both paths while they overlap."""
    wb = open_shop(tmp_path, "turned")
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=1)
    kinds: dict[int, Any] = dict.fromkeys(range(ITEMS), False)
    writer = Writer("turned", kinds)
    writer.start()
    try:
        for stream_type in ("kinesis", "dynamodb", "kinesis"):
            seen, settings = writer.changes, replace(wb.settings, stream_type=stream_type)
            wb = dynaberg.Workbench(settings, wb.session, project_contract(settings))
            wb.deploy_firehose(buffer_seconds=1)
            while writer.changes < seen + 50:
                threading.Event().wait(0.05)
    finally:
        writer.stop()
    expect(wb, kinds)
    assert wb.table("orders").failures().empty
    rest = wb.query(
        "SELECT sk, max_by(operation, (changed_at, sequence_number)) AS last "
        'FROM "turned_shop_other_changes" GROUP BY sk'
    ).df
    here = rest[rest["last"] != "REMOVE"]["sk"]
    assert set(here) == {f"ORDER#{n}" for n, kind in kinds.items() if kind in ("Wish", None)}
    paths = wb.query(
        "SELECT count_if(sequence_number = :zeros) AS by_kinesis, count(*) AS both FROM orders_changes",
        {"zeros": "0" * 40},
    ).df
    by_kinesis, both = paths.to_numpy().tolist()[0]
    assert 0 < by_kinesis < both
    wb.clean_up(confirm="turned")


@pytest.mark.thorough
def test_a_source_of_many_kinds_is_deployed(local_aws: Status, tmp_path: Path) -> None:
    """Its templates are larger than CloudFormation takes them in a call."""
    wb = open_shop(tmp_path, "manifold")
    for number in range(7):
        text = CUSTOMERS.format(source="manifold-Shop").replace("table: customers", f"table: kind_{number}")
        path = tmp_path / "data" / "tables" / f"kind_{number}.yaml"
        path.write_text(text.replace("Customer", f"Kind{number}"))
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    assert wb.preview().empty
    assert set(wb.tables()["state"]) == {"deployed"}
    change("manifold", 1, "Kind6")
    last = wb.table("kind_6")
    last.wait_for_delivery(timeout=90)
    last.refresh()
    assert last.reconcile().matches
    assert wb.query("SELECT count(*) AS n FROM kind_6").df["n"].tolist() == [1]
    wb.clean_up(confirm="manifold")
    assert wb.list_resources().empty


@pytest.mark.thorough
def test_a_failure_is_replayed_into_the_table_of_its_kind(local_aws: Status, tmp_path: Path) -> None:
    wb = open_shop(tmp_path, "mended")
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    change("mended", 1, "Customer")
    change("mended", 1, "Order", "1.234")
    failed = wb.table("orders").wait_for_failures(1, timeout=90)
    assert "(table 'orders')" in failed["error_message"].iloc[0]
    path = tmp_path / "data" / "tables" / "orders.yaml"
    path.write_text(path.read_text().replace("decimal(12,2)", "decimal(12,3)"))
    wb = dynaberg.Workbench(wb.settings, wb.session, project_contract(wb.settings))
    for place in (wb.table("orders"), wb.table("customers")):
        assert len(place.failures()) == 1
    wb.catalog.purge_table(("mended", "orders_changes"))
    wb.catalog.purge_table(("mended", "orders"))
    wb.deploy_firehose(buffer_seconds=0)
    assert list(wb.table("customers").replay_errors()["outcome"]) == ["replayed"]
    assert wb.table("orders").failures().empty
    expect(wb, {1: "Order"})
    wb.clean_up(confirm="mended")


def test_the_rest_has_a_change_log_alone(local_aws: Status, tmp_path: Path) -> None:
    wb = open_shop(tmp_path, "rest")
    assert wb.tables()["table"].to_list() == ["customers", "orders", "rest_shop_other_changes"]
    with pytest.raises(NotFoundError, match="rest_shop_other"):
        wb.table("rest_shop_other")


def test_more_change_logs_than_kinesis_can_serve_are_refused(local_aws: Status, tmp_path: Path) -> None:
    wb = open_shop(tmp_path, "onestream", stream_type="kinesis")
    for number in range(4):
        text = CUSTOMERS.format(source="onestream-Shop").replace("table: customers", f"table: kind_{number}")
        path = tmp_path / "data" / "tables" / f"kind_{number}.yaml"
        path.write_text(text.replace("Customer", f"Kind{number}"))
    wb.adopt()
    with pytest.raises(dynaberg.SettingsError, match="7 change logs"):
        wb.deploy_firehose()
    wb.clean_up(confirm="onestream")


def test_contracts_that_claim_the_same_items_stop_a_deployment(local_aws: Status, tmp_path: Path) -> None:
    wb = open_shop(tmp_path, "twice")
    text = CUSTOMERS.format(source="twice-Shop").replace("table: customers", "table: people")
    (tmp_path / "data" / "tables" / "people.yaml").write_text(text)
    with pytest.raises(ContractError, match="'customers' and 'people' claim the same items"):
        wb.deploy_firehose()
