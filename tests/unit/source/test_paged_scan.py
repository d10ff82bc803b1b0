"""A page of a scan as text: its items, and what stands around them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynaberg.source.paged_scan import Rate, _page, parse_items

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


class Clock:
    """A clock that only pausing moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.mark.parametrize("per_second", [0.5, 20.0, 3_000.0])
def test_what_is_spent_is_earned_first(per_second: float) -> None:
    clock = Clock()
    rate = Rate(per_second, clock=clock, sleep=clock.sleep)
    for _ in range(50):
        rate.spend(8.0)
    assert clock.now - 100 == pytest.approx(50 * 8 / per_second)


def test_a_pause_saves_nothing_up() -> None:
    clock = Clock()
    rate = Rate(10.0, clock=clock, sleep=clock.sleep)
    clock.sleep(1_000)
    began = clock.now
    for _ in range(3):
        rate.spend(10.0)
    assert clock.now - began == pytest.approx(3)
