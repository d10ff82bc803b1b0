"""A contract's YAML with new columns: everything else stays as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaberg.contracts import Column, load_contract
from dynaberg.contracts.rewriting import rewrite
from dynaberg.errors import ContractError

BEFORE = """\
# By hand.
source_table: Shop
table: orders
key: {{partition: id}}  # no sort key

columns:
{columns}
{after}"""
BLOCK = """\
  - name: id  # the order
    type: string
  # Exact.
  - name: total
    type: decimal(9,2)  # more later
    # mask: drop  # maybe"""
FLOW = """\
- {name: id, type: string}
- {name: total, type: "decimal(9,2)"}"""
DRAFTED = """\
columns:
  # In 3 of 9 items: text, AAA.
  - name: coupon
    type: string
    # mask: drop  # why
  - name: total
    type: decimal(12,2)
"""
AFTER = ["", "# The end.\n", "\nmasks:\n  address.phone: hash\n", "# masks:\n#   a: drop\n"]
COUPON = Column("coupon", "string")


@pytest.mark.parametrize("columns", [BLOCK, FLOW])
@pytest.mark.parametrize("after", AFTER)
def test_columns_are_added_and_nothing_else_changes(tmp_path: Path, columns: str, after: str) -> None:
    before = BEFORE.format(columns=columns, after=after)
    text = rewrite(before, [COUPON], {"total": "decimal(12,2)"}, DRAFTED)
    path = tmp_path / "orders.yaml"
    path.write_text(text)
    contract = load_contract(path)
    assert [(column.name, column.type) for column in contract.columns] == [
        ("id", "string"),
        ("total", "decimal(12,2)"),
        ("coupon", "string"),
    ]
    kept = [line for line in before.splitlines() if "type: decimal" not in line and "total, type" not in line]
    lines = iter(text.splitlines())
    assert all(line in lines for line in kept), "every line, in its order"
    assert "# In 3 of 9 items" in text
    if columns == BLOCK:
        assert text.index("# mask: drop  # maybe") < text.index("name: coupon"), (
            "a comment stays with its column"
        )
        assert '"decimal(12,2)"  # more later' in text


def test_without_a_line_feed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    path.write_text(rewrite(BEFORE.format(columns=BLOCK, after="").rstrip(), [COUPON], {}, DRAFTED))
    assert load_contract(path).columns[-1] == COUPON


def test_columns_in_one_line_are_left_to_a_person() -> None:
    with pytest.raises(ContractError, match="a line for each"):
        rewrite("columns: [{name: id, type: string}]", [COUPON], {}, DRAFTED)
