"""Everything breaks at once, by a seed; in the end the log is complete and the current table is DynamoDB.

20,000 changes in each pattern, or as many as `FAULT_CHANGES` says; `make faults` tells what struck how often.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from tests.integration.conftest import Watched

from dynaberg import catalog, deploy, layers
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.delivery.failures import failures
from dynaberg.delivery.replay import replay_errors
from dynaberg.deploy import cleanup
from dynaberg.errors import QueryError
from dynaberg.proof.reconcile import reconcile
from dynaberg.settings import Settings
from dynaberg.source.change_stream import read_changes
from dynaberg.source.traffic import generate_traffic
from dynaberg.sql.query import query
from local_aws import Status

pytestmark = pytest.mark.thorough

CHANGES = int(os.environ.get("FAULT_CHANGES", "20000"))
POISON = max(1, CHANGES // 1000)
DEADLINE_SECONDS = 60 + CHANGES / 100
# There are eight invocations for each batch, which comes twice, and in four parts.
READING = {"BatchSize": 2_000, "ParallelizationFactor": 4}
CONTRACT = load_contract(Path(__file__).parents[3] / "data" / "tables" / "transactions.yaml")
Rule = dict[str, Any]
EVERYWHERE: list[Rule] = [
    {"service": "lambda", "kind": "error", "share": 0.1, "seed": 3},
    # Long enough to be killed in.
    {"service": "iceberg", "kind": "delay", "operation": "CommitTable", "milliseconds": 1_000, "count": 1},
    {"service": "iceberg", "kind": "commit_conflict", "count": 2},
    {"service": "s3", "kind": "unavailable", "count": 6},
]
BY_PATTERN: dict[str, list[Rule]] = {
    "dynamodb": [
        {"service": "firehose", "kind": "throttle", "operation": "PutRecordBatch", "share": 0.3, "seed": 1},
        {"service": "firehose", "kind": "fail_records", "share": 0.02, "seed": 2},
        {"service": "event_source", "kind": "duplicate"},
        {"service": "event_source", "kind": "shuffle", "seed": 4},
    ],
    # Firehose reads by itself here, so it is the reading that is throttled; single records of Firehose fail
    # in the replay of both patterns.
    "kinesis": [
        {"service": "kinesis", "kind": "throttle", "operation": "GetRecords", "share": 0.3, "seed": 1},
        {"service": "kinesis", "kind": "duplicate"},
        {"service": "kinesis", "kind": "shuffle", "seed": 4},
    ],
}
IN_THE_REPLAY: list[Rule] = [
    {"service": "firehose", "kind": "throttle", "operation": "PutRecordBatch", "count": 1},
    {"service": "firehose", "kind": "fail_records", "count": 3},
]


def faults_of(settings: Settings, bucket: str, contract: Contract) -> list[Rule]:
    """What breaks while changes are made, each where the test's own pipeline is."""
    only = {"s3": {"bucket": bucket}, "iceberg": {"table": contract.log_name}}
    rules = [*EVERYWHERE, *BY_PATTERN[settings.stream_type]]
    return [rule | only.get(rule["service"], {}) for rule in rules]


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
    functions = session.client("lambda")
    found = functions.list_event_source_mappings(FunctionName=f"{name}-forwarder")["EventSourceMappings"]
    for mapping in (each for each in found if ":dynamodb:" in each["EventSourceArn"]):
        functions.update_event_source_mapping(UUID=mapping["UUID"], **READING)
    yield session, settings, contract
    put_faults(local_aws)
    cleanup.clean_up(session, settings, confirm=settings.name)


def put_faults(local_aws: Status, *rules: Rule) -> None:
    url = f"{local_aws.endpoint}/_local_aws/faults"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(rules).encode(), method="PUT")).close()


def struck(local_aws: Status) -> dict[tuple[str, str], int]:
    with urllib.request.urlopen(f"{local_aws.endpoint}/_local_aws/faults") as answer:
        return {(rule["service"], rule["kind"]): rule["struck"] for rule in json.loads(answer.read())}


def wait_until(done: Callable[[], bool], told: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not done():
        assert time.monotonic() < deadline, told()
        time.sleep(0.2)


class Killer(threading.Thread):
    """SIGKILL for the delivery worker of this local AWS, as soon as it is in the middle of a commit."""

    def __init__(self, local_aws: Status) -> None:
        super().__init__()
        self._local_aws = local_aws
        self.killed = 0

    def run(self) -> None:
        while not struck(self._local_aws).get(("iceberg", "delay"), 1):
            time.sleep(0.05)
        for child in psutil.Process(self._local_aws.pid).children(recursive=True):
            if "local_aws.firehose.delivery" in " ".join(child.cmdline()):
                child.kill()
                self.killed += 1


class OtherWriter(threading.Thread):
    """Somebody who commits to the log at the same time: a row that it holds already, once more."""

    def __init__(self, session: boto3.Session, settings: Settings, contract: Contract) -> None:
        super().__init__()
        self._session, self._settings, log = session, settings, contract.log_name
        self._sql = f"INSERT INTO {log} SELECT * FROM {log} LIMIT 1"
        self._ended = threading.Event()
        self.commits = 0

    def run(self) -> None:
        while self.commits < 8 and not self._ended.wait(0.2):
            with contextlib.suppress(QueryError):
                query(self._session, self._settings, self._sql)
                self.commits += 1

    def stop(self) -> None:
        self._ended.set()
        self.join()


def write_poison(session: boto3.Session, contract: Contract) -> list[str]:
    """Items whose amount has more digits than its column."""
    keys = [f"poison-{number:03d}" for number in range(POISON)]
    for key in keys:
        item = {"transaction_id": {"S": key}, "timestamp": {"N": "1"}, "amount": {"N": "123456789012.34"}}
        session.client("dynamodb").put_item(TableName=contract.source_table, Item=item)
    return keys


def change_ids(session: boto3.Session, settings: Settings) -> set[str]:
    """The id of each change that the pattern's stream holds."""
    stream = deploy.outputs(session, settings, "foundation")["ChangeStreamArn"]
    return {record.document["eventID"] for record in read_changes(session, stream, None, datetime.now(UTC))}


def widened(contract: Contract) -> Contract:
    """The contract with room for the poison's amount."""
    columns = [replace(c, type="decimal(14,2)") if c.name == "amount" else c for c in contract.columns]
    return replace(contract, columns=tuple(columns))


def test_nothing_is_lost(local_aws: Status, deployed: tuple[Any, ...]) -> None:
    session, settings, contract = deployed
    bucket = deploy.outputs(session, settings, "foundation")["ErrorBucketName"]
    put_faults(local_aws, *faults_of(settings, bucket, contract))
    killer, writer = Killer(local_aws), OtherWriter(*deployed)
    killer.start()
    poison = write_poison(session, contract)
    generate_traffic(session, contract.source_table, changes=CHANGES, seed=11, progress=False)
    killer.join()
    assert killer.killed == 1
    writer.start()
    opened = catalog.open_catalog(session, settings)
    log = Watched(catalog.load_table(opened, settings, contract.log_name), "change_id")
    wait_until(lambda: len(set(log.values(at_least=CHANGES))) >= CHANGES, lambda: struck(local_aws))
    writer.stop()
    assert writer.commits
    counts = struck(local_aws)
    assert all(counts.values()), counts
    put_faults(local_aws)
    wait_until(
        lambda: set(failures(*deployed)["transaction_id"]) == set(poison),
        lambda: failures(*deployed).to_string(),
    )
    wanted = change_ids(session, settings)
    assert len(wanted) == CHANGES + POISON
    ids = log.values()
    assert set(ids) == wanted - set(failures(*deployed)["change_id"])
    assert len(ids) > CHANGES, "every batch came twice"
    layers.refresh(*deployed)
    report = reconcile(*deployed)
    assert report.df[["transaction_id", "problem", "cause"]].to_numpy().tolist() == [
        [key, "missing", "not in the log"] for key in sorted(poison)
    ]

    mended = widened(contract)
    layers.create_tables(session, settings, mended)
    deploy.deploy_firehose(session, settings, mended, buffer_seconds=1, redrive_seconds=1)
    stream = deploy.outputs(session, settings, "delivery")["DeliveryStreamName"]
    put_faults(local_aws, *(rule | {"stream": stream} for rule in IN_THE_REPLAY))
    replayed = replay_errors(session, settings, mended, progress=False)
    assert set(replayed.loc[replayed["outcome"] == "replayed", "transaction_id"]) == set(poison)
    assert all(struck(local_aws).values()), struck(local_aws)
    put_faults(local_aws)
    wait_until(lambda: set(log.values()) == wanted, lambda: set(log.values()) ^ wanted)
    layers.refresh(session, settings, mended)
    report = reconcile(session, settings, mended)
    assert report.matches, report.df.to_string()
    tell(settings.stream_type, report.items, counts, writer.commits)


def tell(pattern: str, items: int, counts: dict[tuple[str, str], int], commits: int) -> None:
    """What the run survived."""
    lines = [f"{CHANGES + POISON:,} changes, {items:,} items, pattern {pattern}: log complete, table equal"]
    lines += [f"  {service} {kind}: struck {count} times" for (service, kind), count in counts.items()]
    lines += [f"  poison: {POISON} items, replayed", f"  another writer: {commits} commits"]
    print("", *lines, "  delivery worker: killed once, in a commit", sep="\n")
