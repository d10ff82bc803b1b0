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
    NestedField,
    StringType,
    TimestamptzType,
)
from trino_sql_validator import validate

from dynaberg.profiling import _statement

TYPES: list[IcebergType] = [
    StringType(), BooleanType(), IntegerType(), LongType(), DoubleType(), DecimalType(12, 2), DateType(),
    TimestamptzType(), BinaryType(), ListType(1000, StringType(), element_required=False),
]  # fmt: skip


def statement(*types: IcebergType, keys: set[str] | None = None) -> str:
    fields = [NestedField(n, f'c"{n}', type_, required=False) for n, type_ in enumerate(types)]
    return _statement(fields, '"t" FOR VERSION AS OF 17', keys or set())


@pytest.mark.parametrize("types", [TYPES, [TYPES[0]], [TYPES[-1]]])
def test_the_statement_is_trino_sql(types: list[IcebergType]) -> None:
    text = re.sub(r"FOR VERSION AS OF \d+", "", statement(*types))
    result = validate(text, dialect="trino")
    assert result.valid, result.error


def test_what_is_computed_depends_on_the_type() -> None:
    def metrics(type_: IcebergType) -> set[str]:
        return set(re.findall(r'AS "(\w+)_0"', statement(type_)))

    assert metrics(ListType(1000, StringType(), element_required=False)) == {"nulls"}
    assert metrics(BinaryType()) == {"nulls"}
    assert metrics(StringType()) == {"nulls", "approx_distinct", "min", "max"}
    assert metrics(DecimalType(12, 2)) >= {"mean", "approx_p50"}
    assert "mean" not in metrics(DateType())


def test_frequent_values_are_counted_by_one_scan_and_never_those_of_keys() -> None:
    text = statement(StringType(), DateType(), StringType(), keys={'c"2'})
    assert 'GROUPING SETS (("c""0"), ("c""1"))' in text
    assert text.count("FOR VERSION AS OF 17") == 2
    assert "GROUPING SETS" not in statement(StringType(), keys={'c"0'})
    assert "GROUPING SETS" not in statement(TimestamptzType(), DoubleType())
