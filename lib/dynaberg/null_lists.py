"""NULL lists and maps stay NULL when pyiceberg reads them.

pyiceberg (to 0.12) builds lists and maps of structs anew from their offsets, which makes the NULL ones empty
(https://github.com/apache/arrow/issues/38809 is why). `keep_null_lists` puts their nulls back, for every
table that this process reads with pyiceberg.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def keep_null_lists() -> None:
    """Let pyiceberg's projection of columns keep the nulls of lists and maps; once is enough."""
    from pyiceberg.io import pyarrow as module

    visitor: Any = module.ArrowProjectionVisitor
    if getattr(visitor, "keeps_null_lists", False):
        return
    project_list, project_map = visitor.list, visitor.map

    def keep_list(self: Any, kind: Any, found: Any, values: Any) -> Any:
        return _with_nulls(found, project_list(self, kind, found, values))

    def keep_map(self: Any, kind: Any, found: Any, keys: Any, values: Any) -> Any:
        return _with_nulls(found, project_map(self, kind, found, keys, values))

    visitor.list, visitor.map, visitor.keeps_null_lists = keep_list, keep_map, True


def _with_nulls(source: pa.Array | None, made: pa.Array | None) -> pa.Array | None:
    """An array that is NULL where another is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if source is None or made is None or source.null_count == made.null_count:
        return made
    # A choice loses the ids of fields, which a cast gives back.
    return pc.if_else(source.is_valid(), made, pa.nulls(len(made), made.type)).cast(made.type)
