"""Masks: nothing of a value without the key, all of it with the key, and only what was meant."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract, PathMask
from dynaberg.errors import ContractError
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.change_row import MASKED, ChangeConverter
from dynaberg.functions.masks import MASKS, MaskKey, MaskKeyError, mask_rules, read_key
from dynaberg.functions.routing import Router

SECRET = "k" * 64
KEY = MaskKey(SECRET)
CARD = "4111111111111111"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def test_a_hash_is_a_hmac_of_the_unkeyed_hash() -> None:
    unkeyed = hashlib.sha256(CARD.encode()).hexdigest()
    derived = hmac.digest(SECRET.encode(), b"dynaberg mask: hash", "sha256")
    expected = f"h1:{hmac.digest(derived, unkeyed.encode(), 'sha256').hex()}"
    assert KEY.hash({"S": CARD}) == {"S": expected}
    assert KEY.rehash(unkeyed) == expected, "what was masked without a key can be masked with one"


def test_who_has_no_key_cannot_try_values() -> None:
    masked = {KEY.hash({"S": CARD})["S"], KEY.tokenise({"S": CARD})["S"]}
    for other in ("j" * 64, "k" * 63, "K" * 64):
        wrong = MaskKey(other)
        assert masked.isdisjoint({wrong.hash({"S": CARD})["S"], wrong.tokenise({"S": CARD})["S"]})
        with pytest.raises(MaskKeyError):
            wrong.detokenise(KEY.tokenise({"S": CARD})["S"])


@given(text=TEXTS)
def test_a_token_is_the_same_each_time_and_taken_back(text: str) -> None:
    token = KEY.tokenise({"S": text})["S"]
    assert token == MaskKey(SECRET).tokenise({"S": text})["S"]
    assert KEY.detokenise(token) == {"S": text}
    assert len(text) < 4 or text not in token


@pytest.mark.parametrize(
    "attribute", [{"N": "71"}, {"B": "AAE="}, {"SS": ["a", "b"]}, {"M": {"x": {"L": [{"NULL": True}]}}}]
)
def test_a_token_of_any_type_is_taken_back_as_that_type(attribute: Any) -> None:
    assert KEY.detokenise(KEY.tokenise(attribute)["S"]) == attribute
    assert KEY.tokenise(attribute) != KEY.tokenise({"S": json.dumps(attribute, separators=(",", ":"))})


@given(text=TEXTS, at=st.integers(0, 10_000), other=st.sampled_from("ABab01-_"))
def test_a_token_that_was_changed_is_refused(text: str, at: int, other: str) -> None:
    token = KEY.tokenise({"S": text})["S"]
    place = 3 + at % (len(token) - 3)
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        with pytest.raises(MaskKeyError):
            KEY.detokenise(changed)


@pytest.mark.parametrize("token", ["", "t1:", "t1:AAAA", "t2:" + "A" * 64, CARD, "t1:ä", "h1:" + "0" * 64])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(MaskKeyError):
        KEY.detokenise(token)


def test_a_token_shows_its_length_in_steps_only() -> None:
    lengths = {len(KEY.tokenise({"S": "x" * n})["S"]) for n in range(14)}
    assert len(lengths) == 1


@pytest.mark.parametrize(
    "secret", ["", "{}", "x", '{"key": "short", "version": 1}', f'{{"key": "{SECRET}"}}', "[]"]
)
def test_a_key_that_cannot_be_used_is_refused(secret: str) -> None:
    with pytest.raises(MaskKeyError):
        read_key(secret)


def test_a_secret_names_its_version() -> None:
    key = read_key(json.dumps({"version": 3, "key": SECRET}))
    assert key.hash({"S": CARD})["S"].startswith("h3:")
    assert key.tokenise({"S": CARD})["S"].startswith("t3:")


@pytest.mark.parametrize("mask", ["hash", "tokenise"])
def test_a_mask_that_needs_a_key_never_goes_without(mask: str) -> None:
    with pytest.raises(MaskKeyError, match=f"'card' has the mask '{mask}'"):
        mask_rules([(("a", "card"), mask)])
    contract = Contract(
        "t", "Things", "id", None, (Column("id", "string"), Column("card", "string", mask=mask))
    )
    assert contract.needs_mask_key
    with pytest.raises(MaskKeyError):
        ChangeConverter(json.loads(contract.to_lambda_json()))


@pytest.mark.parametrize(
    ("mask", "attribute", "masked"),
    [
        ("year", {"S": "1815-12-10"}, {"S": "1815"}),
        ("year", {"S": "1815-12-10T01:02:03Z"}, {"S": "1815"}),
        ("year of date", {"S": "1815-12-10"}, {"S": "1815-01-01"}),
        ("year of timestamptz", {"S": "1815-12-10T01:02:03Z"}, {"S": "1815-01-01T00:00:00Z"}),
        ("year", {"S": "10.12.1815"}, {"NULL": True}),
        ("year", {"S": "181512 10"}, {"NULL": True}),
        ("year", {"N": "18151210"}, {"NULL": True}),
        ("null", {"S": CARD}, {"NULL": True}),
        ("null", {"M": {"a": {"S": CARD}}}, {"NULL": True}),
        ("last4", {"S": CARD}, {"S": "****1111"}),
    ],
)
def test_masks_without_a_key(mask: str, attribute: Any, masked: Any) -> None:
    made = MASKS[mask]
    assert made is not None
    assert made(attribute) == masked


def record(image: dict[str, Any]) -> dict[str, Any]:
    change = {
        "ApproximateCreationDateTime": 1_764_000_000,
        "SequenceNumber": "1",
        "Keys": {"id": {"S": "1"}},
        "NewImage": {"id": {"S": "1"}, **image},
        "OldImage": {"id": {"S": "1"}, **image},
    }
    return {"eventID": "1", "eventName": "MODIFY", "tableName": "Things", "dynamodb": change}


COLUMNS = (
    Column("id", "string"),
    Column("card", "string", mask="hash"),
    Column("mail", "string", mask="tokenise"),
    Column("born", "date", mask="year"),
    Column("seen", "timestamptz", mask="year"),
    Column("gone", "long", mask="null"),
    Column("amount", "decimal(12,2)"),
)
IMAGE = {
    "card": {"S": CARD},
    "mail": {"S": "ada@example.org"},
    "born": {"S": "1815-12-10"},
    "seen": {"S": "1999-12-31T23:59:59Z"},
    "gone": {"N": "987654321"},
    "amount": {"N": "1.5"},
}


CONTRACT = Contract("t", "Things", "id", None, COLUMNS)


def converter() -> ChangeConverter:
    return ChangeConverter(json.loads(CONTRACT.to_lambda_json()), KEY)


def router() -> Router:
    return Router(json.loads(CONTRACT.to_lambda_json()), KEY)


def test_a_row_holds_masked_values_only_in_columns_and_images() -> None:
    text = converter().to_row(record(IMAGE), 1).decode()
    for secret in (CARD, "ada", "1815-12", "1999", "98765"):
        assert secret not in text.replace("1999-01-01T00:00:00Z", "").replace("9151", "")
    row = json.loads(text)
    assert (row["card"], row["born"], row["gone"]) == (KEY.hash({"S": CARD})["S"], "1815-01-01", None)
    assert KEY.detokenise(row["mail"]) == {"S": "ada@example.org"}


@pytest.mark.parametrize("taken", [("card", "mail", "amount"), tuple(IMAGE)])
def test_the_fast_path_makes_the_same_row_as_the_exact_one(
    taken: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = {name: IMAGE[name] for name in taken}
    fast = converter()
    assert (fast._plain_row(record(image), 1) is not None) == (taken != tuple(IMAGE))
    made = fast.to_row(record(image), 1)
    monkeypatch.setattr(ChangeConverter, "_plain_row", lambda *_: None)
    assert json.loads(converter().to_row(record(image), 1)) == json.loads(made)


ODD_TEXTS = st.sampled_from(["", "x", CARD, "1815-12-10", "1999-12-31T23:59:59Z", '"\\\n', "ä", "\ud800"])
ATTRIBUTES = st.one_of(
    ODD_TEXTS.map(lambda text: {"S": text}),
    st.sampled_from(
        [{"NULL": True}, {"N": "7"}, {"N": "1.25"}, {"BOOL": False}, {"B": "AA=="}, {"SS": ["a"]}]
    ),
    ODD_TEXTS.map(lambda text: {"M": {"inner": {"S": text}}}),
    ODD_TEXTS.map(lambda text: {"L": [{"S": text}, {"NULL": True}]}),
)
IMAGES = st.fixed_dictionaries({}, optional=dict.fromkeys(IMAGE, ATTRIBUTES))


def answer(made: ChangeConverter, change: dict[str, Any]) -> Any:
    try:
        return json.loads(made.to_row(change, 1))
    except ConversionError as error:
        return error.code, error.message


@settings(max_examples=300, deadline=None)
@given(IMAGES, st.sampled_from(sorted(IMAGE)), st.booleans())
def test_no_item_is_masked_differently_on_the_fast_path(
    odd: dict[str, Any], dropped: str, is_dropped: bool
) -> None:
    columns = [replace(c, mask="drop") if c.name == dropped and is_dropped else c for c in COLUMNS]
    document = json.loads(replace(CONTRACT, columns=tuple(columns)).to_lambda_json())
    fast, exact = ChangeConverter(document, KEY), ChangeConverter(document, KEY)
    for image in (IMAGE | odd, odd):
        change = record(image)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "_plain_row", lambda *_: None)
            assert answer(fast, change) == answer(exact, change)


def test_a_failure_is_kept_masked_and_converted_once_it_fits() -> None:
    broken = record({**IMAGE, "amount": {"S": "a lot"}})
    with pytest.raises(ConversionError) as caught:
        converter().to_row(broken, 1)
    kept = router().mask_record(broken)
    for secret in (CARD, "ada@", "1815-12", "987654321"):
        assert secret not in json.dumps(kept) + caught.value.message
    assert router().mask_record(kept) == kept
    assert broken["dynamodb"]["NewImage"]["card"] == {"S": CARD}, "the original was changed"
    for image in ("NewImage", "OldImage"):
        kept["dynamodb"][image]["amount"] = {"N": "1.5"}
    assert kept[MASKED]
    assert json.loads(converter().to_row(kept, 1)) == json.loads(converter().to_row(record(IMAGE), 1))


def test_a_mask_that_is_added_reaches_what_was_kept_before() -> None:
    broken = record({**IMAGE, "amount": {"S": "a lot"}, "note": {"S": "private"}})
    kept = json.loads(json.dumps(router().mask_record(broken)))
    later = replace(CONTRACT, masks=(PathMask(("note",), "hash"),))
    document = json.loads(later.to_lambda_json())
    again = Router(document, KEY).mask_record(kept)
    assert "private" not in json.dumps(again)
    assert Router(document, KEY).mask_record(again) is again
    for each in (kept, again):
        for image in ("NewImage", "OldImage"):
            each["dynamodb"][image]["amount"] = {"N": "1.5"}
    expected = record({**IMAGE, "note": {"S": "private"}})
    rows = [json.loads(ChangeConverter(document, KEY).to_row(each, 1)) for each in (kept, again, expected)]
    assert rows[0] == rows[1] == rows[2]


def test_half_characters_and_deep_values_are_refused_and_kept_without_the_secret() -> None:
    deep: Any = {"S": CARD}
    for _ in range(3_000):
        deep = {"L": [deep]}
    for name, odd in (("card", deep), ("amount", {"S": "\ud800"}), ("card", {"S": "\ud800"})):
        broken = record({**IMAGE, name: odd, "amount": {"S": "a lot"}})
        with pytest.raises(ConversionError):
            converter().to_row(broken, 1)
        assert CARD not in repr(router().mask_record(broken))


@pytest.mark.parametrize("note", [None, "text", [1], {"NewImage": 7}, {"NewImage": "card"}])
def test_a_note_of_masks_that_is_none_counts_as_none(note: Any) -> None:
    noted = {**record(IMAGE), MASKED: note}
    assert converter().to_row(noted, 1) == converter().to_row(record(IMAGE), 1)
    assert CARD not in json.dumps(router().mask_record(noted))


@pytest.mark.parametrize("odd", [None, "text", {"dynamodb": 1}, {"dynamodb": {"NewImage": 7}}])
def test_what_is_no_change_record_is_kept_as_it_is(odd: Any) -> None:
    found = router().mask_record(odd)
    assert found == odd or {**found, MASKED: None} == {**odd, MASKED: None}


@pytest.mark.parametrize(
    ("type_", "mask"), [("date", "hash"), ("date", "last4"), ("long", "year"), ("list<string>", "tokenise")]
)
def test_a_mask_that_does_not_fit_its_column_is_refused(type_: str, mask: str) -> None:
    with pytest.raises(ContractError) as caught:
        Column("card", type_, mask=mask)
    assert caught.value.hint


def test_the_description_of_a_column_names_the_mask_and_the_version_of_the_key() -> None:
    contract = Contract("t", "Things", "id", None, COLUMNS)
    for schema in (contract.log_schema(), contract.current_schema()):
        docs = {field.name: field.doc for field in schema.fields}
        assert docs["card"] == "Masked: hash, version 1 of the key."
        assert docs["gone"] == "Masked: null."
        assert docs["amount"] is None
