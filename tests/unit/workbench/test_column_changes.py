"""Changes of columns go on where they were killed, at whatever step that was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from tests.memory_tables import MemoryTables

from dynaberg import catalog, deploy
from dynaberg.contracts import Changes, Contract, load_contract
from dynaberg.errors import SettingsError
from dynaberg.layers import column_changes as layer
from dynaberg.settings import Settings
from dynaberg.workbench import column_changes
from dynaberg.workbench.column_changes import apply_changes, plan_changes
from dynaberg.workbench.connection import Connection

YAML = """\
source_table: Shop
table: orders
key: {partition: id}
columns:
  - name: id
    type: string
  - name: total  # exact
    type: int
  - name: card
    type: string
    mask: last4
  - name: pieces
    type: int
"""
CHANGES = Changes({"total": "amount"}, {"pieces": "long"}, ["card"])
STEPS = ("deploy", "wait", "log", "current", "file", "log again", "current again", "deploy again")


class Killed(BaseException):
    """The process ends here."""


class Steps:
    """Counts the steps of a change, and kills the process before one of them."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.fatal: int | None = None

    def take(self, what: Any) -> None:
        if len(self.done) == self.fatal:
            raise Killed
        self.done.append(what)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    taken = Steps()
    change, write = layer._change, Path.write_text

    def deployed(_: Connection, contract: Contract) -> None:
        taken.take([column.name for column in contract.columns])

    def changed(table: Any, *rest: Any) -> list[str]:
        taken.take(table.name()[-1])
        return change(table, *rest)

    def written(path: Path, text: str, **more: Any) -> int:
        taken.take("file")
        return write(path, text, **more)

    monkeypatch.setattr(column_changes, "_deploy", deployed)
    monkeypatch.setattr(column_changes, "_wait", lambda *_: taken.take("wait"))
    monkeypatch.setattr(column_changes, "update_schedule", lambda *_: None)
    monkeypatch.setattr(column_changes, "runs_paused", lambda *_: nullcontext())
    monkeypatch.setattr(layer, "_change", changed)
    monkeypatch.setattr(deploy, "of_source", lambda _, settings, *__: settings)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", written)
        yield taken


def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Connection, Path, MemoryTables]:
    path = tmp_path / "data" / "tables" / "orders.yaml"
    path.parent.mkdir(parents=True)
    path.write_bytes(YAML.encode())
    contract = load_contract(path)
    tables = MemoryTables(contract, {})
    monkeypatch.setattr(catalog, "open_catalog", lambda *_: tables)
    monkeypatch.setattr(catalog, "load_table", lambda _, __, name: tables.tables[name])
    session: Any = None
    return Connection(Settings(root=tmp_path, table_name="orders"), session, contract), path, tables


def evolve(connection: Connection, path: Path) -> None:
    """As a process that has just been started does it."""
    connection.contract = load_contract(path)
    plan = plan_changes(connection, connection.contract, CHANGES)
    apply_changes(connection, connection.contract, plan, connection.settings.name)


@pytest.mark.parametrize("fatal", range(len(STEPS)), ids=STEPS)
def test_the_same_call_finishes_what_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Steps, fatal: int
) -> None:
    connection, path, tables = project(tmp_path, monkeypatch)
    ids = tables.ids("orders")
    steps.fatal = fatal
    with pytest.raises(Killed):
        evolve(connection, path)
    steps.fatal, steps.done = None, []
    evolve(connection, path)
    assert steps.done[0] == ["id", "amount", "pieces", "total"]
    assert steps.done[-1] == ["id", "amount", "pieces"]
    contract = load_contract(path)
    assert [column.name for column in contract.columns] == ["id", "amount", "pieces"]
    assert contract.column("amount").attribute == "total"
    assert [str(mask) for mask in contract.masks] == ["card"]
    for name, table in tables.tables.items():
        found = tables.ids(name)
        assert not {"total", "card"} & found.keys()
        assert str(table.schema().find_type("pieces")) == "long"
    assert tables.ids("orders")["amount"] == ids["total"]


def test_the_functions_write_both_names_before_a_table_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Steps
) -> None:
    connection, path, _ = project(tmp_path, monkeypatch)
    evolve(connection, path)
    tables = ["orders_changes", "orders"]
    both, last = ["id", "amount", "pieces", "total"], ["id", "amount", "pieces"]
    assert steps.done == [both, "wait", *tables, "file", *tables, last]


def test_a_drop_wants_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Steps) -> None:
    connection, path, _ = project(tmp_path, monkeypatch)
    plan = plan_changes(connection, connection.contract, CHANGES)
    with pytest.raises(SettingsError, match="Nothing was dropped"):
        apply_changes(connection, connection.contract, plan, "orders")
    assert steps.done == []
    assert path.read_text() == YAML
