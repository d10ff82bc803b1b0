"""Records to Arrow columns by msgspec, where each of them is what the columns want.

msgspec parses each record straight to values of the wanted types, in less time than a parser takes that does
not know them. It refuses a value of another JSON type than its column, and is told to refuse a field that is
not in the schema: it would skip that without looking whether it is JSON at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pyarrow as pa

KINDS: dict[pa.DataType, type] = {
    pa.string(): str,
    pa.large_string(): str,
    pa.int32(): int,
    pa.int64(): int,
    pa.float64(): float,
    pa.bool_(): bool,
}


class TypedRecords:
    """Reads records of one schema.

    Args:
        schema: Names and types of the columns.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        names = {f"column_{number}": name for number, name in enumerate(schema.names)}
        kinds = [KINDS[column_type] for column_type in schema.types]
        fields = [(name, kind | None, None) for name, kind in zip(names, kinds, strict=True)]
        record = msgspec.defstruct("Record", fields, rename=names, forbid_unknown_fields=True, gc=False)
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(record).decode

    def read(self, data: Sequence[bytes]) -> dict[str, pa.Array]:
        """The columns of records, by name; empty where only a closer look can tell what they hold."""
        try:
            rows = [self._decode(record) for record in data]
            columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
            return {
                field.name: pa.array(values, field.type)
                for field, values in zip(self._schema, columns, strict=False)
            }
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError, pa.ArrowException):
            return {}
