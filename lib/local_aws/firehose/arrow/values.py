"""One JSON value to the exact value of an Iceberg type, or a mismatch that says why.

Nothing is rounded, truncated or guessed: a number keeps all its digits or is refused. Text that holds a
number, a moment or a truth value is read as one, since many producers send everything as text.
"""

from __future__ import annotations

import binascii
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import partial
from math import isinf
from typing import Any

import numpy as np
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

Convert = Callable[[Any], Any]

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
NUMERAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,5})?")
ANYTHING = re.compile(".*", re.DOTALL)
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
ISO_MOMENT = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2})(?P<second>:[0-9]{2})?"
    r"(?:\.(?P<fraction>[0-9]{1,6})0*)?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
ISO_TIME = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.(?:[0-9]{3}|[0-9]{6}))?)?")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MOMENTS_US = range(-62_135_596_800_000_000, 253_402_300_800_000_000)
"""Epoch microseconds of the years 1 to 9999: no reader knows another."""
TRUTH = {"true": True, "false": False}


class MismatchError(ValueError):
    """A value that does not fit the type of its column."""


class RoundedNumberError(ValueError):
    """A number that was parsed as a float where every digit counts; its text must be read again."""


def converter(kind: IcebergType) -> Convert:
    """The function that converts JSON values, null excepted, to a type.

    It raises `MismatchError` for a value that does not fit, and `RoundedNumberError` for a float where a
    decimal is wanted.
    """
    if isinstance(kind, DecimalType):
        return decimal_converter(kind.precision, kind.scale)
    if isinstance(kind, FixedType):
        return fixed_converter(len(kind))
    if isinstance(kind, (ListType, MapType, StructType)):
        return nested_converter(kind)
    simple = CONVERTERS.get(type(kind))
    if simple is None:
        raise MismatchError(f"columns of type {kind} cannot be written")
    return simple


def mismatch(value: object, wanted: str) -> MismatchError:
    """The mismatch of a value, shown shortened."""
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return MismatchError(f"{shown} is not {wanted}")


def to_string(value: Any) -> str:
    """Text."""
    if type(value) is str:
        return value
    raise mismatch(value, "a string")


def to_boolean(value: Any) -> bool:
    """A truth value, or its name."""
    if type(value) is bool:
        return value
    if type(value) is str and value in TRUTH:
        return TRUTH[value]
    raise mismatch(value, "a boolean")


def whole_number_converter(bits: int) -> Convert:
    """Whole numbers of a width."""
    allowed = range(-(2 ** (bits - 1)), 2 ** (bits - 1))

    def convert(value: Any) -> int:
        number = int(value) if type(value) is str and WHOLE_NUMBER.fullmatch(value) else value
        if type(number) is int and number in allowed:
            return number
        raise mismatch(value, f"a whole number of {bits} bits")

    return convert


def to_double(value: Any) -> float:
    """The nearest double, as JSON numbers mean it."""
    if type(value) in (float, int, Decimal) or (type(value) is str and NUMERAL.fullmatch(value)):
        try:
            number = float(value)
        except OverflowError as error:
            raise mismatch(value, "a double") from error
        if not isinf(number):
            return number
    raise mismatch(value, "a double")


def to_float(value: Any) -> float:
    """The nearest single-precision number."""
    with np.errstate(over="ignore"):
        number = float(np.float32(to_double(value)))
    if isinf(number):
        raise mismatch(value, "a float")
    return number


def decimal_converter(precision: int, scale: int) -> Convert:
    """Decimals of a precision and scale, digit for digit."""
    exactly = Context(prec=precision, traps=[Inexact, InvalidOperation])
    unit = Decimal(1).scaleb(-scale)

    def convert(value: Any) -> Decimal:
        if type(value) is float:
            raise RoundedNumberError
        if type(value) in (int, Decimal) or (type(value) is str and NUMERAL.fullmatch(value)):
            try:
                return Decimal(value).quantize(unit, context=exactly)
            except ArithmeticError:
                pass
        raise mismatch(value, f"a decimal({precision}, {scale})")

    return convert


def text_converter(read: Convert, wanted: str, pattern: re.Pattern[str] = ANYTHING) -> Convert:
    """Text that matches a pattern and can be read."""

    def convert(value: Any) -> Any:
        if type(value) is str and pattern.fullmatch(value):
            with suppress(ValueError):
                return read(value)
        raise mismatch(value, wanted)

    return convert


def moment_converter(*, zoned: bool) -> Convert:
    """Moments as epoch microseconds, given as such or as ISO text.

    Text without a zone is UTC; a column without a zone takes text without one only.
    """
    whole_number = whole_number_converter(64)

    def read(value: Any) -> int:
        match = ISO_MOMENT.fullmatch(value) if type(value) is str else None
        if match is None:
            try:
                return int(whole_number(value))
            except MismatchError as error:
                raise mismatch(value, "epoch microseconds or an ISO moment") from error
        if match["zone"] and not zoned:
            raise mismatch(value, "a moment without a zone")
        text = f"{match['minute']}{match['second'] or ''}{match['zone'] or 'Z'}"
        try:
            whole = (datetime.fromisoformat(text) - EPOCH) // MICROSECOND
        except (ValueError, OverflowError) as error:
            raise mismatch(value, "a moment") from error
        return whole + int((match["fraction"] or "0").ljust(6, "0"))

    def convert(value: Any) -> int:
        moment_us = read(value)
        if moment_us in MOMENTS_US:
            return moment_us
        raise mismatch(value, "a moment of the years 1 to 9999")

    return convert


to_binary = text_converter(partial(binascii.a2b_base64, strict_mode=True), "base64")


def fixed_converter(length: int) -> Convert:
    """Base64 text of a number of bytes."""

    def convert(value: Any) -> bytes:
        data: bytes = to_binary(value)
        if len(data) != length:
            raise mismatch(value, f"base64 of {length} bytes")
        return data

    return convert


def nested_converter(kind: ListType | MapType | StructType) -> Convert:
    """Lists, maps and structs of anything."""
    if isinstance(kind, ListType):
        return list_converter(kind)
    return map_converter(kind) if isinstance(kind, MapType) else struct_converter(kind)


def list_converter(kind: ListType) -> Convert:
    """JSON arrays."""
    element = optional(converter(kind.element_type), "a list's element", required=kind.element_required)

    def convert(value: Any) -> list[Any]:
        if type(value) is not list:
            raise mismatch(value, "an array")
        return [element(item) for item in value]

    return convert


def map_converter(kind: MapType) -> Convert:
    """JSON objects with any member names."""
    key = converter(kind.key_type)
    member = optional(converter(kind.value_type), "a map's value", required=kind.value_required)

    def convert(value: Any) -> list[tuple[Any, Any]]:
        if type(value) is not dict:
            raise mismatch(value, "an object")
        return [(key(name), member(item)) for name, item in value.items()]

    return convert


def struct_converter(kind: StructType) -> Convert:
    """JSON objects with known member names; other members are skipped, as in a row."""
    members = [(f.name, optional(converter(f.field_type), f.name, required=f.required)) for f in kind.fields]

    def convert(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise mismatch(value, "an object")
        return {name: member(value.get(name)) for name, member in members}

    return convert


def optional(convert: Convert, what: str, *, required: bool) -> Convert:
    """A converter that lets null pass, or refuses it where a value is required."""

    def convert_or_null(value: Any) -> Any:
        if value is not None:
            return convert(value)
        if required:
            raise MismatchError(f"{what} is required and missing")
        return None

    return convert_or_null


CONVERTERS: dict[type[IcebergType], Convert] = {
    StringType: to_string,
    BooleanType: to_boolean,
    IntegerType: whole_number_converter(32),
    LongType: whole_number_converter(64),
    FloatType: to_float,
    DoubleType: to_double,
    DateType: text_converter(date.fromisoformat, "an ISO date such as 2026-01-31", ISO_DATE),
    TimeType: text_converter(time.fromisoformat, "an ISO time such as 12:30:00", ISO_TIME),
    TimestampType: moment_converter(zoned=False),
    TimestamptzType: moment_converter(zoned=True),
    BinaryType: to_binary,
    UUIDType: text_converter(lambda text: uuid.UUID(text).bytes, "a UUID"),
}
