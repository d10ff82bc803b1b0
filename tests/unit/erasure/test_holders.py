"""Rows are found in files whatever delete files say, and rewriting leaves none in the current snapshot."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from dynaberg.contracts import Column, Contract
from dynaberg.erasure.holders import find_all, find_rows
from dynaberg.erasure.wanted import wanted_by_key
from dynaberg.errors import NotReadyError
from dynaberg.functions.schedule.unmerged import find_unmerged
from dynaberg.layers.log_progress import unmerged_changes
from dynaberg.upkeep import rewriting
from dynaberg.upkeep.rewriting import rewrite
from local_aws.s3tables.replacement import Replacement, commit_replacement

CONTRACT = Contract("orders", "orders-source", "id", None, (Column("id", "string"), Column("note", "string")))
WANTED = wanted_by_key(CONTRACT, {"id": "k-1"})
LAST = "\U0010ffff" * 20


@pytest.fixture
def opened(tmp_path: Path) -> Catalog:
    found = SqlCatalog("test", uri="sqlite://", warehouse=f"file://{tmp_path}")
    found.create_namespace("ns")
    return found


def rows(*ids: str, note: str = "x") -> pa.Table:
    return pa.table({"id": list(ids), "note": [note] * len(ids)})


def make(opened: Catalog, *parts: pa.Table) -> Table:
    table = opened.create_table("ns.orders", parts[0].schema)
    for part in parts:
        table.append(part)
    return table


def ids(table: Table, **scan: Any) -> list[str]:
    return sorted(table.scan(**scan).to_arrow()["id"].to_pylist())


def forget(table: Table) -> rewriting.Rewritten:
    def without(part: pa.Table) -> pa.Table:
        gone = set(WANTED.rows_of(part))
        return part.filter([n not in gone for n in range(len(part))])

    return rewrite(table, lambda: find_rows(table, WANTED).in_current, without, {"said": "so"})


def test_only_files_with_the_rows_are_written_again(opened: Catalog) -> None:
    table = make(opened, rows("k-0", "k-1"), rows("k-2", "k-3"), rows("k-1"))
    before = {task.file.file_path for task in table.scan().plan_files()}
    held = find_rows(table, WANTED)
    assert (held.current_rows, len(held.in_current), len(held.snapshots)) == (2, 2, 3)
    done = forget(table)
    assert (done.rows_removed, done.files_before, done.files_after) == (2, 2, 1)
    assert ids(table) == ["k-0", "k-2", "k-3"]
    assert len(before & {task.file.file_path for task in table.scan().plan_files()}) == 1
    assert table.properties["said"] == "so"
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary["total-records"] == "3"
    held = find_rows(table, WANTED)
    assert not held.in_current
    assert len(held.snapshots) == 3, "older snapshots are as they were"
    assert b"k-1" not in bounds(table), "no manifest of the snapshot names it"
    assert forget(table).snapshot_id is None, "there is nothing left to do"


def bounds(table: Table) -> list[bytes]:
    """What the manifests of the current snapshot say, of removed files, too."""
    snapshot = table.current_snapshot()
    return [
        bound
        for manifest in (snapshot.manifests(table.io) if snapshot else ())
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False)
        for bound in (entry.data_file.upper_bounds or {}).values()
    ]


def test_what_a_compaction_removed_is_not_named_any_more(opened: Catalog) -> None:
    merging = {"commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "2"}
    table = opened.create_table("ns.orders", rows("k-0").schema, properties=merging)
    for part in (rows("k-0"), rows("k-1"), rows("k-2")):
        table.append(part)
    (path,) = find_rows(table, WANTED).in_current
    commit_replacement(table, Replacement({path}, (), (), 3))
    assert b"k-1" in bounds(table)
    assert forget(table).rows_removed == 0
    assert b"k-1" not in bounds(table)
    assert ids(table) == ["k-0", "k-2"]


def test_a_refresh_does_not_read_the_log_again_after_it(opened: Catalog) -> None:
    table = make(opened, rows("k-0", "k-1"), rows("k-1"))
    merged = str(table.metadata.current_snapshot_id)
    forget(table)
    assert unmerged_changes(table, merged, "2").action == "none"
    metadata = json.loads(table.metadata.model_dump_json())
    lake: Any = SimpleNamespace(manifests=lambda snapshot: [])
    assert find_unmerged(lake, metadata, merged, "2").action == "none", "and neither does a scheduled one"


def test_text_without_an_upper_bound_is_written(opened: Catalog) -> None:
    table = make(opened, rows("k-0", "k-1"))
    plain = rows("k-0", note=LAST)
    rewrite(table, lambda: find_rows(table, WANTED).in_current, lambda _: plain)
    assert table.scan().to_arrow()["note"].to_pylist() == [LAST]


def test_another_commit_meanwhile_stays(opened: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make(opened, rows("k-0", "k-1"))
    others = iter([rows("k-5", "k-1")])
    run = rewriting._Commit.run

    def late(self: Any, properties: Any) -> Any:
        for part in others:
            opened.load_table("ns.orders").append(part)
            break
        return run(self, properties)

    monkeypatch.setattr(rewriting._Commit, "run", late)
    monkeypatch.setattr(rewriting, "_PAUSE_SECONDS", 0)
    forget(table)
    assert ids(table) == ["k-0", "k-5"]


def test_it_gives_up_where_others_are_always_first(opened: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyiceberg.exceptions import CommitFailedException

    def refuse(*_: Any) -> None:
        raise CommitFailedException

    table = make(opened, rows("k-0", "k-1"))
    files = {path.name for path in Path(table.location().removeprefix("file://")).rglob("*.parquet")}
    monkeypatch.setattr(rewriting._Commit, "run", refuse)
    monkeypatch.setattr(rewriting, "_PAUSE_SECONDS", 0)
    with pytest.raises(NotReadyError, match="It is as it was"):
        forget(table)
    assert ids(table) == ["k-0", "k-1"]
    left = {path.name for path in Path(table.location().removeprefix("file://")).rglob("*.parquet")}
    assert left == files, "what was written for nothing is gone"


def test_all_of_a_table_counts_where_nobody_can_be_told_apart(opened: Catalog) -> None:
    table = make(opened, rows("k-0", "k-1"), rows("k-2"))
    assert find_all(table, None).current_rows == 3
    assert find_all(table, datetime(2020, 1, 1, tzinfo=UTC)).rows == {}
