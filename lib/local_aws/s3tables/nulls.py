"""Lists and maps, read and written by pyiceberg as they are.

pyiceberg 0.12 makes NULL lists and maps of structs empty, and casts what is in lists of lists by the names
of members: where a file has another name (a space is `_x20` there) they become NULL. Both are built here from
what was projected, with the nulls of what was read (https://github.com/apache/arrow/issues/38809).
"""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.io import pyarrow as iceberg_arrow
from pyiceberg.types import ListType, MapType


class Exact(iceberg_arrow.ArrowProjectionVisitor):
    """pyiceberg's projection of a file's columns."""

    def list(
        self, list_type: ListType, list_array: pa.Array | None, value_array: pa.Array | None
    ) -> pa.Array | None:
        """A list, projected."""
        if not isinstance(list_array, (pa.ListArray, pa.LargeListArray)) or value_array is None:
            return super().list(list_type, list_array, value_array)
        values = self._cast_if_needed(list_type.element_field, value_array)
        field = self._construct_field(list_type.element_field, values.type)
        kind = pa.large_list(field) if isinstance(list_array, pa.LargeListArray) else pa.list_(field)
        return type(list_array).from_arrays(offsets(list_array), values, kind, mask=list_array.is_null())

    def map(
        self,
        map_type: MapType,
        map_array: pa.Array | None,
        key_result: pa.Array | None,
        value_result: pa.Array | None,
    ) -> pa.Array | None:
        """A map, projected."""
        if not isinstance(map_array, pa.MapArray) or key_result is None or value_result is None:
            return None
        keys = self._cast_if_needed(map_type.key_field, key_result)
        values = self._cast_if_needed(map_type.value_field, value_result)
        kind = pa.map_(
            self._construct_field(map_type.key_field, keys.type),
            self._construct_field(map_type.value_field, values.type),
        )
        return pa.MapArray.from_arrays(offsets(map_array), keys, values, kind, mask=map_array.is_null())


def offsets(array: pa.Array) -> pa.Array:
    """Where each list or map starts; together with a mask, it may not be a slice."""
    return pa.array(array.offsets.to_numpy()) if array.offset else array.offsets


iceberg_arrow.ArrowProjectionVisitor = Exact  # type: ignore[misc]
