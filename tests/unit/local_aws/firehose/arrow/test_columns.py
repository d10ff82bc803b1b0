from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from local_aws.firehose.arrow import rows as json_rows
from local_aws.firehose.arrow.columns import TypedRecords
from local_aws.firehose.arrow.rows import RowConverter

FIELDS = pa.schema([("a", pa.large_string()), ("n", pa.int64()), ("d", pa.float64()), ("b", pa.bool_())])
SCHEMA = Schema(
    NestedField(1, "id", StringType(), required=True),
    NestedField(2, "amount", DecimalType(6, 2)),
    NestedField(3, "count", LongType()),
    NestedField(4, "ratio", DoubleType()),
    NestedField(5, "day", DateType()),
    NestedField(6, "at", TimestamptzType()),
    NestedField(7, "done", BooleanType()),
)


def test_plain_records_are_read_at_once() -> None:
    columns = TypedRecords(FIELDS).read(
        [b'{"a":"x","n":1}', b'{"d":0.5,"b":true,"a":"\xc3\xbc\\n"}', b"{}", b'{"n":null}']
    )
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "a": ["x", "ü\n", None, None],
        "n": [1, None, None, None],
        "d": [None, 0.5, None, None],
        "b": [None, True, None, None],
    }


@pytest.mark.parametrize(
    "records",
    [
        [],
        [b""],
        [b"null"],
        [b"[1]"],
        [b'{"a":"x"}', b"null"],
        [b'{"a":"x"}{"a":"y"}'],
        [b'{"a":"x"}\n{"a":"y"}', b""],
        [b'{"a":"x"}{"a":"y"}', b" "],
        [b'{"a":"x"}\r{"a":"y"}', b'{"a":"z"}'],
        [b'{"a":"x"},{"a":"y"}'],
        [b'{"a":"x"}\0{"a":"y"}', b'{"a":"z"}'],
        [b'{"a":"x}', b'{","n":1}'],
        [b'{"a":', b'"x"}'],
        [b'{"n":{}', b"{}}"],
        [b'{"a":"x"}}'],
        [b'{"a":"\xff"}'],
        [b'{"a":"\xed\xa0\x80"}'],
        [b'{"a":"\\ud800"}'],
        [b'{"a":"\\udc00"}'],
        [b'{"a":"x\ty"}'],
        [b'{"a":"x\0"}'],
        [b'{"other":1}'],
        [b'{"other":null}'],
        [b'{"other":"\xff"}'],
        [b'{"\xff":1}'],
        [b'{"A":"x"}'],
        [b'{"a":1}'],
        [b'{"a":{}}'],
        [b'{"a":["x"]}'],
        [b'{"n":"1"}'],
        [b'{"n":1.0}'],
        [b'{"n":1e3}'],
        [b'{"n":true}'],
        [b'{"n":NaN}'],
        [b'{"n":9223372036854775808}'],
        [b'{"n":01}'],
        [b'{"n":%s}' % (b"9" * 400)],
        [b'{"n":%s}' % (b"9" * 5000)],
        [b'{"d":%s}' % (b"9" * 5000)],
        [b'{"other":%s}' % (b"[" * 100_000 + b"]" * 100_000)],
        [b'{"d":"1.5"}'],
        [b'{"d":1.}'],
        [b'{"d":1e400}'],
        [b'{"b":1}'],
        [b'{"b":"true"}'],
    ],
)
def test_what_needs_a_closer_look_is_left(records: list[bytes]) -> None:
    assert TypedRecords(FIELDS).read(records) == {}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "id": TEXT,
    "amount": st.none() | st.decimals(-9999, 9999, places=2).map(str),
    "count": st.none() | st.integers(-(2**63), 2**63 - 1),
    "ratio": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
    "day": st.none() | st.dates().map(str),
    "at": st.none() | st.integers(-(2**55), 2**55) | st.integers(-(2**63), 2**63 - 1),
    "done": st.none() | st.booleans(),
}
ODD = st.sampled_from(
    [1.5, True, "7", "x", "", "1e2", "2026-02-30", "2026-01-01T00:00:00Z", 10**20, [], {}, {"id": 1}]
)
LITERALS = st.sampled_from(["NaN", "Infinity", "-0", "1E2", "01", "1.0", '"\\ud800"', '"\\u0000"', "1e400"])
NO_JSON = st.sampled_from([b"", b" ", b"{", b"}", b"[]", b"null", b'{"id":"a"}{"id":"b"}', b'{"id":"\xff"}'])
SPACES = st.sampled_from(["", " ", "\n", "\r\n", "\t"])


@st.composite
def record(draw: st.DrawFn) -> bytes:
    """A record that mostly fits, written in one of the ways that JSON allows, or in one that it does not."""
    if draw(st.integers(0, 40)) == 0:
        return draw(NO_JSON)
    some = draw(st.permutations(list(PLAIN)))[: draw(st.integers(0, len(PLAIN)))]
    names = [*some, "id"]
    if draw(st.integers(0, 20)) == 0:
        names.append(draw(st.sampled_from(["other", "ID", "id "])))
    members = []
    for name in names:
        value: Any = draw(PLAIN.get(name, TEXT))
        text = json.dumps(value, ensure_ascii=draw(st.booleans()))
        if draw(st.integers(0, 30)) == 0:
            text = draw(ODD.map(json.dumps) | LITERALS)
        members.append(f'"{name}":{draw(SPACES)}{text}')
    return f"{{{','.join(members)}}}".encode() + draw(st.sampled_from([b"", b"", b"", b" ", b"\n"]))


@settings(max_examples=200, deadline=None)
@given(records=st.lists(record(), max_size=8))
def test_the_short_way_ends_where_the_long_way_does(records: list[bytes]) -> None:
    converter = RowConverter(SCHEMA)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TypedRecords, "read", lambda self, data: {})
        expected, expected_failures = converter.convert(records)
    batch, failures = converter.convert(records)
    assert batch.equals(expected)
    assert failures == expected_failures
    batch.validate(full=True)


def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_rows, "parse", None)
    row = {"id": "ü", "amount": "12.3", "count": 2**63 - 1, "ratio": 0.1, "day": "2026-01-31", "at": 1}
    batch, failures = RowConverter(SCHEMA).convert([orjson.dumps(row)] * 3)
    assert failures == {}
    assert batch.num_rows == 3
    assert batch["amount"][2].as_py() == Decimal("12.30")
    assert batch["done"].null_count == 3


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"Inf", b"-Inf"])
def test_numbers_that_json_does_not_know_are_refused(literal: bytes) -> None:
    records = [b'{"id":"a","ratio":1.5}', b'{"id":"b","ratio":%s}' % literal]
    batch, failures = RowConverter(SCHEMA).convert(records)
    assert batch["ratio"].to_pylist() == [1.5]
    assert [failure.code for failure in failures.values()] == [json_rows.INVALID_JSON]
