"""Nested columns of a plain SELECT: added as JSON behind the others, and put in their places."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import ListType, LongType, NestedField, StringType, StructType

from dynaberg import catalog
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings
from dynaberg.sql import exact
from dynaberg.sql.types import AS_TEXT, ResultColumn

TAGS = ListType(10, StringType())
NESTED = Schema(
    NestedField(1, "id", StringType()),
    NestedField(2, "tags", TAGS),
    NestedField(3, "place", StructType(NestedField(11, "city", StringType()))),
)
FLAT = Schema(NestedField(1, "id", StringType()), NestedField(2, "n", LongType()))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that were loaded; `place` is the name of one with a struct of that name."""
    loaded: list[str] = []

    def load(_: Any, __: Any, name: str) -> Any:
        loaded.append(name)
        if name == "gone":
            raise NotFoundError("no such table")
        schema = FLAT if name == "flat" else NESTED
        return SimpleNamespace(
            schema=lambda: schema,
            schemas=lambda: {0: FLAT, 1: NESTED},
            snapshot_by_id=lambda id_: SimpleNamespace(schema_id=id_) if id_ in (0, 1) else None,
        )

    monkeypatch.setattr(catalog, "open_catalog", lambda *_: None)
    monkeypatch.setattr(catalog, "load_table", load)
    exact._open_catalog.cache_clear()
    exact._nested_columns.cache_clear()
    return loaded


def asked(statement: str) -> exact.Exactly | None:
    session: Any = None
    return exact.exactly(session, Settings(namespace="ns"), statement)


def test_the_json_stands_behind_the_other_columns(loads: list[str]) -> None:
    found = asked("SELECT tags, id FROM t ORDER BY 1 -- tags")
    assert found
    assert found.statement == (
        'SELECT tags, id , json_format(CAST("tags" AS JSON)) AS "tags as JSON" FROM t ORDER BY 1 -- tags'
    )
    assert list((asked("SELECT *, id FROM t") or found).added) == ["tags", "place"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM t",
        "SELECT upper(id), id FROM t",
        "SELECT * FROM gone",
        "SELECT * FROM flat",
        "SELECT place FROM place",
        "SELECT place FROM t AS place",
        "SELECT tags FROM t FOR VERSION AS OF 0",
        "SELECT tags FROM t FOR VERSION AS OF 99",
        "SELECT 1",
    ],
)
def test_what_has_no_nested_column_is_left_alone(loads: list[str], statement: str) -> None:
    assert asked(statement) is None


def test_a_table_is_loaded_once_and_again_only_for_its_nested_columns(loads: list[str]) -> None:
    for _ in range(3):
        assert asked("SELECT * FROM flat") is None
        assert asked("SELECT id FROM t") is None
    assert loads == ["flat", "t"]
    assert asked("SELECT id, tags FROM t")
    assert asked("SELECT * FROM t")
    assert loads == ["flat", "t", "t", "t"]
    session: Any = None
    exact.forget_tables(session, Settings(namespace="ns"))
    asked("SELECT * FROM flat")
    assert loads[-1] == "flat"


def test_the_snapshots_own_schema_counts(loads: list[str]) -> None:
    found = asked("SELECT tags FROM t FOR VERSION AS OF 1")
    assert found
    assert found.added == {"tags": TAGS}


def result(items: tuple[str, ...], names: str, rows: list[list[Any]], kinds: str) -> pd.DataFrame:
    """What a statement with `tags` as JSON in the last column gives."""
    frame = pd.DataFrame(rows, columns=pd.Index([*names.split(), "tags as JSON"]))
    frame.attrs[AS_TEXT] = {"tags": "why", "more": "why"}
    columns = [ResultColumn(n, k) for n, k in zip(frame.columns, [*kinds.split(), "varchar"], strict=True)]
    return exact.Exactly("", items, {"tags": TAGS}).revived(frame, columns)


def test_values_come_to_their_places() -> None:
    rows = [["1", "[a, b]", "[c]", '["a, b"]'], ["2", None, "[]", None]]
    found = result(("*",), "id tags more", rows, "varchar array array")
    assert found["tags"].tolist() == [["a, b"], None]
    assert found["more"].tolist() == ["[c]", "[]"]
    assert found.attrs == {AS_TEXT: {"more": "why"}}
    found = result(
        ("id", "*", "tags"), "id x tags tags", [["1", "2", "t", "t", '["a"]']], "varchar varchar array array"
    )
    assert found.iloc[0].tolist() == ["1", "2", ["a"], ["a"]]
    assert found.attrs == {}


def test_nothing_is_put_where_the_places_are_not_certain() -> None:
    row = ["1", "[a]", '["a"]']
    for items, kinds in {
        ("tags",): "varchar array",
        ("id", "tags"): "varchar varchar",
        ("*",): "array varchar",
    }.items():
        found = result(items, "id tags", [row], kinds)
        assert found.iloc[0].tolist() == row[:2]
        assert "tags" in found.attrs[AS_TEXT]


def test_a_value_that_the_schema_does_not_say_stays_text() -> None:
    found = result(("tags",), "tags", [["[1]", "[1]"]], "array")
    assert found["tags"].tolist() == ["[1]"]
    assert found.attrs == {AS_TEXT: {"tags": "why"}}
