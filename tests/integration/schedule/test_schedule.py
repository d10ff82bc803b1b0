"""The schedule: its stack, its runs on Athena, what they record, and what they leave alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from tests.integration.schedule.conftest import Scheduled, item

import dynaberg
from dynaberg import aws, layers, schedule
from dynaberg.functions.schedule import records
from dynaberg.proof import reconcile


@pytest.fixture(scope="module")
def scheduled(make_scheduled: Callable[[str], Scheduled]) -> Iterator[Scheduled]:
    found = make_scheduled("scheduled")
    found.deploy()
    yield found
    schedule.remove_schedule(found.pipeline.session, found.pipeline.settings)


def test_a_run_merges_what_a_notebook_would(scheduled: Scheduled) -> None:
    session, settings, contract = (
        scheduled.pipeline.session,
        scheduled.pipeline.settings,
        scheduled.pipeline.contract,
    )
    scheduled.deliver(*(item(n) for n in range(20)))
    assert scheduled.run() == "SUCCEEDED"
    done = scheduled.last()["transactions"]
    assert [done[name] for name in ("action", "rows", "outcome", "attempts")] == ["full", 20, "ok", 1]
    assert done["bytes_scanned"] > 0
    assert done["cost_usd"] > 0
    scheduled.deliver(item(3, "closed"), item(50))
    assert scheduled.run() == "SUCCEEDED"
    done = scheduled.last()["transactions"]
    assert [done[name] for name in ("action", "rows")] == ["incremental", 2]
    assert reconcile(session, settings, contract).matches
    assert layers.refresh(session, settings, contract)["action"].iloc[0] == "none"

    # And the other way round: what a notebook has merged costs the schedule no statement.
    scheduled.deliver(item(4, "closed"))
    layers.refresh(session, settings, contract)
    before = scheduled.statements()
    assert scheduled.run() == "SUCCEEDED"
    done = scheduled.last()["transactions"]
    assert [done[name] for name in ("action", "rows", "bytes_scanned", "cost_usd")] == ["none", 0, 0, 0]
    assert scheduled.statements() == before


def test_one_run_works_at_a_time(scheduled: Scheduled) -> None:
    s3 = aws.client(scheduled.pipeline.session, "s3")

    def held_until(until: float) -> None:
        body = json.dumps({"owner": "somebody", "until": until}).encode()
        s3.put_object(Bucket=scheduled.bucket, Key=records.LOCK, Body=body)

    scheduled.deliver(item(60))
    held_until(time.time() + 600)
    before = scheduled.statements()
    assert scheduled.run() == "SUCCEEDED"
    assert scheduled.last()[""]["outcome"] == "busy"
    assert scheduled.statements() == before
    # Nobody heard of the other run for too long: what it left is caught up.
    held_until(time.time() - 1)
    assert scheduled.run() == "SUCCEEDED"
    assert scheduled.last()["transactions"]["rows"] == 1


@pytest.mark.thorough
def test_the_clock_begins_runs(scheduled: Scheduled) -> None:
    clock = aws.client(scheduled.pipeline.session, "scheduler")
    given = clock.get_schedule(Name="scheduled-scheduled")
    assert given["ScheduleExpression"] == "rate(15 minutes)"
    before = len(scheduled.runs())
    # The same target, at a moment that has passed: it is due at once.
    clock.create_schedule(
        Name="scheduled-now",
        ScheduleExpression="at(2020-01-01T00:00:00)",
        FlexibleTimeWindow=given["FlexibleTimeWindow"],
        Target=given["Target"],
    )
    aws.wait_for(lambda: len(scheduled.runs()) > before, timeout=120, what="A run by the clock")
    clock.delete_schedule(Name="scheduled-now")


def test_a_call_or_a_clean_up_removes_it(scheduled: Scheduled) -> None:
    session, settings = scheduled.pipeline.session, scheduled.pipeline.settings
    wb = dynaberg.Workbench(settings, session, scheduled.pipeline.contract)
    report = wb.doctor().set_index("check")["found"]
    assert "SUCCEEDED" in report["schedule"]
    runs = wb.schedule.runs()
    assert len(runs) >= len(wb.table().runs()) > 0
    assert wb.schedule.stop() is None
    assert wb.doctor().set_index("check")["ok"]["schedule"]
    assert len(wb.schedule.runs()) == len(runs)
    deployed = wb.schedule.start("1 hour")
    assert deployed is not None
    wb.clean_up(confirm=settings.name, delete_items_of=[scheduled.pipeline.contract.source_table])
    assert not set(deployed["name"]) & set(wb.list_resources()["name"])
    schedules = aws.client(session, "scheduler").list_schedules(NamePrefix=settings.name)["Schedules"]
    assert schedules == []
