"""Random nested values, written by pyiceberg: every way to read them gives what was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC
from decimal import Context, Decimal
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyiceberg import types
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StringType, StructType

from dynaberg import catalog, past
from dynaberg.sql import query

pytestmark = pytest.mark.thorough

TEXTS = st.sampled_from(["", "null", "true", "1e5", "a, b", "a=b", "[x]", '"', "a\nb", "007"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6
)
WIDE = Context(prec=60)
# Those that the source of the tables has, and a few that other writers use.
LEAVES: Mapping[str, tuple[IcebergType, st.SearchStrategy[Any]]] = {
    "s": (StringType(), TEXTS),
    "b": (types.BooleanType(), st.booleans()),
    "n": (types.LongType(), st.integers(-(2**63), 2**63 - 1)),
    "d": (types.DoubleType(), st.floats(allow_nan=False)),
    "f": (types.FloatType(), st.floats(width=32, allow_nan=False, allow_subnormal=False)),
    "m": (
        types.DecimalType(38, 2),
        st.integers(-(10**38) + 1, 10**38 - 1).map(lambda number: Decimal(number).scaleb(-2, WIDE)),
    ),
    "day": (types.DateType(), st.dates()),
    "at": (types.TimestamptzType(), st.datetimes().map(lambda clock: clock.replace(tzinfo=UTC, fold=0))),
    "clock": (types.TimestampType(), st.datetimes().map(lambda clock: clock.replace(fold=0))),
    "raw": (types.BinaryType(), st.binary(max_size=4)),
}
IDS = count(100)


def members() -> StructType:
    return StructType(*(NestedField(next(IDS), name, kind) for name, (kind, _) in LEAVES.items()))


def list_of(kind: IcebergType) -> ListType:
    return ListType(next(IDS), kind, element_required=False)


def map_of(key: IcebergType, value: IcebergType) -> MapType:
    return MapType(next(IDS), key, next(IDS), value, value_required=False)


KINDS: dict[str, IcebergType] = {
    "id": StringType(),
    "all_of_them": members(),
    "amounts": map_of(StringType(), types.DecimalType(38, 2)),
    "deep": list_of(map_of(StringType(), members())),
    "by_day": map_of(types.DateType(), types.TimestamptzType()),
    **{f"list_{name}": list_of(kind) for name, (kind, _) in LEAVES.items()},
}
SCHEMA = Schema(*(NestedField(n, name, kind) for n, (name, kind) in enumerate(KINDS.items(), start=1)))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


STRUCTS = st.fixed_dictionaries({name: maybe(values) for name, (_, values) in LEAVES.items()})
ROWS = st.fixed_dictionaries(
    {
        "all_of_them": maybe(STRUCTS),
        "amounts": maybe(st.dictionaries(TEXTS, maybe(LEAVES["m"][1]), max_size=3)),
        "deep": maybe(st.lists(maybe(st.dictionaries(TEXTS, maybe(STRUCTS), max_size=2)), max_size=2)),
        "by_day": maybe(st.dictionaries(st.dates(), maybe(LEAVES["at"][1]), max_size=2)),
        **{
            f"list_{name}": maybe(st.lists(maybe(values), max_size=3)) for name, (_, values) in LEAVES.items()
        },
    }
)


@pytest.fixture
def table(story: Any) -> Iterator[Table]:
    pipeline = story.pipeline
    name = (pipeline.settings.namespace, "nested_values")
    opened = catalog.open_catalog(pipeline.session, pipeline.settings)
    try:
        yield opened.create_table(name, SCHEMA)
    finally:
        opened.purge_table(name)


# Each example is a commit and three queries: too slow to shrink.
@settings(max_examples=5, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
@given(rows=st.lists(ROWS, min_size=5, max_size=30))
def test_what_was_written_is_read(story: Any, table: Table, rows: list[dict[str, Any]]) -> None:
    numbered = [{"id": f"{number:03d}", **row} for number, row in enumerate(rows)]
    table.overwrite(
        pa.Table.from_pylist(numbered, schema=schema_to_pyarrow(table.schema(), include_field_ids=False))
    )
    pipeline = story.pipeline
    session, names = pipeline.session, pipeline.settings
    snapshot = table.current_snapshot()
    assert snapshot
    found = {
        "query": query(session, names, "SELECT * FROM nested_values ORDER BY id").df,
        "a version": query(
            session,
            names,
            f"SELECT * FROM nested_values FOR VERSION AS OF {snapshot.snapshot_id} ORDER BY id",
        ).df,
        "read_as_of": past.read_as_of(session, names, table, snapshot.snapshot_id).sort_values("id"),
    }
    for way, frame in found.items():
        assert frame.attrs == {}, way
        for column in numbered[0]:
            assert frame[column].tolist() == [row[column] for row in numbered], (way, column)
