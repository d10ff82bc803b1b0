"""The paths of a profile: columns, the fields of structs, and what lists and maps hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg.sql import quote

if TYPE_CHECKING:
    from pyiceberg.types import IcebergType, NestedField


@dataclass(frozen=True)
class Path:
    """One line of a profile.

    Attributes:
        name: Such as `amount`, `place.city`, `tags.length`, `tags.element`, `prices.key`, `prices.value`.
        expression: SQL of its value in a row, or in an element of `array`.
        type: Its Iceberg type.
        array: SQL of the array that holds its values; empty if each row has one value.
        nested: Whether it has parts, which have their own lines.
    """

    name: str
    expression: str
    type: str
    array: str = ""
    nested: bool = False


def paths(fields: Sequence[NestedField]) -> list[Path]:
    """The columns, each followed by its parts.

    Args:
        fields: Columns of an Iceberg schema.
    """
    return [path for field in fields for path in _of_rows(field.name, quote(field.name), field.field_type)]


def _of_rows(name: str, value: str, kind: IcebergType) -> Iterator[Path]:
    from pyiceberg.types import ListType, MapType, StructType

    yield Path(name, value, str(kind), nested=not kind.is_primitive)
    if isinstance(kind, StructType):
        for field in kind.fields:
            yield from _of_rows(f"{name}.{field.name}", f"{value}.{quote(field.name)}", field.field_type)
    elif isinstance(kind, ListType | MapType):
        yield Path(f"{name}.length", f"cardinality({value})", "long")
        for part, array, inner in _parts(kind, value):
            yield from _of_elements(f"{name}.{part}", array, inner)


def _of_elements(name: str, array: str, kind: IcebergType) -> Iterator[Path]:
    """Parts below a list or map: Athena's UNNEST splits rows, so each part gets its own array."""
    from pyiceberg.types import ListType, MapType, StructType

    if isinstance(kind, StructType):
        for field in kind.fields:
            inner = f"transform({array}, e -> e.{quote(field.name)})"
            yield from _of_elements(f"{name}.{field.name}", inner, field.field_type)
    elif isinstance(kind, ListType | MapType):
        for part, inner, type_ in _parts(kind, "e"):
            arrays = array if inner == "e" else f"transform({array}, e -> {inner})"
            yield from _of_elements(f"{name}.{part}", f"flatten({arrays})", type_)
    else:
        yield Path(name, 'u."value"', str(kind), array)


def _parts(kind: IcebergType, value: str) -> list[tuple[str, str, IcebergType]]:
    """The elements of a list, or the keys and values of a map: name, SQL of an array of them, type."""
    from pyiceberg.types import MapType

    if isinstance(kind, MapType):
        return [
            ("key", f"map_keys({value})", kind.key_type),
            ("value", f"map_values({value})", kind.value_type),
        ]
    return [("element", value, getattr(kind, "element_type"))]  # noqa: B009
