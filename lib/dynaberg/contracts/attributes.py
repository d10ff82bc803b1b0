"""DynamoDB attributes, `{"N": "12.30"}`, as exact Python values of a column's type.

This is independent of the Lambda's conversion, so that what reconcile compares was not made by the code that
it checks. Source: Amazon DynamoDB API Reference, "AttributeValue".
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from dynaberg.contracts.column_types import member_of

if TYPE_CHECKING:
    from dynaberg.contracts.column_types import ParsedType
    from dynaberg.contracts.columns import Column
    from dynaberg.contracts.contract import Contract

Attribute = Mapping[str, Any]
Reader = Callable[[Any], Any]

MISFITS = (KeyError, ValueError, ArithmeticError, TypeError)
"""What is raised by reading an attribute that does not fit."""
_PARTS = re.compile(
    r"(?P<date>[0-9-]{8,10})[T ](?P<clock>[0-9:]{4,8})(?P<fraction>(?:\.[0-9]+)?)"
    r"(?P<offset>(?:Z|[+-][0-9]{2}:?[0-9]{2})?)"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def reader_for(parsed_type: ParsedType, *, rounds: bool = False, in_utc: bool = False) -> Reader:
    """The function that reads attributes of a type; what does not fit raises KeyError or ValueError.

    Args:
        parsed_type: The column's type, from `Column.parsed_type`.
        rounds: Whether moments are rounded to the microsecond.
        in_utc: Whether moments without an offset count as UTC.
    """

    def inside(inner: ParsedType) -> Reader:
        return reader_for(inner, rounds=rounds, in_utc=in_utc)

    match parsed_type:
        case "json":
            return canonical_json
        case "timestamptz":
            return _nullable(lambda attribute: _moment(attribute["S"], rounds=rounds, in_utc=in_utc))
        case {"decimal": _}:
            return _nullable(lambda attribute: Decimal(attribute["N"]))
        case {"list": inner}:
            return _nullable(_list_reader(inside(inner)))
        case {"map": inner}:
            member = inside(inner)
            return _nullable(
                lambda attribute: [(name, member(item)) for name, item in attribute["M"].items()]
            )
        case {"struct": dict(members)}:
            taken = {name: member_of(name, inner) for name, inner in members.items()}
            readers = {name: (attribute, inside(inner)) for name, (attribute, inner) in taken.items()}
            return _nullable(lambda attribute: _struct(attribute["M"], readers))
        case _:
            return _nullable(_SIMPLE[str(parsed_type)])


def column_reader(column: Column) -> Reader:
    """The function that reads the attributes of a column, with the column's rules for moments and parts."""
    read = reader_for(column.parsed_type, rounds=column.round is not None, in_utc=column.zone is not None)
    if not column.is_part:
        return read
    tag = "N" if column.type.partition("(")[0] in ("int", "long", "decimal") else "S"
    return _nullable(lambda attribute: read({tag: _part(attribute["S"], column)}))


def _part(text: str, column: Column) -> str:
    """What stands after one text and before another; a ValueError if the first is not there."""
    begin = text.index(column.after) + len(column.after)
    return text[begin:].partition(column.before)[0] if column.before else text[begin:]


def readers_of(contract: Contract) -> dict[str, Reader]:
    """The functions that read attributes, by column name, as in the conversion if columns share an attribute.

    Each column of a shared attribute takes the values that fit it. Only a value that fits none is a misfit.
    """
    readers: dict[str, Reader] = {}
    for columns in contract.columns_by_attribute.values():
        own = {column.name: column_reader(column) for column in columns}
        for name, read in own.items():
            others = [other for column, other in own.items() if column != name]
            readers[name] = _unless_another_takes(read, others) if others else read
    return readers


def _unless_another_takes(read: Reader, others: Sequence[Reader]) -> Reader:
    def read_own(attribute: Any) -> Any:
        try:
            return read(attribute)
        except MISFITS:
            if not any(_takes(other, attribute) for other in others):
                raise
            return None

    return read_own


def _takes(read: Reader, attribute: Any) -> bool:
    try:
        read(attribute)
    except MISFITS:
        return False
    return True


def unmapped_of(contract: Contract, item: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """The attributes of an item that no column takes, or not with everything that is nested in them.

    Masked attributes are not among them: they never leave the Lambda unmasked.
    """
    by_attribute = contract.columns_by_attribute
    return {
        name: attribute
        for name, attribute in item.items()
        if name not in by_attribute
        or (
            not by_attribute[name][0].mask
            and all(_leaves_members(column.parsed_type, attribute) for column in by_attribute[name])
        )
    }


def _leaves_members(parsed_type: Any, attribute: Attribute) -> bool:
    """Whether an attribute holds members that the structs of a type do not name."""
    ((tag, value),) = attribute.items()
    match parsed_type, tag:
        case {"list": inner}, "L":
            return any(_leaves_members(inner, item) for item in value)
        case {"map": inner}, "M":
            return any(_leaves_members(inner, item) for item in value.values())
        case {"struct": dict(members)}, "M":
            named = dict(member_of(name, inner) for name, inner in members.items())
            return any(name not in named or _leaves_members(named[name], value[name]) for name in value)
        case _:
            return False


def key_attribute(column: Column, value: Any) -> dict[str, Any]:
    """The DynamoDB key attribute of a key column's value, in the one spelling that the column accepts.

    Args:
        column: A key column.
        value: Its value: text, whole number, Decimal, date, aware datetime or bytes.

    Example:
        >>> key_attribute(Column("at", "timestamptz"), datetime(2026, 1, 31, 12, tzinfo=UTC))
        {'S': '2026-01-31T12:00:00Z'}
    """
    if column.after:
        return {"S": column.after + str(value)}
    match column.type.partition("(")[0]:
        case "int" | "long":
            return {"N": str(int(value))}
        case "decimal":
            return {"N": f"{Decimal(value):f}"}
        case "binary":
            return {"B": bytes(value)}
        case "date":
            return {"S": f"{value:%Y-%m-%d}" if value.year > 999 else value.isoformat()[:10]}
        case "timestamptz":
            moment = value.astimezone(UTC).replace(tzinfo=None)
            return {"S": f"{moment.isoformat()}Z"}
        case _:
            return {"S": str(value)}


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
        of_set = _SET_MEMBERS[tag]
        return [member({of_set: item}) for item in items]

    return read


def _struct(members: Mapping[str, Attribute], readers: Mapping[str, tuple[str, Reader]]) -> dict[str, Any]:
    return {
        name: read(members[attribute]) if attribute in members else None
        for name, (attribute, read) in readers.items()
    }


def _bytes(value: bytes | str) -> bytes:
    """Binary as boto3 returns it, or as it is in JSON."""
    return value if isinstance(value, bytes) else base64.b64decode(value, validate=True)


def _whole(text: str) -> int:
    number = Decimal(text)
    if number != number.to_integral_value():
        msg = f"{text} is not a whole number"
        raise ValueError(msg)
    return int(number)


def _moment(text: str, *, rounds: bool, in_utc: bool) -> datetime:
    """A moment in UTC; a ValueError if the text is finer than a microsecond, or has no offset."""
    found = _PARTS.fullmatch(text.upper().replace(",", "."))
    if found is None:
        raise ValueError(f"{text} is not a moment")
    offset = found["offset"] or ("Z" if in_utc else "")
    if not offset:
        raise ValueError(f"{text} has no offset")
    # What datetime does not support: the end of a day as 24:00, and leap seconds.
    clock, later = found["clock"], timedelta()
    if (
        clock.startswith("24")
        and not int(clock.replace(":", "")[2:] or 0)
        and not found["fraction"].strip(".0")
    ):
        clock, later = f"00{clock[2:]}", timedelta(days=1)
    elif rounds and len(clock) > 5 and clock.endswith("60"):
        clock, later = f"{clock[:-2]}59", timedelta(seconds=1)
    # Multiplied first, a fraction of many digits would be rounded twice.
    fraction = Decimal(f"0{found['fraction']}")
    rounded = fraction.quantize(Decimal("0.000001"), ROUND_HALF_UP)
    if rounded != fraction and not rounds:
        raise ValueError(f"{text} is finer than a microsecond")
    microseconds = int(rounded.scaleb(6))
    whole = datetime.fromisoformat(f"{found['date']}T{clock}{offset}")
    late = whole.year == 9999 and microseconds == 1_000_000 and whole.strftime("%m%d%H%M%S") == "1231235959"
    exact = timedelta(microseconds=999_999 if late else microseconds)
    # In one step: on the way to a moment that exists may be one that does not, such as 24:00 of the last day.
    return _EPOCH + (whole.replace(tzinfo=UTC) - _EPOCH + later + exact - (whole.utcoffset() or timedelta()))


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
    "binary": lambda attribute: _bytes(attribute["B"]),
}
