"""A contract that was inferred from items takes these items: every value, without a failure, as it was."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.examples import EXAMPLES

from dynaberg.contracts import Contract, load_contract, member_of
from dynaberg.contracts.attributes import canonical_json, readers_of, unmapped_of
from dynaberg.contracts.inference import Draft
from dynaberg.functions.attributes import to_json
from dynaberg.functions.change_row import ChangeConverter
from dynaberg.functions.snapshots import PlainItems, snapshot_record

RECEIVED_AT_US = 1_764_000_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SPELLINGS = [
    "2026-01-31", "2026-02-30", "0001-01-01", "9999-12-31", "20260131", "2026-W05-6", "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00.123Z", "2026-01-31T12:00:00.1234567Z", "2026-01-31 12:00", "2026-01-31T24:00:00Z",
    "2026-01-31T24:00:01Z", "2016-12-31T23:59:60Z", "20260131T120000+0130", "20260131T12:00:00z",
    "2026-01-31t12:00:00,5+01:00", "2026-01-31T12:00:00+01:99", "2026-01-31T12:00:00+24:00",
    "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-05:00", "9999-12-31T23:59:59.9999999Z",
    "0000-01-01T00:00:00Z", "2026-01-31T12Z", "2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.100000Z",
    "٢٠٢٦-01-31", "2026-01-31T12:00:00Z\n", "", "null", "1e5",
]  # fmt: skip
texts = st.one_of(
    st.sampled_from(SPELLINGS),
    st.text(max_size=6),
    st.dates().map(str),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.builds("{:%Y-%m-%d %H:%M:%S}{:+03d}:30".format, st.datetimes(), st.integers(-24, 24)),
)
numbers = st.one_of(
    st.integers(-(10**38) + 1, 10**38 - 1),
    st.integers(2**63 - 2, 2**63),
    st.integers(-(2**63) - 1, -(2**63)),
    st.integers(-3, 3),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**9), max_value=10**9),
    st.builds(Decimal.scaleb, st.integers(1, 99).map(Decimal), st.integers(-130, 124)),
).map(lambda number: f"{Decimal(number):f}")  # fmt: skip
binaries = st.binary(max_size=4).map(lambda value: base64.b64encode(value).decode())
names = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "postalCode",
            "postal_code",
            "Zip",
            "a.b-c d",
            "2fa",
            "no",
            "operation",
            "A",
            "é",
            "😀",
            "sku_100",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
)
scalars = st.one_of(
    texts.map(lambda text: {"S": text}),
    numbers.map(lambda text: {"N": text}),
    binaries.map(lambda text: {"B": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda members: {"SS": members}),
    st.lists(numbers, min_size=1, max_size=3, unique=True).map(lambda members: {"NS": members}),
    st.lists(binaries, min_size=1, max_size=3, unique=True).map(lambda members: {"BS": members}),
)
attributes = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda members: {"L": members}),
        st.dictionaries(names, inner, max_size=3).map(lambda members: {"M": members}),
    ),
    max_leaves=6,
)
# Places whose attributes are all of one type, as they mostly are.
ALIKE = {"at": texts.map(lambda text: {"S": text}), "amount": numbers.map(lambda text: {"N": text})}
KEYS = {
    "S": texts.map(lambda text: {"S": text or "-"}),
    "N": st.integers(-(10**20), 10**20).map(lambda number: {"N": str(number)}),
    "B": st.integers(0, 9).map(lambda digit: {"B": base64.b64encode(bytes([digit])).decode()}),
}


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    keys = {"PK": KEYS[draw(st.sampled_from("SNB"))], "SK": KEYS[draw(st.sampled_from("SNB"))]}
    some = {name: draw(st.sampled_from(list(ALIKE.values()))) for name in ("at", "amount")}
    item = st.builds(
        lambda key, alike, others: {**others, **alike, **key},
        st.fixed_dictionaries(keys),
        st.fixed_dictionaries({}, optional=some),
        st.dictionaries(names, attributes, max_size=4),
    )
    return draw(st.lists(item, min_size=1, max_size=6))


def infer(items: list[dict[str, Any]], *pages: int) -> tuple[Contract, str]:
    draft = Draft("Some-Table", ["PK", "SK"])
    middle = len(items) // 2
    for page in (items[:middle], items[middle:]):
        draft.add(page)
    written = draft.write()
    return written.contract, written.text


def convert(contract: Contract, item: dict[str, Any]) -> dict[str, Any]:
    """The change row of an item; straight from its text, it is the same row, or there is none."""
    document, key = json.loads(contract.to_lambda_json()), [each.attribute for each in contract.key_columns]
    record = snapshot_record(contract.source_table, key, item, 1_764_000_000)
    row = ChangeConverter(document).to_row(record, RECEIVED_AT_US)
    found: dict[str, Any] = json.loads(row)
    plain = PlainItems(document, key, 1_764_000_000)
    plain.learn(item)
    from_text = plain.row(to_json(item), 0, RECEIVED_AT_US)
    assert from_text is None or json.loads(from_text[0]) == found
    return found


def from_row(parsed: Any, value: Any) -> Any:
    """A value of a change row as the readers of contracts give it."""
    if value is None:
        return None
    match parsed:
        case "date":
            return date.fromisoformat(value)
        case "timestamptz":
            return EPOCH + timedelta(microseconds=value)
        case "binary":
            return base64.b64decode(value)
        case "json":
            return canonical_json(json.loads(value))
        case {"decimal": _}:
            return Decimal(value)
        case {"list": inner}:
            return [from_row(inner, element) for element in value]
        case {"map": inner}:
            return [(name, from_row(inner, member)) for name, member in value.items()]
        case {"struct": dict(members)}:
            types = {name: member_of(name, inner)[1] for name, inner in members.items()}
            return {name: from_row(inner, value.get(name)) for name, inner in types.items()}
        case _:
            return value


@settings(max_examples=EXAMPLES)
@given(tables())
@example([{"PK": {"S": "2026-01-31T12:00:00Z"}, "SK": {"N": "1"}}, {"PK": {"S": "x"}, "SK": {"N": "2"}}])
def test_the_items_that_it_was_inferred_from_convert_and_read_back_equal(items: list[dict[str, Any]]) -> None:
    contract, _ = infer(items)
    readers = readers_of(contract)
    for item in items:
        row = convert(contract, item)
        for column in contract.columns:
            attribute = item.get(column.attribute)
            expected = None if attribute is None else readers[column.name](attribute)
            assert from_row(column.parsed_type, row.get(column.name)) == expected, column
        assert json.loads(row["unmapped"] or "{}") == unmapped_of(contract, item) == {}


@settings(max_examples=50)
@given(tables())
@example([{"PK": {"S": "0001-01-01"}, "SK": {"N": "1"}}, {"PK": {"S": "0020-01-01T"}, "SK": {"N": "2"}}])
def test_the_yaml_is_the_contract_and_stays_it(tmp_path_factory: Any, items: list[dict[str, Any]]) -> None:
    contract, text = infer(items)
    path: Path = tmp_path_factory.mktemp("contract") / "some_table.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_contract(path) == contract
    draft = Draft("Some-Table", ["PK", "SK"])
    draft.add(items)
    again = draft.write(contract)
    assert (again.contract, again.text) == (contract, text)
