"""NULL lists and maps stay NULL when pyiceberg reads them.

pyiceberg (to 0.12) builds lists and maps of structs anew from their offsets alone, which makes the NULL ones
empty (https://github.com/apache/arrow/issues/38809 is why). `keep_null_lists` builds them with their nulls,
for every table that this process reads with pyiceberg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def keep_null_lists() -> None:
    """Let pyiceberg's projection of columns keep the nulls of lists and maps; once is enough."""
    from pyiceberg.io import pyarrow as module

    visitor: Any = module.ArrowProjectionVisitor
    project_list, project_map = visitor.list, visitor.map
    if getattr(project_list, "keeps_nulls", False):
        return

    def keep_list(self: Any, kind: Any, found: Any, values: Any) -> Any:
        projected = project_list(self, kind, found, values)
        return _list_like(found, projected) if _lost_nulls(found, projected) else projected

    def keep_map(self: Any, kind: Any, found: Any, keys: Any, values: Any) -> Any:
        projected = project_map(self, kind, found, keys, values)
        return _map_like(found, projected) if _lost_nulls(found, projected) else projected

    keep_list.keeps_nulls = True  # type: ignore[attr-defined]
    visitor.list, visitor.map = keep_list, keep_map


def _lost_nulls(found: pa.Array | None, projected: pa.Array | None) -> bool:
    return found is not None and projected is not None and found.null_count != projected.null_count


def _list_like(found: Any, projected: Any) -> Any:
    kind = projected.type
    return type(projected).from_arrays(_offsets(projected), projected.values, kind, mask=found.is_null())


def _map_like(found: Any, projected: Any) -> Any:
    import pyarrow as pa

    parts = projected.keys, projected.items
    return pa.MapArray.from_arrays(_offsets(projected), *parts, projected.type, mask=found.is_null())


def _offsets(array: Any) -> pa.Array:
    """Where each list or map begins; a slice cannot stand beside a mask."""
    import pyarrow as pa

    return pa.array(array.offsets.to_numpy()) if array.offset else array.offsets
