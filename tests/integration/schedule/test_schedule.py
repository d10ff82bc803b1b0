"""The schedule: its stack, its runs on Athena, what they record, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.integration.conftest import Pipeline

from dynaberg import aws, deploy, layers, schedule
from dynaberg.contracts import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.proof import reconcile

FAST = {"attempts": 2, "retry_seconds": 1, "wait": 1, "turn": 20, "lock": 30}


@dataclass
class Scheduled:
    """A pipeline that a schedule refreshes."""

    pipeline: Pipeline

    @property
    def machine(self) -> str:
        found = deploy.outputs(self.pipeline.session, self.pipeline.settings, "schedule")
        return found["StateMachineArn"]

    def begin(self) -> str:
        """Begin a run, as EventBridge Scheduler does."""
        states = aws.client(self.pipeline.session, "stepfunctions")
        return str(states.start_execution(stateMachineArn=self.machine, input="{}")["executionArn"])

    def end(self, execution: str) -> str:
        """Wait for the end of a run; its status."""
        states = aws.client(self.pipeline.session, "stepfunctions")

        def ended() -> str | None:
            status = str(states.describe_execution(executionArn=execution)["status"])
            return None if status == "RUNNING" else status

        return aws.wait_for(ended, timeout=120, what="The end of the run")

    def run(self) -> str:
        return self.end(self.begin())

    def deliver(self, *items: dict[str, Any]) -> None:
        self.pipeline.write(*items)
        wait_for_delivery(
            self.pipeline.session, self.pipeline.settings, self.pipeline.contract, progress=False
        )

    def runs(self) -> Any:
        return schedule.read_runs(self.pipeline.session, self.pipeline.settings)


COLUMNS = (Column("id", "string"), Column("at", "long"), Column("status", "string"))
CONTRACT = Contract("transactions", "scheduled-source", "id", "at", COLUMNS)


@pytest.fixture(scope="module")
def scheduled(make_pipeline: Callable[..., Pipeline]) -> Iterator[Scheduled]:
    pipeline = make_pipeline("scheduled", CONTRACT)
    schedule.deploy_schedule(pipeline.session, pipeline.settings, [CONTRACT], "15 minutes", **FAST)
    yield Scheduled(pipeline)
    schedule.remove_schedule(pipeline.session, pipeline.settings)


def item(number: int, status: str = "open") -> dict[str, Any]:
    return {"id": {"S": f"i{number}"}, "at": {"N": str(number)}, "status": {"S": status}}


def test_a_run_merges_what_a_notebook_would(scheduled: Scheduled) -> None:
    pipeline = scheduled.pipeline
    scheduled.deliver(*(item(n) for n in range(20)))
    assert scheduled.run() == "SUCCEEDED"
    done = scheduled.runs().iloc[0]
    assert (done["table"], done["action"], done["rows"], done["outcome"]) == (
        "transactions",
        "full",
        20,
        "ok",
    )
    assert done["bytes_scanned"] > 0
    scheduled.deliver(item(3, "closed"), item(50))
    assert scheduled.run() == "SUCCEEDED"
    assert scheduled.runs().iloc[0][["action", "rows"]].tolist() == ["incremental", 2]
    assert reconcile(pipeline.session, pipeline.settings, pipeline.contract).matches
    assert layers.refresh(pipeline.session, pipeline.settings, CONTRACT)["action"].iloc[0] == "none"
