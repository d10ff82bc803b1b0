"""The order of changes: SQL, memory and a model agree, over both sources and the switch between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.examples import EXAMPLES

from dynaberg.contracts import Column, Contract
from dynaberg.layers.gained import fill_gained
from dynaberg.layers.latest import NO_SEQUENCE_NUMBER, latest_changes, latest_rows

CONTRACT = Contract("t", "source", "id", None, (Column("id", "string"), Column("v", "long")))
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
# For few rows, threads cost more than they save, and so does a database for each example.
DATABASE = duckdb.connect(config={"threads": 1})
SCHEMA = pa.schema(
    [
        ("change_id", pa.string()),
        ("operation", pa.string()),
        ("changed_at", pa.timestamp("us", tz="UTC")),
        ("sequence_number", pa.string()),
        ("id", pa.string()),
        ("v", pa.int64()),
        ("unmapped", pa.string()),
    ]
)


def streams(number: int, seconds: int, key: str = "a", operation: str = "MODIFY") -> dict[str, Any]:
    return change(f"s{number}", NOON + timedelta(seconds=seconds), str(number).zfill(40), key, operation)


def kinesis(name: str, seconds: float, key: str = "a", operation: str = "MODIFY") -> dict[str, Any]:
    return change(name, NOON + timedelta(seconds=seconds), NO_SEQUENCE_NUMBER, key, operation)


def change(name: str, moment: datetime, number: str, key: str, operation: str) -> dict[str, Any]:
    return {
        "change_id": name,
        "operation": operation,
        "changed_at": moment,
        "sequence_number": number,
        "id": key,
        "v": len(name),
    }


def by_sql(rows: list[dict[str, Any]]) -> dict[str, str]:
    log = pa.Table.from_pylist(rows, schema=SCHEMA)  # noqa: F841, DuckDB finds it by its name
    statement = latest_changes(CONTRACT, ["v", "change_id"], "log")
    found = DATABASE.execute(statement).to_arrow_table().to_pylist()
    return {row["id"]: row["change_id"] for row in found}


def in_memory(rows: list[dict[str, Any]]) -> dict[str, str]:
    found = latest_rows(pa.Table.from_pylist(rows, schema=SCHEMA), ["id"]).to_pylist()
    return {row["id"]: row["change_id"] for row in found}


def by_model(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Each change made when it says, but those of Streams no earlier than those before them in the stream."""
    ranks: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        made = row["changed_at"]
        if row["sequence_number"] != NO_SEQUENCE_NUMBER:
            before = [
                other["changed_at"]
                for other in rows
                if other["id"] == row["id"]
                and NO_SEQUENCE_NUMBER < other["sequence_number"] <= row["sequence_number"]
            ]
            made = max(before)
        rank = (made, row["sequence_number"], row["change_id"])
        ranks[row["id"]] = max(ranks.get(row["id"], rank), rank)
    return {key: rank[-1] for key, rank in ranks.items()}


CASES = {
    "times that go backwards": ([streams(1, 10), streams(2, 9)], "s2"),
    "numbers that grow by a digit": ([streams(9, 0), streams(10, 0)], "s10"),
    "within one second the number decides": ([streams(2, 5), streams(1, 5)], "s2"),
    "Kinesis, by microseconds": ([kinesis("k1", 1.000002), kinesis("k2", 1.000001)], "k1"),
    "a Streams record after a Kinesis one of its second": ([kinesis("k", 5), streams(1, 5)], "s1"),
    "a Kinesis record later than the stream": ([streams(1, 5), kinesis("k", 5.5)], "k"),
    # By pairs these three would go round in a circle.
    "between two records that go backwards": ([streams(1, 10), streams(2, 8), kinesis("k", 9)], "s2"),
    "a backfilled row loses every tie": ([kinesis("snapshot", 5), streams(1, 5)], "s1"),
}


@pytest.mark.parametrize(("rows", "latest"), CASES.values(), ids=CASES)
def test_what_is_the_latest(rows: list[dict[str, Any]], latest: str) -> None:
    for order in (rows, rows[::-1]):
        assert by_sql(order) == in_memory(order) == by_model(order) == {"a": latest}


rows = st.lists(
    st.one_of(
        st.builds(streams, st.integers(1, 12), st.integers(0, 5), st.sampled_from("ab")),
        st.builds(
            kinesis,
            st.integers(0, 99).map(lambda n: f"k{n}"),
            st.integers(0, 10).map(lambda halves: halves / 2),
            st.sampled_from("ab"),
        ),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row["change_id"],
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(rows)
def test_both_ways_agree_with_the_model(rows: list[dict[str, Any]]) -> None:
    assert by_sql(rows) == in_memory(rows) == by_model(rows)


def test_a_gained_column_is_filled_in_memory_as_in_sql() -> None:
    contract = Contract(
        "t", "source", "id", None, (Column("id", "string"), Column("v", "long"), Column("day", "date"))
    )
    texts = [
        '{"v":{"N":"7"},"day":{"S":"2026-01-31"}}',
        '{"v":{"S":"seven"}}',
        None,
    ]
    base = {"operation": "INSERT", "changed_at": NOON, "sequence_number": NO_SEQUENCE_NUMBER}
    rows = [base | {"change_id": f"c{n}", "id": f"i{n}", "unmapped": text} for n, text in enumerate(texts)]
    log = pa.Table.from_pylist(rows, schema=SCHEMA.append(pa.field("day", pa.date32())))
    statement = latest_changes(contract, ["v", "day", "unmapped"], "log", gained=["v", "day"])
    # DuckDB has the function under another name, and its paths keep quotation marks.
    spelled = statement.replace("json_extract_scalar", "json_extract_string")
    spelled = spelled.replace("'$[", "'$.").replace("].", ".")
    answer = DATABASE.execute(spelled).to_arrow_table()
    found = answer.sort_by("id").select(["v", "day"]).to_pylist()
    filled = fill_gained(log, contract, ["v", "day"]).select(["v", "day"]).to_pylist()
    assert found == filled
    assert [row["v"] for row in filled] == [7, None, None]
