"""A day of runs, some of them killed: traffic, slow statements, refusals, a notebook, a killed local AWS."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.conftest import own_local_aws
from tests.integration.schedule.conftest import Scheduled, item

import local_aws
from dynaberg import aws, layers
from dynaberg.errors import DynabergError
from dynaberg.proof import reconcile
from local_aws import Status

pytestmark = pytest.mark.thorough

RUNS = int(os.environ.get("SCHEDULE_RUNS", "12"))
ITEMS, CHANGES = 60, 15
CHECKPOINT_SECONDS = 0.7
SLOW_SECONDS = 3
FAULTS = (
    {"service": "athena", "operation": "StartQueryExecution", "kind": "throttle", "share": 0.1, "seed": 3},
    {
        "service": "athena",
        "operation": "GetQueryExecution",
        "kind": "delay",
        "milliseconds": 300,
        "share": 0.2,
    },
    {"service": "iceberg", "kind": "commit_conflict", "share": 0.1, "seed": 4},
)
SLOW = {
    "service": "iceberg",
    "table": "transactions",
    "operation": "CommitTable",
    "kind": "delay",
    "milliseconds": SLOW_SECONDS * 1000,
    "count": 1,
}
"""The next statement that writes to the table takes longer than the time from one run to the next."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    """A local AWS that may be killed, at which this process's clients are pointed."""
    with own_local_aws(tmp_path_factory.mktemp("day"), checkpoint_seconds=CHECKPOINT_SECONDS) as status:
        yield status


@pytest.fixture(scope="module")
def scheduled(server: Status, make_scheduled: Callable[[str], Scheduled]) -> Scheduled:
    found = make_scheduled("aday")
    # No turn waits for a statement, so each of them outlives the invocation that began it.
    found.deploy(turn=0, lock=2)
    return found


def post(server: Status, method: str, path: str, body: Any) -> None:
    url = f"{server.endpoint}/_local_aws/{path}"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), method=method)).close()


def put_faults(server: Status, *rules: Any) -> None:
    post(server, "PUT", "faults", rules)


def kill_and_start(server: Status) -> None:
    """Kill the local AWS and all that it started once its state is kept aside, and start it again."""
    deployed = datetime.now(UTC)

    def pid() -> int | None:
        status = local_aws.status(server.state_dir)
        return status.pid if status and status.checkpoint_at and status.checkpoint_at > deployed else None

    running = aws.wait_for(pid, timeout=120, what="A checkpoint")
    os.killpg(running, signal.SIGKILL)
    while local_aws.server.process.is_alive(running):
        time.sleep(0.01)
    port, pause = server.port, CHECKPOINT_SECONDS
    restored = local_aws.start(server.state_dir, port=port, checkpoint_seconds=pause).restored
    assert restored == "unclean"


def traffic(scheduled: Scheduled, allowed: threading.Semaphore, ended: threading.Event) -> None:
    """Write, change and delete items, some in each run; while nobody answers, nothing is written."""
    dice = random.Random(5)
    dynamodb, table = scheduled.pipeline.session.client("dynamodb"), scheduled.pipeline.contract.source_table
    while not ended.is_set():
        if not allowed.acquire(timeout=0.1):
            continue
        number = dice.randrange(ITEMS)
        with suppress(BotoCoreError, ClientError):
            if dice.random() < 0.25:
                key = {name: item(number)[name] for name in ("id", "at")}
                dynamodb.delete_item(TableName=table, Key=key)
            else:
                dynamodb.put_item(TableName=table, Item=item(number, f"status {dice.random()}"))
        ended.wait(0.05)


def run_slowly(scheduled: Scheduled, server: Status, number: int) -> None:
    """A run whose statement still works when the next run begins."""
    scheduled.deliver(item(ITEMS + number))
    put_faults(server, SLOW, *FAULTS)
    first = scheduled.begin()
    time.sleep(1)
    second = scheduled.begin()
    for execution in (first, second):
        scheduled.end(execution)


def live_through(scheduled: Scheduled, server: Status, number: int, dice: random.Random) -> None:
    """One run of the day, and what befalls it."""
    pipeline = scheduled.pipeline
    if number % 24 == 12:
        # S3 Tables' jobs: among others, the files of many small commits become one.
        post(server, "POST", "maintenance", {"namespace": pipeline.settings.namespace})
    if number % 12 == 7:
        run_slowly(scheduled, server, number)
        return
    execution = scheduled.begin()
    if number % 24 == 6:
        kill_and_start(server)
        put_faults(server, *FAULTS)
        return
    if number % 4 == 1:
        time.sleep(dice.uniform(0, 1.5))
        scheduled.kill(execution)
        time.sleep(dice.choice([0, 2]))  # the next run finds the lock, or that it has expired
        return
    if number % 3 == 0:
        # Somebody refreshes by hand; a refused call is theirs to repeat.
        with suppress(DynabergError):
            layers.refresh(pipeline.session, pipeline.settings, pipeline.contract)
    scheduled.end(execution)


def test_a_day_of_runs_ends_equal_to_dynamodb(scheduled: Scheduled, server: Status) -> None:
    pipeline = scheduled.pipeline
    dice, allowed, ended = random.Random(6), threading.Semaphore(0), threading.Event()
    writer = threading.Thread(target=traffic, args=(scheduled, allowed, ended))
    writer.start()
    put_faults(server, *FAULTS)
    try:
        for number in range(RUNS):
            allowed.release(CHANGES)
            live_through(scheduled, server, number, dice)
    finally:
        ended.set()
        writer.join()
        put_faults(server)
    scheduled.deliver(item(ITEMS))
    time.sleep(2)  # what a killed run has locked
    assert scheduled.run() == "SUCCEEDED"
    assert reconcile(pipeline.session, pipeline.settings, pipeline.contract).matches
    runs = scheduled.runs()
    assert (runs["action"] == "incremental").sum() >= 2
    assert set(runs["action"]) <= {"none", "incremental", "full"}
    assert runs["seconds"].max() >= SLOW_SECONDS, "a statement was slow"
