"""Curated builds on a schedule: what a notebook would build, and nothing that fails its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from tests.integration.conftest import Pipeline
from tests.integration.layers.test_refresh_reach import LAST, append, changes
from tests.integration.schedule.conftest import Scheduled, item

from dynaberg import catalog, curated, layers, schedule
from dynaberg.contracts import Contract
from dynaberg.sql import query

pytestmark = pytest.mark.thorough

BY_STATUS = """-- check: rows > 0
-- check: accepted(status, 'open', 'closed')
SELECT status, count(*) AS items FROM transactions GROUP BY status"""
BY_TEN = """-- build: incremental, key(ten), watermark(ten), lookback(1)
SELECT at / 10 AS ten, count(*) AS items FROM transactions GROUP BY 1"""
TOTAL = "SELECT sum(items) AS items FROM by_status"


@pytest.fixture(scope="module")
def scheduled(make_scheduled: Callable[[str], Scheduled]) -> Iterator[Scheduled]:
    found = make_scheduled("builds")
    yield found
    schedule.remove_schedule(found.pipeline.session, found.pipeline.settings)


def rows(scheduled: Scheduled, name: str) -> list[tuple[object, ...]]:
    sql = f"SELECT * FROM {name}"
    found = query(scheduled.pipeline.session, scheduled.pipeline.settings, sql).df
    return sorted(found.itertuples(index=False, name=None))


def actions(scheduled: Scheduled) -> dict[str, str]:
    return {name: row["action"] for name, row in scheduled.last().items()}


def names(scheduled: Scheduled) -> list[str]:
    pipeline = scheduled.pipeline
    return catalog.table_names(catalog.open_catalog(pipeline.session, pipeline.settings), pipeline.settings)


def with_changes(pipeline: Pipeline, name: str) -> Contract:
    """Another table, with changes in its log."""
    contract = replace(pipeline.contract, table=name, source_table=f"builds-{name}")
    layers.create_tables(pipeline.session, pipeline.settings, contract)
    append(pipeline.load(contract.log_name), changes(LAST, range(5)))
    return contract


def test_builds_follow_the_refresh_in_order(scheduled: Scheduled) -> None:
    session, settings = scheduled.pipeline.session, scheduled.pipeline.settings
    scheduled.write_sql(by_status=BY_STATUS, by_ten=BY_TEN, total=TOTAL)
    scheduled.deliver(*(item(n) for n in range(25)))
    others = [with_changes(scheduled.pipeline, name) for name in ("visits", "letters")]
    scheduled.deploy(*others)
    assert scheduled.run() == "SUCCEEDED"
    assert actions(scheduled) == {
        "transactions": "full",
        "visits": "full",
        "letters": "full",
        "by_status": "created",
        "by_ten": "created",
        "total": "created",
    }
    assert rows(scheduled, "by_ten") == [(0, 10), (1, 10), (2, 5)]
    # The notebook knows what the schedule built, and finds nothing to do.
    assert set(curated.build_all(session, settings)["action"]) == {"unchanged"}
    # A run of nothing new sends no statement, however many tables there are: it costs no scan.
    before = scheduled.statements()
    assert scheduled.run() == "SUCCEEDED"
    assert list(actions(scheduled).values()) == ["none"] * 3 + ["unchanged"] * 3
    assert sum(row["bytes_scanned"] + row["cost_usd"] for row in scheduled.last().values()) == 0
    assert scheduled.statements() == before

    scheduled.deliver(item(3, "closed"), item(31))
    assert scheduled.run() == "SUCCEEDED"
    assert actions(scheduled) == {
        "transactions": "incremental",
        "visits": "none",
        "letters": "none",
        "by_status": "replaced",
        "by_ten": "merged",
        "total": "replaced",
    }
    assert rows(scheduled, "by_status") == [("closed", 1), ("open", 25)]
    assert rows(scheduled, "by_ten") == [(0, 10), (1, 10), (2, 5), (3, 1)]
    assert rows(scheduled, "total") == [(26,)]
    assert set(curated.build_all(session, settings)["action"]) == {"unchanged"}


def test_a_failed_check_keeps_the_old_content_and_is_announced(scheduled: Scheduled) -> None:
    session, settings = scheduled.pipeline.session, scheduled.pipeline.settings
    before = rows(scheduled, "by_status")
    scheduled.deliver(item(40, "odd"))
    assert scheduled.run() == "FAILED"
    last = scheduled.last()
    assert last["by_status"]["outcome"].startswith("failed: by_status was not built, because checks failed")
    assert last["by_status"]["attempts"] == 2
    assert last["total"]["outcome"] == "failed: it reads by_status, and waits"
    assert [last[name]["outcome"] for name in ("transactions", "by_ten")] == ["ok", "ok"]
    assert rows(scheduled, "by_status") == before
    outcome = curated.preview_build(catalog.open_catalog(session, settings), settings).set_index("table")
    assert "checks failed" in outcome.loc["by_status", "outcome"]

    scheduled.deliver(item(40, "closed"))
    assert scheduled.run() == "SUCCEEDED"
    assert rows(scheduled, "total") == [(27,)]
    assert [name for name in names(scheduled) if "__staging_" in name] == []


def test_the_schedule_does_not_bring_back_old_sql(scheduled: Scheduled) -> None:
    session, settings = scheduled.pipeline.session, scheduled.pipeline.settings
    scheduled.write_sql(total="SELECT sum(items) + 1000 AS items FROM by_status")
    curated.build_all(session, settings)
    built = rows(scheduled, "total")
    assert scheduled.run() == "FAILED"
    assert "was built from other SQL since the schedule was deployed" in scheduled.last()["total"]["outcome"]
    assert rows(scheduled, "total") == built
    schedule.update_schedule(session, settings, [scheduled.pipeline.contract])
    assert scheduled.run() == "SUCCEEDED"
    assert rows(scheduled, "total") == built
