"""The change log has the values of columns that its contract gained, for the changes before them, too."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from dynaberg.contracts import Column, Contract
from dynaberg.errors import NotReadyError
from dynaberg.functions.packing import pack
from dynaberg.functions.statements.merges import KEEPS_LATEST
from dynaberg.upkeep import filled_log, rewriting
from dynaberg.upkeep.masked_rows import write_rows

FIRST = (Column("id", "string"),)
GAINED = (
    Column("color", "string"),
    Column("price", "decimal(8,2)"),
    Column("words", "list<string>"),
    Column("place", "struct<city: string>"),
    Column("secret", "string", mask="hash"),
)
BEFORE = Contract("things", "Things", "id", None, FIRST)
AFTER = Contract("things", "Things", "id", None, (*FIRST, *GAINED))
DAY = datetime(2026, 1, 31, 12, tzinfo=UTC)
# Each attribute with the value that its column has then; the second price does not fit.
ATTRIBUTES: dict[str, list[tuple[dict[str, Any], Any]]] = {
    "color": [({"S": "red"}, "red"), ({"S": ""}, "")],
    "price": [({"N": "1.50"}, Decimal("1.50")), ({"N": "123456789.5"}, None)],
    "words": [({"L": [{"S": "a"}, {"S": "b"}]}, ["a", "b"]), ({"SS": ["c"]}, ["c"])],
    "place": [({"M": {"city": {"S": "Bern"}}}, {"city": "Bern"})],
    "secret": [({"S": "plain"}, None)],
    "other": [({"BOOL": True}, None)],
}
ITEMS = st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in ATTRIBUTES.items()})
Files = list[list[tuple[dict[str, tuple[Any, Any]], bool]]]


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Makes a change log of files, by the contract of before; the columns are there, and nothing in them."""
    catalog = load_catalog("unit", type="in-memory", warehouse=str(tmp_path))
    catalog.create_namespace("n")
    numbers = iter(range(10_000))

    def make(files: Files) -> Table:
        name = f"n.things_changes_{next(numbers)}"
        spec = BEFORE.log_partition_spec()
        table = catalog.create_table(name, BEFORE.log_schema(), partition_spec=spec)
        for day, items in enumerate(files):
            append(table, items, day)
        with table.update_schema() as update:
            update.union_by_name(AFTER.log_schema())
        return table

    return make


def append(table: Table, items: Any, day: int) -> None:
    at = DAY + timedelta(days=day)
    rows = [
        {
            "change_id": f"{day}-{n}",
            "operation": "INSERT",
            "changed_at": at,
            "received_at": at,
            "id": f"k{n}",
            "unmapped": unmapped({name: given for name, (given, _) in item.items()}, packed),
        }
        for n, (item, packed) in enumerate(items)
    ]
    found = pa.Table.from_pylist(rows, schema=table.schema().as_arrow())
    days = (at - datetime(1970, 1, 1, tzinfo=UTC)).days
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as snapshot:
        snapshot.append_data_file(write_rows(table, found, table.spec().spec_id, Record(days)))


def unmapped(attributes: dict[str, Any], packed: bool) -> str | None:
    text = json.dumps(attributes, separators=(",", ":"))
    return (pack(text) if packed else text) if attributes else None


def contents(table: Table) -> list[dict[str, Any]]:
    return sorted(table.scan().to_arrow().to_pylist(), key=lambda row: row["change_id"])


def expected(table: Table, files: Files) -> list[dict[str, Any]]:
    """The rows as they are, with what the attributes say in the gained columns."""
    values = {
        f"{day}-{n}": {name: value for name, (_, value) in item.items() if name != "other"}
        for day, items in enumerate(files)
        for n, (item, _) in enumerate(items)
    }
    return [row | values[row["change_id"]] for row in contents(table)]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.tuples(ITEMS, st.booleans()), min_size=1, max_size=4), min_size=1, max_size=4))
def test_every_row_has_what_unmapped_holds_and_all_else_stays(made: Any, files: Files) -> None:
    log = made(files)
    wanted, snapshot = expected(log, files), log.current_snapshot()
    lacking = sum(row != before for row, before in zip(wanted, contents(log), strict=True))
    assert filled_log.fill_rows(log, AFTER) == lacking
    assert contents(log) == wanted
    assert (log.current_snapshot() == snapshot) == (lacking == 0)
    assert all(each.summary and each.summary[KEEPS_LATEST] for each in log.snapshots()[len(files) :])
    assert filled_log.fill_rows(log, AFTER) == 0


RED: Any = ({"color": ({"S": "red"}, "red")}, False)
NOTHING: Any = ({"other": ({"BOOL": True}, None)}, False)


def colors(log: Table) -> dict[str, str | None]:
    return {row["change_id"]: row["color"] for row in contents(log)}


def test_files_without_a_value_stay(made: Any) -> None:
    log = made([[RED], [NOTHING], [({}, False)]])
    before = {task.file.file_path for task in log.scan().plan_files()}
    assert filled_log.fill_rows(log, AFTER) == 1
    assert len(before & {task.file.file_path for task in log.scan().plan_files()}) == 2


def test_interrupted_it_goes_on_with_the_rest(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log, turns = made([[RED]] * 5), iter([False, True])
    run = rewriting._Commit.run

    def interrupted(self: Any, properties: Any) -> Any:
        if next(turns, False):
            raise KeyboardInterrupt
        return run(self, properties)

    monkeypatch.setattr(filled_log, "_FILES", 2)
    monkeypatch.setattr(rewriting._Commit, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        filled_log.fill_rows(log, AFTER)
    assert list(colors(log).values()).count("red") == 2
    assert filled_log.fill_rows(log, AFTER) == 3
    assert set(colors(log).values()) == {"red"}


def test_what_arrives_meanwhile_is_filled_too(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log, late = made([[RED]]), iter([[RED]])
    run = rewriting._Commit.run

    def meanwhile(self: Any, properties: Any) -> Any:
        for items in late:
            append(log.catalog.load_table(log.name()), items, 3)
        return run(self, properties)

    monkeypatch.setattr(rewriting, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(rewriting._Commit, "run", meanwhile)
    assert filled_log.fill_rows(log, AFTER) == 2
    assert colors(log) == {"0-0": "red", "3-0": "red"}


def test_others_that_are_always_first_are_named(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyiceberg.exceptions import CommitFailedException

    def refuse(*_: Any) -> None:
        raise CommitFailedException

    log = made([[RED]])
    monkeypatch.setattr(rewriting, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(rewriting._Commit, "run", refuse)
    with pytest.raises(NotReadyError, match="It is as it was"):
        filled_log.fill_rows(log, AFTER)
