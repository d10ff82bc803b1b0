"""DynamoDB attributes are read exactly, by their own type or by their column's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynaberg.contracts.attributes import canonical_json, read_any, reader_for
from dynaberg.contracts.column_types import parse_type

ODD_NAMES = {"A": {"N": "1"}, "b, <c>: d": {"S": "x"}, "a": {"S": "other"}}

CASES = [
    ("string", {"S": "a"}, "a"),
    ("string", {"NULL": True}, None),
    ("long", {"N": "9007199254740993"}, 2**53 + 1),
    ("int", {"N": "1.0E2"}, 100),
    ("decimal(12,2)", {"N": "12.3"}, Decimal("12.30")),
    ("boolean", {"BOOL": False}, False),
    ("date", {"S": "2026-01-31"}, date(2026, 1, 31)),
    ("timestamptz", {"S": "2026-01-31T12:00:00.000001+02:00"}, datetime(2026, 1, 31, 10, 0, 0, 1, UTC)),
    ("binary", {"B": b"\x00"}, b"\x00"),
    ("binary", {"B": "AA=="}, b"\x00"),
    ("list<long>", {"NS": ["2", "1"]}, [2, 1]),
    ("list<string>", {"L": [{"S": "a"}, {"NULL": True}]}, ["a", None]),
    ("map<string,long>", {"M": {"a": {"N": "1"}}}, [("a", 1)]),
    ("struct<a: long, b: string>", {"M": {"a": {"N": "1"}, "z": {"S": ""}}}, {"a": 1, "b": None}),
    ('struct<a from A: long, b from "b, <c>: d": string>', {"M": ODD_NAMES}, {"a": 1, "b": "x"}),
    ("json", {"M": {"b": {"SS": ["y", "x"]}, "a": {"N": "1"}}}, '{"M":{"a":{"N":"1"},"b":{"SS":["x","y"]}}}'),
]


@pytest.mark.parametrize(("type_", "attribute", "expected"), CASES)
def test_read_by_column_type(type_: str, attribute: dict[str, Any], expected: Any) -> None:
    assert reader_for(parse_type(type_, where="c"))(attribute) == expected


@pytest.mark.parametrize(
    ("type_", "attribute"),
    [
        ("string", {"N": "1"}),
        ("long", {"N": "1.5"}),
        ("date", {"S": "soon"}),
        ("list<long>", {"S": "1"}),
        ("list<long>", {"S": ""}),
        ("list<json>", {"M": {}}),
    ],
)
def test_what_does_not_fit_raises(type_: str, attribute: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        reader_for(parse_type(type_, where="c"))(attribute)


def test_read_by_its_own_type() -> None:
    image = {
        "M": {"n": {"N": "0.10"}, "l": {"L": [{"NULL": True}]}, "s": {"NS": ["1", "2"]}, "b": {"B": "AA=="}}
    }
    assert read_any(image) == {"n": Decimal("0.10"), "l": [None], "s": {1, 2}, "b": b"\x00"}


def test_canonical_json_does_not_depend_on_the_order() -> None:
    one = {"M": {"a": {"BS": [b"b", b"a"]}, "b": {"L": [{"NS": ["2", "1"]}]}}}
    two = {"M": {"b": {"L": [{"NS": ["1", "2"]}]}, "a": {"BS": ["YQ==", "Yg=="]}}}
    assert canonical_json(one) == canonical_json(two)
