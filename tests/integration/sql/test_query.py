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
