"""The statements of a profile: valid Trino SQL for every type, and what is done where one fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

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

from dynaberg.errors import QueryCancelledError, QueryError
from dynaberg.profile.columns import _lines, _of_many_values, _parts
from dynaberg.profile.paths import Path, paths
from dynaberg.profile.statement import statement as one_statement

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
    return one_statement(paths(fields), '"t" FOR VERSION AS OF 17', keys or set())


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
    assert metrics(DecimalType(12, 2)) >= {"mean", "quantiles"}
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


def test_a_wide_table_takes_several_short_statements() -> None:
    fields = [
        NestedField(n, f"attribute_{n:04}", TYPES[n % len(TYPES)], required=False) for n in range(1_000)
    ]
    parts = list(_parts(paths(fields)))
    assert [path for part in parts for path in part] == paths(fields)
    for part in (parts[0], parts[len(parts) // 2], parts[-1]):
        text = one_statement(part, '"t"', set())
        assert len(text) < 16_000
        result = validate(text, dialect="trino")
        assert result.valid, result.error
    assert len(list(_parts(paths(fields[:13])))) == 1


def test_a_struct_of_the_tables_name_is_a_column() -> None:
    """`place.city` would be the column city of the table place."""
    assert 'FROM "t" FOR VERSION AS OF 17 AS rows_of_table' in statement(StringType())


class Athena:
    """Refuses measures of a column by its name, and counts the statements."""

    def __init__(self, refused: dict[str, set[str]], error: type[QueryError] = QueryError) -> None:
        self.refused, self.error, self.asked = refused, error, 0

    def __call__(self, part: Sequence[Path], measures: Sequence[str]) -> dict[str, Any]:
        self.asked += 1
        for path in part:
            if self.refused.get(path.name, set()) & {*measures, "nulls"}:
                raise self.error("NUMERIC_VALUE_OUT_OF_RANGE")
        return {
            name: value
            for index, _ in enumerate(part)
            for name, value in {
                f"rows_{index}": 3, f"nulls_{index}": 0, f"approx_distinct_{index}": 2 if measures else None,
                f"min_{index}": 1 if measures else None, f"max_{index}": 5 if measures else None,
                f"quantiles_{index}": str([*range(19)]) if "sketch" in measures else None,
            }.items()
        }  # fmt: skip


def columns_of(count: int) -> list[Path]:
    return [Path(f"c{n}", f'"c{n}"', "long") for n in range(count)]


def test_a_column_that_cannot_be_measured_loses_the_measure_only() -> None:
    athena = Athena({"c3": {"sketch"}, "c6": {"sketch", "order"}})
    lines = {line["column"]: line for line in _lines(athena, columns_of(8))}
    assert list(lines) == [f"c{n}" for n in range(8)]
    assert {line["rows"] for line in lines.values()} == {3}
    assert [name for name, line in lines.items() if not line["approx_histogram"]] == ["c3", "c6"]
    assert (lines["c3"]["min"], lines["c3"]["approx_p50"]) == (1, None)
    assert (lines["c6"]["min"], lines["c6"]["nulls"]) == (None, 0)
    assert athena.asked < 20


def test_another_fault_is_raised_after_a_few_statements() -> None:
    athena = Athena({f"c{n}": {"nulls"} for n in range(16)})
    with pytest.raises(QueryError):
        _lines(athena, columns_of(16))
    assert athena.asked <= 8
    athena = Athena({"c3": {"sketch"}}, QueryCancelledError)
    with pytest.raises(QueryCancelledError):
        _lines(athena, columns_of(8))
    assert athena.asked == 1


def test_in_a_large_table_only_columns_of_few_values_are_counted() -> None:
    profiled = paths(
        [NestedField(n, name, StringType()) for n, name in enumerate(("status", "customer", "broken", "id"))]
        + [NestedField(9, "amount", DoubleType()), NestedField(10, "tags", ListType(11, StringType()))]
    )
    estimates = {"status": 4, "customer": 10**8, "broken": None, "tags.element": 12}
    asked = []

    def ask(part: Sequence[Path], measures: Sequence[str]) -> dict[str, Any]:
        asked.append(one_statement(part, '"t"', set(), measures))
        return {f"approx_distinct_{n}": estimates[path.name] for n, path in enumerate(part)}

    assert list(_of_many_values(ask, profiled, {"id"})) == ["customer", "broken"]
    [text] = asked
    assert validate(text, dialect="trino").valid
    assert "GROUP BY" not in text
    assert text.count("approx_distinct") == 2 * len(estimates)
    counted = one_statement(profiled, '"t"', {"customer", "broken", "id"})
    assert "WHEN v0 IS NOT NULL" in counted
    assert "v1" not in counted


def test_a_column_that_cannot_be_estimated_is_not_counted() -> None:
    def refuse(*_: Any) -> dict[str, Any]:
        raise QueryError("Query exhausted resources at this scale factor")

    profiled = paths([NestedField(1, "status", StringType())])
    assert list(_of_many_values(refuse, profiled, set())) == ["status"]
