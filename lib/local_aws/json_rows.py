"""JSON records to an Arrow table with the exact schema of an Iceberg table.

Whole columns are converted at once where their values have the type that the column wants; a column
in which one value does not is converted value by value, and the records that do not fit are named. Names must
match exactly; fields that the table does not have are skipped, as AWS does ("Considerations and
limitations", Deliver data to Apache Iceberg Tables, Amazon Data Firehose Developer Guide).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    StringType,
    TimestampType,
    TimestamptzType,
)

from local_aws.json_values import Convert, MismatchError, RoundedNumberError, converter

Row = dict[str, Any]
Values = tuple[Any, ...]
WholeColumn = Callable[[Values, pa.DataType], pa.Array | None]

INVALID_JSON = "Iceberg.InvalidJson"
MISSING_COLUMN = "Iceberg.MissingColumnWithinRecord"
TYPE_MISMATCH = "Iceberg.SchemaTypeMismatch"


@dataclass(frozen=True)
class Failure:
    """Why a record is not in the table.

    Attributes:
        code: Error code; Firehose's own where it is known.
        message: What is wrong, with the column and the value.
    """

    code: str
    message: str


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: Its name.
        required: Whether null is refused.
        arrow_type: Its Arrow type.
        whole: Converts all values at once, or gives up with None or an Arrow error.
        convert: Converts one value.
    """

    name: str
    required: bool
    arrow_type: pa.DataType
    whole: WholeColumn
    convert: Convert


class RowConverter:
    """Converts JSON records to the schema of one Iceberg table.

    Args:
        schema: The table's schema.
    """

    def __init__(self, schema: Schema) -> None:
        self.arrow_schema = schema_to_pyarrow(schema, include_field_ids=False)
        self._columns = [
            Column(
                field.name,
                field.required,
                self.arrow_schema.field(field.name).type,
                whole_column(field.field_type),
                converter(field.field_type),
            )
            for field in schema.fields
        ]

    def convert(self, data: Sequence[bytes]) -> tuple[pa.RecordBatch, dict[int, Failure]]:
        """Convert records, one JSON object each.

        Args:
            data: The records.

        Returns:
            The rows of those that fit, and why the others (by their index) do not.
        """
        failures: dict[int, Failure] = {}
        rows = parse(data, self.arrow_schema.names, failures)
        columns: Iterable[Values] = zip(*rows, strict=True) if rows else ((),) * len(self._columns)
        arrays = [
            whole_or_one_by_one(column, values, data, failures)
            for column, values in zip(self._columns, columns, strict=True)
        ]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)
        if failures:
            batch = batch.filter(pa.array([index not in failures for index in range(len(rows))]))
        return batch, dict(sorted(failures.items()))


def parse(data: Sequence[bytes], names: list[str], failures: dict[int, Failure]) -> list[Values]:
    """The columns' values in every record; a record that holds no object gives nulls and a failure."""
    loads = orjson.loads
    try:
        # Values are picked while the object is still in the processor's cache.
        return [tuple(map(loads(record).get, names)) for record in data]
    except (orjson.JSONDecodeError, AttributeError):
        rows = (object_or_failure(record, index, failures) for index, record in enumerate(data))
        return [tuple(map(row.get, names)) for row in rows]


def object_or_failure(record: bytes, index: int, failures: dict[int, Failure]) -> Row:
    """Parse one record; a record that is not one JSON object becomes a failure."""
    try:
        row = orjson.loads(record)
    except orjson.JSONDecodeError as error:
        failures[index] = Failure(INVALID_JSON, f"The record is not one JSON object: {error}.")
        return {}
    if type(row) is not dict:
        failures[index] = Failure(INVALID_JSON, "The record is not a JSON object.")
        return {}
    return row


def whole_or_one_by_one(
    column: Column, values: Values, data: Sequence[bytes], failures: dict[int, Failure]
) -> pa.Array:
    """Convert a column at once if that works, and value by value if not."""
    array = None
    with suppress(pa.ArrowException, OverflowError):
        array = column.whole(values, column.arrow_type)
    if array is None:
        array = one_by_one(column, values, data, failures)
    if column.required and array.null_count:
        message = f"Column {column.name} is required and the record has no value for it."
        for index in (i for i, value in enumerate(values) if value is None):
            failures.setdefault(index, Failure(MISSING_COLUMN, message))
    return array


def one_by_one(
    column: Column, values: Values, data: Sequence[bytes], failures: dict[int, Failure]
) -> pa.Array:
    """Convert a column value by value; what does not fit becomes a failure and null."""
    converted: list[Any] = []
    for index, value in enumerate(values):
        try:
            converted.append(None if value is None else convert_exactly(column, value, data[index]))
        except MismatchError as error:
            message = f"Column {column.name} ({column.arrow_type}): {error}."
            failures.setdefault(index, Failure(TYPE_MISMATCH, message))
            converted.append(None)
    return pa.array(converted, column.arrow_type)


def convert_exactly(column: Column, value: Any, record: bytes) -> Any:
    """Convert one value, from the record's own digits where parsing rounded them."""
    try:
        return column.convert(value)
    except RoundedNumberError:
        return column.convert(read_every_digit(record)[column.name])


def read_every_digit(record: bytes) -> Row:
    """Parse a record again, with its numbers as they are written."""
    try:
        row: Row = json.loads(record, parse_float=Decimal)
    except RecursionError as error:
        raise MismatchError("the record is nested too deeply to read its numbers exactly") from error
    return row


def whole_column(kind: IcebergType) -> WholeColumn:
    """How a type's columns are converted all at once."""
    if isinstance(kind, DecimalType):
        whole_digits = kind.precision - kind.scale
        return text_column(rf"^[+-]?[0-9]{{1,{whole_digits}}}(\.[0-9]{{1,{kind.scale or 1}}})?$")
    return WHOLE_COLUMNS.get(type(kind), no_whole_column)


def no_whole_column(values: Values, arrow_type: pa.DataType) -> None:
    """Types that are always converted value by value."""


def strings(values: Values, arrow_type: pa.DataType) -> pa.Array:
    """Columns of text; Arrow refuses anything else."""
    return pa.array(values, arrow_type)


def plain_column(*accepted: type) -> WholeColumn:
    """Columns of JSON values that Arrow takes as they are, but also others that would be guesses."""

    def convert(values: Values, arrow_type: pa.DataType) -> pa.Array | None:
        kinds = set(map(type, values))
        return pa.array(values, arrow_type) if kinds.issubset((*accepted, type(None))) else None

    return convert


def text_column(pattern: str) -> WholeColumn:
    """Columns of text that Arrow reads rightly where all of it matches a pattern."""

    def convert(values: Values, arrow_type: pa.DataType) -> pa.Array | None:
        text = pa.array(values, pa.string())
        matches = pc.all(pc.match_substring_regex(text, pattern)).as_py()
        return None if matches is False else text.cast(arrow_type)

    return convert


def either(first: WholeColumn, second: WholeColumn) -> WholeColumn:
    """The first way, and the second where that does not take the column."""

    def convert(values: Values, arrow_type: pa.DataType) -> pa.Array | None:
        array = first(values, arrow_type)
        return second(values, arrow_type) if array is None else array

    return convert


WHOLE_NUMBERS = either(plain_column(int), text_column(r"^-?[0-9]{1,19}$"))
MOMENTS = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
WHOLE_COLUMNS: dict[type[IcebergType], WholeColumn] = {
    StringType: strings,
    BooleanType: plain_column(bool),
    IntegerType: WHOLE_NUMBERS,
    LongType: WHOLE_NUMBERS,
    DoubleType: plain_column(float, int),
    DateType: text_column(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    TimestampType: either(plain_column(int), text_column(MOMENTS + "$")),
    TimestamptzType: either(plain_column(int), text_column(MOMENTS + r"(Z|[+-][0-9]{2}:[0-9]{2})$")),
}
