"""Several DynamoDB tables in one project: one foundation, and each source with a delivery of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg import deploy
from dynaberg.contracts import project_contract
from dynaberg.errors import ContractError, NotFoundError, SettingsError
from dynaberg.settings import Settings
from local_aws import Status

SOURCES = {"orders": "Shop.Orders", "customers": "customers-2"}
CONTRACT = """\
source_table: {source}
table: {table}
key: {{partition: id}}
columns:
  - {{name: id, type: string}}
  - {{name: amount, type: "decimal(10,2)"}}
"""


def describe(root: Path, table: str, source: str) -> None:
    folder = root / "data" / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{table}.yaml").write_text(CONTRACT.format(table=table, source=source))


def make(source: str) -> None:
    boto3.client("dynamodb").create_table(
        TableName=source,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def put(source: str, name: str, amount: str = "1.50") -> None:
    item = {"id": {"S": name}, "amount": {"N": amount}}
    boto3.client("dynamodb").put_item(TableName=source, Item=item)


def open_workbench(root: Path, name: str, **more: Any) -> dynaberg.Workbench:
    names = {"name": name, "namespace": name, "bucket_name": name, "table_bucket_name": f"{name}-tables"}
    settings = Settings(table_name="orders", root=root, **names, **more)
    return dynaberg.Workbench(settings, boto3.Session(), project_contract(settings))


@pytest.fixture
def project(local_aws: Status, tmp_path: Path) -> Callable[..., tuple[dynaberg.Workbench, dict[str, str]]]:
    """A project with two tables that exist, under a name of its own."""

    def begin(name: str, **more: Any) -> tuple[dynaberg.Workbench, dict[str, str]]:
        sources = {table: f"{name}-{source}" for table, source in SOURCES.items()}
        for table, source in sources.items():
            make(source)
            describe(tmp_path, table, source)
        return open_workbench(tmp_path, name, **more), sources

    return begin


@pytest.mark.parametrize("stream_type", ["dynamodb", pytest.param("kinesis", marks=pytest.mark.thorough)])
def test_each_source_comes_into_its_own_tables(project: Any, stream_type: str) -> None:
    wb, sources = project(f"many{stream_type[0]}", stream_type=stream_type)
    for source in sources.values():
        put(source, "before")
    assert set(wb.tables()["state"]) == {"not deployed"}
    for table in sources:
        wb.adopt(table)
    assert set(wb.tables()["state"]) == {"source only"}
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    for number, (table, source) in enumerate(sources.items()):
        assert wb.table(table).backfill().matches
        for place in range(number + 1):
            put(source, f"{table}-{place}")
        wb.table(table).wait_for_delivery(timeout=90)
    wb.prepare(through="refresh")
    assert all(wb.table(table).reconcile().matches for table in sources)
    boxes = wb.lineage_boxes().set_index("box")
    assert boxes["kind"].value_counts().to_dict() == {"source": 2, "change log": 2, "current table": 2}
    assert boxes.loc[list(sources), "inputs"].to_list() == [[f"{table}_changes"] for table in sources]
    assert set(boxes["status"]) == {"fresh"}

    listed = wb.tables().set_index("table")
    assert listed["rows"].to_dict() == {"orders": 2, "customers": 3}
    assert listed["source_table"].to_dict() == sources
    assert set(listed["stream_type"]) == {stream_type}
    assert listed["refreshed_at"].notna().all()
    report = wb.doctor().set_index("check")
    assert report.loc[f"{sources['customers']}: delivery", "ok"]
    assert wb.preview().empty
    kept = wb.clean_up(confirm=wb.name)
    assert set(kept[kept["kind"] == "adopted DynamoDB table"]["name"]) == set(sources.values())
    assert wb.list_resources().empty


def test_a_further_source_interrupts_the_first_for_no_change(project: Any) -> None:
    wb, sources = project("adding")
    wb.adopt("orders")
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    put(sources["orders"], "first")
    wb.table("orders").wait_for_delivery(timeout=90)
    first = deploy.stack_parameters(wb.session, "adding-delivery")
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            put(sources["orders"], f"item-{number}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wb.adopt("customers")
        wb.deploy_firehose("customers", buffer_seconds=0)
    finally:
        stop.set()
        writer.join()
    assert deploy.stack_parameters(wb.session, "adding-delivery") == first
    orders = wb.table("orders")
    orders.wait_for_delivery(timeout=90)
    orders.refresh()
    report = orders.reconcile()
    assert report.matches, report.summary
    assert report.items > 1
    wb.clean_up(confirm="adding")


def alarms_of(wb: dynaberg.Workbench) -> list[dict[str, Any]]:
    pages = wb.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=wb.name)
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def charts_of(wb: dynaberg.Workbench) -> dict[str, list[dict[str, Any]]]:
    """The charts of the project's dashboards, by the dashboard's name."""
    cloudwatch = wb.client("cloudwatch")
    listed = cloudwatch.list_dashboards(DashboardNamePrefix=wb.name)["DashboardEntries"]
    names = [entry["DashboardName"] for entry in listed]
    bodies = {name: cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"] for name in names}
    return {name: json.loads(body)["widgets"] for name, body in bodies.items()}


@pytest.mark.thorough
def test_sources_come_and_go_with_one_topic_and_one_dashboard(project: Any) -> None:
    wb, sources = project("leaving2")
    for table in sources:
        wb.adopt(table)
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    listed = [topic["TopicArn"] for topic in wb.session.client("sns").list_topics()["Topics"]]
    (topic,) = (arn for arn in listed if arn.rpartition(":")[2].startswith(wb.name))
    # ministack leaves the actions out of the XML that older clients ask for.
    assert all(alarm.get("AlarmActions", [topic]) == [topic] for alarm in alarms_of(wb))
    assert len([a for a in alarms_of(wb) if a["AlarmName"].endswith("-freshness")]) == 2
    ((name, charts),) = charts_of(wb).items()
    assert name == wb.name
    customers = deploy.outputs(*deploy_place(wb, "customers"), "delivery")["DeliveryStreamName"]
    row = [chart for chart in charts if chart["properties"]["title"].startswith(sources["customers"])]
    assert len({chart["y"] for chart in row}) == 1
    assert customers in json.dumps(row)
    assert all(chart["x"] + chart["width"] <= 24 for chart in charts)
    assert wb.preview().empty

    put(sources["customers"], "kept")
    wb.table("customers").wait_for_delivery(timeout=90)
    with pytest.raises(SettingsError, match="first source"):
        wb.table("orders").remove_source(confirm=sources["orders"])
    with pytest.raises(SettingsError, match="Nothing was removed"):
        wb.table("customers").remove_source(confirm="customers")
    before = wb.list_resources()
    gone = wb.table("customers").remove_source(confirm=sources["customers"])
    left = wb.list_resources()
    assert len(gone) + len(left) == len(before)
    assert wb.tables().set_index("table")["state"].to_dict() == {
        "orders": "deployed",
        "customers": "not deployed",
    }
    assert "customers" not in json.dumps(charts_of(wb))
    assert boto3.client("dynamodb").scan(TableName=sources["customers"])["Count"] == 1
    put(sources["orders"], "still delivered")
    wb.table("orders").wait_for_delivery(timeout=90)
    wb.table("orders").refresh()
    assert wb.table("orders").reconcile().matches
    wb.adopt("customers")
    wb.clean_up(confirm=wb.name)
    assert wb.list_resources().empty


def deploy_place(wb: dynaberg.Workbench, table: str) -> tuple[Any, Settings]:
    contract = wb.table(table).contract
    return wb.session, deploy.of_source(wb.session, wb.settings, contract)


def test_a_failure_is_its_own_sources(project: Any) -> None:
    wb, sources = project("failing")
    for table in sources:
        wb.adopt(table)
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    put(sources["customers"], "odd", "1.234")
    assert list(wb.table("customers").wait_for_failures(1, timeout=90)["id"]) == ["odd"]
    assert wb.table("orders").failures().empty
    assert wb.table("orders").replay_errors().empty
    assert len(wb.table("customers").preview_replay()) == 1
    wb.clean_up(confirm="failing")


def test_a_contract_that_cannot_be_used_stops_its_own_source_alone(project: Any, tmp_path: Path) -> None:
    wb, sources = project("halves")
    for table in sources:
        wb.adopt(table)
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    _, customers = deploy_place(wb, "customers")
    path = tmp_path / "data" / "tables" / "customers.yaml"
    readable = path.read_text()
    path.write_text(readable.replace("columns:", "columns: ["))
    done = wb.deploy_firehose(buffer_seconds=1).set_index("resource")
    assert "cannot be used" in done.loc["customers", "status"]
    assert done.loc["customers", "name"] == sources["customers"]
    deployed = deploy.stack_parameters(wb.session, deploy.stack_name(wb.settings, "delivery"))
    assert deployed["BufferSeconds"] == "1"
    deployed = deploy.stack_parameters(wb.session, deploy.stack_name(customers, "delivery"))
    assert deployed["BufferSeconds"] == "0"
    listed = wb.tables().set_index("table")["state"].to_dict()
    assert listed == {"orders": "deployed", "customers": "contract cannot be used"}
    report = wb.doctor().set_index("check").loc["table contract"]
    assert (report["ok"], "customers cannot be used" in report["found"]) == (False, True)
    for call in (wb.table, wb.deploy_firehose):
        with pytest.raises(ContractError, match=r"customers\.yaml"):
            call("customers")
    # What is deployed of it goes on.
    put(sources["customers"], "meanwhile")
    put(sources["orders"], "meanwhile")
    wb.table("orders").wait_for_delivery(timeout=90)
    path.write_text(readable)
    wb.table("customers").wait_for_delivery(timeout=90)
    assert set(wb.tables()["state"]) == {"deployed"}
    wb.clean_up(confirm="halves")


def test_a_contract_that_was_written_meanwhile_is_found(local_aws: Status, tmp_path: Path) -> None:
    describe(tmp_path, "orders", "late-Shop.Orders")
    wb = open_workbench(tmp_path, "late")
    with pytest.raises(NotFoundError) as caught:
        wb.table("customers")
    assert "dynaberg contract infer" in caught.value.hint
    describe(tmp_path, "customers", "late-customers")
    assert wb.table("customers").contract.source_table == "late-customers"


def test_the_policy_names_every_source(local_aws: Status, tmp_path: Path) -> None:
    for table, source in SOURCES.items():
        describe(tmp_path, table, source)
    text = json.dumps(open_workbench(tmp_path, "allowed").policy("work"))
    for source in SOURCES.values():
        assert f":table/{source}" in text
    assert "stack/allowed-*" in text
    assert "deliverystream/allowed--customers-2-delivery-*" in text
