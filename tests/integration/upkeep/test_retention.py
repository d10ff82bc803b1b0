"""The what-if tells exactly what the local AWS then does; bookmarks name snapshots and break as foretold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen

import pandas as pd
import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField

from dynaberg import catalog
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.past import bookmarks, remove_bookmark, set_bookmark
from dynaberg.past.snapshots import resolve_snapshot
from dynaberg.upkeep import maintain, maintenance, preview_maintenance
from dynaberg.upkeep.what_if import preview_retention
from local_aws import Status

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    return make_pipeline("retaining", is_delivered=False)


@pytest.fixture
def table(pipeline: Any) -> Iterator[Table]:
    opened = catalog.open_catalog(pipeline.session, pipeline.settings)
    made = opened.create_table(
        (pipeline.settings.namespace, "kept"), Schema(NestedField(1, "id", LongType()))
    )
    for number in range(4):
        made.append(pa.table({"id": [number]}))
    yield made
    opened.purge_table(made.name())


def run_jobs(local_aws: Status, table: Table, hours_ahead: float) -> dict[str, Any]:
    named = {"namespace": table.name()[0], "name": table.name()[1], "hoursAhead": hours_ahead}
    url = f"{local_aws.endpoint}/_local_aws/maintenance"
    with urlopen(Request(url, data=json.dumps(named).encode(), method="POST")) as answer:
        (done,) = json.loads(answer.read())
    return dict(done["outcomes"])


def test_what_is_unset_is_awss_default(pipeline: Any, table: Table) -> None:
    found = maintenance(pipeline.session, pipeline.settings, table)
    assert found["value"].tolist() == found["default"].tolist() == [512, "auto", 1, 120, 3, 10]
    assert found["enabled"].all()
    assert set(found["status"]) == {"Not_Yet_Run"}
    assert found["last_run_at"].isna().all()


def test_the_preview_is_what_then_happens(pipeline: Any, table: Table, local_aws: Status) -> None:
    session, settings = pipeline.session, pipeline.settings
    ids = [snapshot.snapshot_id for snapshot in table.snapshots()]
    set_bookmark(table, "early", resolve_snapshot(table, ids[1]))
    set_bookmark(table, "late", resolve_snapshot(table, ids[3]))
    at = datetime.now(UTC) + timedelta(hours=3)

    preview = preview_maintenance(session, settings, table, min_snapshots=2, max_age_hours=2, at=at)
    assert preview["snapshot_id"].tolist() == ids
    assert preview["expires"].tolist() == [True, True, False, False]
    assert preview["bookmarks"].tolist() == ["", "early", "", "late"]
    assert preview["as_of_until"].tolist()[:3] == preview["as_of_from"].tolist()[1:]
    assert pd.isna(preview["as_of_until"].iloc[3])
    # Every file is still in the current snapshot, so only manifests could go, and they too are shared.
    assert preview["bytes_freed"].sum() == 0
    assert not preview_maintenance(session, settings, table)["expires"].any()

    with pytest.raises(SettingsError) as caught:
        maintain(session, settings, table, min_snapshots=2, max_age_hours=2)
    assert "Nothing was changed" in caught.value.message
    assert caught.value.hint.startswith('confirm="kept"')
    maintain(session, settings, table, min_snapshots=2, max_age_hours=2, confirm="kept")
    run_jobs(local_aws, table, 3)
    table.refresh()
    assert {s.snapshot_id for s in table.snapshots()} & set(ids) == set(ids[2:])
    found = bookmarks(table)
    assert dict(zip(found["bookmark"], found["exists"], strict=True)) == {"early": False, "late": True}
    with pytest.raises(NotFoundError, match="expired"):
        resolve_snapshot(table, "early")
    for moment in preview["as_of_from"][:2]:
        with pytest.raises(NotFoundError, match="expired"):
            resolve_snapshot(table, moment.to_pydatetime())
    assert resolve_snapshot(table, "late").snapshot_id == ids[3]


def test_bytes_are_freed_by_the_last_snapshot_that_holds_a_file(pipeline: Any, table: Table) -> None:
    session, settings = pipeline.session, pipeline.settings
    small = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
    found = maintain(session, settings, table, target_mb=64)
    assert found.query("job == 'compaction'")["status"].tolist() == ["Successful"] * 2
    assert found.query("setting == 'target_mb'")["value"].item() == 64
    table.refresh()
    assert len(list(table.scan().plan_files())) == 1
    later = datetime.now(UTC) + timedelta(hours=2)
    preview = preview_retention(table, min_snapshots=1, max_age_hours=1, at=later)
    assert preview["expires"].tolist() == [True] * 4 + [False]
    freed = preview["bytes_freed"].tolist()
    assert freed[:3] == [0, 0, 0]
    assert freed[3] > small


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"target_mb": 63}, "64 to 512"),
        ({"strategy": "zorder"}, "z-order"),
        ({"max_age_hours": 0}, "1 to"),
        ({"max_age_days": 5}, "max_age_hours"),
    ],
)
def test_a_setting_that_cannot_be(pipeline: Any, table: Table, wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        maintain(pipeline.session, pipeline.settings, table, **wanted)
    assert words in caught.value.hint


def test_bookmarks_move_are_listed_and_forgotten(table: Table) -> None:
    first, last = (table.snapshots()[place] for place in (0, -1))
    set_bookmark(table, "here", first)
    set_bookmark(table, "here", last)
    found = bookmarks(table)
    assert found[["bookmark", "table", "snapshot_id", "exists"]].to_numpy().tolist() == [
        ["here", "kept", last.snapshot_id, True]
    ]
    remove_bookmark(table, "here")
    assert bookmarks(table).empty
    with pytest.raises(NotFoundError, match="There is no bookmark 'here'"):
        resolve_snapshot(table, "here")
    with pytest.raises(SettingsError):
        set_bookmark(table, "not a name", last)
