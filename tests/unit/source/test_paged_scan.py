"""A page of a scan as text: its items, and what stands around them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynaberg.source.paged_scan import _page, parse_items

ITEMS: list[Any] = [
    {"PK": {"S": '"Items":['}, "Items": {"L": [{"S": "]"}]}},
    {"PK": {"S": "b"}, "Items": {"M": {"Items": {"L": []}}}},
]
LAST: Any = {"Items": {"S": '"Items":['}}


@pytest.mark.parametrize("items", [[], ITEMS])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize(
    "order", [("LastEvaluatedKey", "Items", "Count"), ("Count", "Items", "LastEvaluatedKey")]
)
def test_everything_around_the_items_is_read(
    items: list[Any], separators: tuple[str, str], order: tuple[str, ...]
) -> None:
    answer = {"LastEvaluatedKey": LAST, "Items": items, "Count": len(items)}
    body = json.dumps({name: answer[name] for name in order}, separators=separators).encode()
    page = _page(body, parse_items)
    assert (page.items, page.next_key, page.bytes, page.rows) == (items, LAST, len(body), [])


def test_a_reader_takes_what_it_can() -> None:
    body = b'{"Items":[1,2],"ConsumedCapacity":{"CapacityUnits":1.5}}'

    def read(text: str, position: int) -> Any:
        return [b"1"], [text[position + 2]], position + 4

    page: Any = _page(body, read)
    assert (page.items, page.next_key, page.read_units, page.rows) == (["2"], None, 1.5, [b"1"])
