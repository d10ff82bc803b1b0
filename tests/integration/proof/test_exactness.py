"""Nothing lost, nothing invented: 10,000 seeded changes, from DynamoDB to the current table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from dynaberg import catalog, deploy, layers
from dynaberg.contracts.contract import load_contract
from dynaberg.delivery.awaited import change_ids_in_stream
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import NotFoundError, NotReadyError, SettingsError
from dynaberg.proof.reconcile import reconcile, scan_items
from dynaberg.settings import Settings
from dynaberg.source.traffic import generate_traffic
from local_aws import Status

CHANGES = 10_000
CONTRACT = Path(__file__).parents[3] / "data" / "tables" / "transactions.yaml"


@pytest.fixture(scope="module")
def deployed(local_aws: Status) -> tuple[boto3.Session, Settings, Any]:
    """The pipeline of the walk under names of its own."""
    session = boto3.Session()
    settings = Settings(
        name="exact", table_bucket_name="exact-tables", namespace="exact", bucket_name="exact"
    )
    contract = replace(load_contract(CONTRACT), source_table="exact-transactions")
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    deploy.deploy_firehose(session, settings, contract, buffer_seconds=2)
    return session, settings, contract


def test_ten_thousand_changes_arrive_exactly(deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    report = generate_traffic(session, contract.source_table, changes=CHANGES, seed=7, progress=False)
    expected, since = report.changes, report.started_at
    waited = wait_for_delivery(session, settings, contract, expected=expected, since=since, progress=False)
    assert waited["changes"].tolist() == [CHANGES]

    iceberg = catalog.open_catalog(session, settings)
    log = catalog.load_table(iceberg, settings, contract.log_name)
    stream = session.client("dynamodb").describe_table(TableName=contract.source_table)
    wanted = change_ids_in_stream(session, stream["Table"]["LatestStreamArn"])
    rows = log.scan(selected_fields=("change_id", "operation")).to_arrow()
    assert len(wanted) == CHANGES
    assert set(rows["change_id"].to_pylist()) == wanted
    assert Counter(rows["operation"].to_pylist()) == {"INSERT": 6_000, "MODIFY": 2_500, "REMOVE": 1_500}

    first = layers.refresh(session, settings, contract).iloc[0]
    again = layers.refresh(session, settings, contract).iloc[0]
    assert (first["action"], again["action"]) == ("full", "none")
    assert again["snapshot_id"] == first["snapshot_id"]

    compared = reconcile(session, settings, contract)
    assert compared.matches, compared.df.to_string()
    assert compared.items == compared.rows == len(scan_items(session, contract.source_table)) == 4_500
    assert compared.rows_read == 0, "digests that agree spare the rows"
    assert compared.columns == (*(column.name for column in contract.columns), "unmapped")


def test_later_changes_are_merged_exactly(deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    report = generate_traffic(session, contract.source_table, changes=500, seed=8, progress=False)
    expected, since = report.changes, report.started_at
    wait_for_delivery(session, settings, contract, expected=expected, since=since, progress=False)
    merged = layers.refresh(session, settings, contract).iloc[0]
    assert merged["action"] == "incremental"
    compared = reconcile(session, settings, contract)
    assert compared.matches, compared.df.to_string()


def test_what_does_not_arrive_is_told(deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    session.client("dynamodb").put_item(
        TableName=contract.source_table,
        Item={"transaction_id": {"S": "poison"}, "timestamp": {"N": "1"}, "amount": {"S": "a lot"}},
    )
    with pytest.raises(NotReadyError) as caught:
        wait_for_delivery(session, settings, contract, timeout=8, progress=False)
    assert "1 of 10,501 changes" in caught.value.message
    assert "errors/conversion-failed/" in caught.value.hint
    layers.refresh(session, settings, contract)
    missing = reconcile(session, settings, contract).df
    assert missing[["transaction_id", "problem"]].to_numpy().tolist() == [["poison", "missing"]]


def test_waiting_for_what_cannot_come(deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    with pytest.raises(SettingsError, match="`since`"):
        wait_for_delivery(session, settings, contract, expected=1)
    with pytest.raises(NotFoundError, match="no-such-table"):
        wait_for_delivery(session, settings, replace(contract, source_table="no-such-table"))
