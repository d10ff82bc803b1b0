"""The whole local AWS is killed while changes are on their way; what is left fits together, and goes on."""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import local_aws
from dynaberg import deploy, layers
from dynaberg.contracts.contract import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.proof.reconcile import reconcile
from dynaberg.settings import STREAM_TYPES, Settings
from dynaberg.source import read_changes
from dynaberg.sql.query import query
from local_aws import Status

pytestmark = pytest.mark.thorough

KILLS = 2
CHECKPOINT_SECONDS = 0.7
COLUMNS = (Column("id", "string"), Column("v", "long"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Status]:
    """A local AWS of its own, at which this process's clients are pointed."""
    status = local_aws.start(tmp_path / "state", port=free_port(), checkpoint_seconds=CHECKPOINT_SECONDS)
    for name, value in local_aws.env(status.endpoint, status.region).items():
        monkeypatch.setenv(name, value)
    yield status
    local_aws.stop(tmp_path / "state")


@dataclass(frozen=True)
class Pipeline:
    """A table and its way into the log, by one of the patterns."""

    session: boto3.Session
    settings: Settings
    contract: Contract

    @property
    def parts(self) -> tuple[boto3.Session, Settings, Contract]:
        return self.session, self.settings, self.contract


class Writer(threading.Thread):
    """Changes items of a DynamoDB table until nobody answers any more."""

    def __init__(self, table: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.table = table
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5)
        self.dynamodb = boto3.client("dynamodb", config=config)
        self.random = random.Random(seed)

    def run(self) -> None:
        """Put and delete."""
        with suppress(BotoCoreError, ClientError):
            while True:
                key = {"id": {"S": f"item-{self.random.randrange(60)}"}}
                if self.random.random() < 0.2:
                    self.dynamodb.delete_item(TableName=self.table, Key=key)
                else:
                    item = key | {"v": {"N": str(self.random.randrange(10**9))}}
                    self.dynamodb.put_item(TableName=self.table, Item=item)
                time.sleep(0.002)


def kill(status: Status) -> None:
    """Kill the server and all that it started, at once."""
    os.killpg(status.pid, signal.SIGKILL)
    while local_aws.server.process.is_alive(status.pid):
        time.sleep(0.01)


def deploy_pipeline(root: Path, stream_type: str) -> Pipeline:
    name, session = f"killed-{stream_type}", boto3.Session()
    names: dict[str, Any] = {"name": name, "table_name": "things", "namespace": f"killed_{stream_type}"}
    names |= {"table_bucket_name": f"{name}-tables", "bucket_name": name}
    settings = Settings(stream_type=stream_type, root=root, **names)
    pipeline = Pipeline(session, settings, Contract("things", f"{name}-source", "id", None, COLUMNS))
    deploy.enable_cdc(*pipeline.parts)
    layers.create_tables(*pipeline.parts)
    deploy.deploy_firehose(*pipeline.parts, buffer_seconds=0)
    return pipeline


def test_after_each_kill_all_parts_are_of_one_moment_and_go_on(server: Status, tmp_path: Path) -> None:
    """Both patterns are at work on one server, so each kill strikes both."""
    rng = random.Random("kills")
    (tmp_path / "data" / "sql" / "curated").mkdir(parents=True)
    pipelines = [deploy_pipeline(tmp_path, stream_type) for stream_type in STREAM_TYPES]
    wait_for_checkpoint(server)
    for number in range(KILLS):
        writers = [Writer(pipeline.contract.source_table, number) for pipeline in pipelines]
        for writer in writers:
            writer.start()
        time.sleep(1 + 2 * rng.random())
        with suppress(Exception):  # a refresh may be under way when it is killed
            threading.Timer(rng.random(), kill, (server,)).start()
            for pipeline in rng.sample(pipelines, 2):
                layers.refresh(*pipeline.parts)
        for writer in writers:
            writer.join()
        killed_at = datetime.now(UTC)
        server = local_aws.start(server.state_dir, port=server.port, checkpoint_seconds=CHECKPOINT_SECONDS)
        assert server.restored == "unclean"
        assert server.restored_from is not None
        assert killed_at - server.restored_from < timedelta(seconds=60)
        for pipeline in pipelines:
            check(pipeline)


def wait_for_checkpoint(server: Status) -> None:
    """Wait until all that is there now is kept aside."""
    now = datetime.now(UTC)
    while (status := local_aws.status(server.state_dir)) is None or (status.checkpoint_at or now) <= now:
        time.sleep(0.05)


def check(pipeline: Pipeline) -> None:
    """The log knows no change that the stream does not, then gets all of them, and the tables match."""
    session, settings, contract = pipeline.parts

    def logged() -> set[str]:
        sql = 'SELECT DISTINCT change_id FROM "things_changes"'
        return set(query(session, settings, sql, progress=False).df["change_id"])

    before, arn = logged(), deploy.outputs(session, settings, "foundation")["ChangeStreamArn"]
    made = {change.document["eventID"] for change in read_changes(session, arn, None, datetime.now(UTC))}
    assert before <= made
    wait_for_delivery(session, settings, contract, timeout=90, progress=False)
    assert logged() == made
    layers.refresh(session, settings, contract)
    report = reconcile(session, settings, contract)
    assert report.matches, report.summary
    items = session.client("dynamodb").scan(TableName=contract.source_table)["Items"]
    rows = query(session, settings, 'SELECT id, v FROM "things"', progress=False).df
    assert dict(rows.itertuples(index=False)) == {item["id"]["S"]: int(item["v"]["N"]) for item in items}
