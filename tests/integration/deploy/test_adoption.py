"""Adopting: a table of somebody else is connected, its changes arrive, and it is left as it was found."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import dynaberg
from dynaberg.contracts import Column, Contract
from dynaberg.deploy import adoption
from dynaberg.errors import (
    ContractError,
    DeploymentError,
    DynabergError,
    NotFoundError,
    NotReadyError,
    SettingsError,
)
from dynaberg.settings import Settings
from local_aws import Status

COLUMNS = (
    Column("pk", "string", attribute="PK"),
    Column("sk", "string", attribute="SK"),
    Column("order_total", "decimal(12,2)", attribute="orderTotal"),
)
SCHEMA: dict[str, Any] = {
    "KeySchema": [
        {"AttributeName": "SK", "KeyType": "RANGE"},
        {"AttributeName": "PK", "KeyType": "HASH"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK", "customerId")
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-customer",
            "KeySchema": [{"AttributeName": "customerId", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
# What a change of the stream, or the time of day, changes in a description.
MOVES = {"StreamSpecification", "LatestStreamArn", "LatestStreamLabel", "ItemCount", "TableSizeBytes"}


@pytest.fixture
def dynamodb(local_aws: Status) -> Any:
    return boto3.client("dynamodb")


@pytest.fixture
def name() -> str:
    """A name of its own for each test."""
    return f"adopt-{secrets.token_hex(4)}"


def make_table(name: str, **more: Any) -> None:
    boto3.client("dynamodb").create_table(TableName=f"{name}-Shop", **SCHEMA, **more)


def stream(view: str) -> dict[str, Any]:
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}


def open_workbench(name: str, root: Path, **settings: Any) -> dynaberg.Workbench:
    contract = Contract("transactions", f"{name}-Shop", "pk", "sk", COLUMNS)
    names = {"name": name, "namespace": name.replace("-", "_"), "root": root}
    chosen = Settings(table_bucket_name=f"{name}-tables", bucket_name=name, **names, **settings)
    return dynaberg.Workbench(chosen, boto3.Session(), contract)


def put(name: str, order: str, total: str = "9.90") -> None:
    item = {"PK": {"S": "CUSTOMER#1"}, "SK": {"S": order}, "orderTotal": {"N": total}}
    boto3.client("dynamodb").put_item(TableName=f"{name}-Shop", Item=item)


def described(dynamodb: Any, name: str) -> dict[str, Any]:
    table = dynamodb.describe_table(TableName=f"{name}-Shop")["Table"]
    return {key: value for key, value in table.items() if key not in MOVES}


def view_of(dynamodb: Any, name: str) -> str | None:
    table = dynamodb.describe_table(TableName=f"{name}-Shop")["Table"]
    given = table.get("StreamSpecification", {})
    return given.get("StreamViewType") if given.get("StreamEnabled") else None


def deliver(wb: dynaberg.Workbench, name: str) -> list[str]:
    """Deploy the delivery, write an order, and return the orders in the current table."""
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    put(name, "ORDER#2")
    wb.table().wait_for_delivery(timeout=60)
    wb.table().refresh()
    return sorted(wb.query("SELECT sk FROM transactions").df["sk"])


@pytest.mark.parametrize("stream_type", ["dynamodb", "kinesis"])
def test_only_the_stream_is_switched_on_and_off_again(
    dynamodb: Any, name: str, tmp_path: Path, stream_type: str
) -> None:
    make_table(name)
    put(name, "ORDER#1")
    before = described(dynamodb, name)
    wb = open_workbench(name, tmp_path, stream_type=stream_type)
    done = wb.adopt().set_index("what")["done"]
    assert done["stream"] == "switched on"
    assert described(dynamodb, name) == before
    assert view_of(dynamodb, name) == "NEW_AND_OLD_IMAGES"
    assert wb.adopt().set_index("what")["done"].to_dict() == {
        "table": "left as it is",
        "stream": "left as it is",
        "point-in-time recovery": "left as it is",
        "foundation": "up to date",
    }
    assert deliver(wb, name) == ["ORDER#2"]

    listed = wb.list_resources().set_index("kind")["holds"]
    assert listed["adopted DynamoDB table"] == "kept by a clean-up; its stream was switched on"
    removed = wb.clean_up(confirm=name).set_index("kind")["holds"]
    assert "which adoption had switched on, is off" in removed["adopted DynamoDB table"]
    assert view_of(dynamodb, name) is None
    assert described(dynamodb, name) == before
    answer = dynamodb.describe_kinesis_streaming_destination(TableName=f"{name}-Shop")
    states = {each["DestinationStatus"] for each in answer["KinesisDataStreamDestinations"]}
    assert states <= {"DISABLED"}
    assert dynamodb.scan(TableName=f"{name}-Shop")["Count"] == 2


def test_a_stream_that_was_on_stays_on(dynamodb: Any, name: str, tmp_path: Path) -> None:
    make_table(name, **stream("NEW_AND_OLD_IMAGES"))
    wb = open_workbench(name, tmp_path)
    assert wb.adopt("transactions").set_index("what")["done"]["stream"] == "left as it is"
    assert set(wb.preview()["stack"]) == {f"{name}-{part}" for part in ("access", "delivery", "observe")}
    wb.enable_cdc()
    wb.clean_up(confirm=name)
    assert view_of(dynamodb, name) == "NEW_AND_OLD_IMAGES"


@pytest.mark.thorough
def test_the_stream_type_of_an_adopted_table_changes(dynamodb: Any, name: str, tmp_path: Path) -> None:
    make_table(name)
    open_workbench(name, tmp_path).adopt()
    deliver(open_workbench(name, tmp_path), name)
    kinesis = open_workbench(name, tmp_path, stream_type="kinesis")
    kinesis.deploy_firehose(buffer_seconds=0)
    put(name, "ORDER#3")
    kinesis.table().wait_for_delivery(timeout=60)
    back = open_workbench(name, tmp_path)
    back.deploy_firehose(buffer_seconds=0)
    put(name, "ORDER#4")
    back.table().wait_for_delivery(timeout=60)
    back.table().refresh()
    assert back.table().reconcile().matches
    back.clean_up(confirm=name)


@pytest.mark.parametrize("before_switching", [True, False])
def test_an_interrupted_adoption_is_continued(
    dynamodb: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_switching: bool
) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    switch_on = adoption.switch_on_stream

    def interrupted(*arguments: Any) -> None:
        if not before_switching:
            switch_on(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(adoption, "switch_on_stream", interrupted)
        with pytest.raises(KeyboardInterrupt):
            wb.adopt()
    if before_switching:
        with pytest.raises(NotReadyError, match="is off") as caught:
            wb.deploy_firehose()
        assert "wb.adopt()" in caught.value.hint
    wb.adopt()
    wb.clean_up(confirm=name)
    assert view_of(dynamodb, name) is None


def test_a_stream_that_others_read_stays_on(dynamodb: Any, name: str, tmp_path: Path) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    wb.adopt()
    arn = dynamodb.describe_table(TableName=f"{name}-Shop")["Table"]["LatestStreamArn"]
    reader = read_by_a_function(name, arn)
    removed = wb.clean_up(confirm=name).set_index("kind")["holds"]
    assert removed["adopted DynamoDB table"].endswith(f"stays on, because it is read by: {reader}.")
    assert view_of(dynamodb, name) == "NEW_AND_OLD_IMAGES"


def read_by_a_function(name: str, stream_arn: str) -> str:
    """A Lambda function of somebody else that reads a stream."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("index.py", "def handler(event, context):\n    return None\n")
    function, client = f"{name}-search", boto3.client("lambda")
    client.create_function(
        FunctionName=function,
        Runtime="python3.12",
        Role="arn:aws:iam::000000000000:role/search",
        Handler="index.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    client.create_event_source_mapping(
        FunctionName=function, EventSourceArn=stream_arn, StartingPosition="LATEST"
    )
    return function


def test_a_table_of_somebody_elses_stack_stays_theirs(dynamodb: Any, name: str, tmp_path: Path) -> None:
    stacks, theirs = boto3.client("cloudformation"), f"{name}-theirs"
    table = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": f"{name}-Shop", **SCHEMA}}
    body = json.dumps({"Resources": {"Shop": table}})
    stacks.create_stack(StackName=theirs, TemplateBody=body)
    stacks.get_waiter("stack_create_complete").wait(StackName=theirs, WaiterConfig={"Delay": 1})
    before = stacks.describe_stacks(StackName=theirs)["Stacks"]
    wb = open_workbench(name, tmp_path)
    assert wb.adopt().set_index("what")["done"]["stream"] == "switched on"
    assert deliver(wb, name) == ["ORDER#2"]
    wb.clean_up(confirm=name)
    assert stacks.describe_stacks(StackName=theirs)["Stacks"] == before
    assert stacks.get_template(StackName=theirs)["TemplateBody"] == json.loads(body)
    assert view_of(dynamodb, name) is None
    assert dynamodb.scan(TableName=f"{name}-Shop")["Count"] == 1


# Bad input --------------------------------------------------------------------------------------


def refused(wb: dynaberg.Workbench, error: type[DynabergError]) -> DynabergError:
    """The error of adopting, after which nothing was deployed."""
    with pytest.raises(error) as caught:
        wb.adopt()
    assert caught.value.hint
    assert wb.list_resources().empty
    return caught.value


def test_a_table_that_is_not_there(local_aws: Status, name: str, tmp_path: Path) -> None:
    make_table(f"{name}s")
    error = refused(open_workbench(name, tmp_path), NotFoundError)
    assert f"{name}s-Shop" in error.message + error.hint


def test_a_stream_of_keys_only(dynamodb: Any, name: str, tmp_path: Path) -> None:
    make_table(name, **stream("KEYS_ONLY"))
    arn = dynamodb.describe_table(TableName=f"{name}-Shop")["Table"]["LatestStreamArn"]
    reader = read_by_a_function(name, arn)
    error = refused(open_workbench(name, tmp_path), DeploymentError)
    assert "holds KEYS_ONLY" in error.message
    assert reader in error.message
    assert view_of(dynamodb, name) == "KEYS_ONLY"


def test_without_the_right_to_switch_on_its_stream(
    dynamodb: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)

    def denied(**_: Any) -> None:
        said = {"Code": "AccessDeniedException", "Message": "User is not authorized"}
        raise ClientError({"Error": said}, "UpdateTable")

    with monkeypatch.context() as patch:
        patch.setattr(wb.client("dynamodb"), "update_table", denied)
        error = refused(wb, DeploymentError)
    assert "refused dynamodb:UpdateTable" in error.message
    assert "ask its owner" in error.hint
    assert view_of(dynamodb, name) is None
    wb.adopt()
    wb.clean_up(confirm=name)


def test_a_replica_of_a_global_table_is_adopted_and_named(
    local_aws: Status, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    describe = wb.client("dynamodb").describe_table

    def described_as_replica(**given: Any) -> Any:
        answer = describe(**given)
        answer["Table"]["Replicas"] = [{"RegionName": "eu-west-1", "ReplicaStatus": "ACTIVE"}]
        return answer

    monkeypatch.setattr(wb.client("dynamodb"), "describe_table", described_as_replica)
    found = wb.adopt().set_index("what").loc["global table"]
    assert (found["found"], found["done"]) == (
        "also in eu-west-1; changes made there arrive, too",
        "left as it is",
    )
    wb.clean_up(confirm=name)


def test_a_table_with_no_items_is_adopted_and_backfilled(
    local_aws: Status, name: str, tmp_path: Path
) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    done = wb.table().backfill()
    assert done.df["items"].tolist() == [0]
    assert done.matches, done.summary
    wb.clean_up(confirm=name)


def test_another_key_than_the_contracts(local_aws: Status, name: str, tmp_path: Path) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    contract = Contract("transactions", f"{name}-Shop", "pk", None, COLUMNS)
    error = refused(dynaberg.Workbench(wb.settings, wb.session, contract), ContractError)
    assert "PK (S), SK (S), but its contract has PK (S)" in error.message


def test_a_table_that_is_being_deleted(
    local_aws: Status, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    answer = wb.client("dynamodb").describe_table(TableName=f"{name}-Shop")
    answer["Table"]["TableStatus"] = "DELETING"
    with monkeypatch.context() as patch:
        patch.setattr(wb.client("dynamodb"), "describe_table", lambda **_: answer)
        assert "is DELETING" in refused(wb, NotReadyError).message


def test_a_name_that_has_its_table(local_aws: Status, name: str, tmp_path: Path) -> None:
    wb = open_workbench(name, tmp_path)
    wb.enable_cdc()
    with pytest.raises(SettingsError, match="has created the DynamoDB table") as caught:
        wb.adopt()
    assert "wb.deploy_firehose()" in caught.value.hint
    wb.clean_up(confirm=name)


def test_a_table_that_exists_is_not_created_over(local_aws: Status, name: str, tmp_path: Path) -> None:
    make_table(name)
    with pytest.raises(DeploymentError) as caught:
        open_workbench(name, tmp_path).enable_cdc()
    assert "wb.adopt()" in caught.value.hint


def test_no_traffic_is_generated_in_it(dynamodb: Any, name: str, tmp_path: Path) -> None:
    make_table(name)
    wb = open_workbench(name, tmp_path)
    wb.adopt()
    with pytest.raises(SettingsError, match="was adopted"):
        wb.generate_traffic(10)
    assert dynamodb.scan(TableName=f"{name}-Shop")["Count"] == 0
    wb.clean_up(confirm=name)
