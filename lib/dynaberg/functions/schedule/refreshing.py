"""One table's refresh, without a notebook: planned from metadata, sent to Athena, noted at the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..statements.merges import MERGED_COLUMNS, MERGED_SEQUENCE_NUMBER, MERGED_SNAPSHOT, Merge, merge_sql
from ..statements.reach import Reach
from .lake import CommitConflictError, Lake, Metadata, current_snapshot, rows_since
from .steps import Steps
from .unmerged import find_unmerged

_TRIES = 5


class OutdatedError(Exception):
    """The contract has changed since the schedule was deployed."""


@dataclass(frozen=True)
class Outcome:
    """What a job did.

    Attributes:
        action: `none`, `incremental`, `full`, `unchanged`, `created`, `replaced`, `merged`
            or `copied`.
        rows: How many rows it wrote.
    """

    action: str
    rows: int = 0


def refresh(steps: Steps, lake: Lake, merge: Merge) -> Outcome:
    """Bring a current table up to date with its change log.

    Args:
        steps: The steps so far.
        lake: The tables.
        merge: The table.

    Raises:
        OutdatedError: The table has columns that the schedule does not know.
        StillRunningError: A statement has not ended yet.
        StatementError: Athena refused a statement.
    """
    plan = steps.once("plan", lambda: _plan(lake, merge))
    reaches = [_reach(times) for times in plan["reaches"]]
    for number, reach in enumerate(reaches):
        if len(reaches) > 1:
            # A step may show earlier states; if it is the last one for a while, all is merged again.
            steps.once(f"start {number}", lambda: _note(lake, merge.table, plan["before"]))
        sql = merge_sql(merge, reach, gained=plan["gained"], fresh=plan["fresh"])
        steps.statement(f"merge {number}", sql)
    if plan["note"]:
        steps.once("note", lambda: _note(lake, merge.table, plan["note"]))
    rows = steps.once("rows", lambda: rows_since(lake.load(merge.table), plan["from"])) if reaches else 0
    return Outcome(plan["action"], rows)


def _plan(lake: Lake, merge: Merge) -> dict[str, Any]:
    log, current = lake.load(merge.log), lake.load(merge.table)
    properties = current.get("properties", {})
    merged = properties.get(MERGED_SNAPSHOT)
    gained = [name for name in merge.filled if name not in _first_columns(log)]
    fresh = _never_merged(merge, properties, gained) if merged else []
    unmerged = find_unmerged(lake, log, None if fresh else merged, properties.get(MERGED_SEQUENCE_NUMBER))
    note = {
        MERGED_SNAPSHOT: str(unmerged.snapshot_id),
        MERGED_SEQUENCE_NUMBER: str(unmerged.sequence_number),
        MERGED_COLUMNS: json.dumps(merge.columns),
    }
    snapshot = current_snapshot(current)
    return {
        "action": unmerged.action,
        "reaches": [_times(reach) for reach in unmerged.reaches],
        "gained": gained,
        "fresh": fresh,
        "note": note if unmerged.snapshot_id is not None and str(unmerged.snapshot_id) != merged else None,
        "before": {name: properties[name] for name in note if name in properties},
        "from": int(snapshot.get("sequence-number", 0)) if snapshot else 0,
    }


def _first_columns(log: Metadata) -> set[str]:
    first = min(log["schemas"], key=lambda schema: int(schema["schema-id"]))
    return {field["name"] for field in first["fields"]}


def _never_merged(merge: Merge, properties: Metadata, gained: Sequence[str]) -> list[str]:
    """Columns that rows of the current table may lack: they were merged before the contract had them."""
    stored = properties.get(MERGED_COLUMNS)
    if stored is None:
        return [*gained, "unmapped"]
    unknown = [name for name in json.loads(stored) if name not in merge.columns]
    if unknown:
        msg = f"{merge.table} has columns that the schedule does not know: {', '.join(unknown)}."
        raise OutdatedError(f"{msg} Hint: deploy it again: wb.schedule.start(…).")
    return [name for name in merge.columns if name not in json.loads(stored)]


def _note(lake: Lake, table: str, properties: dict[str, str]) -> bool:
    if properties:
        again(lambda: lake.set_properties(table, properties))
    return True


def again(commit: Callable[[], None]) -> None:
    """Commit, again if another commit comes in between."""
    for attempt in range(_TRIES):
        try:
            commit()
        except CommitConflictError:
            if attempt == _TRIES - 1:
                raise
        else:
            return


def _times(reach: Reach) -> list[str | None]:
    return [
        moment.isoformat() if moment else None for moment in (reach.since, reach.changed_since, reach.until)
    ]


def _reach(times: Sequence[str | None]) -> Reach:
    return Reach(*(datetime.fromisoformat(moment) if moment else None for moment in times))
