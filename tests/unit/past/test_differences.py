"""Two Arrow tables are matched by key and compared value by value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.past.differences import compare, to_long_form

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64()), ("v", pa.decimal128(12, 2))])


def rows(*values: tuple[Any, ...], schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in values], schema=schema)


def lines(first: pa.Table, second: pa.Table, key: tuple[str, ...] = ("k",)) -> list[tuple[Any, ...]]:
    frame = to_long_form(compare(first, second, key), key, first.column_names)
    return list(frame.itertuples(index=False, name=None))


def test_added_removed_and_changed() -> None:
    first = rows(("a", 1, Decimal("1.00")), ("b", 2, Decimal("2.00")), ("c", None, None))
    second = rows(("c", 3, None), ("b", 2, Decimal("2.50")), ("d", 4, None))
    assert lines(first, second) == [
        ("a", "removed", "n", 1, None),
        ("a", "removed", "v", Decimal("1.00"), None),
        ("b", "changed", "v", Decimal("2.00"), Decimal("2.50")),
        ("c", "changed", "n", None, 3),
        ("d", "added", "n", None, 4),
    ]


def test_rows_that_moved_are_the_same() -> None:
    first = rows(("a", 1, None), ("b", 2, None))
    assert lines(first, first.take([1, 0])) == []


def test_a_null_in_a_key_is_a_value() -> None:
    first = rows((None, 1, None), ("a", 1, None))
    second = rows((None, 2, None), ("a", 1, None))
    assert [line[1:] for line in lines(first, second)] == [("changed", "n", 1, 2)]


def test_keys_of_several_columns_do_not_run_together() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string()), ("v", pa.int64())])
    first = rows(("x", "yz", 1), ("xy", "z", 2), schema=schema)
    second = rows(("xy", "z", 2), ("x", "yz", 3), schema=schema)
    assert lines(first, second, ("a", "b")) == [("x", "yz", "changed", "v", 1, 3)]


@pytest.mark.parametrize(
    ("type_", "before", "after", "differ"),
    [
        (pa.float64(), float("nan"), float("nan"), False),
        (pa.float64(), float("nan"), None, True),
        (pa.list_(pa.int64()), [1, 2], [2, 1], True),
        (pa.struct([("x", pa.int64())]), {"x": 1}, {"x": 1}, False),
        (pa.map_(pa.string(), pa.int64()), [("a", 1), ("b", 2)], [("b", 2), ("a", 1)], False),
        (pa.list_(pa.map_(pa.string(), pa.int64())), [[("a", 1), ("b", 2)]], [[("b", 2), ("a", 1)]], False),
    ],
)
def test_equality_by_type(type_: pa.DataType, before: Any, after: Any, differ: bool) -> None:
    schema = pa.schema([("k", pa.string()), ("v", type_)])
    found = lines(rows(("a", before), schema=schema), rows(("a", after), schema=schema))
    assert bool(found) is differ


@given(
    st.dictionaries(st.integers(0, 9), st.none() | st.integers(0, 3)),
    st.dictionaries(st.integers(0, 9), st.none() | st.integers(0, 3)),
)
def test_applying_the_differences_gives_the_second_table(
    before: dict[int, int | None], after: dict[int, int | None]
) -> None:
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64())])
    found = compare(rows(*before.items(), schema=schema), rows(*after.items(), schema=schema), ("k",))
    state = dict(before)
    for row in found.removed.to_pylist():
        del state[row["k"]]
    for row in [*found.added.to_pylist(), *found.after.to_pylist()]:
        state[row["k"]] = row["v"]
    assert state == after
    assert all(before[row["k"]] != after[row["k"]] for row in found.before.to_pylist())
