"""The types, names, comments and masks of a contract that was inferred, case by case."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dynaberg.contracts import LOG_COLUMNS, Column, Contract, PathMask, load_contract
from dynaberg.contracts.inference import Draft
from dynaberg.contracts.inference.draft import MOST_COLUMNS, DraftedContract
from dynaberg.errors import ContractError

Attribute = dict[str, Any]
MAP = "map<string,int>"
CARD, IBAN, UUID = "4111 1111 1111 1111", "DE89370400440532013000", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def s(text: str) -> Attribute:
    return {"S": text}


def n(text: str | int) -> Attribute:
    return {"N": str(text)}


def m(**members: Attribute) -> Attribute:
    return {"M": members}


def infer(*items: dict[str, Attribute], existing: Contract | None = None, key: str = "id") -> DraftedContract:
    """A contract for items, each with a key of its own unless it has one."""
    draft = Draft("Orders", [key])
    draft.add([{key: s(f"key {number}"), **item} for number, item in enumerate(items)])
    return draft.write(existing)


def columns_of(*attributes: Attribute) -> dict[str, str]:
    """Types of the columns for one attribute that has had these values."""
    contract = infer(*({"a": attribute} for attribute in attributes)).contract
    return {column.name: column.type for column in contract.columns if column.attribute == "a"}


def lines_about(text: str, name: str) -> str:
    """What the YAML has on a column: its comments and its lines."""
    found = re.search(rf"((?:  #.*\n)*)  - name: {re.escape(name)}\n((?:    .*\n)*)", text)
    assert found, text
    return found[0]


ONE_TYPE: dict[str, tuple[list[Attribute], str]] = {
    "text": ([s("a"), s("")], "string"),
    "small": ([n(1), n(-999_999)], "int"),
    "room for int": ([n(1_000_000)], "long"),
    "64 bits": ([n(2**63 - 1), n(-(2**63))], "long"),
    "more than 64 bits": ([n(2**63)], "decimal(23,0)"),
    "38 digits": ([n(10**38 - 1)], "decimal(38,0)"),
    "money": ([n("9.5"), n("120.25")], "decimal(9,2)"),
    "whole and broken": ([n(7), n("0.5")], "decimal(7,2)"),
    "rates": ([n("0.0825")], "decimal(10,6)"),
    "wide": ([n("9" * 36 + ".25")], "decimal(38,2)"),
    "exponents": ([n("1.5E-7")], "decimal(14,10)"),
    "no decimal": ([n("1E+100"), n("0.1")], "double"),
    "boolean": ([{"BOOL": True}], "boolean"),
    "binary": ([{"B": "AA=="}], "binary"),
    "null and number": ([{"NULL": True}, n(1)], "int"),
    "null alone": ([{"NULL": True}], "json"),
    "days": ([s("2026-01-31"), s("2024-02-29")], "date"),
    "no such day": ([s("2026-02-29")], "string"),
    "moments": ([s("2026-01-31T12:00:00Z"), s("2026-01-31 12:00:00+02:00")], "timestamptz"),
    "days and moments": ([s("2026-01-31"), s("2026-01-31T12:00:00Z")], "string"),
    "moments and others": ([s("2026-01-31T12:00:00Z"), s("")], "string"),
    "list": ([{"L": [n(1), n(2)]}, {"L": []}], "list<int>"),
    "set": ([{"NS": ["1", "2.5"]}], "list<decimal(7,2)>"),
    "list and set": ([{"SS": ["a"]}, {"L": [s("b")]}], "list<string>"),
    "list of both": ([{"L": [n(1), s("a")]}], "list<json>"),
    "empty list": ([{"L": []}], "list<json>"),
    "empty map": ([m()], "map<string,json>"),
    "fixed members": ([m(b=n(1), a=s("x")), m(a=s("y"))], "struct<a: string, b: int>"),
    "member of both types": ([m(a=n(1)), m(a=s("x"))], "struct<a: json>"),
    "camelCase": ([m(postalCode=n(1), zip=s("x"))], "struct<postal_code from postalCode: int, zip: string>"),
    "names that meet": ([m(Zip=n(1), zip=n(2))] * 3, "struct<zip: int, zip_2 from Zip: int>"),
    "PascalCase in every map": ([m(Zip=n(1))] * 3, "struct<zip from Zip: int>"),
    "PascalCase in few maps": ([m(Zip=n(1))] * 2, "map<string,int>"),
    "names with signs": ([m(**{"a-b": n(1), "c d": s("x")})], "json"),
    "names with signs, one type": ([m(**{"a-b": n(1), "c d": n(2)})], "map<string,int>"),
    "order lines": ([{"L": [m(sku=s("x"), qty=n(1))]}], "list<struct<qty: int, sku: string>>"),
    "ids as names": ([m(**{f"sku_{1000 + i}": n(i)}) for i in range(9)], "map<string,int>"),
    "sparse names": ([m(**{f"{chr(97 + i)}_x": n(i)}) for i in range(26)], "map<string,int>"),
    "very many names": ([m(**{"x" * (9 * j + i + 1): n(i) for i in range(99)}) for j in range(20)], MAP),
    "too deep": ([m(a=m(a=m(a=m(a=m(a=m(a=m(a=n(1))))))))], f"{'struct<a: ' * 6}json{'>' * 6}"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_TYPE)
def test_the_narrowest_type_that_holds_what_was_seen(name: str) -> None:
    attributes, expected = ONE_TYPE[name]
    assert columns_of(*attributes) == {"a": expected}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ([n(1), n(2), s("EC1A")], {"a": "int", "a_text": "string"}),
        ([s("x"), s("y"), n("1.5")], {"a": "string", "a_number": "decimal(7,2)"}),
        ([m(b=n(1)), {"BOOL": True}, {"L": [s("x")]}],
         {"a": "boolean", "a_list": "list<string>", "a_map": "struct<b: int>"}),
        ([m(b=n(1)), {"BOOL": True}, {"L": [s("x")]}, n(1)], {"a": "json"}),
        ([s("x"), s("y"), m(**{"0": n(1), "b": s("x")})], {"a": "string", "a_map": "map<string,json>"}),
    ],
)  # fmt: skip
def test_an_attribute_of_several_types_has_a_column_for_each(
    attributes: list[Attribute], expected: dict[str, str]
) -> None:
    assert columns_of(*attributes) == expected


@pytest.mark.parametrize(
    ("texts", "finer", "local"),
    [
        (["2026-01-31T12:00:00.123Z"], None, None),
        (["2026-01-31T12:00:00.1234567Z"], "microsecond", None),
        (["2026-01-31T12:00:00.123456000Z"], None, None),
        (["2026-01-31T12:00:00"], None, "UTC"),
        (["2026-01-31T12:00:00", "2016-12-31T23:59:60Z"], "microsecond", "UTC"),
    ],
)
def test_moments_say_how_they_are_read(texts: list[str], finer: str | None, local: str | None) -> None:
    contract = infer(*({"a": m(at=s(text)), "at": s(text)} for text in texts)).contract
    for name in ("a", "at"):
        column = contract.column(name)
        assert "timestamptz" in column.type
        assert (column.round, column.zone) == (finer, local)


KEYS = {
    "canonical": ([s("2026-01-31T12:00:00Z"), s("2026-01-31T12:00:00.000001Z")], "timestamptz"),
    "JavaScript": ([s("2026-01-31T12:00:00.000Z")], "string"),
    "end of the day": ([s("2026-01-31T24:00:00Z")], "string"),
    "days": ([s("2026-01-31")], "date"),
    "small numbers": ([n(1)], "long"),
    "money": ([n("1.5")], "decimal(7,2)"),
    "bytes": ([{"B": "AA=="}], "binary"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_keeps_all_items_apart(name: str) -> None:
    values, expected = KEYS[name]
    contract = infer(*({"k": value} for value in values), key="k").contract
    assert [(column.name, column.type) for column in contract.key_columns] == [("k", expected)]


def test_a_key_that_no_type_holds_is_refused() -> None:
    with pytest.raises(ContractError, match="38 digits") as caught:
        infer({"k": n("1E+100")}, {"k": n("1E-100")}, key="k")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("attribute", "column"),
    [
        ("createdAt", "created_at"),
        ("HTTPStatus", "http_status"),
        ("with-hyphens", "with_hyphens"),
        ("a.b c", "a_b_c"),
        ("Größe", "grosse"),
        ("2fa", "item_2fa"),
        ("😀", "attribute"),
        ("operation", "item_operation"),
        ("Operation", "item_operation"),
        ("_ttl", "_ttl"),
        ("x" * 65_535, "x" * 100),
    ],
)
def test_names_of_columns(attribute: str, column: str) -> None:
    contract = infer({attribute: n(1)}).contract
    assert {c.attribute: c.name for c in contract.columns}[attribute] == column


def test_names_that_differ_only_in_capitals_and_signs_are_all_kept() -> None:
    item = {name: n(1) for name in ("Zip", "zip", "ZIP", "z.i.p", "zIp", "zip_text")}
    contract = infer(item, {"zip": s("x")}).contract
    names = {(c.attribute, c.type): c.name for c in contract.columns}
    assert names[("zip", "int")] == "zip"
    assert names[("zip_text", "int")] == "zip_text"
    assert names[("zip", "string")] == "zip_text_2"
    assert len({c.name for c in contract.columns}) == 8


STRANGE = [
    "no", "null", "true", "~", "1e5", "2026-01-31", "a: b", "a #b", "{}", "[x", "- x", "'", '"', "a\nb", "\t",
    " a ", "😀", "\u2028", "\x85", "\x7f", "\ufeff", "&a", "*a", "!a", "%a", "@a", "`a", "|", ">", "?", "=",
    "é" * 30_000, *LOG_COLUMNS,
]  # fmt: skip


def test_any_name_can_be_written_and_read_back(tmp_path: Path) -> None:
    nested = {name: m(**{name: s(name)}) for name in STRANGE}
    written = infer({name: n(1) for name in STRANGE}, nested)
    path = tmp_path / "orders.yaml"
    path.write_text(written.text, encoding="utf-8")
    assert load_contract(path) == written.contract
    assert {column.attribute for column in written.contract.columns} == {"id", *STRANGE}


def test_a_long_type_is_folded_and_means_the_same() -> None:
    written = infer({"a": m(**{f"member_{chr(97 + i)}": n(i) for i in range(26)})})
    assert "type: >-\n" in written.text
    assert max(map(len, written.text.splitlines())) < 120
    columns = {column["name"]: column["type"] for column in yaml.safe_load(written.text)["columns"]}
    assert columns["a"] == written.contract.column("a").type


def test_too_many_attributes_say_what_has_no_column() -> None:
    written = infer(*({"common": n(1), f"Attribute{number}": n(1)} for number in range(2_000)))
    names = [column.name for column in written.contract.columns]
    assert len(names) == MOST_COLUMNS
    assert names[0] == "id"
    assert "common" in names
    assert f"# {2_002 - MOST_COLUMNS:,} more attributes have no column here" in written.text


def test_evidence_is_counted_and_has_no_values() -> None:
    items = [{"code": s(f"SECRET-{i:04d}"), "n": n(4711), "who": m(alice=n(1), bob=n(2))} for i in range(4)]
    text = infer(*items, {"code": {"NULL": True}, "who": m(**{"Carol D.": n(3)})}).text
    about = lines_about(text, "code")
    assert "In all 5 items, 1 of them NULL: text, AAAAAA-9999." in about
    assert "In 4 of 5 items: whole numbers, up to 4 digits." in lines_about(text, "n")
    assert not re.search("SECRET|4711|Carol|alice", text)


def test_room_and_readings_are_stated() -> None:
    text = infer({"price": n("12.5"), "seconds": n(1_764_000_000), "millis": n(1_764_000_000_000)}).text
    assert "Room for 4 more digits before the point and 1 after." in lines_about(text, "price")
    assert "seconds since 1970" in lines_about(text, "seconds")
    assert "milliseconds since 1970: in SQL, from_unixtime(… / 1000e0)" in lines_about(text, "millis")


SENSITIVE = {
    "by value: mail": ("contact", s("ann@example.com"), "hash", "mail addresses"),
    "by value: card": ("ref", s(CARD), "last4", "card numbers"),
    "by value: card as a number": ("ref", n(CARD.replace(" ", "")), "drop", "card numbers"),
    "by value: IBAN": ("ref", s(IBAN), "last4", "IBANs"),
    "by value: phone": ("ref", s("+49 30 123456"), "last4", "phone numbers"),
    "by value: IPv4": ("ref", s("192.168.0.1"), "hash", "IP addresses"),
    "by value: IPv6": ("ref", s("2001:db8::1"), "hash", "IP addresses"),
    "by value: AWS key": ("ref", s("AKIA" + "IOSFODNN7EXAMPLE"), "drop", "tokens or secrets"),
    "by value: JWT": ("ref", s("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"), "drop", "tokens or secrets"),
    "by value and name: person": ("ownerOfTheCar", s("Zoë O'Neill"), "drop", "names of persons"),
    "by name: password": ("passwordHash", s("x"), "drop", "tokens or secrets"),
    "by name: first name": ("firstName", s("x"), "drop", "names of persons"),
    "by name: address": ("shippingAddress", s("x"), "drop", "postal addresses"),
    "by name: birth": ("dateOfBirth", s("1980-01-31"), "drop", "dates of birth"),
    "by name: SSN": ("ssn", s("x"), "last4", "identity documents"),
    "in a list": ("people", {"L": [s("a@b.de")]}, "drop", "elements: 1 of 1 values look like mail"),
    "in a map with open names": ("likes", m(**{"x 1": s("a@b.de")}), "drop", "members: 1 of 1 values look"),
    "as the name of a member": ("likes", m(**{"ann@example.com": n(1)}), "drop", "names of members"),
    "in other text": ("note", s("write to ann@example.com"), "hash", "mail addresses"),
}


@pytest.mark.parametrize("name", SENSITIVE)
def test_masks_are_suggested_with_the_reason_and_never_set(name: str) -> None:
    attribute, value, mask, reason = SENSITIVE[name]
    written = infer({attribute: value})
    column = next(c for c in written.contract.columns if c.attribute == attribute)
    about = lines_about(written.text, column.name)
    assert column.mask is None
    assert re.search(rf"    # mask: {mask}  # .*{re.escape(reason)}", about), about
    assert "ann@" not in written.text
    without = written.text.replace("    # mask:", "    mask:")
    (masked,) = [c for c in yaml.safe_load(without)["columns"] if c.get("attribute", c["name"]) == attribute]
    assert Column(**masked).mask == mask


def test_masks_of_members_are_suggested_by_their_path() -> None:
    person = m(homePhone=s("+49 30 123456"), age=n(7), contact=m(email=s("a@b.de")))
    item = {"customer": person, "lines": {"L": [m(card=s(CARD))]}, "free": {"L": [m(ip=n(1)), s("x")]}}
    written = infer(item)
    assert written.contract.masks == ()
    document = yaml.safe_load(re.sub("(?m)^# (masks:|  .*# )", r"\1", written.text))
    assert document["masks"] == {
        "customer.homePhone": "last4",
        "customer.contact.email": "hash",
        "lines.card": "last4",
        "free.ip": "drop",
    }
    contract = Contract(
        "orders", "Orders", "id", None, (Column("id", "string"),), (PathMask(("customer", "age"), "drop"),)
    )
    again = infer(item, existing=contract)
    assert again.contract.masks == contract.masks
    assert yaml.safe_load(again.text)["masks"] == {"customer.age": "drop"}
    assert "\n  # customer.homePhone: last4  # 1 of 1 values look like phone numbers\n" in again.text


def test_an_attribute_that_is_masked_without_a_column_gets_none() -> None:
    contract = Contract(
        "orders", "Orders", "id", None, (Column("id", "string"),), (PathMask(("pin",), "drop"),)
    )
    again = infer({"pin": s("1234"), "other": n(1)}, existing=contract)
    assert [column.name for column in again.contract.columns] == ["id", "other"]
    assert yaml.safe_load(again.text)["masks"] == {"pin": "drop"}


HARMLESS = {
    "a moment": ("tokenExpiresAt", s("2026-01-31T12:00:00Z")),
    "a flag": ("emailVerified", {"BOOL": True}),
    "an id": ("ref", s(UUID)),
    "digits that fail Luhn's check": ("ref", s("4111111111111112")),
    "milliseconds": ("at", n(1_764_000_000_000)),
    "a wrong IBAN": ("ref", s("DE88370400440532013000")),
    "two words": ("title", s("Blue Shirt")),
    "a kind of phone": ("phoneType", s("work")),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_no_mask_without_a_reason(name: str) -> None:
    attribute, value = HARMLESS[name]
    assert "mask:" not in infer({attribute: value}).text.split("columns:")[1]


def test_columns_of_one_attribute_are_suggested_one_mask() -> None:
    text = infer({"phone": s("+49 30 123456")}, {"phone": n(4930123456)}).text
    assert text.count("# mask: drop") == 2


def test_a_key_cannot_be_masked() -> None:
    text = infer({"email": s("ann@example.com")}, key="email").text
    assert "a key cannot be masked" in text
    assert "# mask:" not in text


def test_entity_types_are_counted() -> None:
    draft = Draft("Shop", ["PK", "SK"])
    for user in range(10):
        pk = s(f"USER#{user}")
        draft.add([{"PK": pk, "SK": s("PROFILE"), "entityType": s("User")}])
        draft.add([{"PK": pk, "SK": s(f"ORDER#{i}"), "entityType": s("Order")} for i in range(3)])
    text = draft.write().text
    for line in ("By the attribute `entityType`:", "Order: 30 items", "User: 10 items",
                 "USER#, ORDER#: 30 items", "USER#, PROFILE: 10 items"):  # fmt: skip
        assert f"# {line}\n" in text or f"#   {line}\n" in text


@pytest.mark.parametrize(
    "items",
    [
        [{"type": s(f"free text {i}, of many words"), "id": s(f"{i}")} for i in range(99)],
        [{"id": s(f"https://example.com/{i}")} for i in range(9)],
        [{"id": s(f"{chr(97 + i % 26)}{'x' * (i // 26)}#1")} for i in range(200)],
    ],
)
def test_data_is_no_entity_type(items: list[dict[str, Attribute]]) -> None:
    draft = Draft("Shop", ["id"])
    draft.add(items)
    assert "Several types" not in draft.write().text


EDITED = Contract(
    "purchases",
    "Orders",
    "order_id",
    None,
    (
        Column("order_id", "string", attribute="id"),
        Column("gone", "int", "Not among the items."),
        Column("amount_eur", "decimal(20,4)", "In euros.", attribute="amount"),
        Column("mail", "string", "Who buys.", "hash", attribute="email"),
        Column("count", "int"),
        Column("anything", "json", attribute="free"),
        Column("place", "struct<city: string>"),
    ),
)


def test_decisions_of_an_existing_contract_are_kept() -> None:
    item = {"amount": n("1.5"), "email": s("a@b.de"), "count": n(2**40), "free": n(1)}
    place = m(city=s("x"), floor=n(1))
    written = infer({**item, "place": place, "New": s("x")}, existing=EDITED)
    found = {column.name: column for column in written.contract.columns}
    same = ("order_id", "gone", "amount_eur", "mail", "anything")
    assert [found[name] for name in same] == [EDITED.column(name) for name in same]
    assert list(found) == [*(column.name for column in EDITED.columns), "new"]
    assert (found["count"].type, found["place"].type) == ("long", "struct<city: string, floor: int>")
    assert "It was int." in lines_about(written.text, "count")
    assert "In none of the 1 item that" in lines_about(written.text, "gone")
    assert written.contract.table == "purchases"


def test_columns_that_share_an_attribute_by_hand_are_kept() -> None:
    columns = (
        Column("id", "string"),
        Column("born", "date"),
        Column("born_text", "string", attribute="born"),
    )
    existing = Contract("orders", "Orders", "id", None, columns)
    written = infer({"born": s("1980-01-31")}, {"born": s("unknown")}, existing=existing)
    assert written.contract == existing


def test_a_new_type_of_a_masked_attribute_is_masked_too() -> None:
    written = infer({"email": s("a@b.de")}, {"email": n(1)}, existing=EDITED)
    masks = {c.name: c.mask for c in written.contract.columns if c.attribute == "email"}
    assert masks == {"mail": "drop", "email_number": "drop"}


def test_pages_and_their_order_do_not_matter() -> None:
    items = [
        {"id": s(str(i)), "a": m(x=n(i)), "b": {"L": [s("x" * (i % 5))]}, "c": n("1.5") if i % 2 else s("y")}
        for i in range(50)
    ]
    texts = set()
    for size, step in ((50, 1), (7, 1), (1, -1)):
        draft = Draft("Orders", ["id"])
        ordered = items[::step]
        for at in range(0, 50, size):
            draft.add(ordered[at : at + size])
        texts.add(draft.write().text)
    assert len(texts) == 1
