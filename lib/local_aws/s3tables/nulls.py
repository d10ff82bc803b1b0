"""NULL lists and maps of structs stay NULL where pyiceberg reads and writes them.

pyiceberg 0.12 builds them anew from their offsets, which makes the NULL ones empty
(https://github.com/apache/arrow/issues/38809 is why). Their nulls are put back here.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.io import pyarrow as iceberg_arrow
from pyiceberg.types import ListType, MapType


class NullKeeping(iceberg_arrow.ArrowProjectionVisitor):
    """pyiceberg's projection of a file's columns, with the nulls of lists and maps."""

    def list(
        self, list_type: ListType, list_array: pa.Array | None, value_array: pa.Array | None
    ) -> pa.Array | None:
        """A list, projected."""
        return with_nulls(list_array, super().list(list_type, list_array, value_array))

    def map(
        self,
        map_type: MapType,
        map_array: pa.Array | None,
        key_result: pa.Array | None,
        value_result: pa.Array | None,
    ) -> pa.Array | None:
        """A map, projected."""
        return with_nulls(map_array, super().map(map_type, map_array, key_result, value_result))


def with_nulls(source: pa.Array | None, made: pa.Array | None) -> pa.Array | None:
    """An array that is NULL where another is."""
    if source is None or made is None or source.null_count == made.null_count:
        return made
    # A choice loses the ids of fields, which a cast gives back.
    return pc.if_else(source.is_valid(), made, pa.nulls(len(made), made.type)).cast(made.type)


iceberg_arrow.ArrowProjectionVisitor = NullKeeping  # type: ignore[misc]
