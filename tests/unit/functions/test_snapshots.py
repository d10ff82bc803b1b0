"""Change rows straight from the text of items: the same rows as by way of change records, or none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynaberg.contracts import Column, Contract
from dynaberg.contracts.conditions import Condition
from dynaberg.contracts.mask_paths import PathMask
from dynaberg.functions.attributes import to_json
from dynaberg.functions.routing import Router
from dynaberg.functions.snapshots import MOST_PATTERNS, PlainItems, snapshot_record

SECOND, RECEIVED_AT_US = 1_764_000_000, 1_764_000_001_234_567
KEY = ("PK", "n%")
COLUMNS = (
    Column("pk", "string", attribute="PK"),
    Column("n", "long", attribute="n%"),
    Column("day", "date"),
    Column("amount", "decimal(12,2)"),
    Column("ratio", "double"),
    Column("paid", "boolean"),
    Column("at", "timestamptz"),
    Column("words", "string", attribute='w"ö'),
    Column("lines", "list<string>"),
    Column("anything", "json"),
)
CONTRACT = Contract("orders", "orders-source", "pk", "n", COLUMNS)
PLAIN: dict[str, Any] = {
    "PK": {"S": "a/é"},
    "n%": {"N": "-7"},
    "day": {"S": "2026-01-31"},
    "amount": {"N": "12.5"},
    "ratio": {"N": "0.25"},
    "paid": {"BOOL": True},
    "at": {"S": "2026-01-31T12:00:00.5+01:00"},
    'w"ö': {"S": "50 % \U0001f600"},
}
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["2026-02-30", "2026-01-31T12:00:00Z", 'a"b', "a\\b", "\x7f\n", "%s"]
)
NUMBERS = st.integers(-(10**20), 10**20).map(str) | st.sampled_from(
    ["0", "1.50", "-0", "1E+3", "1.234", "00"]
)
ATTRIBUTES = st.one_of(
    st.builds(lambda text: {"S": text}, TEXTS),
    st.builds(lambda text: {"N": text}, NUMBERS),
    st.builds(lambda value: {"BOOL": value}, st.booleans()),
    st.just({"NULL": True}),
    st.just({"L": [{"S": "x"}]}),
    st.just({"B": "YQ=="}),
)
NAMES = st.sampled_from([*(column.attribute for column in COLUMNS), "other", 'o"%', "ü\\"])


@st.composite
def items(draw: st.DrawFn) -> dict[str, Any]:
    """Items that are plain but for what else was drawn, in any order."""
    item = PLAIN | draw(st.dictionaries(NAMES, ATTRIBUTES, max_size=3))
    left_out = draw(st.sets(st.sampled_from([name for name in item if name not in KEY]), max_size=2))
    order = draw(st.permutations([name for name in item if name not in left_out]))
    return {name: item[name] for name in order}


def document(contract: Contract = CONTRACT) -> dict[str, Any]:
    return json.loads(contract.to_lambda_json())  # type: ignore[no-any-return]


def by_record(item: dict[str, Any]) -> list[dict[str, Any]]:
    record = snapshot_record("orders-source", KEY, item, SECOND)
    return [json.loads(row.data) for row in Router(document()).rows(record, RECEIVED_AT_US)[0]]


def by_text(plain: PlainItems, items: Sequence[dict[str, Any]]) -> list[bytes | None]:
    """The rows of items that follow each other in a text."""
    text, rows = "[" + ",".join(map(to_json, items)) + "]", list[bytes | None]()
    position = 1
    for item in items:
        found, end = plain.row(text, position, RECEIVED_AT_US), position + len(to_json(item))
        assert found is None or found[1] == end
        rows.append(found and found[0])
        position = end + 1
    return rows


@given(st.lists(items(), min_size=1, max_size=4))
def test_a_row_is_what_it_is_by_way_of_a_record(several: list[dict[str, Any]]) -> None:
    plain = PlainItems(document(), KEY, SECOND)
    for item in several:
        plain.learn(item)
    for item, row in zip(several, by_text(plain, several), strict=True):
        assert row is None or [json.loads(row)] == by_record(item)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"amount": {"N": "12.50"}},
        {"amount": {"NULL": True}},
        {"other": {"S": "x"}, 'o"%': {"BOOL": False}},
        {"other": {"NULL": True}, "ü": {"N": "1E+3"}},
    ],
)
def test_plain_items_are_never_parsed(change: dict[str, Any]) -> None:
    plain, item = PlainItems(document(), KEY, SECOND), {**change, **PLAIN, **change}
    assert plain.learn(item)
    [row] = by_text(plain, [item])
    assert row is not None
    assert [json.loads(row)] == by_record(item)


@pytest.mark.parametrize(
    "change",
    [
        {"day": {"S": "2026-02-30"}},
        {"amount": {"N": "1.234"}},
        {"at": {"S": "tomorrow"}},
        {"n%": {"N": "1.5"}},
        {'w"ö': {"S": 'a"b'}},
        {'w"ö': {"S": "\ud83d"}},
        {"other": {"S": "x" * 1_100_000}},
    ],
)
def test_what_is_not_plain_has_no_row(change: dict[str, Any]) -> None:
    plain, item = PlainItems(document(), KEY, SECOND), PLAIN | {"other": {"S": "x"}}
    assert plain.learn(item)
    assert by_text(plain, [item | change]) == [None]


@pytest.mark.parametrize(
    "contract",
    [
        replace(CONTRACT, columns=(*COLUMNS[:2], Column("words", "string", mask="last4"))),
        replace(CONTRACT, masks=(PathMask(("other",), "drop"),)),
        replace(CONTRACT, columns=(*COLUMNS[:2], Column("same", "string", attribute="PK"))),
        replace(CONTRACT, when=(Condition("PK", "exists", True),)),
    ],
)
def test_masks_conditions_and_shared_attributes_leave_everything_to_records(contract: Contract) -> None:
    plain = PlainItems(document(contract), KEY, SECOND)
    assert not plain.learn({"PK": {"S": "a"}, "n%": {"N": "1"}})


def test_only_so_many_kinds_are_known_and_new_ones_are_looked_for_rarely() -> None:
    plain, looked = PlainItems(document(), KEY, SECOND), 0
    for number in range(5_000):
        if plain.wants():
            looked += 1
            plain.learn(PLAIN | {f"other{number}": {"S": "x"}} | {"lines": {"L": []}})
    assert looked < 100
    known = sum(plain.learn(PLAIN | {f"other{number}": {"S": "x"}}) for number in range(100))
    assert known == MOST_PATTERNS


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_an_array_of_a_page_is_read_to_its_end(separators: tuple[str, str]) -> None:
    several = [PLAIN | {"PK": {"S": f"],{{{n}"}, 'w"ö': {"S": '"' * (n % 3)}} for n in range(9)]
    text = '{"Items":' + json.dumps(several, separators=separators, ensure_ascii=False) + ',"Count":9}'
    plain, begin = PlainItems(document(), KEY, SECOND), text.index("[") + 1
    rows, others, end = plain.read(text, begin)
    assert text[end:].strip().startswith(separators[0].strip() + '"Count"')
    assert (len(rows), len(others)) == ((3, 6) if separators[0] == "," else (0, 9))
    read = [json.loads(row) for row in rows] + [row for item in others for row in by_record(item)]
    expected = [row for item in several for row in by_record(item)]
    assert sorted(row["change_id"] for row in read) == sorted(row["change_id"] for row in expected)


def test_an_empty_array_has_no_items() -> None:
    assert PlainItems(document(), KEY, SECOND).read("[]x", 1) == ([], [], 2)
