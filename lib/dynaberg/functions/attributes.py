"""DynamoDB attributes, `{"N": "12.30"}`, converted exactly to the JSON values that a column's type takes.

Source of the forms of attributes: "AttributeValue", Amazon DynamoDB API Reference.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import (
    MAX_EMAX,
    MAX_PREC,
    MIN_EMIN,
    Context,
    Decimal,
    DecimalException,
    Inexact,
    InvalidOperation,
)
from json import JSONEncoder
from typing import Any

Attribute = Mapping[str, Any]
Converter = Callable[[Any], Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MOMENT_US = (datetime.max.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
_FIRST_MOMENT_US = (datetime.min.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
to_json = JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode

# DynamoDB's numbers are between 1E-130 and 9.9…E+125: with 38 digits after the point they fit in this.
_EXACT = Context(prec=200, traps=[Inexact, InvalidOperation])
# Decimal's own methods would round to 28 digits, and two keys would be one.
_ALL_DIGITS = Context(prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[InvalidOperation])
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# ISO 8601, in its extended and in its basic form; RFC 3339 also accepts lower-case letters.
_MOMENT = re.compile(
    r"(?P<year>[0-9]{4})(?P<hyphen>-?)(?P<month>[0-9]{2})(?P=hyphen)(?P<day>[0-9]{2})[Tt ]"
    r"(?P<hour>[0-9]{2})(?P<colon>:?)(?P<minute>[0-9]{2})"
    r"(?:(?P=colon)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
_SET_MEMBERS = {"SS": "S", "NS": "N", "BS": "B"}


class ConversionError(Exception):
    """A change record that does not fit the table contract.

    Args:
        kind: What kind of error, such as `WrongType`.
        message: What happened, with the value.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind, self.message = kind, message

    @property
    def code(self) -> str:
        """The error code, such as `Conversion.WrongType`."""
        return f"Conversion.{self.kind}"


@dataclass(frozen=True)
class MomentRules:
    """How a column reads moments that are less, or more, precise than a timestamp.

    Attributes:
        round_to: `microsecond`: finer digits are rounded (and a leap second is read as the second after it);
            otherwise they are refused.
        zone: `UTC`: a moment without an offset counts as UTC; otherwise it is refused.
    """

    round_to: str | None = None
    zone: str | None = None


EXACT_MOMENTS = MomentRules()


def converter_for(parsed_type: Any, moments: MomentRules = EXACT_MOMENTS) -> Converter:
    """The function that turns a DynamoDB attribute into the JSON value of a column.

    Args:
        parsed_type: A column's type as `Contract.to_lambda_json` writes it.
        moments: How the column reads moments.
    """
    if parsed_type == "json":
        return _attribute_text
    readers = _readers(parsed_type, moments)

    def convert(attribute: Any) -> Any:
        tag, value = unpack(attribute)
        if tag == "NULL":
            return None
        if tag not in readers:
            taken = " or ".join(readers)
            raise ConversionError(
                "WrongType", f"is a DynamoDB {tag}, but its type takes {taken}: {shorten(value)}"
            )
        return readers[tag](value)

    return convert


def unpack(attribute: Any) -> tuple[str, Any]:
    """The type letter and the value of an attribute."""
    if not isinstance(attribute, dict) or len(attribute) != 1:
        raise ConversionError("NotDynamoDbJson", f"is not a DynamoDB attribute: {shorten(attribute)}")
    return next(iter(attribute.items()))


def shorten(value: Any) -> str:
    """A value for a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _readers(parsed_type: Any, moments: MomentRules) -> dict[str, Converter]:
    """The readers for each of the DynamoDB types that a column type takes."""
    if parsed_type == "timestamptz":
        return {"S": lambda text: read_moment(text, moments)}
    if isinstance(parsed_type, str):
        return _SIMPLE_READERS[parsed_type]
    ((kind, inner),) = parsed_type.items()
    return _NESTED_READERS[kind](inner, moments)


def _decimal_readers(inner: list[int], _: MomentRules) -> dict[str, Converter]:
    precision, scale = inner
    return {"N": lambda text: _read_decimal(text, precision, scale)}


def _list_readers(inner: Any, moments: MomentRules) -> dict[str, Converter]:
    convert = converter_for(inner, moments)
    readers: dict[str, Converter] = {"L": lambda items: [convert(item) for item in _expect(items, list)]}
    return readers | {tag: _set_reader(member, convert) for tag, member in _SET_MEMBERS.items()}


def _set_reader(member: str, convert: Converter) -> Converter:
    return lambda items: [convert({member: item}) for item in _expect(items, list)]


def _map_readers(inner: Any, moments: MomentRules) -> dict[str, Converter]:
    convert = converter_for(inner, moments)
    return {"M": lambda items: {name: convert(item) for name, item in _expect(items, dict).items()}}


def _struct_readers(inner: dict[str, Any], moments: MomentRules) -> dict[str, Converter]:
    taken = {name: _member(name, member) for name, member in inner.items()}
    members = {name: (attribute, converter_for(kind, moments)) for name, (attribute, kind) in taken.items()}
    return {
        "M": lambda items: {
            name: convert(items[attribute])
            for name, (attribute, convert) in members.items()
            if attribute in _expect(items, dict)
        }
    }


def _member(name: str, parsed_type: Any) -> tuple[str, Any]:
    """The attribute that a member of a struct takes, and its type."""
    if isinstance(parsed_type, dict) and "attribute" in parsed_type:
        attribute, inner = parsed_type["attribute"]
        return attribute, inner
    return name, parsed_type


def _attribute_text(attribute: Any) -> str:
    unpack(attribute)
    return to_json(attribute)


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ConversionError("NotDynamoDbJson", f"holds a {type(value).__name__}: {shorten(value)}")
    return value


def _read_text(value: Any) -> Any:
    return _expect(value, str)


def _read_boolean(value: Any) -> Any:
    return _expect(value, bool)


def _read_number(text: Any) -> Decimal:
    if not _NUMBER.fullmatch(_expect(text, str)):
        raise ConversionError("NotDynamoDbJson", f"is not a number: {shorten(text)}")
    return Decimal(text)


def by_value(number: str) -> Decimal:
    """The one form of all spellings of a number, with all its digits.

    Raises:
        ArithmeticError: The text is not a number.

    Example:
        >>> by_value("1.50"), by_value("-0")
        (Decimal('1.5'), Decimal('0'))
    """
    return _ALL_DIGITS.normalize(_ALL_DIGITS.plus(Decimal(number)))


def _read_integer(text: Any, bits: int) -> int:
    if isinstance(text, str) and len(text) < bits // 4 and text.isdecimal():
        return int(text)
    number = _read_number(text)
    limit = 2 ** (bits - 1)
    if not -limit <= number < limit:
        raise ConversionError("OutOfRange", f"is out of range for {bits} bits: {shorten(text)}")
    if number != number.to_integral_value():
        raise ConversionError("OutOfRange", f"is not a whole number: {shorten(text)}")
    return int(number)


def _read_decimal(text: Any, precision: int, scale: int) -> str:
    try:
        number = _read_number(text).quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    except DecimalException as error:
        message = f"has more than {scale} digits after the point, or is far too large: {shorten(text)}"
        raise ConversionError("OutOfRange", message) from error
    # abs() would round to 28 digits.
    if number.copy_abs() >= Decimal(10) ** (precision - scale):
        raise ConversionError("OutOfRange", f"is too large for decimal({precision},{scale}): {shorten(text)}")
    return f"{number.copy_abs() if number == 0 else number:f}"


def _read_double(text: Any) -> float:
    return float(_read_number(text))


def _read_date(text: Any) -> str:
    try:
        return (
            date.fromisoformat(text).isoformat() if _DATE.fullmatch(_read_text(text)) else _refuse_date(text)
        )
    except ValueError:
        return _refuse_date(text)


def _refuse_date(text: str) -> str:
    raise ConversionError("WrongFormat", f"is not a date such as 2026-01-31: {shorten(text)}")


def read_moment(text: Any, rules: MomentRules) -> int:
    """A moment's text as microseconds since 1970, exactly.

    Raises:
        ConversionError: The text is not a moment, is not precise enough or too precise, or is outside the
            years 1 to 9999 in UTC.
    """
    found = _MOMENT.fullmatch(_read_text(text))
    if not found:
        raise ConversionError(
            "WrongFormat", f"is not a moment such as 2026-01-31T12:00:00.000000Z: {shorten(text)}"
        )
    if found["offset"] is None and rules.zone is None:
        message = f"has no offset, and its column has no `zone: UTC`: {shorten(text)}"
        raise ConversionError("WrongFormat", message)
    try:
        fraction_us = _fraction_us(found["fraction"] or "", rules)
        moment_us = _whole_seconds(found, rules) * 1_000_000 + fraction_us
    except ValueError as error:
        raise ConversionError("WrongFormat", f"is not a moment, {error}: {shorten(text)}") from error
    if moment_us == _LAST_MOMENT_US + 1 and fraction_us:
        # .NET's last moment, 9999-12-31T23:59:59.9999999, stays within its year.
        return _LAST_MOMENT_US
    if not _FIRST_MOMENT_US <= moment_us <= _LAST_MOMENT_US:
        raise ConversionError("OutOfRange", f"is outside the years 1 to 9999 in UTC: {shorten(text)}")
    return moment_us


def canonical_moment(moment_us: int) -> str:
    """The one spelling that a moment has as a key: UTC, and six digits of the second where it has any."""
    moment = EPOCH + timedelta(microseconds=moment_us)
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def _whole_seconds(found: re.Match[str], rules: MomentRules) -> int:
    """Seconds since 1970 in UTC, without the fraction; a ValueError says which part is invalid."""
    day = date(int(found["year"]), int(found["month"]), int(found["day"])).toordinal() - EPOCH.toordinal()
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError("its time of day is invalid")
    if hour == 24 and (minute or second or (found["fraction"] or "").strip("0")):
        raise ValueError("24:00 is the end of a day, and nothing can follow it")
    if second == 60 and not rules.round_to:
        raise ValueError("a leap second fits no timestamp without `round: microsecond`")
    return day * 86_400 + hour * 3_600 + minute * 60 + second - _offset_seconds(found["offset"])


def _offset_seconds(offset: str | None) -> int:
    if offset is None or offset in "Zz":
        return 0
    hours, minutes = int(offset[1:3]), int(offset[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError("its offset is invalid")
    seconds = hours * 3_600 + minutes * 60
    return -seconds if offset[0] == "-" else seconds


def _fraction_us(digits: str, rules: MomentRules) -> int:
    """Microseconds of a fraction of a second; half a microsecond is rounded up."""
    finer = digits[6:].rstrip("0")
    if finer and not rules.round_to:
        raise ValueError("it is finer than a microsecond, and its column has no `round: microsecond`")
    return int(f"{digits[:6]:0<6}") + (finer >= "5")


def _read_binary(text: Any) -> str:
    try:
        base64.b64decode(_expect(text, str), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConversionError("NotDynamoDbJson", f"is not base64 text: {shorten(text)}") from error
    return str(text)


_SIMPLE_READERS: dict[str, dict[str, Converter]] = {
    "string": {"S": _read_text},
    "int": {"N": lambda text: _read_integer(text, 32)},
    "long": {"N": lambda text: _read_integer(text, 64)},
    "double": {"N": _read_double},
    "boolean": {"BOOL": _read_boolean},
    "date": {"S": _read_date},
    "binary": {"B": _read_binary},
}
_NESTED_READERS: dict[str, Callable[[Any, MomentRules], dict[str, Converter]]] = {
    "decimal": _decimal_readers,
    "list": _list_readers,
    "map": _map_readers,
    "struct": _struct_readers,
}


def has_unnamed_members(parsed_type: Any, attribute: Any) -> bool:
    """Whether a nested attribute has members that its column's structs do not name."""
    tag, value = unpack(attribute)
    match parsed_type, tag:
        case {"list": inner}, "L":
            return any(has_unnamed_members(inner, item) for item in value)
        case {"map": inner}, "M":
            return any(has_unnamed_members(inner, item) for item in value.values())
        case {"struct": members}, "M":
            named = dict(_member(name, inner) for name, inner in members.items())
            return any(name not in named or has_unnamed_members(named[name], value[name]) for name in value)
    return False


def part_converter(convert: Converter, parsed_type: Any, after: str, before: str) -> Converter:
    """The function that takes the part of a text after one text and before another.

    Args:
        convert: Converts the part.
        parsed_type: The type of its column: a number is read from the text.
        after: What the part follows; empty for the beginning.
        before: What ends the part, if it occurs; empty for the end.
    """
    tag = "N" if parsed_type in ("int", "long") or isinstance(parsed_type, dict) else "S"

    def convert_part(attribute: Any) -> Any:
        kind, text = unpack(attribute)
        if kind == "NULL":
            return None
        if kind != "S" or after not in text:
            raise ConversionError("WrongFormat", f"has no {after!r} in it: {shorten(attribute)}")
        _, _, rest = text.partition(after) if after else ("", "", text)
        return convert({tag: rest.partition(before)[0] if before else rest})

    return convert_part
