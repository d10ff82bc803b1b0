"""The plan that is shipped with the schedule's function: what each statement is made from, in JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.curated import builds_in_order
from dynaberg.layers import merge_of

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings


def make_plan(session: boto3.Session, settings: Settings, contracts: Sequence[Contract]) -> str:
    """What a run does: the refresh of each table that is deployed, then the curated builds in order.

    If the project's raw rows are kept as plain Parquet, too, the change logs are copied after that.

    Args:
        session: Open boto3 session.
        settings: The project.
        contracts: Its table contracts.

    Raises:
        BuildError: The header of a SQL file cannot be read, or files read each other in a circle.
        NotFoundError: A SQL file reads a table that does not exist.
    """
    existing = catalog.table_names(catalog.open_catalog(session, settings), settings)
    merges = [
        merge_of(contract, [column.name for column in contract.columns]).to_json()
        for contract in contracts
        if not contract.is_rest and {contract.table, contract.log_name} <= {*existing}
    ]
    builds = [build.to_json() for build in builds_in_order(session, settings)]
    copies = [each.log_name for each in contracts if settings.raw_parquet and each.log_name in existing]
    return json.dumps({"merges": merges, "builds": builds, "copies": copies}, sort_keys=True)
