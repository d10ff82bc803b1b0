"""What is to be forgotten is found in every spelling, and nobody else is."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dynaberg.contracts import Column, Condition, Contract
from dynaberg.delivery import row_converter
from dynaberg.erasure.stores import without
from dynaberg.erasure.wanted import Wanted, wanted_by_key, wanted_where
from dynaberg.errors import SettingsError
from dynaberg.functions.packing import pack
from dynaberg.functions.tombstones import Tombstones
from dynaberg.past import check_key

CONTRACT = Contract(
    "orders",
    "orders-source",
    "id",
    "at",
    (
        Column("id", "string"),
        Column("at", "long"),
        Column("customer", "string"),
        Column("total", "decimal(12,2)"),
    ),
)
WANTED = wanted_by_key(CONTRACT, {"id": "A-1", "at": 7})
BY_CUSTOMER = wanted_where(CONTRACT, {"customer": 'Zoë "Z"'})


def record(item_id: str, at: str = "7", **images: Any) -> dict[str, Any]:
    key = {"id": {"S": item_id}, "at": {"N": at}}
    change = {"ApproximateCreationDateTime": 1_700_000_000, "SequenceNumber": "1", "Keys": key}
    change |= {name: key | image for name, image in images.items()}
    return {
        "eventID": f"e-{item_id}",
        "eventName": "MODIFY",
        "tableName": "orders-source",
        "dynamodb": change,
    }


CUSTOMER = {"customer": {"S": 'Zoë "Z"'}}


@pytest.mark.parametrize(
    ("wanted", "document", "found"),
    [
        (WANTED, record("A-1", NewImage={}), True),
        (WANTED, record("A-1", "7.0", NewImage={}), True),
        (WANTED, record("A-10", NewImage={}), False),
        (WANTED, record("A-1", "70", NewImage={}), False),
        (WANTED, {**record("A-1", NewImage={}), "tableName": "payments-source"}, False),
        (WANTED, {"id": "A-1", "at": 7}, True),
        (WANTED, {"id": "A-1", "at": 8}, False),
        (WANTED, "A-1", False),
        (WANTED, {"dynamodb": "odd"}, False),
        (BY_CUSTOMER, record("B", NewImage=CUSTOMER), True),
        (BY_CUSTOMER, record("B", NewImage={}, OldImage=CUSTOMER), True),
        (BY_CUSTOMER, record("B", NewImage={"other": {"S": 'Zoë "Z"'}}), False),
        (BY_CUSTOMER, {"id": "B", "at": 1, "customer": 'Zoë "Z"'}, True),
        (BY_CUSTOMER, {"id": "B", "at": 1, "old_image": json.dumps(CUSTOMER, ensure_ascii=False)}, True),
        (BY_CUSTOMER, {"id": "B", "at": 1, "unmapped": pack(json.dumps(CUSTOMER))}, True),
        (BY_CUSTOMER, {"id": "B", "at": 1, "old_image": '{"customer":{"S":"Zoë"}}'}, False),
    ],
)
def test_changes_are_found(wanted: Wanted, document: Any, found: bool) -> None:
    assert wanted.matcher()(document) is found


def test_rows_are_found_by_a_value_in_a_column_or_an_image() -> None:
    text = json.dumps(CUSTOMER, ensure_ascii=False)
    rows = pa.table(
        {
            "id": ["a", "b", "c", "d"],
            "at": [1, 2, 3, 4],
            "customer": ['Zoë "Z"', None, "Zoe", None],
            "old_image": [None, text, text.replace("Zoë", "Zoe"), None],
            "unmapped": [None, None, None, pack(text)],
        }
    )
    found = BY_CUSTOMER.keys_in(rows)
    assert found == {("a", 1), ("b", 2), ("d", 4)}
    assert BY_CUSTOMER.with_keys(found).rows_of(rows) == [0, 1, 3]


KEYS = [
    ("string", "ü/1", "ü/1"),
    ("long", 7, "7"),
    ("decimal(12,2)", Decimal("1.50"), "1.5"),
    ("decimal(12,2)", Decimal(100), "1E+2"),
    ("decimal(38,0)", Decimal("9" * 37 + "8"), "9" * 37 + "8"),
    ("date", date(2026, 1, 31), "2026-01-31"),
    ("timestamptz", datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00Z"),
    ("binary", b"\x00\xff", base64.b64encode(b"\x00\xff").decode()),
]


@pytest.mark.parametrize(("kind", "value", "spelled"), KEYS)
def test_a_tombstone_holds_old_rows_of_its_key_and_no_others(kind: str, value: Any, spelled: str) -> None:
    contract = Contract("orders", "orders-source", "id", None, (Column("id", kind),))
    tag = "N" if kind == "long" or kind.startswith("decimal") else "B" if kind == "binary" else "S"
    change = {"ApproximateCreationDateTime": 1_700_000_000, "SequenceNumber": "1"}
    change |= {"Keys": {"id": {tag: spelled}}, "NewImage": {"id": {tag: spelled}}}
    document = {"eventID": "e", "eventName": "INSERT", "tableName": "orders-source", "dynamodb": change}
    row = row_converter(contract)(document)
    wanted = wanted_by_key(contract, {"id": value})
    assert wanted.matcher()(document)
    assert wanted.matcher()(json.loads(row))
    tombstones = Tombstones({"salt": "ab", "entries": {}})
    ((_, values, types),) = wanted.key_rows()
    entry = {"until_us": 1_700_000_000_000_000, "live": False}
    tombstones.entries[tombstones.digest(values, types)] = entry
    is_held = tombstones.of_contracts(json.loads(contract.to_lambda_json()))
    assert is_held("orders_changes", row)
    assert not is_held("orders_changes", row.replace(b"1700000000000000", b"1700000000000001"))
    assert len(spelled) < 3 or spelled.encode() not in tombstones.to_body()
    entry["live"] = True
    later = row.replace(b"1700000000000000", b"1700000000000001")
    assert not is_held("orders_changes", later)
    assert is_held("orders_changes", later.replace(b"INSERT", b"SNAPSHOT"))


def test_numbers_that_differ_in_the_last_of_38_digits_are_two_keys() -> None:
    contract = Contract("orders", "orders-source", "id", None, (Column("id", "decimal(38,0)"),))
    forgotten, kept = ("1" * 37 + last for last in "23")
    wanted = wanted_by_key(contract, {"id": Decimal(forgotten)})
    change = {"ApproximateCreationDateTime": 1_700_000_000, "SequenceNumber": "1"}
    change |= {"Keys": {"id": {"N": kept}}, "NewImage": {"id": {"N": kept}}}
    document = {"eventID": "e", "eventName": "INSERT", "tableName": "orders-source", "dynamodb": change}
    row = row_converter(contract)(document)
    tombstones = Tombstones({"salt": "ab", "entries": {}})
    ((_, values, types),) = wanted.key_rows()
    tombstones.entries[tombstones.digest(values, types)] = {"until_us": 1_700_000_000_000_000, "live": False}
    assert not wanted.matcher()(document)
    assert not wanted.matcher()(json.loads(row))
    assert not tombstones.of_contracts(json.loads(contract.to_lambda_json()))("orders_changes", row)


def test_what_was_written_after_it_is_not_meant() -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    wanted = replace(WANTED, until=moment)
    made = [moment, moment + timedelta(microseconds=1)]
    kind = pa.timestamp("us", "UTC")
    rows = pa.table({"id": ["A-1", "A-1"], "at": [7, 7], "changed_at": pa.array(made, kind)})
    assert WANTED.rows_of(rows) == [0, 1]
    assert wanted.rows_of(rows) == [0]
    later = record("A-1", NewImage={})
    later["dynamodb"]["ApproximateCreationDateTime"] = int(moment.timestamp()) + 1
    assert WANTED.matcher()(later)
    assert not wanted.matcher()(later)
    assert wanted.matcher()(record("A-1", NewImage={}))
    row = {"change_id": "c", "id": "A-1", "at": 7, "changed_at": int(moment.timestamp() * 1_000_000) + 1}
    assert WANTED.matcher()(row)
    assert not wanted.matcher()(row)


def error_line(document: Any) -> bytes:
    return json.dumps({"rawData": base64.b64encode(json.dumps(document).encode()).decode()}).encode() + b"\n"


HERS, HIS = record("A-1", NewImage={}), record("B-2", NewImage={})
ROW, OTHER = {"change_id": "c", "id": "A-1", "at": 7}, {"change_id": "d", "id": "B-2", "at": 7}


@pytest.mark.parametrize(
    ("body", "found", "left"),
    [
        (error_line(HERS) + error_line(HIS), {"e-A-1"}, error_line(HIS)),
        (error_line(ROW), {"c"}, b""),
        (error_line(HIS) + b"no JSON\n", set(), error_line(HIS) + b"no JSON\n"),
        (json.dumps({"rows": [ROW, OTHER], "attempts": 1}).encode(), {"c"}, {"rows": [OTHER], "attempts": 1}),
        (json.dumps({"rows": [ROW]}).encode(), {"c"}, b""),
        (
            json.dumps({"payload": json.dumps({"Records": [HERS, HIS]}), "version": "1.0"}).encode(),
            {"e-A-1"},
            {"payload": json.dumps({"Records": [HIS]}), "version": "1.0"},
        ),
        (json.dumps({"segments": [{"next_key": HERS["dynamodb"]["Keys"]}]}).encode(), {"backfill"}, b""),
        (json.dumps({"segments": [{"next_key": None}]}).encode(), set(), b""),
        (json.dumps(HERS).encode(), {"e-A-1"}, b""),
        (b"\xff\x00 bytes", set(), b"\xff\x00 bytes"),
    ],
)
def test_changes_are_taken_out_of_what_holds_them(body: bytes, found: set[str], left: Any) -> None:
    ids, rest = without(body, WANTED.matcher())
    assert ids == found
    assert (json.loads(rest) if isinstance(left, dict) else rest) == left


def test_who_is_masked_or_a_part_is_found_by_no_value() -> None:
    masked = Contract(
        "orders", "orders-source", "id", None, (Column("id", "string"), Column("card", "string", mask="hash"))
    )
    with pytest.raises(SettingsError, match="masked"):
        wanted_where(masked, {"card": "4111"})
    with pytest.raises(SettingsError, match="2 columns"):
        wanted_where(CONTRACT, {"customer": "x", "id": "y"})
    for nothing in ({}, "C-17", 17, b"C-17", None):
        with pytest.raises(SettingsError, match="0 columns") as caught:
            wanted_where(CONTRACT, nothing)  # type: ignore[arg-type]
        assert "17" not in caught.value.message
        with pytest.raises(SettingsError, match="has no columns") as caught:
            check_key(CONTRACT, nothing)  # type: ignore[arg-type]
        assert "17" not in caught.value.message


def test_each_table_of_a_source_has_its_own_spelling_of_a_key() -> None:
    columns = (Column("number", "string", attribute="pk", after="O#"),)
    orders = (Condition("pk", "begins_with", "O#"),)
    short = Contract("orders", "all-items", "number", None, columns, when=orders)
    whole = Contract("rest", "all-items", "pk", None, (Column("pk", "string"),), is_rest=True)
    short, whole = replace(short, siblings=(whole,)), replace(whole, siblings=(short,))
    wanted = wanted_by_key(short, {"number": "7"})
    assert wanted.seen_by(whole).keys == {("O#7",)}
    assert wanted.seen_by(whole).keys_as(short) == {("7",)}
    assert sorted(json.dumps(values) for _, values, _ in wanted.key_rows()) == ['["7"]', '["O#7"]']
    assert wanted.matcher()({"pk": "O#7"})
    assert wanted.matcher()({"number": "7"})
    assert not wanted.matcher()({"pk": "O#8"})
