"""Rows to the partitions of an Iceberg table.

pyiceberg leaves this to an extra package. Firehose's rows of one flush are in few partitions, so it is
enough to transform the distinct values: of moments, those that differ in the hour, day, month or year.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.partitioning import PartitionField, PartitionFieldValue, PartitionKey, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import DayTransform, HourTransform, MonthTransform, YearTransform
from pyiceberg.types import IcebergType, TimestampType, TimestamptzType, UUIDType

UNITS = {HourTransform: "hour", DayTransform: "day", MonthTransform: "month", YearTransform: "year"}


def partitions(
    rows: pa.Table, spec: PartitionSpec, schema: Schema
) -> Iterator[tuple[PartitionKey, pa.Table]]:
    """The rows of each partition."""
    names = [str(index) for index in range(len(spec.fields))]
    values = pa.table([partition_values(rows, field, schema) for field in spec.fields], names=names)
    for distinct in values.group_by(names).aggregate([]).to_pylist():
        key = PartitionKey(
            [
                PartitionFieldValue(field, distinct[name])
                for field, name in zip(spec.fields, names, strict=True)
            ],
            spec,
            schema,
        )
        masks = [equal(values[name], distinct[name]) for name in names]
        mask = masks[0]
        for other in masks[1:]:
            mask = pc.and_(mask, other)
        yield key, rows if pc.all(mask).as_py() else rows.filter(mask)


def equal(values: pa.ChunkedArray, value: Any) -> pa.ChunkedArray:
    """Where a column has a value, null included."""
    return (
        pc.is_null(values)
        if value is None
        else pc.fill_null(pc.equal(values, pa.scalar(value, values.type)), False)
    )


def partition_values(rows: pa.Table, field: PartitionField, schema: Schema) -> pa.ChunkedArray:
    """The partition value of every row, for one field of the spec."""
    source = schema.find_field(field.source_id)
    column = source_column(rows, schema, field.source_id)
    transform = field.transform.transform(source.field_type)
    unit = UNITS.get(type(field.transform))
    if unit is not None:
        column = pc.floor_temporal(column, unit=unit)
    encoded = pc.dictionary_encode(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    transformed = [transform(value) for value in plain_values(encoded.dictionary, source.field_type)]
    return pa.chunked_array([pa.array(transformed).take(encoded.indices)])


def source_column(rows: pa.Table, schema: Schema, field_id: int) -> pa.ChunkedArray:
    """The column that a partition field is made from, also one within a struct."""
    first, *path = (schema.find_column_name(field_id) or "").split(".")
    column = rows[first]
    for name in path:
        column = pc.struct_field(column, name)
    return column


def plain_values(values: pa.Array, kind: IcebergType) -> list[Any]:
    """Values as Iceberg's transforms take them: moments as microseconds, dates as days."""
    if isinstance(kind, (TimestampType, TimestamptzType)):
        values = values.cast(pa.int64())
    elif pa.types.is_date32(values.type):
        values = values.cast(pa.int32())
    elif isinstance(kind, UUIDType):
        values = values.storage
    return list(values.to_pylist())
