"""The one statement of a profile: valid Trino SQL for every type, the approximate ones named as such."""

from __future__ import annotations

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)
from trino_sql_validator import validate

from dynaberg.profiling import _aggregates

TYPES = [
    StringType(), BooleanType(), IntegerType(), LongType(), DoubleType(), DecimalType(12, 2), DateType(),
    TimestamptzType(), BinaryType(), ListType(1000, StringType(), element_required=False),
]  # fmt: skip


def test_the_statement_is_trino_sql() -> None:
    fields = [
        NestedField(n, f'column "{n}"', type_, required=False) for n, type_ in enumerate(TYPES, start=1)
    ]
    parts = [part for index, field in enumerate(fields) for part in _aggregates(index, field, set())]
    result = validate(f'SELECT {", ".join(parts)} FROM "t"', dialect="trino")
    assert result.valid, result.error


def test_what_is_computed_depends_on_the_type() -> None:
    def metrics(type_: object, *, key: bool = False) -> list[str]:
        field = NestedField(1, "c", type_, required=False)  # type: ignore[arg-type]
        parts = _aggregates(0, field, {"c"} if key else set())
        return [part.rpartition('"')[0].rpartition('"')[2] for part in parts]

    assert metrics(TYPES[-1]) == ["nulls_0"]
    assert metrics(BinaryType()) == ["nulls_0"]
    assert metrics(StringType()) == ["nulls_0", "approx_distinct_0", "min_0", "max_0", "top_0"]
    assert "top_0" not in metrics(StringType(), key=True)
    assert "mean_0" in metrics(DecimalType(12, 2))
    assert "mean_0" not in metrics(DateType())
