"""A day of runs: traffic, runs that are killed, slow statements, refused calls, and a notebook next to it."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.integration.schedule.conftest import Scheduled, item

from dynaberg import layers, schedule
from dynaberg.errors import DynabergError
from dynaberg.proof import reconcile
from local_aws import Status

RUNS = int(os.environ.get("SCHEDULE_RUNS", "12"))
ITEMS = 60
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


@pytest.fixture(scope="module")
def scheduled(make_scheduled: Callable[[str], Scheduled]) -> Iterator[Scheduled]:
    found = make_scheduled("aday")
    # No turn waits for a statement, so each of them outlives the invocation that began it.
    found.deploy(turn=0, lock=2)
    yield found
    schedule.remove_schedule(found.pipeline.session, found.pipeline.settings)


def put_faults(local_aws: Status, *rules: Any) -> None:
    url, body = f"{local_aws.endpoint}/_local_aws/faults", json.dumps(rules).encode()
    urllib.request.urlopen(urllib.request.Request(url, body, method="PUT")).close()


def traffic(scheduled: Scheduled, ended: threading.Event) -> None:
    """Write, change and delete items until the day has ended."""
    dice = random.Random(5)
    dynamodb, table = scheduled.pipeline.session.client("dynamodb"), scheduled.pipeline.contract.source_table
    while not ended.is_set():
        number = dice.randrange(ITEMS)
        if dice.random() < 0.25:
            key = {name: item(number)[name] for name in ("id", "at")}
            dynamodb.delete_item(TableName=table, Key=key)
        else:
            dynamodb.put_item(TableName=table, Item=item(number, f"status {dice.random()}"))
        ended.wait(0.05)


def test_a_day_of_runs_ends_equal_to_dynamodb(scheduled: Scheduled, local_aws: Status) -> None:
    session, settings, contract = (
        scheduled.pipeline.session,
        scheduled.pipeline.settings,
        scheduled.pipeline.contract,
    )
    dice, ended = random.Random(6), threading.Event()
    writer = threading.Thread(target=traffic, args=(scheduled, ended))
    writer.start()
    put_faults(local_aws, *FAULTS)
    try:
        for number in range(RUNS):
            execution = scheduled.begin()
            if number % 4 == 1:
                time.sleep(dice.uniform(0, 1.5))
                scheduled.kill(execution)
                time.sleep(dice.choice([0, 2]))  # the next run finds the lock, or that it has expired
                continue
            if number % 3 == 0:
                # Somebody refreshes by hand; a refused call is theirs to repeat.
                with suppress(DynabergError):
                    layers.refresh(session, settings, contract)
            scheduled.end(execution)
    finally:
        ended.set()
        writer.join()
        put_faults(local_aws)
    scheduled.deliver(item(ITEMS))
    time.sleep(2)  # what a killed run has locked
    assert scheduled.run() == "SUCCEEDED"
    assert reconcile(session, settings, contract).matches
    runs = scheduled.runs()
    assert (runs["action"] == "incremental").sum() >= 2
    assert set(runs["action"]) <= {"none", "incremental", "full"}
