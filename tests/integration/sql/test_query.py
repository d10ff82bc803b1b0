"""Athena through `query`: exact values, bound parameters, large results, interrupts, errors that teach."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from dynaberg.errors import QueryCancelledError, QueryError
from dynaberg.sql.query import query
from dynaberg.sql.result import QueryResult

Ask = Callable[..., QueryResult]


@pytest.fixture(scope="module")
def ask(story: Any) -> Ask:
    pipeline = story.pipeline

    def run(sql: str, params: Any = None, **options: Any) -> QueryResult:
        return query(pipeline.session, pipeline.settings, sql, params, **options)

    return run


def test_values_go_in_and_come_out_exactly(ask: Ask) -> None:
    values = {
        "text": 'O\'Hara; -- \n"x"',
        "whole": 2**62,
        "money": Decimal("12345678.90"),
        "day": date(2026, 1, 31),
        "moment": datetime(2026, 1, 31, 12, 0, 0, 123456, UTC),
        "yes": True,
        "ratio": 0.1,
        "raw": b"\x00\xff",
    }
    row = ask("SELECT " + ", ".join(f":{name} AS {name}" for name in values), values).df.iloc[0]
    assert {name: row[name] for name in values} == values


def test_nulls_and_types(ask: Ask) -> None:
    found = ask("SELECT * FROM (VALUES (1, 'a', DECIMAL '0.10'), (NULL, '', NULL)) AS t (n, s, d) ORDER BY s")
    assert found.df["n"].tolist() == [pd.NA, 1]
    assert found.df["s"].tolist() == ["", "a"]
    assert found.df["d"].tolist() == [None, Decimal("0.10")]
    assert [column.type for column in found.columns] == ["integer", "varchar", "decimal"]


def test_a_filter_on_the_table(ask: Ask) -> None:
    found = ask(
        "SELECT id, amount FROM transactions WHERE id = ? AND amount > ?", ["item-07", Decimal("7.09")]
    )
    assert found.df.to_dict("records") == [{"id": "item-07", "amount": Decimal("7.10")}]
    assert found.bytes_scanned > 0
    assert found.query_id
    assert found.query_id in found._repr_html_()


def test_nested_values_are_exact_or_text_and_never_guessed(story: Any, ask: Ask) -> None:
    item = {"tags": ["x", "y"], "prices": {"a": Decimal("2.00"), "b": Decimal("0.10")}}
    found = ask("SELECT id, tags, prices AS p, place FROM transactions WHERE id = :id", {"id": "item-07"})
    row = found.df.iloc[0]
    assert sorted(row["tags"]) == item["tags"]
    assert row["p"] == item["prices"]
    assert row["place"] == {"city": "Bern", "zip": 3000}
    assert [column.type for column in found.columns] == ["varchar", "array", "map", "row"]
    assert (found.notes, found.sql) == (
        (), "SELECT id, tags, prices AS p, place FROM transactions WHERE id = ?",
    )  # fmt: skip
    joined = ask("SELECT t.tags FROM transactions t JOIN transactions u ON t.id = u.id ORDER BY t.id LIMIT 2")
    assert {type(value) for value in joined.df["tags"]} == {str}
    assert "CAST(tags AS JSON)" in joined.notes[0]
    assert joined.notes[0] in repr(joined)
    before = ask(f"SELECT id, place FROM transactions FOR VERSION AS OF {story.first} WHERE id = 'item-02'")
    assert before.df["place"].tolist() == [{"city": "Bern", "zip": 3000}]


def test_a_query_of_plain_columns_is_sent_as_it_is(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    ask("SELECT id FROM transactions LIMIT 1")
    with pytest.raises(QueryError) as caught:
        ask("SELECT amuont, tags\nFROM transactions")
    assert "   1 | SELECT amuont, tags\n              ^" in caught.value.message


HOUR = "VALUES TIMESTAMP '2026-10-25 00:30:00 UTC', TIMESTAMP '2026-10-25 01:30:00 UTC'"


def test_a_clock_that_comes_twice_is_no_moment(ask: Ask) -> None:
    found = ask(f"SELECT at, at AT TIME ZONE 'Europe/Berlin' AS here FROM ({HOUR}) AS t (at) ORDER BY at")
    assert [str(moment) for moment in found.df["at"].dt.tz_convert("Europe/Berlin")] == [
        "2026-10-25 02:30:00+02:00", "2026-10-25 02:30:00+01:00",
    ]  # fmt: skip
    assert {value[:16] for value in found.df["here"]} == {"2026-10-25 02:30"}
    assert "here is text" in found.notes[0]


def test_a_key_of_two_thousand_bytes_finds_its_row(ask: Ask) -> None:
    key = "it's ? — " * 180
    found = ask("SELECT :key AS k, length(:key) AS n, :one AS one", {"key": key, "one": 1}).df
    assert found.iloc[0].tolist() == [key, len(key), 1]


def test_a_large_result_is_read_whole_and_unchanged(ask: Ask) -> None:
    sql = """
        SELECT x,
            CASE x % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'a,"b"' ELSE 'c' || chr(10) || 'd' END AS t
        FROM UNNEST(sequence(1, 5000)) AS s (x) ORDER BY x
    """
    frame = ask(sql).df
    assert frame["x"].tolist() == list(range(1, 5001))
    texts = {0: None, 1: "", 2: 'a,"b"', 3: "c\nd"}
    assert frame["t"].astype(object).where(frame["t"].notna(), None).tolist() == [
        texts[number % 4] for number in range(1, 5001)
    ]


def test_a_page_exactly_is_read_whole(ask: Ask) -> None:
    for rows in (999, 1000, 1001):
        assert len(ask(f"SELECT x FROM UNNEST(sequence(1, {rows})) AS s (x)")) == rows


def test_a_statement_without_rows(ask: Ask) -> None:
    assert ask("SELECT id FROM transactions WHERE false").df.columns.tolist() == ["id"]
    assert "transactions" in ask("SHOW TABLES").df.iloc[:, 0].tolist()


@pytest.mark.parametrize(
    ("sql", "words", "hint"),
    [
        ("SELEC 1", "mismatched input 'SELEC'", "Trino SQL"),
        ("SELECT *\nFROM transaction", "TABLE_NOT_FOUND", "'transactions'"),
        ("SELECT amuont FROM transactions", "COLUMN_NOT_FOUND", "'amount'"),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO", "nullif"),
        ("SELECT strftime(current_date, 'x')", "FUNCTION_NOT_FOUND", "Trino's"),
    ],
)
def test_refusals_teach(ask: Ask, sql: str, words: str, hint: str) -> None:
    with pytest.raises(QueryError) as caught:
        ask(sql)
    assert words in caught.value.message
    assert hint in caught.value.hint


ENDLESS = "SELECT count(*) FROM UNNEST(sequence(1, 9000)) a (x) CROSS JOIN UNNEST(sequence(1, 9000)) b (y) CROSS JOIN UNNEST(sequence(1, 9000)) c (z) WHERE x * y * z % 7 = 3"  # noqa: E501


def state_of(story: Any, error: QueryError) -> str:
    query_id = error.message.split()[1]
    athena = story.pipeline.session.client("athena")
    for _ in range(100):
        state = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]["State"]
        if state not in ("QUEUED", "RUNNING"):
            break
        time.sleep(0.05)
    return str(state)


def test_an_interrupt_stops_the_query(story: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", interrupt)
        with pytest.raises(QueryCancelledError, match="interrupted") as caught:
            ask(ENDLESS)
    assert state_of(story, caught.value) == "CANCELLED"


def test_the_deadline_stops_the_query(story: Any, ask: Ask) -> None:
    with pytest.raises(QueryCancelledError, match=r"0\.2 seconds") as caught:
        ask(ENDLESS, timeout=0.2)
    assert state_of(story, caught.value) == "CANCELLED"


def test_a_short_query_is_hardly_waited_for(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    ask("SELECT 1")
    # What it takes is measured by tests/benchmarks/bench_analyst.py.
    assert sum(pauses) < 0.06
