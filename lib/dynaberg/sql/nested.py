"""Lists, maps and structs, read exactly: selected as JSON whose parts have a place, and turned back by type.

Athena writes nested values as text without quotation marks, in which `[a, b]` may be one text or two. So the
statements of this library select them as JSON. Trino casts neither moments with a time zone nor binary
values to JSON, keys of maps must be text or numbers, and what it makes of a row depends on its version. The
JSON therefore has a form of its own: a struct is the array of its members in the schema's order, a map the
arrays of its keys and of its values; whole numbers, text and booleans are themselves, binary values are
base64, and everything else is what a cast to varchar writes.
Sources: Trino documentation, "JSON functions and operators", and Trino's `JsonUtil.canCastToJson`.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import TYPE_CHECKING, Any

from dynaberg.errors import QueryError

if TYPE_CHECKING:
    from pyiceberg.types import IcebergType

Reader = Callable[[Any], Any]

# Trino: "Too many arguments for array constructor", from 255 on.
_MOST_IN_ARRAY = 200
# Iceberg's widest decimal; a digit that does not fit is an error.
_EXACT = Context(prec=38, traps=[Inexact, InvalidOperation])


def quote(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def selected(name: str, kind: IcebergType) -> str:
    """A column of a select list, such that `revive` gives its values.

    Args:
        name: The column.
        kind: Its Iceberg type.

    Example:
        >>> selected("tags", ListType(1, StringType()))
        'json_format(CAST("tags" AS JSON)) AS "tags"'
    """
    column = quote(name)
    return column if kind.is_primitive else f"{exact(column, kind)} AS {column}"


def exact(value: str, kind: IcebergType) -> str:
    """The SQL of a nested value as text of JSON.

    Args:
        value: SQL of the value.
        kind: Its Iceberg type: a list, a map or a struct.
    """
    return f"json_format({_json(value, kind, 0)})"


def _json(value: str, kind: IcebergType, depth: int) -> str:
    return f"CAST({_castable(value, kind, depth)} AS JSON)"


def _castable(value: str, kind: IcebergType, depth: int) -> str:
    """SQL of what a cast to JSON keeps exactly."""
    from pyiceberg import types

    match kind:
        case types.ListType():
            return _each(value, kind.element_type, depth)
        case types.MapType():
            keys = _each(f"map_keys({value})", kind.key_type, depth)
            values = _each(f"map_values({value})", kind.value_type, depth)
            return _unless_null(value, [f"CAST({keys} AS JSON)", f"CAST({values} AS JSON)"])
        case types.StructType():
            members = [_json(f"{value}.{quote(f.name)}", f.field_type, depth) for f in kind.fields]
            return _unless_null(value, members)
        case types.BinaryType() | types.FixedType():
            return f"to_base64({value})"
        case types.StringType() | types.BooleanType() | types.IntegerType() | types.LongType():
            return value
        case _:
            # A cast to text never fails; the local AWS loses digits of an element by CAST, not by TRY_CAST.
            return f"TRY_CAST({value} AS varchar)"


def _each(array: str, kind: IcebergType, depth: int) -> str:
    element = f"e{depth}"
    inner = _castable(element, kind, depth + 1)
    return array if inner == element else f"transform({array}, {element} -> {inner})"


def _unless_null(value: str, parts: Sequence[str]) -> str:
    """SQL of an array of JSON, NULL where the value is."""
    return f"IF({value} IS NULL, NULL, CAST({array_of(parts)} AS JSON))"


def array_of(parts: Sequence[str]) -> str:
    """SQL of the array of some expressions, however many: Trino takes at most 254 in one constructor.

    Args:
        parts: SQL of each element, one at least.

    Example:
        >>> array_of(["a", "b"])
        'ARRAY[a, b]'
    """
    arrays = [
        f"ARRAY[{', '.join(parts[start : start + _MOST_IN_ARRAY])}]"
        for start in range(0, len(parts), _MOST_IN_ARRAY)
    ]
    return " || ".join(arrays)


def revive(kind: IcebergType, text: str | None) -> Any:
    """The value of a nested column from the JSON that `selected` reads it as.

    Numbers are `int`, `Decimal` or `float`, as the type says; moments are aware datetimes in UTC, or naive
    ones if the type has no time zone; lists are `list`, maps and structs `dict`.

    Args:
        kind: The column's Iceberg type: a list, a map or a struct.
        text: The JSON, or None.

    Raises:
        QueryError: The text is not what the type says.
    """
    return reviver(kind)(text)


def reviver(kind: IcebergType) -> Callable[[str | None], Any]:
    """`revive` of one type, for many values.

    Args:
        kind: The column's Iceberg type: a list, a map or a struct.
    """
    read = _reader(kind)

    def revived(text: str | None) -> Any:
        # A missing text is None, or what pandas has in its place.
        if not isinstance(text, str):
            return None
        try:
            return read(json.loads(text))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            msg = f"Athena's value {text[:200]} is no {str(kind)[:200]}: {error}."
            hint = "Moments end with the year 9999; CAST(… AS varchar) shows those after it."
            raise QueryError(msg, hint=hint) from error

    return revived


def _reader(kind: IcebergType) -> Reader:
    """The function that reads one part of the JSON."""
    from pyiceberg import types

    match kind:
        case types.ListType():
            element = _reader(kind.element_type)
            return _optional(lambda values: [element(each) for each in _of(list, values)])
        case types.MapType():
            key, value = _reader(kind.key_type), _reader(kind.value_type)
            return _optional(lambda pair: _map(key, value, pair))
        case types.StructType():
            members = {field.name: _reader(field.field_type) for field in kind.fields}
            return _optional(lambda values: _struct(members, values))
        case types.DecimalType():
            unit = Decimal(1).scaleb(-kind.scale)
            return _optional(lambda text: Decimal(_of(str, text)).quantize(unit, context=_EXACT))
        case types.FloatType():
            # The double that has the float's value, as Arrow and Iceberg give it.
            return _optional(lambda text: struct.unpack("f", struct.pack("f", float(_of(str, text))))[0])
        case _:
            return _optional(_LEAVES.get(str(kind).partition("[")[0], lambda text: _of(str, text)))


def _optional(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _of(kind: type, value: Any) -> Any:
    """The value, if it is of that kind; true and false are no numbers."""
    if type(value) is not kind:
        msg = f"{value!r} is a {type(value).__name__}"
        raise TypeError(msg)
    return value


def _map(key: Reader, value: Reader, pair: Any) -> dict[Any, Any]:
    keys, values = _of(list, pair)
    return {key(k): value(v) for k, v in zip(_of(list, keys), _of(list, values), strict=True)}


def _struct(members: dict[str, Reader], values: Any) -> dict[str, Any]:
    return {name: members[name](v) for name, v in zip(members, _of(list, values), strict=True)}


def _moment(text: Any) -> datetime:
    """A moment of a column: Iceberg keeps them in UTC, and Athena says so."""
    moment = datetime.fromisoformat(_of(str, text).replace(" UTC", "+00:00"))
    if moment.utcoffset() != timedelta(0):
        msg = f"{text!r} is not in UTC"
        raise ValueError(msg)
    return moment.astimezone(UTC)


_LEAVES: dict[str, Reader] = {
    "int": lambda number: _of(int, number),
    "long": lambda number: _of(int, number),
    "boolean": lambda value: _of(bool, value),
    "double": lambda text: float(_of(str, text)),
    "date": lambda text: date.fromisoformat(_of(str, text)),
    "timestamp": lambda text: datetime.fromisoformat(_of(str, text)),
    "timestamptz": _moment,
    "binary": lambda text: base64.b64decode(_of(str, text), validate=True),
    "fixed": lambda text: base64.b64decode(_of(str, text), validate=True),
}
