"""A contract that changes while a schedule is deployed: runs know its new columns, old changes included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.schedule.conftest import Scheduled, item

import dynaberg
from dynaberg import deploy, schedule
from dynaberg.contracts import load_contract

pytestmark = pytest.mark.thorough

CONTRACT = """table: transactions
source_table: altered-source
key: {partition: id, sort: at}
columns:
  - {name: id, type: string}
  - {name: at, type: long}
  - {name: status, type: string}
"""


def test_runs_know_the_columns_of_a_contract_that_changes(
    make_scheduled: Callable[[str], Scheduled], monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled = make_scheduled("altered")
    session, settings = scheduled.pipeline.session, scheduled.pipeline.settings
    path = settings.root / "data" / "tables" / "transactions.yaml"
    path.parent.mkdir()
    path.write_text(CONTRACT)
    wb = dynaberg.Workbench(settings, session, load_contract(path))
    scheduled.deploy()
    scheduled.deliver(item(1) | {"color": {"S": "red"}})
    assert scheduled.run() == "SUCCEEDED"
    before = deploy.stack_parameters(session, "altered-schedule")
    wb.table().evolve()
    after = deploy.stack_parameters(session, "altered-schedule")
    changed = {name for name in before if before[name] != after[name]}
    assert "CodeKey" in changed
    assert changed <= {"CodeKey", "PlannedAt"}
    scheduled.deliver(item(2) | {"color": {"S": "blue"}})
    assert scheduled.run() == "SUCCEEDED"
    assert scheduled.last()["transactions"]["action"] == "full"
    found = wb.query("SELECT id, color FROM transactions ORDER BY id").df
    assert found.to_numpy().tolist() == [["i1", "red"], ["i2", "blue"]]
    assert wb.table().refresh()["action"].iloc[0] == "none"

    # A run that begins while a column is renamed waits for its end instead of failing.
    scheduled.deliver(item(3) | {"color": {"S": "green"}})
    meanwhile = list[str]()
    update = schedule.update_schedule

    def update_and_run(*given: Any) -> None:
        meanwhile.append(scheduled.run())
        meanwhile.append(scheduled.last()[""]["outcome"])
        update(*given)

    monkeypatch.setattr(schedule, "update_schedule", update_and_run)
    wb.table().evolve(rename={"color": "paint"})
    assert meanwhile == ["SUCCEEDED", "busy"]
    assert scheduled.run() == "SUCCEEDED"
    assert scheduled.last()["transactions"]["outcome"] == "ok"
    found = wb.query("SELECT paint FROM transactions ORDER BY id").df
    assert found["paint"].tolist() == ["red", "blue", "green"]
    schedule.remove_schedule(session, settings)
