"""Comments that people wrote survive a second inference, each beside what it is about."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dynaberg.contracts.inference import Draft, keep_comments

COMMENTS = {
    "# Owned by the shop's team.": "# The contract of",
    "# agreed with finance": "  - name: total_amount",
    "  # exact": "total_amount  # exact",
    "    # never more than cents": "    type: decimal",
    "  # no sort key, ever": "key: {partition: pk}  # no sort key, ever",
    "    # ask before you mask": "    type: string",
    "# the end": "",
}


def items(count: int, **more: dict[str, Any]) -> list[dict[str, Any]]:
    amount = {
        "totalAmount": {"N": "1.50"},
        "mail": {"S": "a@b.ch"},
        "createdAt": {"S": "2026-01-31T12:00:00Z"},
    }
    return [{"PK": {"S": f"a{n}"}, **amount, **more} for n in range(count)]


def drafted(found: list[dict[str, Any]]) -> str:
    draft = Draft("shop", ["PK"])
    draft.add(found)
    return draft.write(None).text


def by_hand(text: str) -> str:
    text = text.replace("# The contract of", "# Owned by the shop's team.\n# The contract of", 1)
    text = text.replace(
        "  - name: total_amount\n", "  # agreed with finance\n  - name: total_amount  # exact\n"
    )
    text = re.sub(r"( +type: decimal)", r"    # never more than cents\n\1", text)
    text = text.replace("key: {partition: pk}\n", "key: {partition: pk}  # no sort key, ever\n")
    text = text.replace(
        "  - name: mail\n    type: string\n", "  - name: mail\n    type: string\n    # ask before you mask\n"
    )
    return f"{text}# the end\n"


def test_comments_stay_and_what_was_seen_is_new() -> None:
    before = by_hand(drafted(items(20)))
    for comment in COMMENTS:
        assert comment in before
    now = drafted(items(31, coupon={"S": "X"}))
    after = keep_comments(before, now)
    for comment in COMMENTS:
        assert after.count(comment) == 1, comment
    lines = [line for line in after.splitlines() if not any(c.strip() == line.strip() for c in COMMENTS)]
    plain = "\n".join(lines).replace("  # exact", "").replace("  # no sort key, ever", "")
    assert f"{plain}\n" == now
    assert "20 items" not in after
    assert keep_comments(after, now) == after
    assert keep_comments(now, now) == now


def test_each_comment_is_where_it_was() -> None:
    after = keep_comments(by_hand(drafted(items(20))), drafted(items(31))).splitlines()

    def below(comment: str) -> str:
        return after[[line.strip() for line in after].index(comment) + 1]

    assert below("# agreed with finance") == "  - name: total_amount  # exact"
    assert below("# never more than cents").startswith("    type: decimal")
    assert after[after.index("    # ask before you mask") - 1] == "    type: string"
    assert after[-1] == "# the end"


def test_the_comments_of_a_column_that_is_gone_stay_too() -> None:
    before = by_hand(drafted(items(20)))
    left = [{"PK": {"S": f"a{n}"}} for n in range(3)]
    after = keep_comments(before, drafted(left))
    for comment in COMMENTS:
        assert comment.strip() in after


@pytest.mark.parametrize("counts", [(3, 40), (40, 3), (20, 21)])
def test_what_was_seen_before_gives_way(counts: tuple[int, int]) -> None:
    def seen(count: int) -> str:
        more = {"address": {"M": {"city": {"S": "Bern"}, "zip": {"N": "1"}}}, "list": {"L": [{"NULL": True}]}}
        found = items(count, **more)
        for n, item in enumerate(found):
            item |= {"PK": {"S": f"{'USER' if n % 3 else 'ORDER'}#{n}"}, "entityType": {"S": f"E{n % 2}"}}
            item |= {"mixed": {"S": "x"} if n % 2 else {"N": str(n)}, "maybe": {"NULL": True}}
        return drafted(found)

    before, now = (seen(count) for count in counts)
    assert keep_comments(before, now) == now
