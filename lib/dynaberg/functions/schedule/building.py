"""One curated build without a notebook: into a staging table, checked there, and put in place at once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ..statements.builds import (
    BUILT,
    FAILED,
    MASKED,
    STAGING,
    Build,
    Built,
    CannotBuildError,
    bound_literal,
    bound_sql,
    bound_type,
    broken_checks,
    check_columns,
    checks_sql,
    content_after,
    create_sql,
    put_sql,
    reason,
    region_sql,
    replace_sql,
)
from .lake import Lake, Metadata, content_id, current_snapshot
from .refreshing import Outcome, OutdatedError, again
from .steps import StatementError, Steps

# Athena stops a statement after 30 minutes, so nobody is at work on an older staging table.
_ABANDONED_MS = 3_600_000


def build(steps: Steps, lake: Lake, build: Build, planned_at: str) -> Outcome:
    """Build a curated table, if its SQL or an input changed.

    Args:
        steps: The steps so far.
        lake: The tables.
        build: The table.
        planned_at: Since when its SQL is known here, in ISO 8601.

    Raises:
        OutdatedError: A notebook has built it from other SQL since.
        CannotBuildError: A check failed; the table stays as it was.
        GoneError: An input does not exist.
        StillRunningError: A statement has not ended yet.
        StatementError: Athena refused a statement.
    """
    plan = steps.once("plan", lambda: _plan(lake, build, planned_at))
    if not plan["why"]:
        return Outcome("unchanged")
    try:
        action = _put_in_place(steps, lake, build, plan)
    except (CannotBuildError, StatementError) as error:
        _note_failure(steps, lake, build, str(error))
        raise
    return Outcome(action, steps.once("built", lambda: _note(lake, build, plan, action)))


def _plan(lake: Lake, build: Build, planned_at: str) -> dict[str, Any]:
    """Why a table is built, what it is built from, and what it looks like; old staging tables are removed."""
    table = lake.find(build.name)
    contents = {name: content_id(lake.load(name)) for name in build.inputs}
    properties = (table or {}).get("properties", {})
    given, masked = properties.get(BUILT), properties.get(MASKED, "")
    built = Built(**json.loads(given)) if given else None
    if built and built.digest != build.digest and built.at > planned_at:
        msg = f"{build.name} was built from other SQL since the schedule was deployed."
        raise OutdatedError(f"{msg} Hint: deploy it again: wb.schedule.start(…).")
    why, whole = reason(build, built, contents, exists=table is not None, masked=masked)
    if why:
        _remove_old_staging(lake, build)
    return {
        "why": why,
        "whole": whole,
        "contents": {name: content for name, content in contents.items() if content is not None},
        "built": given,
        "masked": masked,
        "types": _types(table) if table else None,
    }


def _put_in_place(steps: Steps, lake: Lake, build: Build, plan: dict[str, Any]) -> str:
    types, bound = plan["types"], None
    if types and not plan["whole"] and build.watermark:
        cast = bound_type(build, types)
        text = steps.row("bound", bound_sql(build))[0]
        bound = bound_literal(text, cast) if text is not None else None
    if not build.checks:
        return _fill(steps, build.name, build.select, types)
    staging = f"{build.name}{STAGING}{steps.suffix}"
    steps.statement("stage", create_sql(staging, region_sql(build, bound) if bound else build.select))
    source = content_after(lake.namespace, build, staging, bound) if bound else f'"{staging}"'
    words = broken_checks(build, [int(n or 0) for n in steps.row("checks", checks_sql(build, source))])
    if words:
        msg = f"{build.name} was not built, because checks failed: {words}. The table stays as it was."
        raise CannotBuildError(msg)
    if bound:
        steps.statement("put", put_sql(build, [*types], staging, bound))
        action = "merged"
    else:
        action = _fill(steps, build.name, f'SELECT * FROM "{staging}"', types)  # noqa: S608
    steps.once("dropped", lambda: lake.drop(staging))
    return action


def _fill(steps: Steps, name: str, select: str, types: Mapping[str, str] | None) -> str:
    """Create a table, or replace the whole content of the one that has columns of these types."""
    if not types:
        steps.statement("create", create_sql(name, select))
        return "created"
    check_columns(name, steps.columns("probe", f"SELECT * FROM (\n{select}\n) LIMIT 0"), [*types])  # noqa: S608
    steps.statement("replace", replace_sql(name, select, [*types]))
    return "replaced"


def _note(lake: Lake, build: Build, plan: dict[str, Any], action: str) -> int:
    """Note at the table how it was built; returns how many rows were written."""
    table = lake.load(build.name)
    snapshot = current_snapshot(table) or {}
    rows = int(snapshot.get("summary", {}).get("added-records") or 0)
    properties = table.get("properties", {})
    # If another build ended meanwhile, nobody knows whose rows are in place: they are built again.
    known = plan["contents"] if properties.get(BUILT) == plan["built"] else {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    built = {BUILT: Built(build.digest, known, action, now, rows, plan.get("masked", "")).to_json()}
    again(lambda: lake.set_properties(build.name, built, [FAILED] if FAILED in properties else []))
    return rows


def _note_failure(steps: Steps, lake: Lake, build: Build, why: str) -> None:
    """Note that a build failed: with the table, and with what it left in staging."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    failed = {FAILED: json.dumps({"why": why.splitlines()[0], "at": now})}
    for name in (build.name, f"{build.name}{STAGING}{steps.suffix}"):
        if lake.find(name):
            again(partial(lake.set_properties, name, failed))


def _remove_old_staging(lake: Lake, build: Build) -> None:
    """Remove what failed or abandoned builds left."""
    for name in lake.names():
        table = lake.find(name) if name.startswith(build.name + STAGING) else None
        if table is not None:
            age = time.time() * 1_000 - table.get("last-updated-ms", 0)
            if FAILED in table.get("properties", {}) or age > _ABANDONED_MS:
                lake.drop(name)


def _types(table: Metadata) -> dict[str, str]:
    """The types of the columns of a table, in order."""
    schema = next(s for s in table["schemas"] if s["schema-id"] == table["current-schema-id"])
    return {field["name"]: str(field["type"]) for field in schema["fields"]}
