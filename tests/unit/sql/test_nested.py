"""Nested values: the statement is Trino's SQL, and what it answers is revived as it was written."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg import types
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StringType, StructType
from tests.examples import EXAMPLES
from trino_sql_validator import validate

from dynaberg.errors import QueryError
from dynaberg.sql.nested import exact, revive, reviver, selected

# Texts that a reader of Athena's own text would take for something else.
ODD = [
    "",
    "null",
    "true",
    "1e5",
    "007",
    "a, b",
    "a=b",
    "[x]",
    "{y}",
    'q"',
    "it's",
    "\\",
    "a\nb",
    "\u2028",
    "é😀",
]
TEXTS = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WIDE = Context(prec=60)
CLOCKS = st.datetimes().map(lambda clock: clock.replace(fold=0))
UNSCALED = st.integers(-(10**38) + 1, 10**38 - 1)
LEAVES: dict[IcebergType, st.SearchStrategy[Any]] = {
    types.StringType(): TEXTS,
    types.BooleanType(): st.booleans(),
    types.IntegerType(): st.integers(-(2**31), 2**31 - 1),
    types.LongType(): st.integers(-(2**63), 2**63 - 1),
    types.DoubleType(): st.floats(),
    types.FloatType(): st.floats(width=32),
    types.DecimalType(38, 2): UNSCALED.map(lambda number: Decimal(number).scaleb(-2, WIDE)),
    types.DecimalType(38, 0): UNSCALED.map(Decimal),
    types.DateType(): st.dates(),
    types.TimestampType(): CLOCKS,
    types.TimestamptzType(): CLOCKS.map(lambda clock: clock.replace(tzinfo=UTC)),
    types.BinaryType(): st.binary(max_size=8),
}
IDS = count(1)
KINDS: st.SearchStrategy[IcebergType] = st.recursive(
    st.sampled_from([*LEAVES]),
    lambda inner: st.one_of(
        inner.map(lambda kind: ListType(next(IDS), kind, element_required=False)),
        st.tuples(st.sampled_from([*LEAVES]), inner).map(
            lambda pair: MapType(next(IDS), pair[0], next(IDS), pair[1], value_required=False)
        ),
        st.dictionaries(st.sampled_from(["a", "b c", 'd"', "E"]), inner, min_size=1, max_size=3).map(
            lambda members: StructType(*(NestedField(next(IDS), n, kind) for n, kind in members.items()))
        ),
    ),
    max_leaves=6,
)
NESTED = KINDS.filter(lambda kind: not kind.is_primitive)


def values_of(kind: IcebergType) -> st.SearchStrategy[Any]:
    """Values of a type, parts of which may be null."""
    match kind:
        case ListType():
            return st.lists(values_of(kind.element_type) | st.none(), max_size=4)
        case MapType():
            return st.dictionaries(
                LEAVES[kind.key_type].filter(lambda key: key == key),
                values_of(kind.value_type) | st.none(),
                max_size=3,
            )
        case StructType():
            return st.fixed_dictionaries({f.name: values_of(f.field_type) | st.none() for f in kind.fields})
        case _:
            return LEAVES[kind]


def written(kind: IcebergType, value: Any) -> Any:
    """What the statement makes of a value in Trino, before json_format."""
    match kind, value:
        case _, None:
            return None
        case ListType(), _:
            return [written(kind.element_type, each) for each in value]
        case MapType(), _:
            return [
                [written(kind.key_type, k) for k in value],
                [written(kind.value_type, v) for v in value.values()],
            ]
        case StructType(), _:
            return [written(field.field_type, value[field.name]) for field in kind.fields]
        case _, str() | bool() | int():
            return value
        case _, Decimal():
            return f"{value:f}"
        case _, float():
            if not math.isfinite(value):
                return {"inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), "NaN")
            return repr(value).replace("e", "E")
        case _, datetime():
            return (
                f"{value.replace(tzinfo=None).isoformat(' ', 'microseconds')}{' UTC' if value.tzinfo else ''}"
            )
        case _, date():
            return value.isoformat()
        case _:
            return base64.b64encode(value).decode()


def plain(value: Any) -> str:
    """A value as text that shows its type; NaN equals itself, and members have no order."""
    if isinstance(value, list):
        return f"[{', '.join(map(plain, value))}]"
    if isinstance(value, dict):
        return str(sorted((plain(key), plain(each)) for key, each in value.items()))
    return repr(value)


@settings(max_examples=EXAMPLES)
@given(data=st.data(), kind=NESTED)
def test_what_was_written_comes_back(data: Any, kind: IcebergType) -> None:
    value = data.draw(values_of(kind) | st.none())
    text = None if value is None else json.dumps(written(kind, value), ensure_ascii=False)
    assert plain(revive(kind, text)) == plain(value)


@settings(max_examples=EXAMPLES)
@given(kind=NESTED)
def test_the_statement_is_trino_sql(kind: IcebergType) -> None:
    result = validate(f'SELECT {selected("c", kind)} FROM "t"', dialect="trino")
    assert result.valid, result.error


def test_a_plain_column_is_selected_as_it_is() -> None:
    assert selected('a"b', StringType()) == '"a""b"'
    assert selected("tags", ListType(1, StringType())) == 'json_format(CAST("tags" AS JSON)) AS "tags"'


def test_what_trino_does_not_cast_to_json_becomes_text_first() -> None:
    """JsonUtil.canCastToJson: no moments with a time zone, no bytes; keys of maps are text or numbers."""
    for kind, part in {
        types.TimestamptzType(): 'transform("c", e0 -> TRY_CAST(e0 AS varchar))',
        types.BinaryType(): 'transform("c", e0 -> to_base64(e0))',
        types.DecimalType(9, 2): 'transform("c", e0 -> TRY_CAST(e0 AS varchar))',
    }.items():
        assert part in exact('"c"', ListType(1, kind))
    sql = exact('"c"', MapType(1, types.DateType(), 2, StringType()))
    assert 'transform(map_keys("c"), e0 -> TRY_CAST(e0 AS varchar))' in sql
    assert 'CAST(map_values("c") AS JSON)' in sql


def test_a_struct_of_many_members_is_made_of_arrays_that_trino_takes() -> None:
    members = [NestedField(n, f"m{n}", StringType()) for n in range(300)]
    sql = exact('"c"', StructType(*members))
    assert max(part.count("AS JSON") for part in sql.split("ARRAY[")) <= 254
    assert sql.count("] || ARRAY[") == 1


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ListType(1, StringType()), '{"a": 1}'),
        (ListType(1, StringType()), "[1]"),
        (ListType(1, StringType()), "[a, b]"),
        (ListType(1, types.LongType()), '["1"]'),
        (ListType(1, types.LongType()), "[true]"),
        (ListType(1, types.LongType()), "[1.5]"),
        (ListType(1, types.DecimalType(9, 2)), '["1.234"]'),
        (ListType(1, types.TimestamptzType()), '["2026-10-25 02:30:00 Europe/Berlin"]'),
        (ListType(1, types.TimestamptzType()), '["2026-10-25 02:30:00"]'),
        (ListType(1, types.TimestampType()), '["2026-10-25 02:30:00 UTC"]'),
        (ListType(1, types.TimestamptzType()), '["+58000-01-01 00:00:00 UTC"]'),
        (StructType(NestedField(1, "a", StringType()), NestedField(2, "b", StringType())), '["a"]'),
        (MapType(1, StringType(), 2, StringType()), '[["a"], []]'),
    ],
)
def test_what_the_type_does_not_say_is_refused(kind: IcebergType, text: str) -> None:
    with pytest.raises(QueryError) as caught:
        revive(kind, text)
    assert caught.value.hint


def test_a_missing_value_is_none() -> None:
    assert [*map(reviver(ListType(1, StringType())), [None, math.nan])] == [None, None]
