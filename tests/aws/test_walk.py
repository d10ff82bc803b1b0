"""The walk, from nothing to answers and back to nothing: one code for a real account and the local AWS.

On AWS it costs cents; `conftest.py` says how to start it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

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


@pytest.fixture(
    params=[
        pytest.param("local_aws", marks=pytest.mark.integration, id="local"),
        pytest.param("real_aws", marks=pytest.mark.aws, id="aws"),
    ]
)
def make_workbench(request: pytest.FixtureRequest, ceiling_usd: Decimal) -> Iterator[MakeWorkbench]:
    """Makes workbenches under names of their own; whatever they created is gone afterwards."""
    place = request.getfixturevalue(request.param)
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


@pytest.mark.parametrize("stream_type", ["dynamodb", "kinesis"])
def test_walk(make_workbench: MakeWorkbench, stream_type: str) -> None:
    wb = make_workbench(stream_type)
    wb.enable_cdc()
    limit_queries(wb)
    wb.deploy_firehose(buffer_seconds=0)
    traffic = wb.generate_traffic(CHANGES)
    wb.table().wait_for_delivery()
    refreshed = wb.table().refresh()

    answer = wb.query("SELECT count(*) AS n FROM transactions")
    assert int(answer.df["n"].iloc[0]) == traffic.live_items
    assert 0 <= answer.bytes_scanned < BYTES_A_QUERY
    assert wb.table().reconcile().matches
    snapshot = int(refreshed["snapshot_id"].iloc[0])
    assert len(wb.table().read_as_of(snapshot, columns=["transaction_id"])) == traffic.live_items
    assert not wb.table().profile_columns().empty
    assert wb.table().failures().empty

    spent = prices.total_usd(wb.cost_so_far()["usd"])
    assert 0 < spent < prices.total_usd(cost.estimate_walk(stream_type, changes=CHANGES, hours=HOURS)["usd"])
    assert not wb.clean_up(confirm=wb.name).empty
    assert wb.list_resources().empty


@pytest.mark.parametrize("stream_type", ["dynamodb", "kinesis"])
def test_a_ceiling_below_the_estimate_creates_nothing(stream_type: str) -> None:
    refuse_above(Decimal(1), stream_type)
    with pytest.raises(pytest.fail.Exception, match=r"about \$0\.\d\d, and the ceiling is \$0\.01"):
        refuse_above(Decimal("0.01"), stream_type)


def limit_queries(workbench: dynaberg.Workbench) -> None:
    """Let Athena stop any query of the walk that would read more than the walk has written."""
    aws.client(workbench.session, "athena").update_work_group(
        WorkGroup=workbench.name,
        ConfigurationUpdates={"BytesScannedCutoffPerQuery": BYTES_A_QUERY},
    )
