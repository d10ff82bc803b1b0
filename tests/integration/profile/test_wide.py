"""Profiles of wide tables, of numbers near their ends, and of values that no sketch takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)
from tests.examples import COLUMNS

from dynaberg import catalog, layers, past
from dynaberg.contracts import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.profile import drift, profile_columns
from dynaberg.proof.reconcile import reconcile

pytestmark = pytest.mark.thorough

Make = Callable[..., Table]


@pytest.fixture
def make(story: Any) -> Iterator[Make]:
    """Creates a table that holds some rows; it goes with the test."""
    pipeline = story.pipeline
    opened = catalog.open_catalog(pipeline.session, pipeline.settings)
    made: list[tuple[str, str]] = []

    def create(name: str, kinds: dict[str, IcebergType], rows: list[dict[str, Any]]) -> Table:
        fields = (NestedField(n, column, kind) for n, (column, kind) in enumerate(kinds.items(), start=1))
        table = opened.create_table((pipeline.settings.namespace, name), Schema(*fields))
        made.append((pipeline.settings.namespace, name))
        arrow = schema_to_pyarrow(table.schema(), include_field_ids=False)
        table.append(pa.Table.from_pylist(rows, schema=arrow))
        return table

    yield create
    for name in made:
        opened.purge_table(name)


# A type, its first value and its second.
KINDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("string", {"S": "x"}, {"S": "y"}),
    ("long", {"N": "1"}, {"N": "2"}),
    ("decimal(12,2)", {"N": "1.5"}, {"N": "2.5"}),
    ("timestamptz", {"S": "2026-01-31T12:00:00Z"}, {"S": "2026-02-01T12:00:00Z"}),
    ("boolean", {"BOOL": True}, {"BOOL": False}),
]


def test_every_way_of_reading_takes_many_columns(make_pipeline: Any) -> None:
    names = [f"attribute_{number:04}" for number in range(COLUMNS - 1)]
    kinds = [KINDS[number % len(KINDS)] for number in range(COLUMNS - 1)]
    columns = [Column("id", "string"), *(Column(n, kind) for n, (kind, *_) in zip(names, kinds, strict=True))]
    pipeline = make_pipeline("wide", Contract("transactions", "wide-source", "id", None, tuple(columns)))
    parts = (pipeline.session, pipeline.settings, pipeline.contract)
    snapshots: list[int] = []

    def deliver(value: int) -> None:
        item = dict(zip(names, (kind[value] for kind in kinds), strict=True))
        pipeline.write(*({"id": {"S": id_}, **item} for id_ in "abc"))
        wait_for_delivery(*parts, progress=False)
        snapshots.append(int(layers.refresh(*parts)["snapshot_id"].iloc[0]))

    deliver(1)
    deliver(2)
    report = reconcile(*parts)
    assert (report.matches, report.items, report.rows_read) == (True, 3, 0), report.df.to_string()
    assert past.state_as_of(*parts, datetime.now(UTC)).shape == (3, COLUMNS + 3)
    assert past.item_history(*parts, {"id": "a"})["attribute"].nunique() == COLUMNS - 1
    table = pipeline.load(pipeline.contract.table)
    differences = past.changes_between(table, *snapshots, key=["id"])
    assert set(names) <= set(differences["column"])
    before, after = (profile_columns(*parts[:2], table, snapshot=snapshot) for snapshot in snapshots)
    assert len(before) == len(after) == COLUMNS + 3
    line = after.set_index("column").loc[names]
    assert (line["rows"] == 3).all()
    assert (line["approx_distinct"] == 1).all()
    assert line["min"].tolist() == line["max"].tolist()
    assert line["min"].iloc[:2].tolist() == ["y", 2]
    drifted = drift(before, after).set_index("column").loc[names]
    moved = drifted.loc[drifted["distance"] > 0]
    assert len(moved) == sum(kind != "timestamptz" for kind, *_ in kinds)


def test_numbers_and_moments_near_their_ends(story: Any, make: Make) -> None:
    columns: dict[str, tuple[IcebergType, list[Any]]] = {
        "id": (StringType(), ["a", "b", "c"]),
        "price": (DecimalType(12, 2), [Decimal("9999999999.99"), Decimal(1), Decimal("0.01")]),
        "supply": (DecimalType(38, 2), [Decimal("9" * 36 + ".99"), Decimal("1.50"), None]),
        "wei": (DecimalType(38, 0), [Decimal("9" * 38), Decimal(10**37), None]),
        "counter": (LongType(), [2**63 - 1, 2**63 - 1, 1]),
        "no_number": (DoubleType(), [math.nan, 1.5, 2.5]),
        "endless": (DoubleType(), [math.inf, 2.0, -math.inf]),
        "day": (DateType(), [date.min, date.max, None]),
        "at": (TimestamptzType(), [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), None]),
    }
    rows = [{name: values[n] for name, (_, values) in columns.items()} for n in range(3)]
    table = make("ends", {name: kind for name, (kind, _) in columns.items()}, rows)
    profile = profile_columns(story.pipeline.session, story.pipeline.settings, table).set_index("column")
    assert list(profile.index) == list(columns)
    for name in ("price", "supply", "wei", "counter", "day", "at"):
        known = [row[name] for row in rows if row[name] is not None]
        assert profile.loc[name, ["rows", "nulls"]].tolist() == [3, 3 - len(known)]
        assert (profile.loc[name, "min"], profile.loc[name, "max"]) == (min(known), max(known)), name
    assert profile.loc["price", "mean"] == Decimal("3333333333.67")
    for name in ("day", "at"):
        assert sum(count for *_, count in profile.loc[name, "approx_histogram"]) == 2
    assert profile.loc["no_number", "approx_histogram"] == profile.loc["endless", "approx_histogram"] == []
    assert profile.loc["no_number", "approx_p50"] in (1.5, 2.0, 2.5)
    assert drift(profile.reset_index(), profile.reset_index())["distance"].max() == 0


def test_a_struct_that_has_the_name_of_the_table(story: Any, make: Make) -> None:
    kinds = {"city": StringType(), "place": StructType(NestedField(10, "city", LongType()))}
    table = make("place", kinds, [{"city": "Bern", "place": {"city": 3000}}])
    profile = profile_columns(story.pipeline.session, story.pipeline.settings, table).set_index("column")
    assert profile["max"].to_dict() == {"city": "Bern", "place": None, "place.city": 3000}
