"""A contract changes while its table lives: it gains columns, and an attribute takes another type."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynaberg import deploy, layers, past
from dynaberg.contracts.contract import Column, Contract
from dynaberg.delivery.failures import failures
from dynaberg.delivery.replay import replay_errors
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import ContractError
from dynaberg.proof.reconcile import reconcile

BEFORE = Contract(
    "transactions", "changing-source", "id", None, (Column("id", "string"), Column("zip", "long"))
)
ZIP_TEXT = Column("zip_text", "string", attribute="zip")
# Attributes that were in `unmapped`, and what their columns hold from now on.
GAINED: dict[str, tuple[Column, dict[str, Any], Any]] = {
    "coupon": (Column("coupon", "string"), {"S": 'a "b", c'}, 'a "b", c'),
    "Total Amount": (
        Column("total", "decimal(38,2)", attribute="Total Amount"),
        {"N": "9" * 36 + ".9"},
        Decimal("9" * 36 + ".90"),
    ),
    "big": (Column("big", "long"), {"N": str(-(2**63))}, -(2**63)),
    "seen": (
        Column("seen", "timestamptz"),
        {"S": "2026-01-31T12:00:00.000001+02:00"},
        datetime(2026, 1, 31, 10, 0, 0, 1, tzinfo=UTC),
    ),
    "paid": (Column("paid", "boolean"), {"BOOL": False}, False),
    "raw": (Column("raw", "binary"), {"B": b"\x00\xff"}, b"\x00\xff"),
    "anything": (Column("anything", "json"), {"M": {"a": {"NS": ["1"]}}}, '{"M":{"a":{"NS":["1"]}}}'),
}
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
INNER = "struct<at: timestamptz, raw from RAW: binary, any: json, n: list<int>>"
MEMBERS = {"at": {"S": "2026-01-31T12:00:00Z"}, "RAW": {"B": b"\x00"}, "n": {"NS": ["7"]}}
NESTED: dict[str, tuple[Column, dict[str, Any], Any]] = {
    "tags": (Column("tags", "list<string>"), {"L": [{"S": ""}, {"NULL": True}]}, ["", None]),
    "words": (Column("words", "list<string>"), {"SS": ["x", "y"]}, ["x", "y"]),
    "prices": (
        Column("prices", "map<string,decimal(38,2)>"),
        {"M": {"a=b": {"N": "9" * 36}}},
        [("a=b", Decimal("9" * 36 + ".00"))],
    ),
    "place": (
        Column("place", "struct<city: string, zip: long>"),
        {"M": {"city": {"S": "Bern"}, "zip": {"N": "3000"}, "more": {"N": "1"}}},
        {"city": "Bern", "zip": 3000},
    ),
    "deep": (
        Column("deep", f"list<{INNER}>"),
        {"L": [{"M": MEMBERS}, {"NULL": True}]},
        [{"at": NOON, "raw": b"\x00", "any": None, "n": [7]}, None],
    ),
}
COLUMNS = [column for column, *_ in (*GAINED.values(), *NESTED.values())]
AFTER = replace(BEFORE, columns=(*BEFORE.columns, ZIP_TEXT, *COLUMNS))


@dataclass(frozen=True)
class Changed:
    """A pipeline whose contract has changed, and its current table after the refresh."""

    parts: Any
    rows: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    """Items of the first contract, and one that it cannot take."""
    made = make_pipeline("changing", BEFORE)
    all_of_them, nested = (
        {name: attribute for name, (_, attribute, _) in each.items()} for each in (GAINED, NESTED)
    )
    made.write({"id": {"S": "old"}, "zip": {"N": "8001"}, "other": {"S": "stays"}, **all_of_them})
    made.write({"id": {"S": "plain"}, "zip": {"N": "3000"}}, {"id": {"S": "nested"}, **nested})
    wait_for_delivery(made.session, made.settings, BEFORE, progress=False)
    layers.refresh(made.session, made.settings, BEFORE)
    made.write({"id": {"S": "new"}, "zip": {"S": "EC1A 1BB"}, **all_of_them, **nested})
    return made


@pytest.fixture(scope="module")
def changed(pipeline: Any) -> Changed:
    parts = (pipeline.session, pipeline.settings, AFTER)
    deadline = time.monotonic() + 60
    while failures(*parts).empty:
        assert time.monotonic() < deadline, "nothing failed"
        time.sleep(0.1)
    layers.create_tables(*parts)
    deploy.deploy_firehose(*parts, buffer_seconds=0)
    replay_errors(*parts, progress=False)
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)
    rows = pipeline.load("transactions").scan().to_arrow().to_pylist()
    return Changed(parts, {row["id"]: row for row in rows})


@pytest.mark.parametrize("kind", ["string", "json", "decimal(12,2)"])
def test_another_type_is_refused_with_the_way_to_have_it(pipeline: Any, kind: str) -> None:
    columns = (BEFORE.columns[0], Column("zip", kind))
    with pytest.raises(ContractError) as caught:
        layers.create_tables(pipeline.session, pipeline.settings, replace(BEFORE, columns=columns))
    assert "zip" in caught.value.message
    assert "attribute: zip" in (caught.value.hint or "")


def test_an_attribute_of_two_types_is_in_two_columns(changed: Changed) -> None:
    found = {id_: (row["zip"], row["zip_text"]) for id_, row in changed.rows.items()}
    assert found == {
        "old": (8001, None),
        "plain": (3000, None),
        "nested": (None, None),
        "new": (None, "EC1A 1BB"),
    }
    assert failures(*changed.parts).empty


@pytest.mark.parametrize("name", GAINED)
def test_a_gained_column_is_filled_for_old_items_too(changed: Changed, name: str) -> None:
    column, _, value = GAINED[name]
    found = {id_: row[column.name] for id_, row in changed.rows.items()}
    assert found == {"old": value, "plain": None, "nested": None, "new": value}


@pytest.mark.parametrize("name", NESTED)
def test_a_gained_nested_column_is_filled_for_new_items(changed: Changed, name: str) -> None:
    column, _, value = NESTED[name]
    found = {id_: changed.rows[id_][column.name] for id_ in ("old", "plain", "new")}
    assert found == {"old": None, "plain": None, "new": value}


@pytest.mark.parametrize("name", NESTED)
def test_a_gained_nested_column_is_filled_for_old_items_too(changed: Changed, name: str) -> None:
    column, _, value = NESTED[name]
    assert changed.rows["nested"][column.name] == value


def test_both_tables_are_what_dynamodb_holds(changed: Changed) -> None:
    report = reconcile(*changed.parts)
    assert report.matches, report.df.to_string()
    assert (report.missing, report.extra, report.unlogged, report.in_flight) == (0, 0, 0, 0)
    assert set(report.columns) == {*(column.name for column in AFTER.columns), "unmapped"}


def test_the_history_has_only_changes_that_took_place(changed: Changed) -> None:
    history = past.item_history(*changed.parts, {"id": "old"})
    assert set(history["operation"]) == {"INSERT"}
    names = [column.name for column, *_ in GAINED.values()]
    assert sorted(history["attribute"]) == sorted(["zip", "other", *names])
    assert past.item_history(*changed.parts, {"id": "plain"})["attribute"].tolist() == ["zip"]
