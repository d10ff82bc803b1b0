"""The walk, from nothing to answers and back to nothing: one code for a real account and the local AWS.

On AWS it costs cents; `conftest.py` says how to start it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from tests.aws.workbenches import (
    BYTES_A_QUERY,
    CHANGES,
    HOURS,
    MakeWorkbench,
    limit_queries,
    refuse_above,
    workbenches,
)

from dynaberg import prices
from dynaberg.upkeep import cost

pytestmark = pytest.mark.thorough


@pytest.fixture(
    params=[
        pytest.param("local_aws", marks=pytest.mark.integration, id="local"),
        pytest.param("real_aws", marks=pytest.mark.aws, id="aws"),
    ]
)
def make_workbench(request: pytest.FixtureRequest, ceiling_usd: Decimal) -> Iterator[MakeWorkbench]:
    """Makes workbenches under names of their own; whatever they created is gone afterwards."""
    with workbenches(request.getfixturevalue(request.param), ceiling_usd) as make:
        yield make


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
