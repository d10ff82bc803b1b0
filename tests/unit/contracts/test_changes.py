"""Changes of a contract's columns: what they make of it and of its YAML, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaberg.contracts import Changes, Contract, change_contract, load_contract, rewrite_changes, with_former
from dynaberg.errors import ContractError, NotFoundError

YAML = """\
# Orders, by hand.
source_table: Shop
table: orders
key: {partition: id}
columns:
  - name: id
    type: int
  # Seen in 4 of 5 items.
  - name: total  # exact
    # the shop's precision
    type: decimal(6,2)

  # a card
  - name: card
    type: string   # PAN
    mask: last4
    attribute: cardNumber
  - {name: n, type: int}
  - name: "no"
    type: "list<struct<a: int, b: decimal(3,1)>>"
  - name: zip
    type: long
  - name: zip_text
    type: string
    attribute: zip
# the end
"""
AFTER = """\
# Orders, by hand.
source_table: Shop
table: orders
key: {partition: id}
columns:
  - name: id
    type: int
  # Seen in 4 of 5 items.
  - name: amount  # exact
    attribute: total
    # the shop's precision
    type: decimal(6,2)

  # a card
  # - name: card
  #   type: string   # PAN
  #   mask: last4
  #   attribute: cardNumber
  - {name: m, attribute: n, type: int}
  - name: yes_
    attribute: "no"
    type: "list<struct<a: int, b: decimal(3,1)>>"
  - name: zip
    type: long
  - name: text
    type: string
    attribute: zip
# the end
masks:
  cardNumber: last4
"""
CHANGES = Changes({"total": "amount", "n": "m", "no": "yes_", "zip_text": "text"}, {}, ["card"])


def contract_of(tmp_path: Path, text: str) -> Contract:
    path = tmp_path / "orders.yaml"
    path.write_text(text)
    return load_contract(path)


def rewritten(contract: Contract, text: str, changes: Changes) -> str:
    changed = change_contract(contract, changes)
    return rewrite_changes(text, changes, [m for m in changed.masks if m not in contract.masks])


def test_the_yaml_keeps_every_comment_and_says_what_the_contract_says(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, YAML)
    assert rewritten(contract, YAML, CHANGES) == AFTER
    assert contract_of(tmp_path, AFTER) == change_contract(contract, CHANGES)


@pytest.mark.parametrize("masks", ["masks:\n  # why\n  a.b: hash\n", "masks: {x: drop}\n", "masks: {}\n", ""])
@pytest.mark.parametrize("attribute", ["card-No", '"a.b c"', '"yes"', "cardNumber"])
def test_the_mask_of_a_dropped_column_stays(tmp_path: Path, masks: str, attribute: str) -> None:
    text = YAML.replace("attribute: cardNumber", f"attribute: {attribute}") + masks
    contract = contract_of(tmp_path, text)
    changes = Changes(drop=["card"])
    after = contract_of(tmp_path, rewritten(contract, text, changes))
    assert set(after.masks) == set(change_contract(contract, changes).masks)
    assert len(after.masks) == len(contract.masks) + 1


@pytest.mark.parametrize(
    ("widen", "kind"),
    [
        ({"n": "long"}, "long"),
        ({"id": "long"}, "long"),
        ({"total": "decimal(38,2)"}, "decimal(38,2)"),
        ({"no": "list<struct<a: long, b: decimal(4,1)>>"}, "list<struct<a: long, b: decimal(4,1)>>"),
        ({"n": "int"}, "int"),
    ],
)
def test_a_type_may_be_wider(tmp_path: Path, widen: dict[str, str], kind: str) -> None:
    contract = contract_of(tmp_path, YAML)
    after = contract_of(tmp_path, rewritten(contract, YAML, Changes(widen=widen)))
    assert after.column(next(iter(widen))).type == kind


@pytest.mark.parametrize(
    "widen",
    [
        {"zip": "int"},
        {"total": "decimal(5,2)"},
        {"total": "decimal(8,3)"},
        {"total": "double"},
        {"n": "string"},
        {"zip_text": "json"},
        {"no": "list<struct<a: int>>"},
        {"no": "list<struct<b: decimal(3,1), a: int>>"},
        {"no": "list<struct<a from x: int, b: decimal(3,1)>>"},
    ],
)
def test_another_type_is_refused(tmp_path: Path, widen: dict[str, str]) -> None:
    with pytest.raises(ContractError, match="cannot become"):
        change_contract(contract_of(tmp_path, YAML), Changes(widen=widen))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (Changes({"sum": "amount"}), NotFoundError),
        (Changes(drop=["sum"]), NotFoundError),
        (Changes(widen={"sum": "long"}), NotFoundError),
        (Changes({"id": "key_of_it"}), ContractError),
        (Changes(drop=["id"]), ContractError),
        (Changes({"total": "n"}), ContractError),
        (Changes({"total": "n", "n": "total"}), ContractError),
        (Changes({"total": "x", "n": "x"}), ContractError),
        (Changes({"total": "unmapped"}), ContractError),
        (Changes({"total": "x"}, drop=["total"]), ContractError),
        (Changes(drop=["total", "total"]), ContractError),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, changes: Changes, error: type[Exception]) -> None:
    with pytest.raises(error):
        change_contract(contract_of(tmp_path, YAML), changes)


def test_for_a_while_a_column_has_both_names(tmp_path: Path) -> None:
    contract = contract_of(tmp_path, YAML)
    both = with_former(change_contract(contract, CHANGES), CHANGES)
    assert [c.name for c in both.columns_by_attribute["total"]] == ["amount", "total"]
    assert not any(column.name == "card" for column in both.columns)
