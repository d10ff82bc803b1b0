"""DynamoDB attributes, `{"N": "12.30"}`, as exact Python values of a column's type.

This is a reading of its own, apart from the Lambda's conversion, so that what reconcile compares was not
made by the code that it checks. Source: Amazon DynamoDB API Reference, "AttributeValue".
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynaberg.contracts.column_types import ParsedType

Attribute = Mapping[str, Any]
Reader = Callable[[Any], Any]

_SET_MEMBERS = {"SS": "S", "NS": "N", "BS": "B"}


def read_any(attribute: Attribute) -> Any:
    """An attribute by its own type: text, Decimal, bytes, bool, None, list, dict or set."""
    ((tag, value),) = attribute.items()
    match tag:
        case "N":
            return Decimal(value)
        case "B":
            return _bytes(value)
        case "NULL":
            return None
        case "L":
            return [read_any(item) for item in value]
        case "M":
            return {name: read_any(item) for name, item in value.items()}
        case "SS" | "NS" | "BS":
            return {read_any({_SET_MEMBERS[tag]: item}) for item in value}
        case _:
            return value


def reader_for(parsed_type: ParsedType) -> Reader:
    """The function that reads a column's attributes; what does not fit raises KeyError or ValueError.

    Args:
        parsed_type: The column's type, from `Column.parsed_type`.
    """
    match parsed_type:
        case "json":
            return canonical_json
        case {"decimal": _}:
            return _nullable(lambda attribute: Decimal(attribute["N"]))
        case {"list": inner}:
            return _nullable(_list_reader(reader_for(inner)))
        case {"map": inner}:
            member = reader_for(inner)
            return _nullable(
                lambda attribute: [(name, member(item)) for name, item in attribute["M"].items()]
            )
        case {"struct": dict(members)}:
            readers = {name: reader_for(inner) for name, inner in members.items()}
            return _nullable(lambda attribute: _struct(attribute["M"], readers))
        case _:
            return _nullable(_SIMPLE[str(parsed_type)])


def canonical_json(attribute: Attribute) -> str:
    """An attribute as DynamoDB JSON in one spelling: members in order, sets sorted, bytes as base64."""
    return json.dumps(_sorted_sets(attribute), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _nullable(read: Reader) -> Reader:
    return lambda attribute: None if "NULL" in attribute else read(attribute)


def _list_reader(member: Reader) -> Reader:
    def read(attribute: Attribute) -> list[Any]:
        ((tag, items),) = attribute.items()
        if tag == "L":
            return [member(item) for item in items]
        return [member({_SET_MEMBERS[tag]: item}) for item in items]

    return read


def _struct(members: Mapping[str, Attribute], readers: Mapping[str, Reader]) -> dict[str, Any]:
    return {name: read(members[name]) if name in members else None for name, read in readers.items()}


def _bytes(value: bytes | str) -> bytes:
    """Binary as boto3 hands it out, or as it stands in JSON."""
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


def _whole(text: str) -> int:
    number = Decimal(text)
    if number != number.to_integral_value():
        msg = f"{text} is no whole number"
        raise ValueError(msg)
    return int(number)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        msg = f"{text} has no offset"
        raise ValueError(msg)
    return moment.astimezone(UTC)


def _sorted_sets(attribute: Any) -> Any:
    ((tag, value),) = attribute.items()
    match tag:
        case "L":
            return {tag: [_sorted_sets(item) for item in value]}
        case "M":
            return {tag: {name: _sorted_sets(item) for name, item in value.items()}}
        case "B":
            return {tag: base64.b64encode(_bytes(value)).decode()}
        case "BS":
            return {tag: sorted(base64.b64encode(_bytes(item)).decode() for item in value)}
        case "SS" | "NS":
            return {tag: sorted(value)}
        case _:
            return {tag: value}


_SIMPLE: dict[str, Reader] = {
    "string": lambda attribute: attribute["S"],
    "int": lambda attribute: _whole(attribute["N"]),
    "long": lambda attribute: _whole(attribute["N"]),
    "double": lambda attribute: float(attribute["N"]),
    "boolean": lambda attribute: attribute["BOOL"],
    "date": lambda attribute: date.fromisoformat(attribute["S"]),
    "timestamptz": lambda attribute: _moment(attribute["S"]),
    "binary": lambda attribute: _bytes(attribute["B"]),
}
