"""What a result shows, and how Athena's refusals are told."""

from __future__ import annotations

import importlib
import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import boto3
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import QueryError
from dynaberg.settings import Settings
from dynaberg.sql import refusals as query_errors
from dynaberg.sql.query import _console_url, _read_csv, _wait, commit, run
from dynaberg.sql.result import QueryResult
from dynaberg.sql.types import AS_TEXT


def result(df: pd.DataFrame) -> QueryResult:
    return QueryResult(df, (), "SELECT 1", "some-id", runtime_ms=1234, bytes_scanned=2_500_000)


def test_the_footer_tells_rows_time_bytes_and_the_query() -> None:
    line = "2 rows in 1,234 ms, 2.5 MB scanned (query some-id)"
    shown = result(pd.DataFrame({"n": [1, 2]}))
    assert line in repr(shown)
    assert line in shown._repr_html_()
    assert len(shown) == 2


def test_what_stays_text_is_told() -> None:
    frame = pd.DataFrame({"tags": ["[a, b]"]})
    assert result(frame).notes == ()
    frame.attrs[AS_TEXT] = {"tags": "tags is Athena's text"}
    shown = result(frame)
    assert shown.notes == ("tags is Athena's text",)
    assert "tags is Athena's text\n1 row in" in repr(shown)
    assert "<div>tags is Athena&#x27;s text</div>" in shown._repr_html_()


def test_a_statement_that_is_too_long_is_not_sent() -> None:
    session: Any = None
    with pytest.raises(QueryError, match="262,147 bytes; Athena takes at most 262,144") as caught:
        run(session, Settings(), "SELECT '" + "é" * 131_069 + "'")
    assert "several statements" in caught.value.hint


def test_on_aws_the_footer_tells_the_bill_and_leads_to_the_console() -> None:
    url = 'https://console.aws.amazon.com/athena/home?region=eu-central-1#/query-editor/history/a"b'
    shown = replace(result(pd.DataFrame({"n": [1, 2]})), console_url=url)
    line = "2 rows in 1,234 ms, 2.5 MB scanned for $0.00005"
    assert f"{line} (query some-id)" in repr(shown)
    link = url.replace('"', "&quot;")
    assert f'{line} (<a href="{link}">query some-id</a>)' in shown._repr_html_()
    assert "$" not in repr(result(pd.DataFrame({"n": [1]}))), "the local AWS bills nothing"


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("eu-central-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_the_console_is_that_of_the_partition(region: str, domain: str) -> None:
    session = boto3.Session(region_name=region)
    assert _console_url(session, "some-id") == (
        f"https://{domain}/athena/home?region={region}#/query-editor/history/some-id"
    )


def test_what_is_shown_is_escaped() -> None:
    shown = result(pd.DataFrame({"<b>": ["<script>alert(1)</script>"]}))._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown


def test_long_results_are_shown_in_part() -> None:
    assert result(pd.DataFrame({"n": range(1000)}))._repr_html_().count("<tr") < 70


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("TABLE_NOT_FOUND: line 2:6: Table 'c.analytics.transaction' does not exist", "'transactions'"),
        ("COLUMN_NOT_FOUND: line 1:8: Column 'amout' cannot be resolved", "'amount'"),
        ("line 1:1: mismatched input 'SELEC'. Expecting: 'SELECT'", "Trino SQL"),
        ("DIVISION_BY_ZERO: Division by zero", "nullif"),
        ("NOT_SUPPORTED: Unsupported Hive type: timestamp(6) with time zone", "AT TIME ZONE 'UTC'"),
        ("TYPE_NOT_FOUND: line 1:8: Unknown type: string", "varchar"),
        ("line 1:8: FUNCTION_NOT_FOUND: Function 'strftime' not registered", "functions are Trino's"),
    ],
)
def test_every_refusal_has_a_hint(monkeypatch: pytest.MonkeyPatch, message: str, hint: str) -> None:
    monkeypatch.setattr(query_errors, "_tables", lambda *_: ["transactions", "transactions_changes"])
    monkeypatch.setattr(query_errors, "_columns", lambda *_: ["amount", "status"])
    session: Any = None
    statement = "SELECT amout\nFROM transactions"
    wrapping = "An error occurred (InvalidRequestException) when calling the StartQueryExecution operation: "
    error = query_errors.explain(session, Settings(), statement, RuntimeError(wrapping + message))
    assert message in error.message
    assert "An error occurred" not in error.message
    assert hint in error.hint


def test_what_athena_said_is_shown_to_those_who_may_not_list_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListTableBuckets")

    monkeypatch.setattr("dynaberg.catalog.open_catalog", denied)
    nothing: Any = None
    message = "TABLE_NOT_FOUND: line 1:15: Table 'lake.sales.oders' does not exist"
    error = query_errors.explain(nothing, Settings(), "SELECT * FROM oders", Exception(message))
    assert message in error.message


@pytest.mark.parametrize("message", ["ICEBERG_COMMIT_ERROR: …", "ConflictException: …"])
def test_a_statement_is_sent_again_after_a_conflict(monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    answers: list[Any] = [QueryError(message), QueryError(message), "done"]

    def answer(*_: Any) -> Any:
        found = answers.pop(0)
        if isinstance(found, QueryError):
            raise found
        return found

    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(importlib.import_module("dynaberg.sql.query"), "query", answer)
    nothing: Any = None
    assert commit(nothing, Settings(), "MERGE …") == "done"


def test_the_place_is_pointed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_errors, "_tables", lambda *_: [])
    session: Any = None
    error = query_errors.explain(
        session, Settings(), "SELECT a,\n  b c d\nFROM t", RuntimeError("line 2:7: bad")
    )
    assert error.message.endswith("\n   2 |   b c d\n" + " " * 7 + " " * 6 + "^")


def test_a_query_that_cannot_be_watched_any_more_is_stopped() -> None:
    stopped: list[str] = []

    class Athena:
        def get_query_execution(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetQueryExecution")

        def stop_query_execution(self, QueryExecutionId: str) -> None:  # noqa: N803
            stopped.append(QueryExecutionId)

    with pytest.raises(ClientError, match="ThrottlingException"):
        _wait(Athena(), "some-id", progress=False, timeout=60)
    assert stopped == ["some-id"]


def test_a_row_of_a_result_file_may_be_as_large_as_firehose_delivers_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """JSON is full of quotation marks, which a result file doubles."""
    document = '""' * 1_000_000
    body = f'"id","unmapped"\n"a","{document}"\n"b",\n'.encode()
    s3 = SimpleNamespace(get_object=lambda **_: {"Body": io.BytesIO(body)})
    monkeypatch.setattr(aws, "client", lambda *_: s3)
    nothing: Any = None
    found = _read_csv(nothing, "s3://results/x.csv", 2).to_pydict()
    assert found == {"f0": ["a", "b"], "f1": ['"' * 1_000_000, None]}
