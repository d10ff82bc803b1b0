"""What is forgotten is in no file of the local AWS, once the moments have passed that the report names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import free_port
from tests.integration.conftest import Pipeline
from tests.integration.delivery.test_masks import texts
from tests.integration.erasure.test_forget import deliver, maintain, parked_queue, remove

import local_aws
from dynaberg import aws, layers
from dynaberg.contracts import Column, Contract
from dynaberg.delivery import wait_for_failures
from dynaberg.erasure import ForgetReport, forget, forgotten
from dynaberg.functions.dead_letters import DeadLetter
from dynaberg.sql import query
from local_aws import Status
from local_aws.server import saved_state

pytestmark = pytest.mark.thorough

PERSON, NAME = "person-zq", "Zebulon Quagmire"
CONTRACT = Contract(
    "transactions",
    "leaving-source",
    "id",
    None,
    (Column("id", "string"), Column("who", "string"), Column("amount", "decimal(12,2)")),
)
ROW = {"change_id": "parked", "id": PERSON, "operation": "MODIFY", "changed_at": 1, "who": NAME}
A_DAY_LATER = "import time\nnow = time.time\ntime.time = lambda: now() + 90_000\n"


def started(folder: Path, port: int) -> Status:
    return local_aws.start(folder, port=port, checkpoint_seconds=0.3)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Status]:
    """A local AWS of its own, whose clock can be moved."""
    status = started(tmp_path / "local", free_port())
    for name, value in local_aws.env(status.endpoint, status.region).items():
        monkeypatch.setenv(name, value)
    yield status
    local_aws.stop(status.state_dir)


def item(name: str, amount: dict[str, Any]) -> dict[str, Any]:
    return {"id": {"S": name}, "who": {"S": NAME if name == PERSON else "x"}, "amount": amount}


def live(pipeline: Pipeline) -> None:
    """A person comes, changes, fails, waits in a queue, is queried, and goes."""
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    items = [item(name, {"N": "1"}) for name in (PERSON, "a", "b")]
    deliver(pipeline, lambda: pipeline.write(*items, item(PERSON, {"N": "2"})), 4)
    pipeline.write(item(PERSON, {"S": "much"}))
    wait_for_failures(session, settings, contract, 1, timeout=90)
    letter = DeadLetter((json.dumps(ROW).encode(),), "Refused", "refused", 9)
    session.client("sqs").send_message(QueueUrl=parked_queue(pipeline), MessageBody=letter.to_body())
    query(session, settings, "SELECT * FROM transactions")
    deliver(pipeline, lambda: remove(pipeline, {"id": {"S": PERSON}}), 1)


def holding(server: Status) -> set[str]:
    """Every file of the state folder that has the person's key or name, however it is written."""
    found = set()
    for path in server.state_dir.rglob("*"):
        if path.is_file() and path.suffix != ".zip":
            for text in texts(path.read_bytes()):
                if PERSON.encode() in text or NAME.encode() in text:
                    found.add(path.relative_to(server.state_dir).as_posix())
    return found


def wait_until_kept_aside(server: Status, since: datetime) -> None:
    """Wait until both places hold a state of after a moment; something must have changed since."""

    def both() -> bool:
        moments = [saved_state.saved_at(server.state_dir / name) for name in saved_state.KEPT]
        return all(moment is not None and moment > since for moment in moments)

    aws.wait_for(both, timeout=300, what="Two checkpoints")


def wait_for_the_journal(server: Status) -> None:
    def empty() -> bool:
        return not any(path.stat().st_size for path in (server.state_dir / "firehose").rglob("*.segment"))

    aws.wait_for(empty, timeout=300, what="The journal's end")


def run_jobs(pipeline: Pipeline, report: ForgetReport) -> None:
    for moments in (report.snapshots["expires_at"], report.snapshots["gone_at"]):
        maintain(pipeline, (moments.max() - datetime.now(UTC)).total_seconds() / 86_400)


def test_nothing_is_left_after_the_moments_of_the_report(
    server: Status, make_pipeline: Callable[..., Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline("leaving", CONTRACT)
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    live(pipeline)
    before = {path.partition("/")[0] for path in holding(server)}
    assert before >= {"state", "s3", "clean", "checkpoint"}, "the search finds what is there"

    report = forget(session, settings, contract, {"id": PERSON}, confirm=PERSON)
    until = report.df.set_index("place")["until"].to_dict()
    assert until["the local AWS's own files"] > report.gone_at
    assert layers.refresh(session, settings, contract)["action"].iloc[0] in ("none", "incremental")
    wait_for_the_journal(server)
    run_jobs(pipeline, report)
    since = datetime.now(UTC)
    pipeline.write(item("a", {"N": "3"}))
    wait_until_kept_aside(server, since)
    # The change stream holds changes for a day, and the report says so; it is saved with the DynamoDB tables.
    assert until["change stream"] > datetime.now(UTC)
    stream = {f"{folder}state/dynamodb.json" for folder in ("", "clean/", "checkpoint/")}
    assert holding(server) == stream

    local_aws.stop(server.state_dir)
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "sitecustomize.py").write_text(A_DAY_LATER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "clock"))
    wait_until_kept_aside(server, started(server.state_dir, server.port).started_at)
    assert holding(server) == set()
    assert report.check().is_gone
    assert forgotten(session, settings, contract)["what"].tolist() == ["item"]
