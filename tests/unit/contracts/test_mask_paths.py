"""Masks by path: what they hide, in every image and place, and which are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract, load_contract
from dynaberg.contracts.mask_paths import PathMask, read_path_masks
from dynaberg.errors import ContractError
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.masks import MaskKey, mask_image, mask_rules

SECRET = "+41 79 555 12 34"
KEY = MaskKey("k" * 64)
ID = Column("id", "string")


def contract(*columns: Column, masks: dict[str, str]) -> Contract:
    return Contract("orders", "Orders", "id", None, (ID, *columns), tuple(read_path_masks(masks)))


def row(described: Contract, **attributes: Any) -> tuple[dict[str, Any], str]:
    """The change row of an item that keeps its attributes, and its text."""
    item = {"id": {"S": "1"}, **attributes}
    record = {
        "eventID": "1",
        "eventName": "MODIFY",
        "tableName": "Orders",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_764_000_000,
            "SequenceNumber": "1",
            "Keys": {"id": {"S": "1"}},
            "NewImage": item,
            "OldImage": item,
        },
    }
    text = ChangeConverter(json.loads(described.to_lambda_json()), KEY).to_row(record, 1).decode()
    return json.loads(text), text


PHONE = {"M": {"phone": {"S": SECRET}, "city": {"S": "Bern"}}}
PLACES = {
    "an attribute without a column": ({"phone": {"S": SECRET}}, "phone"),
    "a member of a map": ({"address": PHONE}, "address.phone"),
    "maps in a list": ({"people": {"L": [PHONE, {"NULL": True}, {"L": [PHONE]}]}}, "people.phone"),
    "deep below": ({"a": {"M": {"b": {"M": {"c": PHONE}}}}}, "a.b.c.phone"),
    "a name with a dot": ({"a.b": PHONE}, '"a.b".phone'),
    "an unnamed member of a struct": ({"place": PHONE}, "place.phone"),
    "a member of a struct": ({"named": PHONE}, "named.phone"),
    "a member of a json column": ({"anything": PHONE}, "anything.phone"),
    "the values of a map column": ({"homes": {"M": {"x": PHONE}}}, "homes.x.phone"),
}
COLUMNS = (
    Column("place", "struct<city: string>"),
    Column("named", "struct<phone_number from phone: string, city: string>"),
    Column("anything", "json"),
    Column("homes", "map<string,struct<phone: string>>"),
)


@pytest.mark.parametrize("mask", ["drop", "null", "hash", "tokenise", "last4", "year"])
@pytest.mark.parametrize("place", PLACES)
def test_a_masked_value_leaves_in_no_form(place: str, mask: str) -> None:
    attributes, path = PLACES[place]
    _, bare = row(contract(*COLUMNS, masks={}), **attributes)
    assert SECRET in bare
    _, text = row(contract(*COLUMNS, masks={path: mask}), **attributes)
    assert SECRET not in text
    assert "Bern" in text or "city" not in json.dumps(attributes)


def test_a_struct_takes_the_masked_member() -> None:
    made, _ = row(contract(*COLUMNS, masks={"named.phone": "last4"}), named=PHONE)
    assert made["named"] == {"phone_number": "****2 34", "city": "Bern"}


def test_null_stays_null() -> None:
    image = {"a": {"M": {"phone": {"NULL": True}}}}
    assert mask_image(image, mask_rules([(["a", "phone"], "hash")], KEY)) == image


LEAVES = st.one_of(st.builds(lambda text: {"S": text}, st.text(max_size=3)), st.just({"NULL": True}))
ATTRIBUTES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: {"L": items}),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda members: {"M": members}),
    ),
    max_leaves=12,
)


@given(
    image=st.dictionaries(st.sampled_from("abc"), ATTRIBUTES, max_size=3),
    path=st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
)
def test_only_what_is_at_the_path_is_touched(image: dict[str, Any], path: list[str]) -> None:
    masked = mask_image(image, mask_rules([(path, "drop")]))

    def without(attribute: Any, rest: list[str]) -> Any:
        ((tag, value),) = attribute.items()
        if tag == "L":
            return {"L": [without(item, rest) for item in value]}
        return {"M": pruned(value, rest)} if tag == "M" else attribute

    def pruned(members: dict[str, Any], rest: list[str]) -> dict[str, Any]:
        first, *others = rest
        return {
            name: without(attribute, others) if others and name == first else attribute
            for name, attribute in members.items()
            if others or name != first or attribute == {"NULL": True}
        }

    assert masked == pruned(image, path)


@pytest.mark.parametrize(
    ("columns", "masks", "message"),
    [
        ((), {"phone": "rot13"}, "has the mask 'rot13'. Masks: drop, null, hash, tokenise, last4, year"),
        ((), {"id": "hash"}, "'id' is a key"),
        ((), {"address": "drop", "address.phone": "hash"}, "`address.phone` is masked by `address` already"),
        ((Column("phone", "string"),), {"phone": "hash"}, "its attribute has the column 'phone'"),
        ((Column("at", "string", mask="drop"),), {"at.x": "hash"}, "its attribute has the column 'at'"),
        ((Column("a", "struct<n from N: long>"),), {"a.N": "hash"}, "is a long in the column 'a'"),
        ((Column("a", "list<map<string,date>>"),), {"a.x": "last4"}, "is a date in the column 'a'"),
        ((), {"a..b": "hash"}, "'a..b' under `masks` is not"),
        ((), {"": "hash"}, "'' under `masks` is not"),
        ((), {True: "hash"}, "True under `masks` is not"),
    ],
)
def test_a_mask_that_cannot_be(columns: tuple[Column, ...], masks: Any, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        contract(*columns, masks=masks)
    assert message in caught.value.message
    assert caught.value.hint


def test_masks_are_read_from_the_file(tmp_path: Any) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(
        "source_table: Orders\ntable: orders\nkey: {partition: id}\ncolumns: [{name: id, type: string}]\n"
        "masks: {address.phone: hash, '\"a.b\".c': drop}\n"
    )
    assert load_contract(path).masks == (
        PathMask(("address", "phone"), "hash"),
        PathMask(("a.b", "c"), "drop"),
    )
    path.write_text(path.read_text().replace("masks: {", "masks: [").replace("drop}", "drop]"))
    with pytest.raises(ContractError, match="must be a mapping"):
        load_contract(path)
