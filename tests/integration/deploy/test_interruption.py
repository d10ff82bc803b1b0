"""Interrupted at each of some points, deployment and clean-up are simply run again.

A kernel that is interrupted and a process that is killed leave the same behind: whatever the last call to AWS
did. So the interruption comes at a call, just before it is sent or just after it was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from dynaberg import deploy, layers
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.deploy import cleanup
from dynaberg.deploy.stack_state import PARTS, stack_resources
from dynaberg.settings import Settings
from local_aws import Status

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = Settings(name="halting", table_bucket_name="haltingtables", bucket_name="halting", root=ROOT)

# Where it stops: the event, and which of its kind it is in a run that goes on from where the last stopped.
DEPLOY = {
    "the foundation is a shell with a change set": ("after-call.cloudformation.CreateChangeSet", 1),
    "the foundation is being created": ("after-call.cloudformation.ExecuteChangeSet", 1),
    "one of two Iceberg tables is there": ("", 0),
    "the roles are announced": ("after-call.cloudformation.CreateChangeSet", 2),
    "the roles are being created, their events followed": (
        "before-call.cloudformation.DescribeStackEvents",
        1,
    ),
    "the code is uploaded": ("after-call.s3.PutObject", 1),
    "the delivery is being created": ("after-call.cloudformation.ExecuteChangeSet", 1),
    "the delivery is there, its alarms are not": ("before-call.cloudformation.CreateChangeSet", 4),
}
CLEAN_UP = {
    "the alarms are being removed": ("after-call.cloudformation.DeleteStack", 1),
    "the delivery is removed, the roles are not": ("before-call.cloudformation.DeleteStack", 2),
    "the first Iceberg table is dropped": ("after-call.s3tables.DeleteTable", 1),
    "the namespace is removed": ("after-call.s3tables.DeleteNamespace", 1),
    "the first bucket is emptied": ("after-call.s3.DeleteObjects", 1),
    "the source table is removed": ("after-call.dynamodb.DeleteTable", 1),
    "the foundation is being removed": ("after-call.cloudformation.DeleteStack", 1),
}


@pytest.fixture(scope="module")
def contract() -> Contract:
    found = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
    return replace(found, source_table="halting-transactions")


def interrupted_session(event: str, number: int) -> boto3.Session:
    """A session whose clients stop everything at the n-th event of a kind."""
    left = number

    def interrupt(**_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    session = boto3.Session()
    if event:
        session.events.register(event, interrupt)
    return session


def is_interrupted(work: Callable[..., object], *positional: Any, **named: Any) -> bool:
    try:
        work(*positional, **named)
    except KeyboardInterrupt:
        return True
    return False


def deploy_all(session: boto3.Session, contract: Contract) -> None:
    deploy.enable_cdc(session, SETTINGS, contract)
    layers.create_tables(session, SETTINGS, contract)
    deploy.deploy_firehose(session, SETTINGS, contract, buffer_seconds=0)


def interrupt_table_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyiceberg.catalog.rest import RestCatalog

    real: Callable[..., Any] = RestCatalog.create_table

    def create(*positional: Any, **named: Any) -> None:
        real(*positional, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(RestCatalog, "create_table", create)


def names_of(session: boto3.Session) -> dict[str, list[str]]:
    """What an account holds of each kind, under the name that is tested."""
    mappings = session.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    listed = {
        "tables": session.client("dynamodb").list_tables()["TableNames"],
        "buckets": [b["Name"] for b in session.client("s3").list_buckets()["Buckets"]],
        "table buckets": [b["name"] for b in session.client("s3tables").list_table_buckets()["tableBuckets"]],
        "functions": [f["FunctionName"] for f in session.client("lambda").list_functions()["Functions"]],
        "delivery streams": session.client("firehose").list_delivery_streams()["DeliveryStreamNames"],
        "queues": session.client("sqs").list_queues().get("QueueUrls", []),
        "roles": [r["RoleName"] for r in session.client("iam").list_roles()["Roles"]],
        "alarms": [a["AlarmName"] for a in session.client("cloudwatch").describe_alarms()["MetricAlarms"]],
        "log groups": [g["logGroupName"] for g in session.client("logs").describe_log_groups()["logGroups"]],
        "mappings": [m["FunctionArn"] for m in mappings],
        "stacks": [
            s["StackName"]
            for page in session.client("cloudformation").get_paginator("list_stacks").paginate()
            for s in page["StackSummaries"]
            if s["StackStatus"] != "DELETE_COMPLETE"
        ],
    }
    return {kind: sorted(name for name in names if "halting" in name) for kind, names in listed.items()}


def test_deployment_and_clean_up_are_run_again_after_every_interruption(
    local_aws: Status, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = boto3.Session()
    deploy_all(session, contract)
    whole = names_of(session)
    assert whole["stacks"] == sorted(f"halting-{part}" for part in PARTS)
    cleanup.clean_up(session, SETTINGS, confirm="halting")
    assert not any(names_of(session).values())

    for step, (event, number) in DEPLOY.items():
        with monkeypatch.context() as patch:
            if not number:
                interrupt_table_creation(patch)
            stopping = interrupted_session(event, number)
            assert is_interrupted(deploy_all, stopping, contract), step
    deploy_all(session, contract)
    assert names_of(session) == whole
    for part in PARTS:
        assert set(stack_resources(session, deploy.stack_name(SETTINGS, part))["status"]) <= {
            "CREATE_COMPLETE",
            "UPDATE_COMPLETE",
        }
        pending = session.client("cloudformation").list_change_sets(StackName=f"halting-{part}")["Summaries"]
        assert [p for p in pending if p.get("ExecutionStatus") == "AVAILABLE"] == []
    item = {"transaction_id": {"S": "TXN_1"}, "timestamp": {"N": "1"}}
    session.client("dynamodb").put_item(TableName=contract.source_table, Item=item)
    wait_for_delivery(session, SETTINGS, contract, progress=False)
    found = deploy.outputs(session, SETTINGS, "foundation")
    session.client("s3").put_object(Bucket=found["ErrorBucketName"], Key="errors/1", Body=b"x")

    for step, (event, number) in CLEAN_UP.items():
        stopping = interrupted_session(event, number)
        assert is_interrupted(cleanup.clean_up, stopping, SETTINGS, confirm="halting"), step
    cleanup.clean_up(session, SETTINGS, confirm="halting")
    assert not any(names_of(session).values())
    assert cleanup.clean_up(session, SETTINGS, confirm="halting").empty
