"""Clean-up on the local AWS: all of ours, none of others', and again after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import boto3
import pytest

from dynaberg import aws, catalog, deploy, prices
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.deploy import cleanup
from dynaberg.deploy.deployer import delete_stack
from dynaberg.errors import DeploymentError, SettingsError
from dynaberg.settings import Settings
from dynaberg.upkeep.bill import cost_so_far as bill_so_far
from local_aws import Status

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings(name="leaving", table_bucket_name="leavingtables", bucket_name="leaving", root=ROOT)


@pytest.fixture(scope="module")
def session(local_aws: Status) -> boto3.Session:
    return boto3.Session()


@pytest.fixture(scope="module")
def contract() -> Contract:
    found = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    return replace(found, source_table="leaving-transactions")


@pytest.fixture
def deployed(session: boto3.Session, contract: Contract) -> Iterator[Settings]:
    """Both stacks, with something in everything that can hold something."""
    deploy.enable_cdc(session, SETTINGS, contract)
    opened = catalog.open_catalog(session, SETTINGS)
    log = opened.create_table((SETTINGS.namespace, SETTINGS.log_name), contract.log_schema())
    assert log.current_snapshot() is None
    deploy.deploy_firehose(session, SETTINGS, contract)
    found = deploy.outputs(session, SETTINGS, "foundation")
    for number in range(3):
        session.client("s3").put_object(Bucket=found["ErrorBucketName"], Key=f"errors/{number}", Body=b"x")
    item = {"transaction_id": {"S": "TXN_1"}, "timestamp": {"N": "1"}}
    session.client("dynamodb").put_item(TableName=found["SourceTableName"], Item=item)
    yield SETTINGS
    cleanup.clean_up(session, SETTINGS, confirm="leaving")


def holds(session: boto3.Session, kind: str) -> dict[str, str]:
    found = cleanup.list_resources(session, SETTINGS)
    rows = found[found["kind"] == kind]
    return dict(zip(rows["name"], rows["holds"], strict=True))


def test_what_there_is_and_what_it_holds(session: boto3.Session, deployed: Settings) -> None:
    assert holds(session, "Iceberg table") == {"analytics.transactions_changes": "0 rows"}
    assert holds(session, "AWS::DynamoDB::Table") == {"leaving-transactions": "1 item"}
    buckets = holds(session, "AWS::S3::Bucket")
    assert [held for name, held in buckets.items() if "-errors-" in name] == ["3 objects"]
    assert [held for name, held in buckets.items() if "-code-" in name] == ["1 object"]
    assert list(holds(session, "AWS::S3Tables::TableBucket").values()) == ["1 table"]


def test_what_there_is_says_what_it_costs_while_idle(session: boto3.Session, deployed: Settings) -> None:
    found = cleanup.list_resources(session, deployed)
    costs = dict(zip(found["kind"], found["idle_usd_per_month"], strict=True))
    assert costs["AWS::CloudWatch::Dashboard"] == Decimal(3)
    assert costs["AWS::DynamoDB::Table"] == costs["AWS::Lambda::Function"] == Decimal(0)
    assert {type(amount) for amount in found["idle_usd_per_month"]} == {Decimal}
    bill = bill_so_far(session, deployed)
    assert prices.total_usd(bill["usd"]) < Decimal("0.01")
    assert set(bill["pattern"]) == {"dynamodb"}


def test_everything_of_ours_goes_and_nothing_of_others(
    session: boto3.Session, deployed: Settings, contract: Contract
) -> None:
    others = replace(SETTINGS, name="staying", table_bucket_name="stayingtables", bucket_name="staying")
    deploy.enable_cdc(session, others, replace(contract, source_table="staying-transactions"))
    before = cleanup.list_resources(session, others)
    removed = cleanup.clean_up(session, deployed, confirm="leaving")
    assert set(removed["kind"]) >= {"Iceberg table", "AWS::Lambda::Function", "AWS::S3::Bucket"}
    assert cleanup.list_resources(session, deployed).empty
    names = session.client("dynamodb").list_tables()["TableNames"]
    assert "leaving-transactions" not in names
    assert not [b for b in session.client("s3").list_buckets()["Buckets"] if b["Name"].startswith("leaving")]
    assert cleanup.list_resources(session, others).equals(before)
    cleanup.clean_up(session, others, confirm="staying")


def test_it_can_be_repeated_and_all_be_built_anew(
    session: boto3.Session, deployed: Settings, contract: Contract
) -> None:
    cleanup.clean_up(session, deployed, confirm="leaving")
    assert cleanup.clean_up(session, deployed, confirm="leaving").empty
    assert bill_so_far(session, deployed).empty
    again = deploy.enable_cdc(session, deployed, contract)
    assert set(again["status"]) == {"CREATE_COMPLETE"}
    assert holds(session, "AWS::DynamoDB::Table") == {"leaving-transactions": "0 items"}


@pytest.mark.parametrize("step", ["s3tables:delete_table", "s3:delete_objects", "dynamodb:delete_table"])
def test_interrupted_half_way_it_is_run_again(
    session: boto3.Session, deployed: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    service, operation = step.split(":")

    def interrupted(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(aws.client(session, service), operation, interrupted)
        with pytest.raises(KeyboardInterrupt):
            cleanup.clean_up(session, deployed, confirm="leaving")
    assert not cleanup.list_resources(session, deployed).empty
    assert not cleanup.clean_up(session, deployed, confirm="leaving").empty
    assert cleanup.list_resources(session, deployed).empty


def test_a_stack_deleted_by_hand_leaves_the_items_and_the_clean_up_finds_them(
    session: boto3.Session, deployed: Settings
) -> None:
    delete_stack(session, "leaving-observe")
    delete_stack(session, "leaving-delivery")
    delete_stack(session, "leaving-access")
    for kind, name in cleanup._with_data(cleanup.list_resources(session, deployed), stacked=True):
        if kind != "AWS::DynamoDB::Table":
            cleanup._KINDS[kind].empty(session, name)
    delete_stack(session, "leaving-foundation")
    left = cleanup.list_resources(session, deployed).drop(columns="idle_usd_per_month")
    assert left.to_dict("records") == [
        {"kind": "AWS::DynamoDB::Table", "name": "leaving-transactions", "stack": "", "holds": "1 item"}
    ]
    cleanup.clean_up(session, deployed, confirm="leaving")
    assert cleanup.list_resources(session, deployed).empty


def test_what_is_left_is_named(
    session: boto3.Session, deployed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cleanup, "delete_stack", lambda *_, **__: None)
        with pytest.raises(DeploymentError, match="Still there after the clean-up: ") as caught:
            cleanup.clean_up(session, deployed, confirm="leaving")
    assert "again" in caught.value.hint


def test_the_wrong_name_removes_nothing(session: boto3.Session, deployed: Settings) -> None:
    before = cleanup.list_resources(session, deployed)
    with pytest.raises(SettingsError):
        cleanup.clean_up(session, deployed, confirm="dynaberg")
    assert cleanup.list_resources(session, deployed).equals(before)


def test_items_of_others_go_only_with_the_name_of_their_table(
    session: boto3.Session, deployed: Settings, contract: Contract
) -> None:
    table = contract.source_table
    session.client("dynamodb").put_item(
        TableName=table, Item={"transaction_id": {"S": "A-1"}, "timestamp": {"N": "1"}}
    )
    before = cleanup.list_resources(session, SETTINGS)
    # A text is one name: neither a longer one nor a part of it names the table.
    for named in ((), ("another",), f"{table}-2"):
        with pytest.raises(SettingsError, match=table) as caught:
            cleanup.clean_up(session, SETTINGS, confirm="leaving", delete_items_of=named)
        assert "Nothing was removed" in str(caught.value)
        assert table in caught.value.hint
    assert cleanup.list_resources(session, SETTINGS).equals(before)
    cleanup.clean_up(session, SETTINGS, confirm="leaving", delete_items_of=[table])
    assert cleanup.list_resources(session, SETTINGS).empty
