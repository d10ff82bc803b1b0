"""The bill of a deployment so far: what was deployed when, what it has delivered, at list prices."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from dynaberg import aws, catalog, deploy
from dynaberg.contracts import project_contracts
from dynaberg.upkeep import cost

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings


def cost_so_far(session: boto3.Session, settings: Settings) -> pd.DataFrame:
    """Estimate what the deployment has cost since its foundation was created; locally, what AWS would bill.

    It counts the hours, the changes in the change log, the commits to the tables and the queries of the
    workgroup. AWS's own bill comes a day later and is the one that counts.

    Args:
        session: An open session.
        settings: The name, the stream type, and the change log.

    Returns:
        One row for each line of the bill, as `cost.estimate_cost` has them, with `usd` for the time so far;
        empty if nothing is deployed.
    """
    if not deploy.exists(session, settings, "foundation"):
        return pd.DataFrame(columns=cost.COLUMNS)
    name = deploy.stack_name(settings, "foundation")
    (stack,) = aws.client(session, "cloudformation").describe_stacks(StackName=name)["Stacks"]
    standing = datetime.now(UTC) - stack["CreationTime"].astimezone(UTC)
    changes, commits = _changes_and_commits(session, settings)
    workload = cost.Workload(
        changes=Decimal(changes),
        hours=Decimal(int(standing.total_seconds())) / 3600,
        live_items=changes,
        buffer_seconds=_buffer_seconds(session, settings),
        commits=commits,
        queries=_queries(session, settings),
        writes=True,
        raw_parquet=bool(deploy.parquet_outputs(session, settings)),
    )
    return cost.estimate(settings.stream_type, workload)


def _changes_and_commits(session: boto3.Session, settings: Settings) -> tuple[int, int]:
    """Rows of the project's change logs, and how often data were committed to any of its tables."""
    opened = catalog.open_catalog(session, settings)
    logs = {settings.log_name, *(contract.log_name for contract in project_contracts(settings))}
    rows = commits = 0
    for name in catalog.table_names(opened, settings):
        snapshot = catalog.load_table(opened, settings, name).current_snapshot()
        commits += (snapshot.sequence_number or 0) if snapshot else 0
        if name in logs and snapshot and snapshot.summary:
            rows += int(snapshot.summary["total-records"] or 0)
    return rows, commits


def _queries(session: boto3.Session, settings: Settings) -> int:
    """Queries of the workgroup; Athena keeps them for 45 days."""
    pager = aws.client(session, "athena").get_paginator("list_query_executions")
    return sum(len(page["QueryExecutionIds"]) for page in pager.paginate(WorkGroup=settings.name))


def _buffer_seconds(session: boto3.Session, settings: Settings) -> int:
    parameters = deploy.stack_parameters(session, deploy.stack_name(settings, "delivery"))
    return int(parameters.get("BufferSeconds", "60"))
