"""Which attribute a column takes, and how: names, several columns of one attribute, moments, keys, size."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract
from dynaberg.contracts.attributes import column_reader, key_attribute
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.change_row import MAX_ROW_BYTES, ChangeConverter
from dynaberg.functions.packing import LEFT_OUT, is_packed, unpack

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LENIENT = {"round": "microsecond", "zone": "UTC"}


def converter(*columns: Column, key: str = "id", sort: str | None = None) -> ChangeConverter:
    contract = Contract("t", "source", key, sort, columns)
    return ChangeConverter(json.loads(contract.to_lambda_json()))


def record(image: dict[str, Any], operation: str = "INSERT", **others: Any) -> dict[str, Any]:
    change = {
        "ApproximateCreationDateTime": 1_764_000_000,
        "SequenceNumber": "1",
        "Keys": image,
        "NewImage": image,
    }
    return {"eventID": "e", "eventName": operation, "tableName": "source", "dynamodb": change | others}


def row(to_row: ChangeConverter, image: dict[str, Any], *arguments: Any, **others: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_row.to_row(record(image, *arguments, **others), 1))
    return found


ID = Column("id", "string")


def test_columns_take_attributes_of_other_names() -> None:
    odd = 'a.b "c"\\ ü'
    to_row = converter(
        Column("pk", "string", attribute="PK"),
        Column("total_amount", "decimal(12,2)", attribute="totalAmount"),
        Column("odd", "string", attribute=odd),
        Column("item_operation", "string", attribute="operation"),
        key="pk",
    )
    image = {"PK": {"S": "p"}, "totalAmount": {"N": "1.5"}, odd: {"S": "o"}, "operation": {"S": "SELL"}}
    for extra in ({}, {"tags": {"SS": ["not plain"]}}):
        found = row(to_row, image | extra, OldImage=image | extra)
        assert (found["pk"], found["total_amount"], found["odd"]) == ("p", "1.50", "o")
        assert (found["operation"], found["item_operation"]) == ("INSERT", "SELL")
        assert json.loads(found["old_image"]) == image | extra
        assert json.loads(found["unmapped"] or "{}") == extra


def test_a_member_of_a_struct_takes_an_attribute_of_another_name() -> None:
    to_columns = converter(ID, Column("place", 'struct<zip from zipCode: long, a from "a: b": string>'))
    place = {"M": {"zipCode": {"N": "3000"}, "a: b": {"S": "x"}}}
    found = row(to_columns, {"id": {"S": "1"}, "place": place})
    assert found["place"] == {"zip": 3000, "a": "x"}
    assert found["unmapped"] is None
    place["M"]["zip"] = {"N": "1"}
    found = row(to_columns, {"id": {"S": "1"}, "place": place})
    assert found["place"]["zip"] == 3000
    assert json.loads(found["unmapped"]) == {"place": place}


def test_a_mask_goes_by_the_attribute() -> None:
    to_row = converter(ID, Column("card_number", "string", mask="last4", attribute="cardNumber"))
    image = {"id": {"S": "1"}, "cardNumber": {"S": "4111111111111111"}}
    text = to_row.to_row(record(image, OldImage=image), 1).decode()
    assert "41111111" not in text
    assert json.loads(text)["card_number"] == "****1111"


def test_each_column_of_one_attribute_takes_what_fits_it() -> None:
    to_row = converter(
        ID, Column("zip", "long"), Column("zip_text", "string", attribute="zip"), Column("other", "long")
    )
    number, text = (
        row(to_row, {"id": {"S": "1"}, "zip": {"N": "8001"}}),
        row(to_row, {"id": {"S": "1"}, "zip": {"S": "EC1A"}}),
    )
    assert (number["zip"], number["zip_text"], number["unmapped"]) == (8001, None, None)
    assert (text["zip"], text["zip_text"], text["unmapped"]) == (None, "EC1A", None)
    assert row(to_row, {"id": {"S": "1"}, "zip": {"NULL": True}})["zip"] is None
    with pytest.raises(
        ConversionError, match=r"Attribute `zip` is a DynamoDB BOOL, but its type takes N.* takes S"
    ):
        row(to_row, {"id": {"S": "1"}, "zip": {"BOOL": True}})


def test_time_to_live_is_told_from_other_deletes() -> None:
    to_row, key = converter(ID), {"id": {"S": "1"}}
    ttl = record(key, "REMOVE") | {
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    }
    assert json.loads(to_row.to_row(ttl, 1))["deleted_by"] == "dynamodb.amazonaws.com"
    assert row(to_row, key, "REMOVE")["deleted_by"] is None
    assert row(to_row, key)["deleted_by"] is None
    assert row(to_row, key | {"x": {"N": "1"}})["deleted_by"] is None


LARGEST = 400 * 1024 - 100
"""Just below the 400 KB that DynamoDB takes; the row's JSON writes some letters and numbers much longer."""
MAPS = {f"k{i}": {"M": {"a": {"N": "1"}, "b": {"S": "x"}}} for i in range(17_000)}
NOISE = Random(11)
LARGE_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "letters": {"text": {"S": "é" * (LARGEST // 2)}},
    "quotation marks": {"text": {"S": '"' * LARGEST}},
    "bytes": {"raw": {"B": b64encode(b"\0" * LARGEST).decode()}},
    "a list of numbers": {"numbers": {"L": [{"N": "1"}] * (LARGEST // 3)}},
    "control characters": {"text": {"S": "\x01" * LARGEST}},
    "control characters in a key of a map": {"labels": {"M": {"\x01" * (LARGEST - 99): {"S": "x"}}}},
    "quotation marks in a json column": {"document": {"S": '"' * LARGEST}},
    "quotation marks without a column": {"other": {"S": '"' * LARGEST}},
    "quotation marks with two columns": {"twice": {"S": '"' * LARGEST}},
    "small numbers in a json column": {"document": {"L": [{"N": "1"}] * (LARGEST // 3)}},
    "small numbers in wide decimals": {"wide": {"L": [{"N": "1"}] * (LARGEST // 3)}},
    "small maps in a json column": {"document": {"M": MAPS}},
    "noise": {"document": {"S": "".join(NOISE.choices('\x01"\\éa1', k=LARGEST * 6 // 7))}},
    "bytes of noise": {"document": {"B": b64encode(NOISE.randbytes(LARGEST)).decode()}},
}
LARGE_COLUMNS = [
    ID,
    Column("text", "string"),
    Column("raw", "binary"),
    Column("numbers", "list<long>"),
    Column("labels", "map<string,string>"),
    Column("wide", "list<decimal(38,10)>"),
    Column("document", "json"),
    Column("twice", "string"),
    Column("twice_json", "json", attribute="twice"),
]


@pytest.mark.parametrize("name", LARGE_ATTRIBUTES)
def test_whatever_dynamodb_takes_fits_firehose_and_nothing_is_lost(name: str) -> None:
    image = {"id": {"S": "1"}, **LARGE_ATTRIBUTES[name]}
    line = converter(*LARGE_COLUMNS).to_row(record(image, "MODIFY", OldImage=image), 1)
    assert len(line) <= MAX_ROW_BYTES
    found = json.loads(line)
    held = json.loads(unpack(found["unmapped"]) or "{}")
    for column in LARGE_COLUMNS:
        attribute = image.get(column.attribute)
        if column.type == "json":
            text = unpack(found.get(column.name))
            assert column.attribute in held or (text and json.loads(text)) == attribute
        elif column.attribute not in held:
            assert (found.get(column.name) is None) == (attribute is None)
    assert held.items() <= image.items()
    old_image = json.loads(unpack(found["old_image"]))
    assert old_image == image or (list(old_image) == [LEFT_OUT] and name.startswith("bytes of"))


def test_only_what_is_too_large_is_packed_the_old_image_first() -> None:
    image = {"id": {"S": "1"}, "small": {"S": "x"}, "text": {"S": "\x01" * 20}, "document": {"M": MAPS}}
    columns = [*LARGE_COLUMNS, Column("small", "json")]
    found = row(converter(*columns), image)
    assert is_packed(found["document"])
    assert (found["small"], found["text"]) == ('{"S":"x"}', "\x01" * 20)
    half = image | {"document": {"M": dict(list(MAPS.items())[:9_000])}}
    found = row(converter(*columns), half, "MODIFY", OldImage=half)
    assert is_packed(found["old_image"])
    assert json.loads(found["document"]) == half["document"]


def test_what_is_masked_is_masked_where_it_is_packed() -> None:
    columns = [ID, Column("card", "string", mask="last4"), Column("text", "string")]
    image = {"id": {"S": "1"}, "card": {"S": "4111111111111111"}, "text": {"S": "\x01" * LARGEST}}
    found = row(converter(*columns), image, "MODIFY", OldImage=image)
    assert "text" in unpack(found["unmapped"])
    assert not any("41111111" in str(unpack(value)) for value in found.values())


MOMENTS = {
    "0001-01-01T24:00:00+05:00": "0001-01-01T19:00:00",
    "9999-12-31T24:00:00+01:00": "9999-12-31T23:00:00",
    "2026-01-31T12:00:00Z": "2026-01-31T12:00:00",
    "2026-01-31t12:00:00z": "2026-01-31T12:00:00",
    "2026-01-31 12:00Z": "2026-01-31T12:00:00",
    "20260131T120000Z": "2026-01-31T12:00:00",
    "2026-01-31T12:00:00.123456+0000": "2026-01-31T12:00:00.123456",
    "2026-01-31T12:00:00,5+02:30": "2026-01-31T09:30:00.500000",
    "2026-01-31T12:00:00.1234560000Z": "2026-01-31T12:00:00.123456",
    "2026-01-31T24:00:00Z": "2026-02-01T00:00:00",
    "9999-12-31T23:59:59.999999Z": "9999-12-31T23:59:59.999999",
    "0001-01-01T00:00:00Z": "0001-01-01T00:00:00",
}
LENIENT_MOMENTS = {
    "2026-01-31T12:00:00.1234567+03:00": "2026-01-31T09:00:00.123457",
    "2026-01-31T12:00:00.123456499Z": "2026-01-31T12:00:00.123456",
    "2026-01-31T12:00:00.9999999Z": "2026-01-31T12:00:01",
    "2026-01-31T12:00:00.123456": "2026-01-31T12:00:00.123456",
    "2016-12-31T23:59:60Z": "2017-01-01T00:00:00",
    "9999-12-31T23:59:59.9999999": "9999-12-31T23:59:59.999999",
    f"2026-01-31T12:00:00.0000004{'9' * 40}Z": "2026-01-31T12:00:00",
}
REFUSED = {
    "9999-12-31T24:00:00Z": "OutOfRange",
    "9999-12-31T23:59:60Z": "OutOfRange",
    "9999-12-31T23:59:59-05:00": "OutOfRange",
    "0001-01-01T00:00:00+05:00": "OutOfRange",
    "0000-01-01T00:00:00Z": "WrongFormat",
    "2026-02-29T00:00:00Z": "WrongFormat",
    "2026-01-31T24:00:01Z": "WrongFormat",
    "2026-01-31T25:00:00Z": "WrongFormat",
    "2026-01-31T12:00:00+24:00": "WrongFormat",
    "2026-01-31": "WrongFormat",
    "1764000000": "WrongFormat",
}


@pytest.mark.parametrize(("text", "expected"), (MOMENTS | LENIENT_MOMENTS).items())
def test_moments_are_read_as_their_column_says(text: str, expected: str) -> None:
    exact, lenient = Column("at", "timestamptz"), Column("at", "timestamptz", **LENIENT)
    image, moment = {"id": {"S": "1"}, "at": {"S": text}}, datetime.fromisoformat(f"{expected}+00:00")
    assert row(converter(ID, lenient), image)["at"] == (moment - EPOCH) // timedelta(microseconds=1)
    assert column_reader(lenient)({"S": text}) == moment
    if text in MOMENTS:
        assert row(converter(ID, exact), image)["at"] == (moment - EPOCH) // timedelta(microseconds=1)
        assert column_reader(exact)({"S": text}) == moment
    else:
        with pytest.raises(ConversionError, match="WrongFormat"):
            row(converter(ID, exact), image)
        with pytest.raises((ValueError, ArithmeticError)):
            column_reader(exact)({"S": text})


@pytest.mark.parametrize(("text", "kind"), REFUSED.items())
def test_moments_that_cannot_be_are_refused_by_name(text: str, kind: str) -> None:
    lenient = Column("at", "timestamptz", **LENIENT)
    with pytest.raises(ConversionError, match=kind):
        row(converter(ID, lenient), {"id": {"S": "1"}, "at": {"S": text}})
    with pytest.raises((ValueError, ArithmeticError)):
        column_reader(lenient)({"S": text})


offsets = st.one_of(st.none(), st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))))


@given(
    moment=st.datetimes(),
    offset=offsets,
    digits=st.text("0123456789", max_size=9),
    sep=st.sampled_from("T t"),
)
def test_the_conversion_and_the_proof_read_the_same_moments(
    moment: datetime, offset: timezone | None, digits: str, sep: str
) -> None:
    text = moment.replace(microsecond=0, tzinfo=offset).isoformat(sep)
    text = text[:19] + (f".{digits}" if digits else "") + text[19:]
    column = Column("at", "timestamptz", **LENIENT)
    try:
        expected = column_reader(column)({"S": text})
    except OverflowError:
        with pytest.raises(ConversionError, match="OutOfRange"):
            row(converter(ID, column), {"id": {"S": "1"}, "at": {"S": text}})
        return
    found = row(converter(ID, column), {"id": {"S": "1"}, "at": {"S": text}})["at"]
    assert EPOCH + timedelta(microseconds=found) == expected


def test_a_key_that_is_a_moment_has_one_spelling() -> None:
    to_row = converter(ID, Column("at", "timestamptz"), sort="at")
    for text in ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.100000Z", "0001-01-01T00:00:00Z"):
        row(to_row, {"id": {"S": "1"}, "at": {"S": text}})
    for text in (
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T12:00:00.000000Z",
        "2026-01-31T12:00:00.1Z",
        "2026-01-31 12:00:00Z",
    ):
        with pytest.raises(ConversionError, match="is a key, so it must be spelled '2026-01-31T12:00:00"):
            row(to_row, {"id": {"S": "1"}, "at": {"S": text}})


KEYS = {
    "string": st.text(min_size=1).map(lambda text: {"S": text}),
    "long": st.integers(-(2**63), 2**63 - 1).map(lambda n: {"N": str(n)}),
    "decimal(38,10)": st.decimals(-(10**27), 10**27, places=10).map(lambda n: {"N": f"{n:f}"}),
    "date": st.dates().map(lambda day: {"S": day.isoformat()}),
    "timestamptz": st.datetimes().map(lambda moment: {"S": f"{moment.isoformat()}Z"}),
    "binary": st.binary(min_size=1).map(lambda value: {"B": value}),
}


@given(st.sampled_from(sorted(KEYS)).flatmap(lambda kind: st.tuples(st.just(kind), KEYS[kind])))
def test_a_key_is_found_again_by_its_value(case: tuple[str, dict[str, Any]]) -> None:
    kind, attribute = case
    column = Column("id", kind)
    again = key_attribute(column, column_reader(column)(attribute))
    if "N" in attribute:
        assert Decimal(again["N"]) == Decimal(attribute["N"])
    else:
        assert again == attribute


@pytest.mark.parametrize("created", [0, 1_764_000_000_000, -1, 10**18])
def test_a_change_that_cannot_be_dated_is_refused(created: int) -> None:
    with pytest.raises(ConversionError, match="NotAChangeRecord: One of these is invalid"):
        row(converter(ID), {"id": {"S": "1"}}, ApproximateCreationDateTime=created)
