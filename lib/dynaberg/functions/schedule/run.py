"""A scheduled run: the refresh of each table, and then the curated builds, one job after another.

The state machine calls it again and again with what it returned the last time, until the run has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import lock, records
from .refreshing import Outcome
from .steps import Steps, StillRunningError

Job = Callable[[Steps], Outcome]
_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Rules:
    """How a run goes.

    Attributes:
        place: Arguments of StartQueryExecution that name the workgroup, the catalog and the namespace.
        bucket: The error bucket, where the lock and the records of runs are.
        attempts: How often a job is tried in a run.
        lock_seconds: How long a run that is never heard of again keeps others from starting.
        seconds: How long one invocation waits for statements.
    """

    place: dict[str, Any]
    bucket: str
    attempts: int = 3
    lock_seconds: float = 600
    seconds: float = 20


def take_turn(
    jobs: Mapping[str, Job],
    rules: Rules,
    clients: Mapping[str, Any],
    event: Mapping[str, Any],
    waits_for: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Do what can be done now.

    Args:
        jobs: What is to be done, in order.
        rules: How a run goes.
        clients: `athena` and `s3`.
        event: `run` and `started` of the execution, and `state` as it was returned the last time.
        waits_for: By job, the jobs without which it is not done.

    Returns:
        The state: its `status` is `wait` (a statement runs), `again` (something failed, and is tried again
        after a while), `done`, `failed`, or `busy` (another run works).
    """
    run, started = str(event["run"]), str(event["started"])
    state = dict(event["state"]) if "left" in event["state"] else _begin(jobs)
    s3 = clients["s3"]
    if not lock.take(s3, rules.bucket, records.LOCK, run, rules.lock_seconds):
        row = {"run": run, "started": started, "at": time.time(), "table": "", "action": "none"}
        row |= {"rows": 0, "scanned": [], "seconds": 0.0, "attempts": 1, "outcome": "busy"}
        records.write(s3, rules.bucket, started, run, [*state["rows"].values(), row])
        return {"status": "busy"}
    until = time.monotonic() + rules.seconds
    while state["left"]:
        name = state["left"][0]
        own = f"{run}/{name}/{state['attempt']}"
        steps = Steps(clients["athena"], rules.place, own, state["steps"], until - time.monotonic())
        try:
            action, rows, outcome = _do(jobs, name, steps, _failed(waits_for, name, state))
        except StillRunningError:
            return state | {"status": "wait"}
        _end_job(state, run, started, steps, (action, rows, outcome))
        records.write(s3, rules.bucket, started, run, list(state["rows"].values()))
        if state["left"] and time.monotonic() > until:
            return state | {"status": "wait"}
    if state["failed"] and state["attempt"] < rules.attempts:
        again = {"left": state["failed"], "failed": [], "attempt": state["attempt"] + 1}
        return state | again | {"status": "again", "began": time.time()}
    lock.release(s3, rules.bucket, records.LOCK, run)
    outcomes = {name: row["outcome"] for name, row in state["rows"].items() if row["outcome"] != "ok"}
    return {"status": "failed" if state["failed"] else "done", "outcomes": outcomes}


def _begin(jobs: Mapping[str, Job]) -> dict[str, Any]:
    return {"left": list(jobs), "failed": [], "attempt": 1, "steps": {}, "rows": {}, "began": time.time()}


def _failed(waits_for: Mapping[str, Sequence[str]], name: str, state: Mapping[str, Any]) -> list[str]:
    return [other for other in waits_for.get(name, ()) if other in state["failed"]]


def _do(jobs: Mapping[str, Job], name: str, steps: Steps, failed: Sequence[str]) -> tuple[str, int, str]:
    """Do a job: what it did, how many rows it wrote, and how it ended."""
    if failed:
        return "none", 0, f"failed: it reads {', '.join(failed)}, and waits"
    try:
        done = jobs[name](steps)
    except StillRunningError:
        raise
    except Exception as error:  # noqa: BLE001
        # Whatever happens to one table, the others go on; it is recorded, tried again and announced.
        said = str(error) or type(error).__name__
        return "none", 0, f"failed: {said[:_MOST_CHARACTERS]}"
    return done.action, done.rows, "ok"


def _end_job(
    state: dict[str, Any], run: str, started: str, steps: Steps, ended: tuple[str, int, str]
) -> None:
    """Note how a job ended, and go on to the next one."""
    name = state["left"].pop(0)
    action, rows, outcome = ended
    before = state["rows"].get(name, {"scanned": []})
    state["rows"][name] = {
        "run": run,
        "started": started,
        "at": time.time(),
        "table": name,
        "action": action,
        "rows": rows,
        "scanned": before["scanned"] + steps.statements,
        "seconds": round(time.time() - state["began"], 3),
        "attempts": state["attempt"],
        "outcome": outcome,
    }
    state["steps"], state["began"] = {}, time.time()
    if outcome != "ok":
        state["failed"].append(name)
