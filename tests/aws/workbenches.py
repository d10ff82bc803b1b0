"""Workbenches under names of their own, with a ceiling on what they may cost, and removed afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg import aws, prices
from dynaberg.contracts.contract import load_contract
from dynaberg.errors import DynabergError
from dynaberg.settings import Settings
from dynaberg.upkeep import cost

ROOT = Path(__file__).resolve().parents[2]
CHANGES = 300
# Longer than the walk takes on AWS, clean-up and all.
HOURS = 1
# The least that Athena takes as a workgroup's limit; the walk's tables are far smaller.
BYTES_A_QUERY = 10_000_000
MakeWorkbench = Callable[[str], dynaberg.Workbench]


@contextmanager
def workbenches(place: Any, ceiling_usd: Decimal) -> Iterator[MakeWorkbench]:
    """Makes workbenches; whatever they created is gone afterwards.

    Args:
        place: A boto3 session on a real account, or else the local AWS, which the environment points to.
        ceiling_usd: What each may cost at most.
    """
    session = place if isinstance(place, boto3.Session) else boto3.Session()
    made: list[dynaberg.Workbench] = []

    def make(stream_type: str) -> dynaberg.Workbench:
        refuse_above(ceiling_usd, stream_type)
        name = f"walk-{secrets.token_hex(3)}"
        names = {"name": name, "table_bucket_name": f"{name}-tables", "bucket_name": name}
        settings = Settings(target="aws", namespace="walk", stream_type=stream_type, root=ROOT, **names)
        contract = load_contract(ROOT / "data" / "tables" / "transactions.yaml")
        contract = replace(contract, source_table=f"{name}-transactions")
        made.append(dynaberg.Workbench(settings, session, contract))
        return made[-1]

    yield make
    for workbench in made:
        remove(workbench)


def refuse_above(ceiling_usd: Decimal, stream_type: str) -> None:
    """Create nothing where the estimate is above the ceiling."""
    estimate = prices.total_usd(cost.estimate_walk(stream_type, changes=CHANGES, hours=HOURS)["usd"])
    if estimate > ceiling_usd:
        pytest.fail(f"The walk would cost about ${estimate:.2f}, and the ceiling is ${ceiling_usd}.")


def remove(workbench: dynaberg.Workbench, attempts: int = 3) -> None:
    """Clean up, again where AWS was not ready for it, and fail where something is left."""
    for attempt in range(1, attempts + 1):
        try:
            workbench.clean_up(confirm=workbench.name)
        except DynabergError:
            if attempt == attempts:
                raise
    assert workbench.list_resources().empty


def limit_queries(workbench: dynaberg.Workbench) -> None:
    """Let Athena stop any query of the walk that would read more than the walk has written."""
    aws.client(workbench.session, "athena").update_work_group(
        WorkGroup=workbench.name,
        ConfigurationUpdates={"BytesScannedCutoffPerQuery": BYTES_A_QUERY},
    )
