"""A pipeline of its own for each module, and the runs of its schedule."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
from tests.integration.conftest import Pipeline

from dynaberg import aws, deploy, schedule
from dynaberg.contracts import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery

COLUMNS = (Column("id", "string"), Column("at", "long"), Column("status", "string"))


@dataclass
class Scheduled:
    """A pipeline that a schedule refreshes."""

    pipeline: Pipeline

    @property
    def bucket(self) -> str:
        found = deploy.outputs(self.pipeline.session, self.pipeline.settings, "foundation")
        return found["ErrorBucketName"]

    def deploy(self, *others: Contract, **pace: int) -> pd.DataFrame:
        """Deploy the schedule for the table and others, with waits that suit a test."""
        session, settings, contract = self.pipeline.session, self.pipeline.settings, self.pipeline.contract
        pace = {"attempts": 2, "retry_seconds": 1, "wait": 1, "turn": 20, "lock": 60} | pace
        return schedule.deploy_schedule(session, settings, [contract, *others], "15 minutes", **pace)

    def begin(self) -> str:
        """Begin a run, as EventBridge Scheduler does."""
        session = self.pipeline.session
        machine = deploy.outputs(session, self.pipeline.settings, "schedule")["StateMachineArn"]
        states = aws.client(session, "stepfunctions")
        return str(states.start_execution(stateMachineArn=machine, input="{}")["executionArn"])

    def end(self, execution: str) -> str:
        """Wait for the end of a run; its status."""
        states = aws.client(self.pipeline.session, "stepfunctions")

        def ended() -> str | None:
            status = str(states.describe_execution(executionArn=execution)["status"])
            return None if status == "RUNNING" else status

        return aws.wait_for(ended, timeout=120, what="The end of the run")

    def run(self) -> str:
        """Begin a run, and wait for its end."""
        return self.end(self.begin())

    def kill(self, execution: str) -> None:
        """End a run wherever it is; one that has ended already stays as it is."""
        states = aws.client(self.pipeline.session, "stepfunctions")
        with suppress(states.exceptions.ClientError):
            states.stop_execution(executionArn=execution)

    def deliver(self, *items: dict[str, Any]) -> None:
        """Write items, and wait until they are in the change log."""
        self.pipeline.write(*items)
        session, settings, contract = self.pipeline.session, self.pipeline.settings, self.pipeline.contract
        wait_for_delivery(session, settings, contract, progress=False)

    def runs(self) -> pd.DataFrame:
        """What the runs did, the latest first."""
        return schedule.read_runs(self.pipeline.session, self.pipeline.settings)

    def last(self) -> dict[str, dict[str, Any]]:
        """What the latest run did, by table."""
        runs = self.runs()
        rows = runs[runs["run"] == runs["run"].iloc[0]].to_dict("records")
        return {str(row["table"]): row for row in rows}

    def statements(self) -> int:
        """How many statements Athena has had from this workgroup."""
        athena = aws.client(self.pipeline.session, "athena")
        pages = athena.get_paginator("list_query_executions").paginate(WorkGroup=self.pipeline.settings.name)
        return sum(len(page["QueryExecutionIds"]) for page in pages)

    def write_sql(self, **files: str) -> None:
        """Write curated SQL files."""
        for name, text in files.items():
            path = self.pipeline.settings.root / "data" / "sql" / "curated" / f"{name}.sql"
            path.write_text(text, encoding="utf-8")


def item(number: int, status: str = "open") -> dict[str, Any]:
    return {"id": {"S": f"i{number}"}, "at": {"N": str(number)}, "status": {"S": status}}


@pytest.fixture(scope="module")
def make_scheduled(make_pipeline: Callable[..., Pipeline]) -> Callable[[str], Scheduled]:
    """Deploys a pipeline with a small table, and prepares its schedule."""

    def make(name: str) -> Scheduled:
        contract = Contract("transactions", f"{name}-source", "id", "at", COLUMNS)
        return Scheduled(make_pipeline(name, contract))

    return make
