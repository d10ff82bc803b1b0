"""The schedule's function: one turn of a run, called by a state machine until the run has ended.

Environment: `TABLE_BUCKET_ARN`, `NAMESPACE`, `CATALOG`, `WORK_GROUP`, `ERROR_BUCKET_NAME`, `PLANNED_AT`,
`ATTEMPTS`, `LOCK_SECONDS`, `TURN_SECONDS`; `PARQUET_BUCKET_NAME`, if change logs are copied as plain Parquet.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

from ..error_bucket import log
from ..schedule import Lake, Rules, build, copy_log, refresh, take_turn
from ..statements.builds import Build
from ..statements.merges import Merge
from .resources import client

PLAN_FILE = Path(__file__).resolve().parents[2] / "plan.json"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do what can be done now, and return the state with which to be called again.

    Args:
        event: `run`, the name of the execution; `started`, when it was started; `state`.
        context: Not used.
    """
    plan = json.loads(PLAN_FILE.read_text(encoding="utf-8"))
    lake = Lake(os.environ["TABLE_BUCKET_ARN"], os.environ["NAMESPACE"])
    merges = [Merge.from_json(each) for each in plan["merges"]]
    builds = [Build.from_json(each) for each in plan["builds"]]
    jobs = {merge.table: partial(refresh, lake=lake, merge=merge) for merge in merges}
    jobs |= {
        each.name: partial(build, lake=lake, build=each, planned_at=os.environ["PLANNED_AT"])
        for each in builds
    }
    clients = {"athena": client("athena"), "s3": client("s3")}
    bucket = os.environ.get("PARQUET_BUCKET_NAME", "")
    jobs |= {
        name: partial(copy_log, lake=lake, s3=clients["s3"], log=name, bucket=bucket)
        for name in plan["copies"]
        if bucket
    }
    waits_for = {each.name: each.inputs for each in builds}
    state = take_turn(jobs, _rules(), clients, event, waits_for)
    log("ERROR" if state["status"] == "failed" else "INFO", "a turn of the schedule", **_facts(event, state))
    return state


def _rules() -> Rules:
    context = {"Catalog": os.environ["CATALOG"], "Database": os.environ["NAMESPACE"]}
    place = {"WorkGroup": os.environ["WORK_GROUP"], "QueryExecutionContext": context}
    return Rules(
        place,
        os.environ["ERROR_BUCKET_NAME"],
        attempts=int(os.environ["ATTEMPTS"]),
        lock_seconds=float(os.environ["LOCK_SECONDS"]),
        seconds=float(os.environ["TURN_SECONDS"]),
    )


def _facts(event: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    return {"run": event["run"], "status": state["status"], "outcomes": state.get("outcomes", {})}
