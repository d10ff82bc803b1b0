"""Rows from before a mask or a key: masked afterwards they are as if they had been masked at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract, PathMask
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.masks import MaskKey
from dynaberg.functions.packing import is_packed, pack, unpack
from dynaberg.masks import Masking, renewed_hashes

OLD, NEW = MaskKey("o" * 64, 1), MaskKey("n" * 64, 2)
MASKED_COLUMNS = {
    "card": ("string", "hash"),
    "mail": ("string", "tokenise"),
    "iban": ("string", "last4"),
    "born": ("date", "year"),
    "seen": ("timestamptz", "year"),
    "year": ("string", "year"),
    "pay": ("decimal(12,2)", "null"),
    "blob": ("binary", "drop"),
    "loose": ("json", "drop"),
}
TYPES = {
    "place": "struct<phone: string, city: string, at: struct<door: string>>",
    "people": "list<struct<name: string, age: int>>",
    "by_name": "map<string,struct<name: string>>",
    "anything": "json",
    "plain": "string",
}
PATHS = (
    PathMask(("place", "phone"), "hash"),
    PathMask(("place", "at", "door"), "null"),
    PathMask(("people", "name"), "tokenise"),
    PathMask(("anything", "mail"), "hash"),
    PathMask(("anything", "gone"), "drop"),
    PathMask(("nowhere",), "tokenise"),
    PathMask(("deep", "a"), "last4"),
)
COLUMNS = (
    Column("id", "string"),
    *(Column(name, type_, mask=mask) for name, (type_, mask) in MASKED_COLUMNS.items()),
    *(Column(name, type_) for name, type_ in TYPES.items()),
)
CONTRACT = Contract("things", "Things", "id", None, COLUMNS, PATHS)
UNMASKED = replace(CONTRACT, columns=tuple(replace(c, mask=None) for c in COLUMNS), masks=())

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
STRINGS = TEXTS.map(lambda text: {"S": text})
ATTRIBUTES = st.recursive(
    STRINGS | st.just({"NULL": True}) | st.integers(0, 99).map(lambda n: {"N": str(n)}),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda items: {"L": items})
        | st.dictionaries(st.sampled_from(["a", "mail", "gone"]), inner, max_size=3).map(lambda m: {"M": m})
    ),
    max_leaves=5,
)
ITEMS = st.fixed_dictionaries(
    {"id": st.just({"S": "1"})},
    optional={
        **dict.fromkeys(("card", "mail", "iban", "year", "plain"), STRINGS),
        "born": st.dates(date(1000, 1, 1)).map(lambda d: {"S": d.isoformat()}),
        "seen": st.integers(-2_000_000_000, 4_000_000_000).map(
            lambda second: {"S": f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%SZ}"}
        ),
        "pay": st.integers(0, 999).map(lambda n: {"N": f"{n}.5"}),
        "blob": st.just({"B": "AAE="}),
        "place": st.fixed_dictionaries(
            {}, optional={"phone": STRINGS, "city": STRINGS, "at": st.just({"M": {"door": {"S": "7"}}})}
        ).map(lambda m: {"M": m}),
        "people": st.lists(
            STRINGS.map(lambda name: {"M": {"name": name, "age": {"N": "3"}}}), max_size=2
        ).map(lambda items: {"L": items}),
        **dict.fromkeys(("anything", "loose", "nowhere", "deep", "other"), ATTRIBUTES),
    },
)


def row(contract: Contract, old: dict[str, Any], new: dict[str, Any], key: MaskKey | None) -> dict[str, Any]:
    """The row of a change, with the values as pyarrow reads them where masks look at them."""
    change = {"ApproximateCreationDateTime": 1_764_000_000, "SequenceNumber": "1", "Keys": {"id": {"S": "1"}}}
    record = {
        "eventID": "1",
        "eventName": "MODIFY",
        "tableName": "Things",
        "dynamodb": change | {"OldImage": old, "NewImage": new},
    }
    made = json.loads(ChangeConverter(json.loads(contract.to_lambda_json()), key).to_row(record, 1))
    if made.get("born"):
        made["born"] = date.fromisoformat(made["born"])
    if made.get("seen") is not None:
        made["seen"] = datetime.fromtimestamp(made["seen"] // 1_000_000, UTC)
    return {name: made.get(name) for name in (*MASKED_COLUMNS, *TYPES, "old_image", "unmapped")}


def masked(found: dict[str, Any], masking: Masking) -> dict[str, Any]:
    done = {name: masking.values(name, [found[name]])[0] for name in masking.columns}
    return found | done


def spelled(found: dict[str, Any]) -> dict[str, Any]:
    texts = ("old_image", "unmapped", "anything", "loose")
    return {n: json.loads(v) if n in texts and v is not None else v for n, v in found.items()}


@given(ITEMS, ITEMS)
def test_what_is_masked_later_is_as_if_it_had_been_masked_at_once(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    later = masked(row(UNMASKED, old, new, None), Masking(CONTRACT, [NEW, OLD]))
    assert spelled(later) == spelled(row(CONTRACT, old, new, NEW))


@given(ITEMS, ITEMS)
def test_masking_twice_changes_nothing(old: dict[str, Any], new: dict[str, Any]) -> None:
    once = row(CONTRACT, old, new, NEW)
    masking = Masking(CONTRACT, [NEW, OLD])
    assert masked(once, masking) == once
    assert not +masking.masked


@given(ITEMS, ITEMS)
def test_tokens_get_the_new_key_and_hashes_do_while_dynamodb_has_their_value(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    known = renewed_hashes(CONTRACT, [NEW, OLD], [old, new])
    found = row(CONTRACT, old, new, OLD)
    masking = Masking(CONTRACT, [NEW, OLD], renewed=known)
    assert spelled(masked(found, masking)) == spelled(row(CONTRACT, old, new, NEW))
    assert not +masking.older


def test_a_hash_that_nobody_has_the_value_of_stays_and_is_counted() -> None:
    masking = Masking(CONTRACT, [NEW, OLD])
    stays = OLD.hash({"S": "4111"})["S"]
    assert masking.values("card", [stays, None, "4111"]) == [stays, None, NEW.hash({"S": "4111"})["S"]]
    assert (masking.masked["card"], masking.older["card"]) == (1, 1)


def test_an_unkeyed_hash_becomes_the_hash_of_the_same_value() -> None:
    unkeyed = hashlib.sha256(b"4111").hexdigest()
    wanted = NEW.hash({"S": "4111"})["S"]
    assert Masking(CONTRACT, [NEW], unkeyed=True).values("card", [unkeyed]) == [wanted]
    image = json.dumps({"card": {"S": unkeyed}})
    assert json.loads(Masking(CONTRACT, [NEW], unkeyed=True).values("old_image", [image])[0]) == {
        "card": {"S": wanted}
    }
    assert Masking(CONTRACT, [NEW]).values("card", [unkeyed]) == [NEW.hash({"S": unkeyed})["S"]]


@pytest.mark.parametrize(
    "odd", ["t1:AAAA", "h9:" + "0" * 64, "t2:" + "A" * 64, "****12345", "*" * 4 + "x" * 9]
)
def test_a_value_that_looks_masked_is_masked(odd: str) -> None:
    masking = Masking(CONTRACT, [NEW, OLD])
    for column in ("card", "mail", "iban"):
        [found] = masking.values(column, [odd])
        assert found != odd


def test_packed_values_are_masked_and_packed_again() -> None:
    text = pack(json.dumps({"card": {"S": "4111"}, "other": {"S": "x" * 100}}))
    masking = Masking(CONTRACT, [NEW])
    [found] = masking.values("unmapped", [text])
    assert is_packed(found)
    assert json.loads(unpack(found))["card"] == NEW.hash({"S": "4111"})
    assert masking.values("unmapped", [found]) == [found]


def test_maps_of_columns_are_masked_by_the_names_in_them() -> None:
    column = Column("by", "map<string,string>")
    contract = Contract(
        "things",
        "Things",
        "id",
        None,
        (Column("id", "string"), column),
        (PathMask(("by", "phone"), "hash"), PathMask(("by", "gone"), "drop")),
    )
    pairs: Sequence[tuple[str, str]] = [("phone", "1"), ("gone", "2"), ("city", "3")]
    assert Masking(contract, [NEW]).values("by", [pairs]) == [
        [("phone", NEW.hash({"S": "1"})["S"]), ("city", "3")]
    ]
