"""What a run does with a table whose contract or SQL is newer than the schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from dynaberg.functions.schedule import building
from dynaberg.functions.schedule.building import _note, _plan, build
from dynaberg.functions.schedule.refreshing import OutdatedError, refresh
from dynaberg.functions.schedule.steps import Steps
from dynaberg.functions.statements.builds import BUILT, MASKED, Build, Built
from dynaberg.functions.statements.merges import MERGED_COLUMNS, MERGED_SNAPSHOT, Merge

MERGE = Merge("orders", "orders_changes", ("id",), ("id", "status", "unmapped"), {})
BUILD = Build("by_status", "SELECT 1 AS n", "digest of today", ("orders",))
SCHEMA = {"schemas": [{"schema-id": 0, "fields": [{"name": "id", "type": "int"}]}], "current-schema-id": 0}
LOG = SCHEMA | {"current-snapshot-id": 1, "snapshots": [{"snapshot-id": 1, "sequence-number": 1}]}


class Tables:
    """A catalog of tables that are given."""

    def __init__(self, **tables: Mapping[str, Any]) -> None:
        self._tables = tables
        self.properties: dict[str, str] = {}

    def load(self, name: str) -> Mapping[str, Any]:
        return self._tables[name]

    find = load

    def set_properties(self, name: str, properties: Mapping[str, str], removed: Any = ()) -> None:
        self.properties |= properties


def steps() -> Steps:
    # Without a client, a statement fails.
    return Steps(None, {}, "job", {}, 0)


def merged(*columns: str) -> Mapping[str, Any]:
    return SCHEMA | {"properties": {MERGED_SNAPSHOT: "1", MERGED_COLUMNS: json.dumps(columns)}}


def test_a_table_with_columns_that_the_schedule_does_not_know_is_left_alone() -> None:
    tables: Any = Tables(orders=merged(*MERGE.columns, "added"), orders_changes=LOG)
    with pytest.raises(OutdatedError, match="does not know: added"):
        refresh(steps(), tables, MERGE)
    assert tables.properties == {}


def test_a_table_that_has_all_changes_is_left_alone() -> None:
    tables: Any = Tables(orders=merged(*MERGE.columns), orders_changes=LOG)
    assert refresh(steps(), tables, MERGE).action == "none"
    assert tables.properties == {}


def by_status(digest: str, at: str) -> Any:
    built = Built(digest, {"orders": 1}, "created", at).to_json()
    return Tables(orders=LOG, by_status=SCHEMA | {"properties": {BUILT: built}})


def test_a_build_from_other_sql_counts_if_it_is_newer_than_the_schedule() -> None:
    with pytest.raises(OutdatedError, match="other SQL since"):
        build(steps(), by_status("another digest", "2026-02-01"), BUILD, "2026-01-31")


def test_a_build_that_is_up_to_date_sends_no_statement() -> None:
    assert build(steps(), by_status(BUILD.digest, "2026-02-01"), BUILD, "2026-01-31").action == "unchanged"


def test_a_build_that_another_one_overtook_is_done_again() -> None:
    tables: Any = by_status(BUILD.digest, "2026-01-30")
    plan = {"contents": {"orders": 1}, "built": tables.load("by_status")["properties"][BUILT]}
    _note(tables, BUILD, plan, "replaced")
    assert json.loads(tables.properties[BUILT])["inputs"] == {"orders": 1}
    _note(tables, BUILD, plan | {"built": "another one"}, "replaced")
    assert json.loads(tables.properties[BUILT])["inputs"] == {}


def test_a_build_that_has_not_seen_the_last_mask_is_done_again_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "_remove_old_staging", lambda *_: None)
    merges = replace(BUILD, key=("n",), watermark="n")
    tables: Any = by_status(BUILD.digest, "2026-02-01")
    properties = tables.load("by_status")["properties"]
    assert _plan(tables, merges, "2026-01-31")["why"] == ""
    properties[MASKED] = "first"
    plan = _plan(tables, merges, "2026-01-31")
    assert (plan["why"], plan["whole"]) == ("values that it reads were masked", True)
    _note(tables, merges, plan, "replaced")
    properties[BUILT] = tables.properties[BUILT]
    assert _plan(tables, merges, "2026-01-31")["why"] == ""

    # Masked while it is built: what it puts in place may be from before.
    properties[MASKED] = "second"
    _note(tables, merges, plan, "merged")
    properties[BUILT] = tables.properties[BUILT]
    assert _plan(tables, merges, "2026-01-31")["whole"]
