"""A contract that changes while a schedule is deployed: runs know its new columns, old changes included."""

from __future__ import annotations

from collections.abc import Callable

from tests.integration.schedule.conftest import Scheduled, item

import dynaberg
from dynaberg import deploy, schedule
from dynaberg.contracts import load_contract

CONTRACT = """table: transactions
source_table: altered-source
key: {partition: id, sort: at}
columns:
  - {name: id, type: string}
  - {name: at, type: long}
  - {name: status, type: string}
"""


def test_a_run_fills_a_column_that_was_added_since(make_scheduled: Callable[[str], Scheduled]) -> None:
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
    schedule.remove_schedule(session, settings)
