from __future__ import annotations

import base64
import json
import struct
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.schema import Schema
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
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from local_aws.firehose.arrow.rows import INVALID_JSON, MISSING_COLUMN, TYPE_MISMATCH, RowConverter

quick = settings(max_examples=150, deadline=None)


def convert(kind: IcebergType, *values: str, required: bool = False) -> tuple[list[Any], dict[int, str]]:
    """Column values of records `{"v": <JSON text>}`, and the codes of those that failed."""
    converter = RowConverter(Schema(NestedField(1, "v", kind, required=required)))
    batch, failures = converter.convert([f'{{"v": {value}}}'.encode() for value in values])
    return batch["v"].to_pylist(), {index: failure.code for index, failure in failures.items()}


def accepts(kind: IcebergType, value: str) -> Any:
    """The value of one record, through the column at once and, with a stray neighbor, one by one."""
    whole, failures = convert(kind, value)
    assert not failures
    stray, failures = convert(kind, value, '{"no": "fit"}' if not isinstance(kind, StructType) else "[1]")
    assert failures == {1: TYPE_MISMATCH}
    assert stray == whole
    return whole[0]


def refuses(kind: IcebergType, value: str) -> None:
    values, failures = convert(kind, value)
    assert (values, failures) == ([], {0: TYPE_MISMATCH})


FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
ZONED, PLAIN = TimestamptzType(), TimestampType()


@pytest.mark.parametrize(
    ("kind", "value", "fits"),
    [
        *((kind, str(value), True) for kind in (ZONED, PLAIN) for value in (FIRST_US, LAST_US)),
        *((kind, str(value), False) for kind in (ZONED, PLAIN) for value in (FIRST_US - 1, LAST_US + 1)),
        *((kind, str(1_800_000_000_000_000_000), False) for kind in (ZONED, PLAIN)),
        (ZONED, '"9999-12-31T23:59:59.999999Z"', True),
        (ZONED, '"9999-12-31T23:59:59-05:00"', False),
        (ZONED, '"0001-01-01T00:00:00+01:00"', False),
        (PLAIN, '"0000-01-01T00:00:00"', False),
        (DateType(), '"9999-12-31"', True),
        (DateType(), '"0001-01-01"', True),
        (DateType(), '"0000-12-31"', False),
    ],
)
def test_moments_and_dates_are_of_the_years_1_to_9999(kind: IcebergType, value: str, fits: bool) -> None:
    within: list[tuple[IcebergType, str]] = [
        (kind, value),
        (ListType(2, kind), f"[{value}]"),
        (StructType(NestedField(2, "m", kind)), f'{{"m": {value}}}'),
    ]
    for each, literal in within:
        values, failures = convert(each, literal)
        assert (len(values), failures) == ((1, {}) if fits else (0, {0: TYPE_MISMATCH}))


@st.composite
def decimal_and_type(draw: st.DrawFn) -> tuple[Decimal, int, int]:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(0, precision))
    digits = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    sign, coefficient, _ = Decimal(digits).as_tuple()
    return Decimal((sign, coefficient, -scale)), precision, scale


@quick
@given(given_decimal=decimal_and_type(), as_text=st.booleans())
def test_decimals_keep_every_digit(given_decimal: tuple[Decimal, int, int], as_text: bool) -> None:
    number, precision, scale = given_decimal
    literal = f"{number:f}"
    assert accepts(DecimalType(precision, scale), f'"{literal}"' if as_text else literal) == number


@quick
@given(given_decimal=decimal_and_type(), as_text=st.booleans())
def test_a_decimal_with_a_digit_too_many_is_refused(
    given_decimal: tuple[Decimal, int, int], as_text: bool
) -> None:
    number, precision, scale = given_decimal
    sign, digits, _ = number.as_tuple()
    longer = f"{Decimal((sign, (*digits, 7), -scale - 1)):f}"
    refuses(DecimalType(precision, scale), f'"{longer}"' if as_text else longer)


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("1e2", "100.00"),
        ("1.50", "1.50"),
        ("-0.0", "0.00"),
        ('"+7"', "7.00"),
        ('"1.2E1"', "12.00"),
        ("12", "12.00"),
    ],
)
def test_decimals_in_any_notation(literal: str, expected: str) -> None:
    assert accepts(DecimalType(6, 2), literal) == Decimal(expected)


@pytest.mark.parametrize(
    "literal", ["10000", '"1e99999"', '"x"', '""', "true", '"NaN"', "[]", '"0x10"', '"٣"', '"1 "']
)
def test_what_is_no_fitting_decimal_is_refused(literal: str) -> None:
    refuses(DecimalType(6, 2), literal)


@pytest.mark.usefixtures("usual_recursion")
@pytest.mark.parametrize(
    ("record", "code"),
    [
        (f'{{"v": {{"d": {"9" * 300}.5}}}}', TYPE_MISMATCH),
        (f'{{"v": {{"d": {"9" * 5000}.5}}}}', INVALID_JSON),
        pytest.param(
            f'{{"v": {{"d": 1.5}}, "x": {"[" * 1015}{"]" * 1015}}}',
            TYPE_MISMATCH,
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="newer Pythons read it"),
        ),
        (f'{{"v": {{"d": 1.5}}, "x": {"[" * 5000}{"]" * 5000}}}', INVALID_JSON),
    ],
)
def test_monstrous_records_fail_alone(record: str, code: str) -> None:
    kind = StructType(NestedField(2, "d", DecimalType(5, 2)))
    converter = RowConverter(Schema(NestedField(1, "v", kind)))
    batch, failures = converter.convert([b'{"v": {"d": 1.5}}', record.encode(), b'{"v": {"d": 2.25}}'])
    assert batch["v"].to_pylist() == [{"d": Decimal("1.50")}, {"d": Decimal("2.25")}]
    assert {index: failure.code for index, failure in failures.items()} == {1: code}


@quick
@given(number=st.integers(-(2**63), 2**63 - 1), as_text=st.booleans())
def test_long_is_every_number_of_64_bits(number: int, as_text: bool) -> None:
    assert accepts(LongType(), f'"{number}"' if as_text else str(number)) == number


@pytest.mark.parametrize(
    ("kind", "literal"),
    [
        (LongType(), str(2**63)),
        (LongType(), str(-(2**63) - 1)),
        (LongType(), f'"{2**63}"'),
        (LongType(), "1.0"),
        (LongType(), '"0x1F"'),
        (LongType(), '""'),
        (LongType(), "true"),
        (IntegerType(), str(2**31)),
        (IntegerType(), str(-(2**31) - 1)),
        (IntegerType(), '"2147483648"'),
        (StringType(), "5"),
        (StringType(), "{}"),
        (BooleanType(), "1"),
        (BooleanType(), '"yes"'),
        (DoubleType(), '"one"'),
        (DoubleType(), '"1e400"'),
        (FloatType(), "1e300"),
        (DateType(), '"2026-02-30"'),
        (DateType(), "20000"),
        (DateType(), '"2026-2-3"'),
        (TimestamptzType(), '"yesterday"'),
        (TimestamptzType(), "1.5"),
        (TimestamptzType(), '"2026-01-01T00:00:00.1234567Z"'),
        (TimestamptzType(), '"2026-13-01T00:00:00Z"'),
        (TimestampType(), '"2026-01-01T00:00:00Z"'),
        (BinaryType(), '"a"'),
        (BinaryType(), '"aGk=!"'),
        (FixedType(3), '"aGk="'),
        (UUIDType(), '"12"'),
        (TimeType(), '"25:00:00"'),
        (ListType(2, LongType(), element_required=True), "[null]"),
        (ListType(2, LongType()), "{}"),
        (MapType(2, StringType(), 3, LongType(), value_required=True), '{"a": null}'),
        (StructType(NestedField(2, "a", LongType(), required=True)), "{}"),
    ],
)
def test_values_that_do_not_fit_are_refused(kind: IcebergType, literal: str) -> None:
    refuses(kind, literal)


@pytest.mark.parametrize(
    ("kind", "literal", "expected"),
    [
        (IntegerType(), str(2**31 - 1), 2**31 - 1),
        (IntegerType(), '"-007"', -7),
        (BooleanType(), "true", True),
        (BooleanType(), '"false"', False),
        (DoubleType(), "0.1", 0.1),
        (DoubleType(), str(2**60 + 1), float(2**60)),
        (DoubleType(), '"-1e-3"', -0.001),
        (FloatType(), "1.5", 1.5),
        (DateType(), '"2026-01-31"', date(2026, 1, 31)),
        (TimeType(), '"12:30:00.000001"', time(12, 30, 0, 1)),
        (TimestamptzType(), "1700000000000001", datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)),
        (TimestamptzType(), '"1700000000000001"', datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)),
        (
            TimestamptzType(),
            '"2023-11-14T22:13:20.000001Z"',
            datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC),
        ),
        (TimestamptzType(), '"2023-11-15T00:13:20+02:00"', datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (TimestamptzType(), '"2023-11-14 22:13:20"', datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (
            TimestamptzType(),
            '"2023-11-14T22:13:20.100000000Z"',
            datetime(2023, 11, 14, 22, 13, 20, 100000, tzinfo=UTC),
        ),
        (TimestampType(), '"2023-11-14T22:13:20.5"', datetime(2023, 11, 14, 22, 13, 20, 500000)),  # noqa: DTZ001
        (BinaryType(), '"aGk="', b"hi"),
        (BinaryType(), '""', b""),
        (FixedType(2), '"aGk="', b"hi"),
        (UUIDType(), '"12345678-1234-5678-1234-567812345678"', UUID("12345678-1234-5678-1234-567812345678")),
        (ListType(2, DecimalType(4, 2), element_required=False), "[1.10, null]", [Decimal("1.10"), None]),
        (
            MapType(2, StringType(), 3, ListType(4, LongType()), value_required=False),
            '{"a": [1], "b": null}',
            [("a", [1]), ("b", None)],
        ),
        (
            StructType(
                NestedField(2, "a", LongType()),
                NestedField(3, "b", StructType(NestedField(4, "c", DoubleType()))),
            ),
            '{"a": 1, "b": {"c": 1, "unknown": 2}}',
            {"a": 1, "b": {"c": 1.0}},
        ),
    ],
)
def test_values_that_fit(kind: IcebergType, literal: str, expected: object) -> None:
    assert accepts(kind, literal) == expected


@quick
@given(microseconds=st.integers(-(2**55), 2**55), text=st.booleans())
def test_moments_are_exact(microseconds: int, text: bool) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    assert accepts(TimestamptzType(), f'"{moment.isoformat()}"' if text else str(microseconds)) == moment


@quick
@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_are_the_same_bits(number: float) -> None:
    assert struct.pack("d", accepts(DoubleType(), json.dumps(number))) == struct.pack("d", number)


@quick
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_strings_are_any_text(text: str) -> None:
    assert accepts(StringType(), orjson.dumps(text).decode()) == text


@quick
@given(data=st.binary())
def test_binary_is_base64(data: bytes) -> None:
    assert accepts(BinaryType(), json.dumps(base64.b64encode(data).decode())) == data


SCHEMA = Schema(
    NestedField(1, "id", StringType(), required=True),
    NestedField(2, "amount", DecimalType(38, 10)),
    NestedField(3, "count", LongType()),
    NestedField(4, "tags", ListType(5, StringType())),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    "amount": st.none() | st.integers(-(10**27), 10**27).map(str),
    "count": st.none() | st.integers(-(2**63), 2**63 - 1),
    "tags": st.none() | st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=3),
}
GOOD = st.fixed_dictionaries(VALUES, optional={"unknown": st.integers(0, 9)}).map(orjson.dumps)
NO_OBJECTS = [b"", b"{", b"[]", b"5", b"null", b"\xff", b'{"id": "a"}{"id": "b"}']
NO_ID = [b"{}", b'{"id": null}', b'{"id": 5}', b'{"ID": "a"}']
NO_FIT = [b'{"id": "a", "count": 1.5}', b'{"id": "a", "amount": "1e50"}', b'{"id": "a", "tags": "x"}']
BAD = st.sampled_from(NO_OBJECTS + NO_ID + NO_FIT)


@quick
@given(records=st.lists(st.tuples(st.booleans(), GOOD, BAD), max_size=30))
def test_bad_records_fail_and_good_ones_land(records: list[tuple[bool, bytes, bytes]]) -> None:
    data = [good if is_good else bad for is_good, good, bad in records]
    batch, failures = RowConverter(SCHEMA).convert(data)
    expected = [orjson.loads(good) for is_good, good, _ in records if is_good]
    assert set(failures) == {index for index, (is_good, _, _) in enumerate(records) if not is_good}
    assert [
        {**row, "amount": None if row["amount"] is None else str(row["amount"].to_integral())}
        for row in batch.to_pylist()
    ] == [{name: row.get(name) for name in VALUES} for row in expected]
    batch.validate(full=True)
    assert batch.schema == RowConverter(SCHEMA).arrow_schema


def test_every_failure_says_why() -> None:
    data = [b"oops", b"[1]", b"{}", b'{"id": "a", "count": "many"}', b'{"id": "b"}{"id": "c"}']
    _, failures = RowConverter(SCHEMA).convert(data)
    codes = [failures[index].code for index in range(5)]
    assert codes == [INVALID_JSON, INVALID_JSON, MISSING_COLUMN, TYPE_MISMATCH, INVALID_JSON]
    assert "Column id is required" in failures[2].message
    assert failures[3].message == "Column count (int64): 'many' is not a whole number of 64 bits."


def test_the_first_failure_of_a_record_is_the_one_told() -> None:
    _, failures = RowConverter(SCHEMA).convert([b'{"amount": "x", "count": "y"}'])
    assert failures[0].code == MISSING_COLUMN


def test_no_records_make_no_rows() -> None:
    batch, failures = RowConverter(SCHEMA).convert([])
    assert (batch.num_rows, failures) == (0, {})
    assert isinstance(batch, pa.RecordBatch)
