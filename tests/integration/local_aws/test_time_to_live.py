"""What expires leaves its table by itself, and the change log says who deleted it."""

from __future__ import annotations

import time

import boto3
import pytest

from dynaberg import catalog, deploy, layers
from dynaberg.contracts.contract import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.settings import Settings
from dynaberg.source.change_stream import read_shard, shards_of
from local_aws import Status

USER = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


@pytest.mark.parametrize("stream_type", ["dynamodb", "kinesis"])
def test_the_log_tells_what_expired_from_what_was_deleted(local_aws: Status, stream_type: str) -> None:
    session, name = boto3.Session(), f"expiring{stream_type}"
    dynamodb = session.client("dynamodb")
    settings = Settings(
        name=name,
        table_bucket_name=f"{name}-tables",
        namespace=name,
        bucket_name=name,
        stream_type=stream_type,
    )
    columns = (Column("id", "string"), Column("expires", "long"))
    contract = Contract("transactions", f"{name}-source", "id", None, columns)
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    deploy.deploy_firehose(session, settings, contract, buffer_seconds=0)
    dynamodb.update_time_to_live(
        TableName=contract.source_table,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    expires = {
        "short": int(time.time()) + 1,
        "long": int(time.time()) + 3_600,
        "gone": int(time.time()) + 3_600,
    }
    for key, moment in expires.items():
        statement = f"INSERT INTO \"{contract.source_table}\" VALUE {{'id': '{key}', 'expires': {moment}}}"
        dynamodb.execute_statement(Statement=statement)
    dynamodb.delete_item(TableName=contract.source_table, Key={"id": {"S": "gone"}})
    deadline = time.monotonic() + 60
    while len(left := dynamodb.scan(TableName=contract.source_table)["Items"]) > 1:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    wait_for_delivery(session, settings, contract, timeout=60, progress=False)
    table = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    log = table.scan().to_arrow().to_pylist()
    assert {(row["id"], row["operation"], row["deleted_by"]) for row in log} == {
        *((key, "INSERT", None) for key in expires),
        ("short", "REMOVE", "dynamodb.amazonaws.com"),
        ("gone", "REMOVE", None),
    }


def test_getrecords_names_time_to_live_as_the_user(local_aws: Status) -> None:
    dynamodb, streams = boto3.client("dynamodb"), boto3.client("dynamodbstreams")
    created = dynamodb.create_table(
        TableName="expiring",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    )
    stream_arn = created["TableDescription"]["LatestStreamArn"]
    dynamodb.update_time_to_live(
        TableName="expiring", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    dynamodb.put_item(TableName="expiring", Item={"id": {"S": "a"}, "expires": {"N": str(int(time.time()))}})
    [shard] = shards_of(streams, stream_arn)
    deadline = time.monotonic() + 60
    while len(records := list(read_shard(streams, stream_arn, shard))) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [(each["eventName"], each.get("userIdentity")) for each in records] == [
        ("INSERT", None),
        ("REMOVE", USER),
    ]
