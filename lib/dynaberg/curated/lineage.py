"""Where every number comes from: the boxes from the source table to the charts, and how fresh each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dynaberg import aws, catalog
from dynaberg.curated.plan import Plan, last_outcome, make_plan
from dynaberg.curated.state import TableState, load_states
from dynaberg.layers import MERGED_SNAPSHOT

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_COLUMNS = ("box", "kind", "depth", "inputs", "rows", "changed_at", "age_seconds", "outcome", "status")
# Source, change log and current table; the curated tables follow, by their depth.
_CURRENT_DEPTH = 2
_CHART_WORDS = {"fresh": "", "behind": "of older rows", "missing": "its table is missing"}
Box = tuple[str, str, int, list[str], int | None, datetime | None, str, str]


def lineage(
    session: boto3.Session, settings: Settings, iceberg: Catalog, contracts: Sequence[Contract]
) -> pd.DataFrame:
    """The boxes of the lineage, from the source tables to the charts.

    Args:
        session: Open boto3 session.
        settings: The project's folder and the namespace.
        iceberg: The catalog.
        contracts: The table contracts.

    Returns:
        One row per box: box, kind (`source`, `change log`, `current table`, `table`, `curated`, `chart`),
        depth, inputs, rows, changed_at (UTC, when its rows were last changed), age_seconds, outcome (of the
        last build or refresh), status (`fresh`, `behind`, `failed`, `missing`). A source's rows are
        DynamoDB's own count, which AWS renews about every six hours.

    Raises:
        BuildError: A curated file cannot be read.
        NotFoundError: A curated file reads a table that does not exist.
    """
    import pandas as pd

    plan = make_plan(iceberg, settings)
    names = [name for contract in contracts for name in (contract.log_name, contract.table)]
    more = [name for name in names if name in plan.existing and name not in plan.states]
    states = {**plan.states, **load_states(iceberg, settings, more)}
    pipelines = (_pipeline(session, iceberg, settings, contract, states) for contract in contracts)
    # Tables of one source share its box.
    boxes = [*{box[0]: box for pipeline in pipelines for box in pipeline}.values()]
    boxes += _inputs(plan, {box[0] for box in boxes}, states)
    curated = [*_curated(plan, states)]
    deepest = max((box[2] for box in (*boxes, *curated)), default=0)
    boxes += [*curated, *_charts(plan, curated, deepest + 1)]
    now = datetime.now(UTC)
    rows = [(*box[:6], (now - box[5]).total_seconds() if box[5] else None, *box[6:]) for box in boxes]
    frame = pd.DataFrame(rows, columns=[*_COLUMNS])
    types = {"rows": "Int64", "changed_at": "datetime64[us, UTC]", "age_seconds": "float64"}
    return frame.astype(types)


def _pipeline(
    session: boto3.Session,
    iceberg: Catalog,
    settings: Settings,
    contract: Contract,
    states: Mapping[str, TableState],
) -> Iterator[Box]:
    """The source, the change log and the current table of a contract; what none claims has only a log."""
    yield _source(session, contract.source_table)
    log, current = states.get(contract.log_name), states.get(contract.table)
    yield _box(contract.log_name, "change log", 1, [contract.source_table], log, "delivered", "fresh")
    if contract.is_rest:
        return
    merged = ""
    if current is not None:
        merged = catalog.load_table(iceberg, settings, contract.table).properties.get(MERGED_SNAPSHOT, "")
    behind = (
        log is not None and log.content is not None and merged not in (str(log.content), str(log.snapshot_id))
    )
    words = "changes are not merged" if behind else "merged" if merged else "not refreshed"
    status = "behind" if behind else "fresh"
    yield _box(contract.table, "current table", _CURRENT_DEPTH, [contract.log_name], current, words, status)


def _source(session: boto3.Session, name: str) -> Box:
    from botocore.exceptions import ClientError

    try:
        described = aws.client(session, "dynamodb").describe_table(TableName=name)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return name, "source", 0, [], None, None, "does not exist", "missing"
    return name, "source", 0, [], int(described["ItemCount"]), None, "", "fresh"


def _inputs(plan: Plan, known: set[str], states: Mapping[str, TableState]) -> Iterator[Box]:
    """Tables that curated tables read, and that are neither curated nor of a contract: reference tables."""
    files = {step.file.name for step in plan.steps}
    read = dict.fromkeys(name for step in plan.steps for name in step.file.inputs)
    for name in read:
        if name not in files and name not in known:
            yield _box(name, "table", _CURRENT_DEPTH, [], states.get(name), "", "fresh")
    for name in dict.fromkeys(name for step in plan.steps for name in step.file.elsewhere):
        yield name, "table", _CURRENT_DEPTH, [], None, None, "not known", "fresh"


def _curated(plan: Plan, states: Mapping[str, TableState]) -> Iterator[Box]:
    for step in plan.steps:
        outcome = last_outcome(step.file.name, states)
        status = "failed" if outcome.startswith("failed") else "behind" if step.why else "fresh"
        inputs = [*step.file.inputs, *step.file.elsewhere]
        depth = _CURRENT_DEPTH + step.depth
        yield _box(step.file.name, "curated", depth, inputs, states.get(step.file.name), outcome, status)


def _charts(plan: Plan, curated: Sequence[Box], depth: int) -> Iterator[Box]:
    """The charts; none is fresher than its table, and that of a failed one shows what was there before."""
    statuses = {name: "missing" if rows is None else status for name, _, _, _, rows, *_, status in curated}
    for step in plan.steps:
        found = statuses[step.file.name]
        status = "behind" if found == "failed" else found
        for chart in step.file.charts:
            yield chart, "chart", depth, [step.file.name], None, None, _CHART_WORDS[status], status


def _box(
    name: str, kind: str, depth: int, inputs: list[str], state: TableState | None, outcome: str, status: str
) -> Box:
    if state is None:
        failed = status == "failed"
        words = outcome if failed else "does not exist"
        return name, kind, depth, inputs, None, None, words, "failed" if failed else "missing"
    return name, kind, depth, inputs, state.rows, state.changed_at, outcome, status
