"""Snapshots, reads as of a moment, exact differences that read few files, and the history of an item."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO

from dynaberg import past
from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.past import diff
from dynaberg.past.differences import compare, to_long_form
from dynaberg.past.landings import find_landings
from dynaberg.past.snapshots import snapshot_at

NAIVE = datetime(2026, 1, 31)  # noqa: DTZ001


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that pyiceberg opens."""
    locations: list[str] = []
    original = PyArrowFileIO.new_input
    monkeypatch.setattr(
        PyArrowFileIO,
        "new_input",
        lambda self, location: (locations.append(location), original(self, location))[1],
    )
    return locations


def lines(frame: Any) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def test_snapshots_tell_what_each_commit_did(story: Any) -> None:
    table = story.pipeline.load("transactions")
    shown = past.snapshots(table)
    assert str(shown["committed_at"].dtype) == "datetime64[ms, UTC]"
    assert shown["committed_at"].is_monotonic_increasing
    assert shown["snapshot_id"].tolist() == [s.snapshot_id for s in table.snapshots()]
    assert shown["parent_id"].tolist()[1:] == shown["snapshot_id"].tolist()[:-1]
    assert shown["added_records"].sum() == 43
    assert shown["deleted_records"].sum() == 4
    by_id = shown.set_index("snapshot_id")["total_records"]
    assert (by_id[story.first], by_id[story.second]) == (40, 39)


def test_snapshots_tell_who_made_them(story: Any) -> None:
    session = story.pipeline.session
    current = past.snapshots(story.pipeline.load("transactions"))["written_by"]
    assert current.str.fullmatch("Trino query [0-9a-f-]{36}").all()
    athena = session.client("athena")
    statements = {
        athena.get_query_execution(QueryExecutionId=words.split()[-1])["QueryExecution"]["SubstatementType"]
        for words in current
    }
    assert statements == {"MERGE"}
    log = past.snapshots(story.pipeline.load("transactions_changes"))["written_by"]
    assert log.str.startswith("Firehose stream ").all()


def test_read_as_of_a_moment_is_the_last_snapshot_before_it(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    assert snapshot_at(table, story.between).snapshot_id == story.first
    assert snapshot_at(table, datetime.now(UTC)).snapshot_id == story.second
    for when in (story.between, story.first, story.between.astimezone()):
        rows = past.read_as_of(pipeline.session, pipeline.settings, table, when, columns=["id", "amount"])
        expected = {f"item-{number:02d}": Decimal(f"{number}.10") for number in range(40)}
        assert dict(lines(rows)) == expected
    everything = past.read_as_of(pipeline.session, pipeline.settings, table, story.second)
    assert list(everything.columns) == [field.name for field in table.schema().fields]
    assert len(everything) == 39


@pytest.mark.parametrize(
    ("when", "error", "words"),
    [
        (NAIVE, SettingsError, "no time zone"),
        ("yesterday", NotFoundError, "no bookmark 'yesterday'"),
        (datetime(2020, 1, 1, tzinfo=UTC), NotFoundError, "The first is"),
        (17, NotFoundError, "with the id 17"),
    ],
)
def test_moments_that_are_none(story: Any, when: Any, error: type[Exception], words: str) -> None:
    pipeline = story.pipeline
    with pytest.raises(error, match=words) as caught:
        past.read_as_of(pipeline.session, pipeline.settings, pipeline.load("transactions"), when)
    assert "Hint: " in str(caught.value)


def test_a_column_that_does_not_exist_names_the_nearest(story: Any) -> None:
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    with pytest.raises(NotFoundError, match="'amount'"):
        past.read_as_of(pipeline.session, pipeline.settings, table, story.first, columns=["amuont"])


def test_changes_between_are_exact(story: Any) -> None:
    table, contract = story.pipeline.load("transactions"), story.pipeline.contract
    found = past.changes_between(table, story.first, story.second)
    ordinary = found[~found["column"].isin(["changed_at", "sequence_number"])]
    assert lines(ordinary[ordinary["change"] == "changed"]) == [
        ("item-01", 1, "changed", "status", "open", "closed"),
        ("item-01", 1, "changed", "amount", Decimal("1.10"), Decimal("100.00")),
        (
            "item-02",
            2,
            "changed",
            "prices",
            {"b": Decimal("0.10"), "a": Decimal("2.00")},
            {"a": Decimal("3.00")},
        ),
        ("item-02", 2, "changed", "place", {"city": "Bern", "zip": 3000}, None),
        ("item-02", 2, "changed", "unmapped", None, '{"extra":{"N":"12.3"}}'),
    ]
    keys = {change: set(rows["id"]) for change, rows in found.groupby("change")}
    assert keys == {
        "added": {"item-50"},
        "removed": {"item-03", "item-04"},
        "changed": {"item-01", "item-02"},
    }
    naive = [table.scan(snapshot_id=snapshot).to_arrow() for snapshot in (story.first, story.second)]
    assert lines(found) == lines(
        to_long_form(compare(*naive, contract.key), contract.key, naive[0].column_names)
    )
    back = past.changes_between(table, story.second, story.first)
    assert len(back) == len(found)
    assert set(back[back["change"] == "added"]["id"]) == {"item-03", "item-04"}
    assert past.changes_between(table, story.first, story.between).empty


def test_unchanged_files_are_not_read(story: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = story.pipeline.load("transactions_changes")
    snapshots = [snapshot.snapshot_id for snapshot in log.snapshots()]
    read: list[str] = []
    original = diff._read
    monkeypatch.setattr(
        diff,
        "_read",
        lambda table, tasks: (read.extend(task.file.file_path for task in tasks), original(table, tasks))[1],
    )
    found = past.changes_between(log, snapshots[0], snapshots[-1], key=["change_id"])
    in_first = {task.file.file_path for task in log.scan(snapshot_id=snapshots[0]).plan_files()}
    in_last = {task.file.file_path for task in log.scan(snapshot_id=snapshots[-1]).plan_files()}
    assert set(read) == in_last - in_first
    assert set(found["change"]) == {"added"}


def test_a_table_without_a_key_says_so(story: Any) -> None:
    pipeline = story.pipeline
    catalog = pipeline.load("transactions").catalog
    table = catalog.create_table((pipeline.settings.namespace, "keyless"), pipeline.contract.log_schema())
    table.append(pipeline.load("transactions_changes").scan().to_arrow())
    snapshot = table.current_snapshot().snapshot_id
    with pytest.raises(SettingsError, match="'keyless'"):
        past.changes_between(table, snapshot, snapshot)
    assert past.changes_between(table, snapshot, snapshot, key=["id"]).empty
    with pytest.raises(NotFoundError, match="'idd'"):
        past.changes_between(table, snapshot, snapshot, key=["idd"])


def test_the_history_of_an_item(story: Any) -> None:
    pipeline = story.pipeline
    session, settings, contract = pipeline.session, pipeline.settings, pipeline.contract
    history = past.item_history(session, settings, contract, {"id": "item-02", "at": 2})
    assert list(history.columns) == [
        "changed_at", "operation", "attribute", "before", "after", "received_at", "sequence_number",
        "snapshot_id", "committed_at",
    ]  # fmt: skip
    born = history[history["operation"] == "INSERT"].set_index("attribute")["after"].to_dict()
    card = born.pop("card")
    assert len(card) == 67, "masked by its keyed hash"
    assert born == {
        "status": "open",
        "amount": Decimal("2.10"),
        "day": date(2026, 1, 31),
        "seen": datetime(2026, 1, 31, 10, 0, 0, 1, UTC),
        "active": True,
        "ratio": 0.1,
        "raw": b"\x00\xff",
        "tags": born["tags"],
        "prices": {"b": Decimal("0.10"), "a": Decimal("2.00")},
        "place": {"city": "Bern", "zip": 3000},
        "anything": '{"M":{"l":{"L":[{"NULL":true}]},"n":{"N":"1.5"}}}',
    }
    assert sorted(born["tags"]) == ["x", "y"]
    modified = history[history["operation"] == "MODIFY"]
    changed = {row.attribute: (row.before, row.after) for row in modified.itertuples()}
    assert changed == {
        "prices": ({"b": Decimal("0.10"), "a": Decimal("2.00")}, {"a": Decimal("3.00")}),
        "place": ({"city": "Bern", "zip": 3000}, None),
        "extra": (None, Decimal("12.30")),
    }
    removed = past.item_history(session, settings, contract, {"id": "item-03", "at": 3})
    gone = removed[removed["operation"] == "REMOVE"].set_index("attribute")
    assert gone["before"]["amount"] == Decimal("3.10")
    assert gone["after"].isna().all()
    assert (
        timedelta(0) <= removed["received_at"].iloc[0] - removed["changed_at"].iloc[0] < timedelta(minutes=5)
    )


def test_each_version_names_the_snapshot_in_which_it_landed(story: Any, opened: list[str]) -> None:
    pipeline = story.pipeline
    log = pipeline.load("transactions_changes")
    landed = {}
    for snapshot in log.snapshots():
        rows = log.scan(snapshot_id=snapshot.snapshot_id, selected_fields=("change_id",)).to_arrow()
        for name in rows.column("change_id").to_pylist():
            landed.setdefault(name, snapshot.snapshot_id)
    stored = log.scan(row_filter="id == 'item-02'").to_arrow().to_pylist()
    expected = {row["sequence_number"]: landed[row["change_id"]] for row in stored}
    opened.clear()
    arguments = pipeline.session, pipeline.settings, pipeline.contract
    history = past.item_history(*arguments, {"id": "item-02", "at": 2})
    assert opened
    assert not [path for path in opened if path.endswith(".parquet")], "from metadata alone"
    assert dict(zip(history["sequence_number"], history["snapshot_id"], strict=True)) == expected
    assert history["snapshot_id"].nunique() == 2
    assert (history["committed_at"] >= history["received_at"]).all()


def test_landings_read_only_manifests_that_can_hold_the_rows(story: Any, opened: list[str]) -> None:
    log = story.pipeline.load("transactions_changes")
    files = {task.file.file_path for task in log.scan().plan_files()}
    opened.clear()
    assert set(find_landings(log, {path: [datetime.now(UTC)] for path in files})) == files
    read = len(opened)
    opened.clear()
    assert find_landings(log, {path: [datetime(2020, 1, 1, tzinfo=UTC)] for path in files}) == {}
    assert read > len(opened) == 1, "the list of manifests, and none of them"


def test_sizes_are_complete_whoever_wrote_the_snapshot(story: Any) -> None:
    for name in ("transactions", "transactions_changes"):
        table = story.pipeline.load(name)
        shown = past.snapshots(table)
        assert shown[["added_bytes", "total_bytes"]].notna().all(axis=None)
        for line in shown.itertuples():
            files = table.inspect.files(line.snapshot_id)
            assert line.total_bytes == sum(files.column("file_size_in_bytes").to_pylist())
        assert (shown["added_bytes"] > 0).all()
        if name == "transactions_changes":
            assert shown["added_bytes"].cumsum().tolist() == shown["total_bytes"].tolist()


def test_a_snapshot_that_has_expired(story: Any) -> None:
    pipeline = story.pipeline
    catalog = pipeline.load("transactions").catalog
    table = catalog.create_table((pipeline.settings.namespace, "expiring"), pipeline.contract.log_schema())
    session, settings = pipeline.session, pipeline.settings
    with pytest.raises(NotFoundError, match="no snapshot yet"):
        past.read_as_of(session, settings, table, datetime.now(UTC))
    rows = pipeline.load("transactions_changes").scan().to_arrow()
    table.append(rows)
    table.append(rows)
    first, last = (snapshot.snapshot_id for snapshot in table.snapshots())
    before = past.snapshots(table)["committed_at"].iloc[0]
    table.maintenance.expire_snapshots().by_id(first).commit()
    table = catalog.load_table((pipeline.settings.namespace, "expiring"))
    with pytest.raises(NotFoundError, match=f"id {first}; 1 of its snapshots expired") as caught:
        past.read_as_of(session, settings, table, first)
    assert f"The first is {last}" in str(caught.value)
    with pytest.raises(NotFoundError, match="1 of its snapshots expired"):
        past.read_as_of(session, settings, table, before)


def test_a_key_that_is_none(story: Any) -> None:
    pipeline = story.pipeline
    arguments = pipeline.session, pipeline.settings, pipeline.contract
    with pytest.raises(NotFoundError, match="id='nobody'"):
        past.item_history(*arguments, {"id": "nobody", "at": 1})
    with pytest.raises(SettingsError, match="the table's key has id, at"):
        past.item_history(*arguments, {"id": "item-01"})
    with pytest.raises(SettingsError, match="'at' is 'one', a str; the column is a long"):
        past.item_history(*arguments, {"id": "item-01", "at": "one"})
    with pytest.raises(SettingsError, match="'id' is 1, a int; the column is a string"):
        past.item_history(*arguments, {"id": 1, "at": 1})


def test_a_moment_to_itself_is_no_change_and_the_way_back_is_its_mirror(story: Any) -> None:
    table = story.pipeline.load("transactions")
    assert past.changes_between(table, story.first, story.first).empty
    assert past.changes_between(table, story.between, story.first).empty
    there = past.changes_between(table, story.first, story.second)
    back = past.changes_between(table, story.second, story.first)
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    turned = back.assign(change=back["change"].map(mirror), before=back["after"], after=back["before"])
    assert sorted(map(str, lines(turned))) == sorted(map(str, lines(there)))
