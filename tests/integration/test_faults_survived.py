"""Everything breaks at once, by a seed; in the end the log is complete and the current table is DynamoDB.

5,000 changes in each pattern, or as many as `FAULT_CHANGES` says.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

from dynaberg import catalog, cleanup, deploy, layers
from dynaberg.contract import Contract, load_contract
from dynaberg.failures import failures
from dynaberg.reconcile import reconcile
from dynaberg.settings import Settings
from dynaberg.traffic import generate_traffic
from dynaberg.waiting import change_ids_in_stream
from local_aws import Status

CHANGES = int(os.environ.get("FAULT_CHANGES", "5000"))
POISON = max(1, CHANGES // 1000)
DEADLINE_SECONDS = 60 + CHANGES / 100
CONTRACT = load_contract(Path(__file__).parents[2] / "data" / "tables" / "transactions.yaml")


def faults_of(stream: str, bucket: str, log: str) -> list[dict[str, Any]]:
    """What breaks; the delivery worker is killed besides."""
    return [
        {"service": "firehose", "kind": "throttle", "operation": "PutRecordBatch", "stream": stream,
         "share": 0.3, "seed": 1},
        {"service": "firehose", "kind": "fail_records", "stream": stream, "share": 0.02, "seed": 2},
        {"service": "lambda", "kind": "error", "share": 0.1, "seed": 3},
        {"service": "event_source", "kind": "duplicate"},
        {"service": "event_source", "kind": "shuffle", "seed": 4},
        {"service": "kinesis", "kind": "duplicate"},
        {"service": "iceberg", "kind": "commit_conflict", "table": log, "count": 2},
        {"service": "s3", "kind": "unavailable", "bucket": bucket, "count": 6},
    ]  # fmt: skip


@pytest.fixture(params=["dynamodb", "kinesis"])
def deployed(local_aws: Status, request: pytest.FixtureRequest) -> Iterator[tuple[Any, ...]]:
    session, name = boto3.Session(), f"faults-{request.param}"
    settings = Settings(
        name=name,
        table_bucket_name=f"{name}-tables",
        namespace=name.replace("-", "_"),
        bucket_name=name,
        stream_type=request.param,
    )
    contract = replace(CONTRACT, source_table=f"{name}-transactions")
    deploy.enable_cdc(session, settings, contract)
    layers.create_tables(session, settings, contract)
    deploy.deploy_firehose(session, settings, contract, buffer_seconds=1, redrive_seconds=1)
    yield session, settings, contract
    put_faults(local_aws)
    cleanup.clean_up(session, settings, confirm=settings.name)


def put_faults(local_aws: Status, *rules: dict[str, Any]) -> None:
    url = f"{local_aws.endpoint}/_local_aws/faults"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(rules).encode(), method="PUT")).close()


def struck(local_aws: Status) -> dict[tuple[str, str], int]:
    with urllib.request.urlopen(f"{local_aws.endpoint}/_local_aws/faults") as answer:
        return {(rule["service"], rule["kind"]): rule["struck"] for rule in json.loads(answer.read())}


def kill_delivery(local_aws: Status) -> int:
    """SIGKILL for the delivery worker of this local AWS; the number of processes killed."""
    workers = [
        child
        for child in psutil.Process(local_aws.pid).children(recursive=True)
        if "local_aws.delivery" in " ".join(child.cmdline())
    ]
    for worker in workers:
        worker.kill()
    return len(workers)


def write_poison(session: boto3.Session, contract: Contract) -> list[str]:
    """Items whose amount is text."""
    keys = [f"poison-{number}" for number in range(POISON)]
    for key in keys:
        item = {"transaction_id": {"S": key}, "timestamp": {"N": "1"}, "amount": {"S": "a lot"}}
        session.client("dynamodb").put_item(TableName=contract.source_table, Item=item)
    return keys


def log_rows(session: boto3.Session, settings: Settings, contract: Contract) -> list[dict[str, Any]]:
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    names = ("change_id", "transaction_id", "operation")
    rows: list[dict[str, Any]] = log.scan(selected_fields=names).to_arrow().to_pylist()
    return rows


def test_nothing_is_lost(local_aws: Status, deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    stream = deploy.outputs(session, settings, "delivery")["DeliveryStreamName"]
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    put_faults(local_aws, *faults_of(stream, bucket, contract.log_name))
    killed: list[int] = []
    killer = threading.Timer(3, lambda: killed.append(kill_delivery(local_aws)))
    killer.start()
    poison = write_poison(session, contract)
    generate_traffic(session, contract.source_table, changes=CHANGES, seed=11, progress=False)
    table = session.client("dynamodb").describe_table(TableName=contract.source_table)["Table"]
    wanted = change_ids_in_stream(session, table["LatestStreamArn"])
    assert len(wanted) == CHANGES + POISON

    deadline = time.monotonic() + DEADLINE_SECONDS
    while len({row["change_id"] for row in log_rows(session, settings, contract)}) < CHANGES:
        assert time.monotonic() < deadline, f"{struck(local_aws)}"
        time.sleep(0.5)
    killer.join()
    assert killed == [1]
    missed = {rule: times for rule, times in struck(local_aws).items() if not times}
    assert set(missed) <= NEVER[settings.stream_type], missed
    put_faults(local_aws)

    waiting_for = set(poison)
    while set(failures(session, settings, contract)["transaction_id"]) != waiting_for:
        assert time.monotonic() < deadline, failures(session, settings, contract).to_string()
        time.sleep(0.5)
    rows = log_rows(session, settings, contract)
    if settings.stream_type == "dynamodb":
        refused = set(failures(session, settings, contract)["change_id"])
        assert {row["change_id"] for row in rows} == wanted - refused
    assert len(rows) > CHANGES, "every batch came twice"
    layers.refresh(session, settings, contract)
    report = reconcile(session, settings, contract)
    assert report.df["problem"].tolist() == ["missing"] * POISON, report.df.to_string()
    assert report.df["transaction_id"].tolist() == sorted(poison)


# What a pattern does not use cannot break in it.
NEVER = {
    "dynamodb": {("kinesis", "duplicate")},
    "kinesis": {
        ("firehose", "throttle"),
        ("firehose", "fail_records"),
        ("event_source", "duplicate"),
        ("event_source", "shuffle"),
    },
}
