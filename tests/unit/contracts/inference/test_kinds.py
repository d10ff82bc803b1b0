"""A contract for each kind of items that share a table: how kinds are told apart, and what is proposed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.contracts import Condition, Contract, load_contract, overlap
from dynaberg.contracts.inference import Draft, EntityTypes, attributes_by_name
from dynaberg.contracts.inference.entities import Kind
from dynaberg.contracts.project import of_one_source

KEYS = ["PK", "SK"]
Item = dict[str, dict[str, Any]]


def item(pk: str, sk: str, **more: str) -> Item:
    return {"PK": {"S": pk}, "SK": {"S": sk}} | {name: {"S": text} for name, text in more.items()}


def kinds_of(items: list[Item]) -> list[Kind]:
    found = EntityTypes(KEYS)
    found.add(attributes_by_name(items), items)
    return found.kinds()


def shop(**entity: str) -> list[Item]:
    customers = [item(f"CUSTOMER#{n}", "PROFILE", **entity and {"entity": "Customer"}) for n in range(5)]
    orders = [item(f"CUSTOMER#{n}", f"ORDER#{n}", **entity and {"entity": "Order"}) for n in range(9)]
    return customers + orders


def draft_of(kind: Kind, items: list[Item], existing: Contract | None = None) -> tuple[Contract, str]:
    draft = Draft("WebShop", KEYS, kind)
    draft.add([each for each in items if draft.claims(each)])
    drafted = draft.write(existing)
    return drafted.contract, drafted.text


def test_a_type_attribute_tells_kinds_apart() -> None:
    found = kinds_of(shop(entity="yes"))
    assert [(kind.name, kind.when) for kind in found] == [
        ("Customer", (Condition("entity", "equals", "Customer"),)),
        ("Order", (Condition("entity", "equals", "Order"),)),
    ]
    assert found[0].prefixes == {"PK": "CUSTOMER#"}
    assert found[1].prefixes == {"PK": "CUSTOMER#", "SK": "ORDER#"}


def test_without_one_the_beginnings_of_the_keys_do() -> None:
    found = {kind.name: kind.when for kind in kinds_of(shop())}
    begins = Condition("PK", "begins_with", "CUSTOMER#")
    assert found == {
        "ORDER#": (begins, Condition("SK", "begins_with", "ORDER#")),
        "CUSTOMER# PROFILE": (begins, Condition("SK", "equals", "PROFILE")),
    }


@pytest.mark.parametrize(
    "items",
    [
        [item("a", "b"), item("c", "d")],
        [item(f"USER#{n}", "PROFILE") for n in range(4)],
        [item(f"USER#{n}", f"{n}", entity="User") for n in range(4)],
        [item(f"u{n}", "x", type=f"some free text, {n}!") for n in range(60)],
    ],
)
def test_one_kind_is_not_divided(items: list[Item]) -> None:
    assert kinds_of(items) == []


def test_a_rare_type_attribute_divides_nothing() -> None:
    notes = [item("CUSTOMER#1", f"NOTE#{n}", type=text) for n, text in enumerate(("note", "memo"))]
    items = [*shop(), *notes]
    assert {kind.when[0].attribute for kind in kinds_of(items)} == {"PK"}


def test_a_contract_is_proposed_with_what_it_claims_and_the_parts_of_its_keys(tmp_path: Path) -> None:
    items = shop(entity="yes")
    order = kinds_of(items)[1]
    contract, text = draft_of(order, items)
    assert contract.table == "web_shop_order"
    assert contract.when == order.when
    parts = {column.name: (column.attribute, column.after) for column in contract.columns if column.is_part}
    assert parts == {"customer_id": ("PK", "CUSTOMER#"), "order_id": ("SK", "ORDER#")}
    assert contract.key == ("pk", "sk")
    assert "--kinds" in text
    path = tmp_path / "order.yaml"
    path.write_text(text)
    assert load_contract(path) == contract


def test_inferred_again_a_contract_keeps_its_kind_and_its_parts() -> None:
    items = shop(entity="yes")
    order = kinds_of(items)[1]
    first, text = draft_of(order, items)
    again, same = draft_of(order, items, first)
    assert (again, same) == (first, text)
    by_hand = Contract(
        "orders",
        "WebShop",
        "customer_id",
        "order_id",
        tuple(column for column in first.columns if column.name not in ("pk", "sk")),
        when=(Condition("PK", "begins_with", "CUSTOMER#"), Condition("SK", "begins_with", "ORDER#")),
    )
    kept, _ = draft_of(order, items, by_hand)
    assert kept.key == by_hand.key
    assert kept.when == by_hand.when
    assert {column.name for column in kept.columns} == {column.name for column in by_hand.columns}


LABELS = st.sampled_from(["USER#", "ORDER#", "PROFILE", "A|", "x"])
ITEMS = st.lists(
    st.builds(
        lambda pk, sk, number, entity: item(f"{pk}{number}", sk, **({"entity": entity} if entity else {})),
        LABELS,
        LABELS,
        st.integers(0, 9),
        st.sampled_from(["", "User", "Order"]),
    ),
    min_size=1,
    max_size=30,
)


@given(ITEMS)
def test_whatever_is_proposed_can_be_deployed_together(items: list[Item]) -> None:
    found = kinds_of(items)
    contracts = [draft_of(kind, items)[0] for kind in found]
    assert not any(overlap(a.when, b.when) for a in contracts for b in contracts if a is not b)
    if contracts:
        complete = of_one_source(contracts)
        for each in items:
            assert sum(contract.claims(each) for contract in complete) == 1
