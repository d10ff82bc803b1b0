"""Curated builds on a schedule: what a notebook would build, and nothing that fails its checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.integration.schedule.conftest import Scheduled, item

from dynaberg import catalog, curated, schedule
from dynaberg.sql import query

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


def test_builds_follow_the_refresh_in_order(scheduled: Scheduled) -> None:
    session, settings = scheduled.pipeline.session, scheduled.pipeline.settings
    scheduled.write_sql(by_status=BY_STATUS, by_ten=BY_TEN, total=TOTAL)
    scheduled.deliver(*(item(n) for n in range(25)))
    scheduled.deploy()
    assert scheduled.run() == "SUCCEEDED"
    assert actions(scheduled) == {
        "transactions": "full",
        "by_status": "created",
        "by_ten": "created",
        "total": "created",
    }
    assert rows(scheduled, "by_ten") == [(0, 10), (1, 10), (2, 5)]
    # The notebook knows what the schedule built, and finds nothing to do.
    assert set(curated.build_all(session, settings)["action"]) == {"unchanged"}
    assert scheduled.run() == "SUCCEEDED"
    assert set(actions(scheduled).values()) == {"none", "unchanged"}
    assert sum(row["bytes_scanned"] for row in scheduled.last().values()) == 0

    scheduled.deliver(item(3, "closed"), item(31))
    assert scheduled.run() == "SUCCEEDED"
    assert actions(scheduled) == {
        "transactions": "incremental",
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
