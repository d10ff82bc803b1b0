"""The conversion of change records, against boto3's own deserializer and Python's Decimal."""

from __future__ import annotations

import base64
import copy
import itertools
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg.contracts.contract import Column, Contract, load_contract
from dynaberg.functions import plain_images
from dynaberg.functions.attributes import ConversionError, converter_for
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.masks import MaskKey
from dynaberg.source.transactions_model import plan_changes

TRANSACTIONS = load_contract(Path(__file__).parents[3] / "data" / "tables" / "transactions.yaml")
RECEIVED_AT_US = 1_764_000_000_123_456
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/{}/stream/2026-01-01T00:00:00.000"
COLUMNS = {
    "id": "string",
    "sort": "long",
    "words": "string",
    "amount": "decimal(12,2)",
    "big": "decimal(38,10)",
    "count": "int",
    "ratio": "double",
    "flag": "boolean",
    "day": "date",
    "at": "timestamptz",
    "blob": "binary",
    "tags": "list<string>",
    "prices": "list<decimal(5,2)>",
    "totals": "map<string,long>",
    "place": "struct<street: string, floor: int>",
    "anything": "json",
}


KEY = MaskKey("k" * 64)


def converter_of(contract: Contract) -> ChangeConverter:
    return ChangeConverter(json.loads(contract.to_lambda_json()), KEY)


CONTRACT = Contract("t", "source", "id", "sort", tuple(Column(n, t) for n, t in COLUMNS.items()))
CONVERTER = converter_of(CONTRACT)


def record(
    operation: str,
    new: dict[str, Any] | None,
    old: dict[str, Any] | None = None,
    table: str = "source",
    **dynamodb: Any,
) -> dict[str, Any]:
    image = new or old or {}
    change: dict[str, Any] = {
        "ApproximateCreationDateTime": 1_764_000_000,
        "Keys": {n: image[n] for n in ("id", "sort", "transaction_id", "timestamp") if n in image},
        "SequenceNumber": "111",
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        **({"NewImage": new} if new else {}),
        **({"OldImage": old} if old else {}),
        **dynamodb,
    }
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": operation,
        "eventSourceARN": ARN.format(table),
        "dynamodb": change,
    }


def convert(change: dict[str, Any], converter: ChangeConverter = CONVERTER) -> dict[str, Any]:
    """The row as a reader sees it: JSON numbers exact, nothing but JSON."""
    text = converter.to_row(json.loads(json.dumps(change)), RECEIVED_AT_US).decode()
    assert "\n" not in text
    return dict(json.loads(text, parse_float=Decimal))


def convert_item(**attributes: Any) -> dict[str, Any]:
    return convert(record("INSERT", {"id": {"S": "a"}, "sort": {"N": "1"}, **attributes}))


# The oracle: slow, and built on other people's code -------------------------------------------------


def plain(attribute: dict[str, Any]) -> Any:
    """The attribute's value, by boto3; it takes bytes where JSON has base64."""

    def to_bytes(node: Any) -> Any:
        if isinstance(node, list):
            return [to_bytes(item) for item in node]
        if not isinstance(node, dict):
            return node
        inner = {tag: to_bytes(value) for tag, value in node.items()}
        if set(inner) == {"B"}:
            return {"B": base64.b64decode(inner["B"])}
        return {"BS": [base64.b64decode(b) for b in inner["BS"]]} if set(inner) == {"BS"} else inner

    return TypeDeserializer().deserialize(to_bytes(attribute))


class UnfitError(Exception):
    pass


def fit(condition: bool) -> None:
    if not condition:
        raise UnfitError


def expect(kind: str, value: Any) -> Any:
    """What a column of a type holds, from the value that boto3 gives."""
    if value is None:
        return None
    if kind == "boolean":
        fit(isinstance(value, bool))
        return value
    if kind.startswith("decimal") or kind in ("int", "long", "double"):
        fit(isinstance(value, Decimal))
        return expect_number(kind, value)
    if kind == "binary":
        fit(hasattr(value, "value"))
        return base64.b64encode(value.value).decode()
    if kind in ("string", "date", "timestamptz"):
        fit(isinstance(value, str))
        return expect_text(kind, value)
    if kind.startswith("list"):
        fit(isinstance(value, list | set))
        return [expect(kind[5:-1], item) for item in value]
    if kind.startswith("map"):
        fit(isinstance(value, dict))
        return {name: expect("long", item) for name, item in value.items()}
    fit(isinstance(value, dict))
    kinds = {"street": "string", "floor": "int"}
    return {name: expect(kinds[name], item) for name, item in value.items() if name in kinds}


def expect_number(kind: str, value: Decimal) -> Any:
    if kind == "double":
        return Decimal(repr(float(value)))
    if kind in ("int", "long"):
        bits = 32 if kind == "int" else 64
        fit(value == int(value) and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1))
        return int(value)
    precision, scale = (int(part) for part in kind[8:-1].split(","))
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    units = int("".join(map(str, digits))) * 10 ** max(0, exponent + scale)
    if exponent + scale < 0:
        fit(units % 10 ** -(exponent + scale) == 0)
        units //= 10 ** -(exponent + scale)
    fit(units < 10**precision)
    text = str(units).zfill(scale + 1)
    return ("-" if sign and units else "") + f"{text[:-scale]}.{text[-scale:]}"


def expect_text(kind: str, value: str) -> Any:
    try:
        if kind == "date":
            fit(date.fromisoformat(value).isoformat() == value)
        if kind == "timestamptz":
            moment = datetime.fromisoformat(value)
            fit(moment.tzinfo is not None)
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    except ValueError as error:
        raise UnfitError from error
    return value


# What DynamoDB can hold -----------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-(10**38) + 1, 10**38 - 1).map(str),
    st.decimals(-(10**12), 10**12, places=2).map(str),
    st.decimals(-(10**10), 10**10, places=10).map(lambda d: f"{d:f}"),
    st.sampled_from(["0", "-0", "1E-7", "1E+9", "9.9E+125", "1E-130", "-1.50E+1", "2147483648", "0.1"]),
)
days = st.dates().map(str)
moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
binaries = st.binary(max_size=8).map(lambda b: base64.b64encode(b).decode())
scalars = st.one_of(
    st.builds(lambda v: {"S": v}, st.one_of(texts, days, moments)),
    st.builds(lambda v: {"N": v}, numbers),
    st.builds(lambda v: {"B": v}, binaries),
    st.builds(lambda v: {"BOOL": v}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda v: {"SS": v}, st.lists(texts, min_size=1, max_size=3, unique=True)),
    st.builds(
        lambda v: {"NS": v}, st.lists(st.integers(-999, 999).map(str), min_size=1, max_size=3, unique=True)
    ),
    st.builds(lambda v: {"BS": v}, st.lists(binaries, min_size=1, max_size=3, unique=True)),
)
names = st.sampled_from(["street", "floor", "x"])
attributes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda v: {"L": v}, st.lists(inner, max_size=3)),
        st.builds(lambda v: {"M": v}, st.dictionaries(names, inner, max_size=3)),
    ),
    max_leaves=6,
)
fitting = {
    "words": texts.map(lambda v: {"S": v}),
    "amount": st.decimals(-(10**9), 10**9, places=2).map(lambda v: {"N": str(v)}),
    "big": st.decimals(-(10**20), 10**20, places=10).map(lambda v: {"N": f"{v:f}"}),
    "count": st.integers(-(2**31), 2**31 - 1).map(lambda v: {"N": str(v)}),
    "day": days.map(lambda v: {"S": v}),
    "at": moments.map(lambda v: {"S": v}),
    "totals": st.dictionaries(texts, st.integers(0, 9).map(lambda v: {"N": str(v)}), max_size=2).map(
        lambda v: {"M": v}
    ),
}


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_a_column_holds_what_boto3_and_decimal_say(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in COLUMNS if name not in ("id", "sort", "anything")]))
    attribute = data.draw(st.one_of(attributes, fitting.get(name, attributes)))
    try:
        expected = expect(COLUMNS[name], plain(attribute))
    except UnfitError:
        with pytest.raises(ConversionError, match=f"Attribute `{name}`"):
            convert_item(**{name: attribute})
        return
    row = convert_item(**{name: attribute})
    if "SS" in attribute or "NS" in attribute or "BS" in attribute:
        assert sorted(row[name]) == sorted(expected)
    else:
        assert row[name] == expected


@settings(deadline=None, max_examples=100)
@given(
    attributes, attributes, st.dictionaries(texts.filter(lambda n: n not in COLUMNS), attributes, max_size=3)
)
def test_nothing_is_lost(anything: Any, before: Any, extra: dict[str, Any]) -> None:
    key = {"id": {"S": "a"}, "sort": {"N": "1"}}
    row = convert(record("MODIFY", {**key, "anything": anything, **extra}, {**key, "words": before, **extra}))
    assert json.loads(row["anything"]) == anything
    assert json.loads(row["old_image"]) == {**key, "words": before, **extra}
    assert (json.loads(row["unmapped"]) if extra else {}) == extra


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 10_000),
    st.sampled_from(TRANSACTIONS.columns),
    st.one_of(attributes, st.none()),
    st.booleans(),
)
def test_the_fast_path_says_what_the_exact_one_says(
    seed: int, column: Column, attribute: Any, old: bool
) -> None:
    (insert,) = plan_changes((1, 0, 0), seed=seed, now=datetime(2026, 1, 1, tzinfo=UTC))
    new, before = insert.transaction.item(), insert.transaction.item()
    changed = before if old else new
    if attribute is None:
        del changed[column.name]
    else:
        changed[column.name] = attribute
    change = record("MODIFY", new, before, table="financial-transactions")
    fast, exact = converter_of(TRANSACTIONS), converter_of(TRANSACTIONS)
    exact._shapes.update(dict.fromkeys((tuple(new), tuple(before), tuple(change["dynamodb"]["Keys"]))))
    assert answer(fast, change) == answer(exact, change)


def answer(converter: ChangeConverter, change: dict[str, Any]) -> Any:
    try:
        row = convert(change, converter)
    except ConversionError as error:
        return error.code, error.message
    return {
        **row,
        "old_image": json.loads(row["old_image"]),
        "unmapped": json.loads(row["unmapped"] or "null"),
    }


def test_traffic_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> str:
        pytest.fail("the exact path was taken")

    monkeypatch.setattr(ChangeConverter, "_exact_row", refuse)
    converter = converter_of(TRANSACTIONS)
    for change in plan_changes((60, 25, 15), seed=7, now=datetime(2026, 1, 1, tzinfo=UTC)):
        item = change.transaction.item()
        new, old = (None, item) if change.operation == "REMOVE" else (item, item)
        change_record = record(change.operation, new, old, table="financial-transactions")
        row = convert(change_record, converter)
        amount = item["amount"]["N"]
        if change.operation != "REMOVE":
            assert row["amount"] == f"{Decimal(amount):.2f}"
            assert row["timestamp"] == int(item["timestamp"]["N"])
        assert json.loads(row["old_image"]) == item


@pytest.mark.parametrize("year", ["1900", "2023", "2024", "9999"])
def test_the_calendar(year: str) -> None:
    days = Contract("t", "source", "id", None, (Column("id", "string"), Column("day", "date")))
    fast = converter_of(days)
    for month, number in itertools.product(range(14), range(33)):
        text = f"{year}-{month:02d}-{number:02d}"
        change_record = record("INSERT", {"id": {"S": "a"}, "day": {"S": text}})
        try:
            date.fromisoformat(text)
        except ValueError:
            with pytest.raises(ConversionError, match="is not a date"):
                convert(change_record, fast)
        else:
            assert convert(change_record, fast)["day"] == text


@pytest.mark.parametrize(
    "digits", ["1234567890123456789012345678.9012345678", "-0.0000000001", "9" * 28, "1E+27"]
)
def test_38_digits_are_exact(digits: str) -> None:
    assert Decimal(convert_item(big={"N": digits})["big"]) == Decimal(digits)
    assert json.loads(convert_item(anything={"N": digits})["anything"]) == {"N": digits}


def test_38_nines_are_not_too_large() -> None:
    converter = converter_for({"decimal": [38, 0]})
    assert converter({"N": "-" + "9" * 38}) == "-" + "9" * 38


# The columns of the log -----------------------------------------------------------------------------


def test_the_log_columns_of_a_streams_record() -> None:
    row = convert_item(words={"S": "x"})
    assert row["change_id"] == "c4ca4238a0b923820dcc509a6f75849b"
    assert row["operation"] == "INSERT"
    assert row["changed_at"] == 1_764_000_000_000_000
    assert row["sequence_number"] == "111".zfill(40)
    assert row["received_at"] == RECEIVED_AT_US
    assert row["old_image"] is None
    assert row["unmapped"] is None


@pytest.mark.parametrize(
    ("created", "precision", "changed_at_us"),
    [
        (1_764_000_000_123, None, 1_764_000_000_123_000),
        (1_764_000_000_123, "MILLISECOND", 1_764_000_000_123_000),
        (1_764_000_000_123_456, "MICROSECOND", 1_764_000_000_123_456),
    ],
)
def test_the_log_columns_of_a_kinesis_record(
    created: float, precision: str | None, changed_at_us: int
) -> None:
    change = record("INSERT", {"id": {"S": "a"}, "sort": {"N": "1"}}, ApproximateCreationDateTime=created)
    del change["eventSourceARN"], change["dynamodb"]["SequenceNumber"]
    change["tableName"] = "source"
    if precision:
        change["dynamodb"]["ApproximateCreationDateTimePrecision"] = precision
    row = convert(change)
    assert row["changed_at"] == changed_at_us
    assert row["sequence_number"] == "0" * 40


def test_a_remove_has_its_key_and_its_old_image() -> None:
    old = {"id": {"S": "a"}, "sort": {"N": "1"}, "words": {"S": "x"}}
    row = convert(record("REMOVE", None, old))
    assert (row["id"], row["sort"]) == ("a", 1)
    assert "words" not in row
    assert json.loads(row["old_image"]) == old


def test_an_attribute_named_like_a_log_column_is_unmapped() -> None:
    row = convert_item(change_id={"S": "mine"}, operation={"S": "DROP"}, old_image={"NULL": True})
    assert row["operation"] == "INSERT"
    assert json.loads(row["unmapped"]) == {
        "change_id": {"S": "mine"},
        "operation": {"S": "DROP"},
        "old_image": {"NULL": True},
    }


def test_members_that_a_struct_does_not_name_are_unmapped() -> None:
    place = {"M": {"street": {"S": "Elm"}, "zip": {"S": "1"}}}
    row = convert_item(place=place)
    assert row["place"] == {"street": "Elm"}
    assert json.loads(row["unmapped"]) == {"place": place}
    assert convert_item(place={"M": {"floor": {"N": "3"}}})["unmapped"] is None


def test_null_and_absent() -> None:
    row = convert_item(words={"NULL": True}, anything={"NULL": True})
    assert row["words"] is None
    assert row["anything"] == '{"NULL":true}'
    assert "amount" not in row


def test_letters_of_all_the_world_survive() -> None:
    words = 'a"b\\c\n\t\x00\x7f é 漢 🐘 \u2028 %s {}'
    assert convert_item(words={"S": words})["words"] == words


# What does not fit ----------------------------------------------------------------------------------

BAD_VALUES = {
    ("amount", '{"N":"12.345"}'): ("Conversion.OutOfRange", "more than 2 digits after the point"),
    ("amount", '{"N":"12345678901"}'): ("Conversion.OutOfRange", "too large for decimal"),
    ("amount", '{"N":"1E+125"}'): ("Conversion.OutOfRange", r"1E\+125"),
    ("amount", '{"N":12.3}'): ("Conversion.NotDynamoDbJson", "holds a float"),
    ("amount", '{"N":"NaN"}'): ("Conversion.NotDynamoDbJson", "is not a number"),
    ("amount", '{"N":"1_0"}'): ("Conversion.NotDynamoDbJson", "is not a number"),
    ("amount", '{"S":"12.30"}'): ("Conversion.WrongType", "is a DynamoDB S, but its type takes N"),
    ("count", '{"N":"1.5"}'): ("Conversion.OutOfRange", "not a whole number"),
    ("count", '{"N":"2147483648"}'): ("Conversion.OutOfRange", "32 bits"),
    ("sort", '{"N":"9223372036854775808"}'): ("Conversion.OutOfRange", "64 bits"),
    ("sort", '{"NULL":true}'): ("Conversion.MissingKey", "`sort`"),
    ("day", '{"S":"2026-02-29"}'): ("Conversion.WrongFormat", "is not a date"),
    ("day", '{"S":"0000-01-01"}'): ("Conversion.WrongFormat", "is not a date"),
    ("day", '{"S":"20260131"}'): ("Conversion.WrongFormat", "is not a date"),
    ("at", '{"S":"2026-01-31T12:00:00"}'): ("Conversion.WrongFormat", "no offset"),
    ("at", '{"S":"2026-01-31T12:00:00.1234567Z"}'): ("Conversion.WrongFormat", "is not a moment"),
    ("blob", '{"B":"*"}'): ("Conversion.NotDynamoDbJson", "not base64"),
    ("tags", '{"L":[{"N":"1"}]}'): ("Conversion.WrongType", "takes S"),
    ("tags", '{"L":[],"N":"1"}'): ("Conversion.NotDynamoDbJson", "is not a DynamoDB attribute"),
    ("words", '"a"'): ("Conversion.NotDynamoDbJson", "is not a DynamoDB attribute"),
    ("words", "null"): ("Conversion.NotDynamoDbJson", "is not a DynamoDB attribute"),
    ("words", '{"S":"\\ud800"}'): ("Conversion.NotDynamoDbJson", "half a character"),
    ("other", "7"): ("Conversion.NotDynamoDbJson", "is not a DynamoDB attribute"),
}


@pytest.mark.parametrize(("where", "problem"), BAD_VALUES.items())
def test_values_that_do_not_fit(where: tuple[str, str], problem: tuple[str, str]) -> None:
    name, attribute = where
    code, message = problem
    with pytest.raises(ConversionError, match=message) as caught:
        convert_item(**{name: json.loads(attribute)})
    assert caught.value.code == code


GOOD: dict[str, Any] = record("INSERT", {"id": {"S": "a"}, "sort": {"N": "1"}})


def changed(change: Callable[[dict[str, Any]], object]) -> Any:
    damaged = copy.deepcopy(GOOD)
    change(damaged)
    return damaged


BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "no record": ("text", "NotAChangeRecord"),
    "a list": ([], "NotAChangeRecord"),
    "no change": (changed(lambda r: r.pop("dynamodb")), "NotAChangeRecord"),
    "no id": (changed(lambda r: r.pop("eventID")), "NotAChangeRecord"),
    "another event": (changed(lambda r: r.update(eventName="TRUNCATE")), "NotAChangeRecord"),
    "an event that is a list": (changed(lambda r: r.update(eventName=[])), "NotAChangeRecord"),
    "another table": (changed(lambda r: r.update(eventSourceARN=ARN.format("other"))), "OtherTable"),
    "no table": (changed(lambda r: r.pop("eventSourceARN")), "OtherTable"),
    "a table that is a list": (changed(lambda r: r.update(eventSourceARN=[1])), "NotAChangeRecord"),
    "no image": (changed(lambda r: r["dynamodb"].pop("NewImage")), "NotAChangeRecord"),
    "an image that is text": (changed(lambda r: r["dynamodb"].update(NewImage="x")), "NotAChangeRecord"),
    "an old image that is text": (changed(lambda r: r["dynamodb"].update(OldImage="x")), "NotAChangeRecord"),
    "no key": (changed(lambda r: r["dynamodb"]["NewImage"].pop("id")), "MissingKey"),
    "no time": (changed(lambda r: r["dynamodb"].pop("ApproximateCreationDateTime")), "NotAChangeRecord"),
    "no real time": (
        changed(lambda r: r["dynamodb"].update(ApproximateCreationDateTime=float("inf"))),
        "NotAChangeRecord",
    ),
    "another precision": (
        changed(lambda r: r["dynamodb"].update(ApproximateCreationDateTimePrecision="DAY")),
        "NotAChangeRecord",
    ),
    "a deleter that is text": (
        changed(lambda r: r.update(eventName="REMOVE", userIdentity="x")),
        "NotAChangeRecord",
    ),
    "a sequence that is text": (
        changed(lambda r: r["dynamodb"].update(SequenceNumber="x")),
        "NotAChangeRecord",
    ),
    "too large": (
        changed(
            lambda r: r["dynamodb"]["NewImage"].update(words={"S": Random(0).randbytes(1_000_000).hex()})
        ),
        "TooLarge",
    ),
}


@pytest.mark.parametrize(("damaged", "kind"), BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_records_that_are_none(damaged: Any, kind: str) -> None:
    with pytest.raises(ConversionError) as caught:
        CONVERTER.to_row(damaged, RECEIVED_AT_US)
    assert caught.value.code == f"Conversion.{kind}"


@pytest.mark.usefixtures("usual_recursion")
def test_nesting_beyond_all_measure_is_refused() -> None:
    deep: dict[str, Any] = {"S": "x"}
    for _ in range(50_000):
        deep = {"L": [deep]}
    with pytest.raises(ConversionError, match="nested too deep"):
        CONVERTER.to_row(changed(lambda r: r["dynamodb"]["NewImage"].update(anything=deep)), RECEIVED_AT_US)


def test_endlessly_many_shapes_are_not_kept() -> None:
    converter = converter_of(CONTRACT)
    for number in range(3 * plain_images.MAX_SHAPES):
        new = {"id": {"S": "a"}, "sort": {"N": "1"}, f"x{number}": {"S": "y"}}
        assert f"x{number}" in convert(record("INSERT", new), converter)["unmapped"]
    assert len(converter._shapes) == plain_images.MAX_SHAPES


# Masks ----------------------------------------------------------------------------------------------

MASKED = Contract(
    "t",
    "source",
    "id",
    "sort",
    (
        Column("id", "string"),
        Column("sort", "long"),
        Column("name", "string", mask="hash"),
        Column("card", "string", mask="last4"),
        Column("birthday", "date", mask="drop"),
    ),
)


def test_masked_values_leave_neither_in_a_column_nor_in_an_image() -> None:
    old = {
        "id": {"S": "a"},
        "sort": {"N": "1"},
        "name": {"S": "Ada Lovelace"},
        "card": {"S": "4929123412341234"},
        "birthday": {"S": "1815-12-10"},
    }
    converter = converter_of(MASKED)
    text = converter.to_row(record("MODIFY", {**old, "card": {"S": "1234"}}, old), RECEIVED_AT_US).decode()
    for secret in ("Ada", "49291234", '"1234"', "1815"):
        assert secret not in text
    row = json.loads(text)
    digest = KEY.hash({"S": "Ada Lovelace"})["S"]
    assert (row["name"], row["card"], row.get("birthday")) == (digest, "****", None)
    assert json.loads(row["old_image"]) == {
        "id": {"S": "a"},
        "sort": {"N": "1"},
        "name": {"S": digest},
        "card": {"S": "****1234"},
    }


def test_a_masked_value_of_another_type_is_masked_too() -> None:
    new = {"id": {"S": "a"}, "sort": {"N": "1"}, "name": {"N": "71"}, "card": {"L": [{"S": "secret-number"}]}}
    row = convert(record("INSERT", new), converter_of(MASKED))
    assert row["name"] == KEY.hash({"S": '{"N":"71"}'})["S"]
    assert "secret" not in str(row)


def test_a_masked_null_stays_null() -> None:
    null = {"NULL": True}
    new = {"id": {"S": "a"}, "sort": {"N": "1"}, "name": null, "card": null, "birthday": null}
    row = convert(record("MODIFY", new, new), converter_of(MASKED))
    assert (row["name"], row["card"], row["birthday"]) == (None, None, None)
    assert json.loads(row["old_image"]) == new
