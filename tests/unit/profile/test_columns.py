"""The one statement of a profile: valid Trino SQL for every type, the approximate ones named as such."""

from __future__ import annotations

import re

import pytest
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)
from trino_sql_validator import validate

from dynaberg.profile.columns import _statement
from dynaberg.profile.paths import paths

TYPES: list[IcebergType] = [
    StringType(), BooleanType(), IntegerType(), LongType(), DoubleType(), DecimalType(12, 2), DateType(),
    TimestamptzType(), BinaryType(), ListType(1000, StringType(), element_required=False),
    MapType(1001, StringType(), 1002, DecimalType(10, 2), value_required=False),
    StructType(
        NestedField(1003, "city", StringType()), NestedField(1004, "tags", ListType(1005, LongType()))
    ),
    ListType(
        1006,
        StructType(NestedField(1007, "a b", MapType(1008, StringType(), 1009, ListType(1010, DateType())))),
    ),
]  # fmt: skip


def statement(*types: IcebergType, keys: set[str] | None = None) -> str:
    fields = [NestedField(n, f'c"{n}', type_, required=False) for n, type_ in enumerate(types)]
    return _statement(paths(fields), '"t" FOR VERSION AS OF 17', keys or set())


@pytest.mark.parametrize("types", [TYPES, [TYPES[0]], [TYPES[-1]]])
def test_the_statement_is_trino_sql(types: list[IcebergType]) -> None:
    text = re.sub(r"FOR VERSION AS OF \d+", "", statement(*types))
    result = validate(text, dialect="trino")
    assert result.valid, result.error


def test_what_is_computed_depends_on_the_type() -> None:
    def metrics(type_: IcebergType) -> set[str]:
        return set(re.findall(r'AS "(\w+)_0"', statement(type_)))

    assert metrics(ListType(1000, StringType(), element_required=False)) == {"rows", "nulls"}
    assert metrics(BinaryType()) == {"rows", "nulls"}
    assert metrics(StringType()) == {"rows", "valid", "approx_distinct", "min", "max"}
    assert metrics(TimestamptzType()) == {"rows", "nulls", "approx_distinct", "min", "max", "quantiles"}
    assert metrics(DecimalType(12, 2)) >= {"mean", "approx_p50"}
    assert "mean" not in metrics(DateType())


def test_frequent_values_are_counted_by_one_scan_and_never_those_of_keys() -> None:
    text = statement(StringType(), DateType(), StringType(), keys={'c"2'})
    assert "GROUPING SETS ((v0), (v1))" in text
    assert [text.count(f"FROM {name}") for name in ("counted", "ranked")] == [1, 1]
    assert text.count("FOR VERSION AS OF 17") == 2
    assert "GROUPING SETS" not in statement(StringType(), keys={'c"0'})
    assert "GROUPING SETS" not in statement(TimestamptzType(), DoubleType())


def test_nested_columns_are_profiled_by_path() -> None:
    fields = [NestedField(n, "c", type_, required=False) for n, type_ in enumerate(TYPES[-4:])]
    assert [path.name for path in paths(fields)] == [
        "c", "c.length", "c.element",
        "c", "c.length", "c.key", "c.value",
        "c", "c.city", "c.tags", "c.tags.length", "c.tags.element",
        "c", "c.length", "c.element.a b.key", "c.element.a b.value.element",
    ]  # fmt: skip
    assert (
        paths(fields)[-1].array
        == 'flatten(flatten(transform(transform("c", e -> e."a b"), e -> map_values(e))))'
    )
