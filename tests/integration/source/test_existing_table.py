"""A table that others made, with items in it, is taken into the lake; nothing of it is changed or lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

from dynaberg.contracts.contract import Column, Contract
from dynaberg.settings import Settings
from dynaberg.workbench import Workbench
from local_aws import Status

COLUMNS = (Column("id", "string"), Column("status", "string"))


@pytest.mark.xfail(strict=True, raises=AttributeError, reason="there is no adopt() and no backfill() yet")
@pytest.mark.parametrize("has_stream", [True, False])
def test_what_was_there_comes_first_and_then_its_changes(
    local_aws: Status, tmp_path: Path, has_stream: bool
) -> None:
    name = f"adopt-{has_stream}".lower()
    contract = Contract("adopted", f"somebodys-{name}", "id", None, COLUMNS)
    session = boto3.Session()
    settings = Settings(
        name=name,
        table_name=contract.table,
        namespace=name.replace("-", "_"),
        table_bucket_name=f"{name}-tables",
        bucket_name=name,
        root=tmp_path,
    )
    dynamodb = session.client("dynamodb")
    stream: Any = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    dynamodb.create_table(
        TableName=contract.source_table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        **({"StreamSpecification": stream} if has_stream else {}),
    )

    def put(id_: str, status: str) -> None:
        dynamodb.put_item(TableName=contract.source_table, Item={"id": {"S": id_}, "status": {"S": status}})

    for id_ in ("stays", "changes", "goes"):
        put(id_, "OLD")
    workbench: Any = Workbench(settings, session, contract)
    table: Any = workbench.table()
    workbench.adopt(contract.source_table)
    workbench.integrate_analytics()
    workbench.deploy_firehose(buffer_seconds=0)
    put("changes", "NEW")
    put("comes", "NEW")
    dynamodb.delete_item(TableName=contract.source_table, Key={"id": {"S": "goes"}})
    table.backfill()
    table.wait_for_delivery()
    table.refresh()
    report = table.reconcile()
    assert (report.matches, report.items, report.rows) == (True, 3, 3), report.summary
    rows = table.current.scan(selected_fields=("id", "status")).to_arrow().to_pylist()
    assert {row["id"]: row["status"] for row in rows} == {"stays": "OLD", "changes": "NEW", "comes": "NEW"}
    workbench.clean_up(confirm=name)
    assert len(dynamodb.scan(TableName=contract.source_table)["Items"]) == 3, "it is not ours to delete"
