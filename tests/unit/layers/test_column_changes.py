"""Columns of the tables are changed by field id, in one commit, and only what is still to be done."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException
from tests.memory_tables import MemoryTables

from dynaberg import catalog
from dynaberg.contracts import Changes, Column, Contract, change_contract
from dynaberg.errors import ContractError
from dynaberg.layers import column_changes
from dynaberg.layers.column_changes import begun_changes, change_columns, check_columns, check_renamed
from dynaberg.layers.gained import names_at

COLUMNS = (
    Column("id", "string"),
    Column("total", "decimal(6,2)"),
    Column("pieces", "int"),
    Column("lines", "list<struct<n: int, price: decimal(3,1)>>"),
    Column("note", "string"),
)
CONTRACT = Contract("orders", "Shop", "id", None, COLUMNS)
WIDER = {"pieces": "long", "lines": "list<struct<n: long, price: decimal(5,1)>>"}
CHANGES = Changes({"total": "amount"}, WIDER, ["note"])


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryTables:
    listed = json.dumps(["id", "total", "pieces", "lines", "note", "unmapped"])
    made = MemoryTables(CONTRACT, dict.fromkeys(column_changes.COLUMN_LISTS, listed))
    monkeypatch.setattr(catalog, "open_catalog", lambda *_: made)
    monkeypatch.setattr(catalog, "load_table", lambda _, __, name: made.tables[name])
    monkeypatch.setattr(column_changes, "_PAUSE_SECONDS", 0)
    return made


def change(changes: Changes = CHANGES) -> Any:
    settings: Any = None
    return change_columns(settings, settings, change_contract(CONTRACT, changes), changes)


def test_columns_keep_their_ids_and_types_are_wider(memory: MemoryTables) -> None:
    before = {name: memory.ids(name) for name in memory.tables}
    memory.conflicts = 2
    done = change()
    assert list(done["status"]) == ["evolved", "evolved"]
    assert memory.commits == 4
    for name, table in memory.tables.items():
        ids = memory.ids(name)
        assert ids["amount"] == before[name]["total"]
        assert not {"note", "total"} & ids.keys()
        assert str(table.schema().find_type("pieces")) == "long"
        assert "long" in str(table.schema().find_type("lines"))
        assert "decimal(5, 1)" in str(table.schema().find_type("lines"))
        for listed in column_changes.COLUMN_LISTS:
            assert json.loads(table.properties[listed]) == ["id", "amount", "pieces", "lines", "unmapped"]
    assert memory.tables["orders"].schema().identifier_field_names() == {"id"}


def test_what_is_done_is_not_done_again(memory: MemoryTables) -> None:
    change()
    commits = memory.commits
    assert list(change()["status"]) == ["unchanged", "unchanged"]
    assert memory.commits == commits


def test_a_conflict_without_end_is_an_error(memory: MemoryTables) -> None:
    memory.conflicts = 100
    with pytest.raises(CommitFailedException):
        change()
    assert memory.ids("orders").keys() >= {"total", "note"}


def test_between_the_steps_nobody_takes_the_former_column_anew(memory: MemoryTables) -> None:
    renaming = Changes({"total": "amount"})
    names = [column.name for column in COLUMNS]
    log = memory.tables[CONTRACT.log_name]
    check_renamed(log, names)
    change(renaming)
    with pytest.raises(ContractError, match="'total' is 'amount' now") as caught:
        check_renamed(log, names)
    assert '{"total": "amount"}' in str(caught.value.hint)
    after = [*names, "amount"]
    check_renamed(log, after)


def test_what_a_killed_call_has_done_is_told(memory: MemoryTables) -> None:
    settings: Any = None
    asked = Changes({"total": "amount"}, {}, ["note"])
    assert begun_changes(settings, settings, CONTRACT, asked) == Changes()
    new = change_contract(CONTRACT, asked)
    assert begun_changes(settings, settings, new, asked) == Changes({}, {}, ["note"])
    change(Changes({"total": "amount"}))
    assert begun_changes(settings, settings, new, asked) == Changes({"total": "amount"}, {}, ["note"])
    change(Changes(drop=["note"]))
    assert begun_changes(settings, settings, new, asked).drop == ["note"]
    assert begun_changes(settings, settings, new, Changes(drop=["other"])).drop == []


def test_a_name_that_a_table_has_already_is_refused(memory: MemoryTables) -> None:
    settings: Any = None
    fewer = Contract("orders", "Shop", "id", None, COLUMNS[:-1])
    with pytest.raises(ContractError, match="already has a 'note'"):
        check_columns(settings, settings, fewer, Changes({"total": "note"}))
    check_columns(settings, settings, fewer, Changes({"total": "amount"}))


def test_a_table_without_a_snapshot_has_no_former_names(memory: MemoryTables) -> None:
    change()
    assert names_at(memory.tables[CONTRACT.log_name], None) == {}
