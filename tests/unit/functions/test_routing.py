"""Routing: each change to the tables that it concerns, so that each change log is complete for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract, PathMask
from dynaberg.contracts.conditions import Condition
from dynaberg.contracts.project import of_one_source
from dynaberg.errors import ContractError
from dynaberg.functions.change_row import MASKED
from dynaberg.functions.masks import MaskKey
from dynaberg.functions.routing import Router

KEYS = (Column("pk", "string", attribute="PK"), Column("sk", "string", attribute="SK"))
ORDERS = Contract(
    "orders",
    "Shop",
    "pk",
    "sk",
    (*KEYS, Column("total", "decimal(10,2)")),
    when=(Condition("entity", "equals", "Order"),),
)
CUSTOMERS = Contract(
    "customers",
    "Shop",
    "pk",
    "sk",
    (*KEYS, Column("email", "string", mask="hash")),
    (PathMask(("address", "phone"), "drop"),),
    (Condition("entity", "equals", "Customer"),),
)
MASK_KEY = MaskKey("k" * 64)
CONTRACTS = {each.table: each for each in of_one_source([CUSTOMERS, ORDERS])}
ROUTER = Router(json.loads(CONTRACTS["orders"].to_lambda_json()), MASK_KEY)
AT = 1_764_000_000
KEY = {"PK": {"S": "a"}, "SK": {"S": "b"}}


def image(entity: str | None, **more: Any) -> dict[str, Any]:
    return KEY | ({} if entity is None else {"entity": {"S": entity}}) | more


def record(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, number: int = 1) -> dict[str, Any]:
    operation = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    images = {name: value for name, value in (("OldImage", old), ("NewImage", new)) if value is not None}
    return {
        "eventID": f"change-{number}",
        "eventName": operation,
        "tableName": "Shop",
        "dynamodb": {
            "ApproximateCreationDateTime": AT + number,
            "SequenceNumber": str(number),
            "Keys": KEY,
            **images,
        },
    }


def routed(change: Any) -> dict[str, dict[str, Any]]:
    rows, errors = ROUTER.rows(change, 1)
    assert not errors
    assert len({row.log for row in rows}) == len(rows), "one row for each log"
    return {row.log.removesuffix("_changes"): json.loads(row.data) for row in rows}


def operations(change: Any) -> dict[str, str]:
    return {table: row["operation"] for table, row in routed(change).items()}


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (None, "Order", {"orders": "INSERT"}),
        (None, "Wish", {"shop_other": "INSERT"}),
        (None, None, {"shop_other": "INSERT"}),
        ("Order", "Order", {"orders": "MODIFY"}),
        ("Order", "Customer", {"orders": "REMOVE", "customers": "INSERT"}),
        ("Wish", "Order", {"shop_other": "REMOVE", "orders": "INSERT"}),
        ("Order", None, {"orders": "REMOVE", "shop_other": "INSERT"}),
        ("Wish", "Note", {"shop_other": "MODIFY"}),
    ],
)
def test_each_kind_of_change_and_where_it_goes(
    old: str | None, new: str | None, wanted: dict[str, str]
) -> None:
    before = None if wanted in ({"orders": "INSERT"}, {"shop_other": "INSERT"}) else image(old)
    assert operations(record(before, image(new))) == wanted


def test_a_removal_concerns_the_table_that_had_the_item() -> None:
    assert operations(record(image("Customer"), None)) == {"customers": "REMOVE"}
    assert operations(record(image(None), None)) == {"shop_other": "REMOVE"}


def test_a_removal_without_its_old_image_concerns_every_table() -> None:
    change = record(image("Order"), None)
    del change["dynamodb"]["OldImage"]
    assert operations(change) == dict.fromkeys(("customers", "orders", "shop_other"), "REMOVE")


def test_the_past_of_another_kind_stays_where_it_is_masked() -> None:
    before = image("Customer", email={"S": "a@b"}, address={"M": {"phone": {"S": "1"}, "city": {"S": "c"}}})
    rows = routed(record(before, image("Order", total={"N": "1.50"})))
    assert rows["orders"]["old_image"] is None
    assert "a@b" not in json.dumps(rows)
    assert '"phone"' not in json.dumps(rows)


def test_what_a_table_masks_is_masked_in_the_rest_too() -> None:
    new = image("Wish", email={"S": "a@b"}, address={"M": {"phone": {"S": "1"}, "city": {"S": "c"}}})
    text = json.dumps(routed(record(None, new)))
    assert "a@b" not in text
    assert "phone" not in text
    assert "city" in text


def test_a_failure_is_kept_with_the_masks_of_each_image_and_goes_where_it_would_have_gone() -> None:
    customer = image("Customer", email={"S": "a@b"}, address={"M": {"phone": {"S": "5"}}})
    order = image("Order", email={"S": "c@d"}, total={"S": "much"})
    kept = ROUTER.mask_record(record(customer, order))
    assert "a@b" not in json.dumps(kept)
    assert '"5"' not in json.dumps(kept["dynamodb"]["OldImage"])
    assert kept["dynamodb"]["NewImage"] == order, "of an order nothing is masked"
    assert ROUTER.mask_record(kept) is kept
    kept["dynamodb"]["NewImage"]["total"] = {"N": "2"}
    assert {row.log for row in ROUTER.rows(kept, 1)[0]} == {"orders_changes", "customers_changes"}
    wish = ROUTER.mask_record(record(None, image("Wish", email={"S": "a@b"})))
    assert wish[MASKED]
    assert "a@b" not in json.dumps(wish)


def test_an_item_that_two_tables_claim_is_kept_with_the_masks_of_both() -> None:
    people = replace(CUSTOMERS, table="people", columns=KEYS, masks=(PathMask(("name",), "last4"),))
    people = replace(people, when=(Condition("PK", "equals", "a"),))
    router = Router(json.loads(of_one_source([CUSTOMERS, people])[0].to_lambda_json()), MASK_KEY)
    kept = router.mask_record(record(None, image("Customer", email={"S": "a@b"}, name={"S": "Ada L"})))
    assert "a@b" not in json.dumps(kept)
    assert "Ada" not in json.dumps(kept)


def test_an_item_that_two_tables_claim_is_a_failure_that_names_both() -> None:
    also = replace(CUSTOMERS, table="people", when=(Condition("PK", "equals", "a"),))
    router = Router(json.loads(of_one_source([ORDERS, also])[0].to_lambda_json()), MASK_KEY)
    rows, [error] = router.rows(record(None, image("Order")), 1)
    assert not rows
    assert error.code == "Conversion.SeveralTables"
    assert "'orders' and 'people'" in error.message


def test_one_table_may_take_what_another_cannot() -> None:
    rows, [error] = ROUTER.rows(record(image("Customer"), image("Order", total={"S": "much"})), 1)
    assert [json.loads(row.data)["operation"] for row in rows] == ["REMOVE"]
    assert "(table 'orders')" in error.message


@pytest.mark.parametrize("change", [None, "text", {}, {"eventName": "INSERT"}, {"dynamodb": {}}])
def test_what_is_no_change_is_a_failure(change: Any) -> None:
    rows, [error] = ROUTER.rows(change, 1)
    assert not rows
    assert error.code in ("Conversion.NotAChangeRecord", "Conversion.OtherTable")


def test_a_table_alone_gets_every_change_as_it_is() -> None:
    alone = replace(ORDERS, when=())
    router = Router(json.loads(alone.to_lambda_json()), MASK_KEY)
    for change in (record(None, image("x")), record(image("x"), image("Order")), record(image("x"), None)):
        [row], errors = router.rows(change, 1)
        assert not errors
        assert row.log == "orders_changes"
        assert json.loads(row.data)["operation"] == change["eventName"]


@given(st.lists(st.sampled_from(["Order", "Customer", "Wish", None, "gone"]), max_size=12))
def test_at_each_moment_the_item_is_in_one_table_and_no_other(kinds: list[str | None]) -> None:
    """The latest row of every log, after each change of an item that becomes this and that, and goes."""
    latest: dict[str, str] = {}
    now: dict[str, Any] | None = None
    for number, kind in enumerate(kinds, start=1):
        new = None if kind == "gone" else image(kind, n={"N": str(number)})
        if new is None and now is None:
            continue
        latest |= operations(record(now, new, number))
        now = new
        there = {table for table, operation in latest.items() if operation != "REMOVE"}
        claiming = {each.table for each in CONTRACTS.values() if now is not None and each.claims(now)}
        assert there == claiming
        assert len(claiming) == (now is not None)


TEXTS = st.sampled_from(["", "A", "ORDER#", "ORDER#1", "order#1", "ORDER#12\nx"])
ATTRIBUTES = st.one_of(
    TEXTS.map(lambda text: {"S": text}),
    st.sampled_from(["1", "1.0", "2", "-0"]).map(lambda number: {"N": number}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.just({"M": {}}),
)
CONDITIONS = st.one_of(
    st.builds(Condition, st.just("x"), st.just("equals"), st.sampled_from(["A", "ORDER#1", 1, 2.0, 0, True])),
    st.builds(Condition, st.just("x"), st.just("begins_with"), st.sampled_from(["O", "ORDER#", "ORDER#1"])),
    st.builds(Condition, st.just("x"), st.just("matches"), st.sampled_from([r"ORDER#\d+", ".*x", "A|B"])),
    st.builds(Condition, st.just("x"), st.just("exists"), st.booleans()),
)


@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.one_of(st.none(), ATTRIBUTES))
def test_the_lambda_and_the_contract_claim_the_same_items(
    when: list[Condition], attribute: dict[str, Any] | None
) -> None:
    contract = Contract("t", "Shop", "pk", "sk", KEYS, when=tuple(when))
    router = Router(json.loads(contract.to_lambda_json()), MASK_KEY)
    item = KEY | ({} if attribute is None else {"x": attribute})
    assert router.concerns(record(None, item), "t_changes") == contract.claims(item)


@given(CONDITIONS, CONDITIONS, st.one_of(st.none(), ATTRIBUTES))
def test_conditions_that_exclude_each_other_never_both_hold(
    first: Condition, second: Condition, attribute: dict[str, Any] | None
) -> None:
    item = {} if attribute is None else {"x": attribute}
    if first.excludes(second):
        assert not (first.holds(item) and second.holds(item))
    assert first.excludes(second) == second.excludes(first)


@pytest.mark.parametrize(
    ("when", "mask", "refused"),
    [
        (Condition("email", "exists", True), "hash", False),
        (Condition("email", "exists", True), "drop", True),
        (Condition("email", "equals", "a@b"), "tokenise", True),
        (Condition("email", "begins_with", "a"), "last4", True),
    ],
)
def test_a_mask_never_sends_a_failure_to_another_table(when: Condition, mask: str, refused: bool) -> None:
    people = replace(CUSTOMERS, columns=(*KEYS, Column("email", "string", mask=mask)), when=(when,))
    if not refused:
        router = Router(json.loads(of_one_source([people])[0].to_lambda_json()), MASK_KEY)
        kept = router.mask_record(record(None, image(None, email={"S": "a@b"})))
        assert [row.log for row in router.rows(kept, 1)[0]] == ["customers_changes"]
        return
    with pytest.raises(ContractError, match="but a `when` looks at it"):
        of_one_source([people])
