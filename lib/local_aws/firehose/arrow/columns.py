"""Whole columns of JSON values to Arrow at once, where all of them have a type that the column takes.

msgspec parses each record straight to values of the wanted types, in less time than a parser takes that does
not know them. It refuses a value of another JSON type than its column. It must also refuse a field that is
not in the schema, because it would skip that without checking that it is JSON at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
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

from local_aws.firehose.arrow.values import MOMENTS_US

Finish = Callable[[pa.Array], pa.Array | None]

ISO_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
PLAIN = (StringType, BooleanType, IntegerType, LongType, DoubleType, TimestampType, TimestamptzType)
INTAKES: dict[type[IcebergType], pa.DataType] = {TimestampType: pa.int64(), TimestamptzType: pa.int64()}


@dataclass(frozen=True)
class Way:
    """How a whole column is converted.

    Attributes:
        intake: The Arrow type that its values are read as.
        finish: Makes the column of what was read; gives up with None or an Arrow error.
    """

    intake: pa.DataType
    finish: Finish


def way(kind: IcebergType, arrow_type: pa.DataType) -> Way | None:
    """The way for a type; None where values are always converted one by one."""
    if isinstance(kind, DecimalType):
        return Way(pa.string(), from_text(decimal_pattern(kind), arrow_type))
    if isinstance(kind, DateType):
        return Way(pa.string(), from_text(ISO_DATE, arrow_type))
    if not isinstance(kind, PLAIN):
        return None
    return Way(INTAKES.get(type(kind), arrow_type), as_read(arrow_type))


def decimal_pattern(kind: DecimalType) -> str:
    """Text that is such a decimal; without the guard, Arrow takes some that is not, and takes it wrongly."""
    whole_digits = kind.precision - kind.scale
    return rf"^[+-]?[0-9]{{1,{whole_digits}}}(\.[0-9]{{1,{kind.scale or 1}}})?$"


def from_text(pattern: str, arrow_type: pa.DataType) -> Finish:
    """Casts text where all of it matches a pattern."""

    def finish(text: pa.Array) -> pa.Array | None:
        matches = pc.all(pc.match_substring_regex(text, pattern)).as_py()
        return None if matches is False else text.cast(arrow_type)

    return finish


def as_read(arrow_type: pa.DataType) -> Finish:
    """Takes values as they were read, numbers where they are finite."""

    def finish(values: pa.Array) -> pa.Array | None:
        floating = pa.types.is_floating(values.type)
        if floating and pc.all(pc.is_finite(values)).as_py() is False:
            return None
        return values if values.type == arrow_type else values.cast(arrow_type)

    return finish


def finished(way: Way, read: pa.Array) -> pa.Array | None:
    """The column of what was read for a way; None where it is not of its kind."""
    with suppress(pa.ArrowException):
        array = way.finish(read)
        return array if array is None or in_calendar(array) else None
    return None


def in_calendar(values: pa.Array) -> bool:
    """Whether all moments and dates are of the years 1 to 9999; True for all else."""
    if not pa.types.is_temporal(values.type):
        return True
    found = pc.min_max(values.cast(pa.timestamp("us")).cast(pa.int64())).as_py().values()
    return all(value is None or value in MOMENTS_US for value in found)


RECORD_KINDS: dict[pa.DataType, type] = {
    pa.string(): str,
    pa.large_string(): str,
    pa.int32(): int,
    pa.int64(): int,
    pa.float64(): float,
    pa.bool_(): bool,
}


class TypedRecords:
    """Reads records of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        names = {f"column_{number}": name for number, name in enumerate(schema.names)}
        kinds = [RECORD_KINDS[column_type] for column_type in schema.types]
        fields = [(name, kind | None, None) for name, kind in zip(names, kinds, strict=True)]
        record = msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(record).decode

    def read(self, data: Sequence[bytes]) -> dict[str, pa.Array]:
        """The columns of records, by name; empty where only a closer look shows what they hold."""
        try:
            # Taken apart at once, while its values are in the processor's cache.
            rows = [msgspec.structs.astuple(self._decode(record)) for record in data]
            columns = zip(*rows, strict=True)
            return {
                field.name: pa.array(values, field.type)
                for field, values in zip(self._schema, columns, strict=False)
            }
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, pa.ArrowException):
            return {}
