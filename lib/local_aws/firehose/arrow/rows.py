"""JSON records to an Arrow table with the exact schema of an Iceberg table.

Records are read straight to columns if all of their values have the types that the columns want. If one has
not, they are parsed and converted value by value, and the records that do not fit are named. Names must match
exactly; fields that the table does not have are skipped, as AWS does ("Considerations and limitations",
Deliver data to Apache Iceberg Tables, Amazon Data Firehose Developer Guide).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema

from local_aws.firehose.arrow.columns import TypedRecords, Way, finished, way
from local_aws.firehose.arrow.values import Convert, MismatchError, RoundedNumberError, converter

Row = dict[str, Any]
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
        way: How all its values are converted at once, if they can be.
        convert: Converts one value.
    """

    name: str
    required: bool
    arrow_type: pa.DataType
    way: Way | None
    convert: Convert


class RowConverter:
    """Converts JSON records to the schema of one Iceberg table.

    Args:
        schema: The table's schema.
    """

    def __init__(self, schema: Schema) -> None:
        self.arrow_schema = schema_to_pyarrow(schema, include_field_ids=False)
        types = [self.arrow_schema.field(field.name).type for field in schema.fields]
        self._columns = [
            Column(
                field.name,
                field.required,
                arrow_type,
                way(field.field_type, arrow_type),
                converter(field.field_type),
            )
            for field, arrow_type in zip(schema.fields, types, strict=True)
        ]
        self._records = TypedRecords(
            pa.schema([(column.name, column.way.intake) for column in self._columns if column.way])
        )

    def convert(self, data: Sequence[bytes]) -> tuple[pa.RecordBatch, dict[int, Failure]]:
        """Convert records, one JSON object each.

        Args:
            data: The records.

        Returns:
            The rows of those that fit, and why the others (by their index) do not.
        """
        batch = self._read(data)
        return (batch, {}) if batch is not None else self._parse_and_convert(data)

    def _read(self, data: Sequence[bytes]) -> pa.RecordBatch | None:
        """All records, read straight to columns; None where one of them needs a closer look."""
        read = self._records.read(data)
        if not read:
            return None
        arrays = [finish_column(column, read.get(column.name), len(data)) for column in self._columns]
        if any(array is None for array in arrays):
            return None
        return pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)

    def _parse_and_convert(self, data: Sequence[bytes]) -> tuple[pa.RecordBatch, dict[int, Failure]]:
        """Convert records of which one or more may not fit."""
        failures: dict[int, Failure] = {}
        rows = parse(data, failures)
        arrays = [column_of(column, rows, data, failures) for column in self._columns]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self.arrow_schema)
        if failures:
            batch = batch.filter(pa.array([index not in failures for index in range(len(rows))]))
        return batch, dict(sorted(failures.items()))


def parse(data: Sequence[bytes], failures: dict[int, Failure]) -> list[Row]:
    """The object in every record; a record that holds none gives an empty one and a failure."""
    loads = orjson.loads
    with suppress(orjson.JSONDecodeError):
        rows = [loads(record) for record in data]
        if set(map(type, rows)) <= {dict}:
            return rows
    return [object_or_failure(record, index, failures) for index, record in enumerate(data)]


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


def finish_column(column: Column, read: pa.Array | None, count: int) -> pa.Array | None:
    """A column of what was read for it; None where it needs a closer look."""
    if read is None:
        read = pa.nulls(count, column.arrow_type)
    array = finished(column.way, read) if column.way else read
    return None if array is None or (column.required and array.null_count) else array


def column_of(
    column: Column, rows: list[Row], data: Sequence[bytes], failures: dict[int, Failure]
) -> pa.Array:
    """Convert a column value by value; what does not fit becomes a failure and null."""
    converted: list[Any] = []
    for index, value in enumerate(row.get(column.name) for row in rows):
        try:
            converted.append(None if value is None else convert_exactly(column, value, data[index]))
        except MismatchError as error:
            message = f"Column {column.name} ({column.arrow_type}): {error}."
            failures.setdefault(index, Failure(TYPE_MISMATCH, message))
            converted.append(None)
        if column.required and value is None:
            message = f"Column {column.name} is required and the record has no value for it."
            failures.setdefault(index, Failure(MISSING_COLUMN, message))
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
