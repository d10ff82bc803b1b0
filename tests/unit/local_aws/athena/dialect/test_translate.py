"""Athena's SQL becomes DuckDB's, and DuckDB's errors Athena's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlglot

from local_aws.athena.dialect.dialect import AthenaSql, to_duckdb
from local_aws.athena.dialect.errors import QueryError, from_duckdb, position
from local_aws.athena.dialect.formats import joda_to_strftime, mysql_to_strftime
from local_aws.athena.dialect.functions import FUNCTIONS
from local_aws.athena.dialect.translate import rewrite


@pytest.mark.parametrize(
    ("sql", "duckdb_sql"),
    [
        (
            "SELECT approx_distinct(x) FILTER (WHERE y) FROM t",
            "SELECT count(DISTINCT x) FILTER(WHERE y) FROM t",
        ),
        ("SELECT z, approx_distinct(x) FROM t GROUP BY z", "SELECT z, count(DISTINCT x) FROM t GROUP BY z"),
        (
            "SELECT approx_distinct(DISTINCT x) FROM t GROUP BY y",
            "SELECT count(DISTINCT x) FROM t GROUP BY y",
        ),
        ("SELECT approx_distinct(x) OVER () FROM t", "SELECT count(DISTINCT x) OVER () FROM t"),
        ("SELECT map_agg(a, b) OVER () FROM t", "SELECT trino_map_of_pairs(list(row(a, b)) OVER ()) FROM t"),
        ("SELECT a[1] FROM t", "SELECT a[1] FROM t"),
        ("SELECT max_by(a, b) FROM t", "SELECT arg_max_null(a, b) FROM t"),
        ('SELECT "$path" FROM t', 'SELECT "filename" FROM t'),
        (
            "SELECT lag(a) IGNORE NULLS OVER (ORDER BY b) FROM t",
            "SELECT lag(a IGNORE NULLS) OVER (ORDER BY b) FROM t",
        ),
        ("SELECT json_size(j, '$[\"a b\"].c')", "SELECT trino_json_size(j, '$.\"a b\".c')"),
    ],
)
def test_rewrite(sql: str, duckdb_sql: str) -> None:
    written = to_duckdb(rewrite(sqlglot.parse_one(sql, dialect=AthenaSql)))
    assert written.replace('"', "") == duckdb_sql.replace('"', "")


def test_names_stand_in_quotes() -> None:
    tree = sqlglot.parse_one("SELECT lambda.qualify FROM pivot AS lambda", dialect=AthenaSql)
    assert to_duckdb(tree) == 'SELECT "lambda"."qualify" FROM "pivot" AS "lambda"'


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("list_sum", "FUNCTION_NOT_FOUND"),
        ("soundex", "NOT_SUPPORTED"),
        ("trino_half_up", "FUNCTION_NOT_FOUND"),
    ],
)
def test_functions_without_a_row_do_not_run(function: str, code: str) -> None:
    with pytest.raises(QueryError, match=f"{code}: line 2:2: Function '{function}'"):
        rewrite(sqlglot.parse_one(f"SELECT\n {function}(x)", dialect=AthenaSql))


@pytest.mark.parametrize("arguments", ["", "a", "a, b", "a, b, c, d, e, f"])
def test_no_number_of_arguments_is_an_error_of_ours(arguments: str) -> None:
    for name in FUNCTIONS:
        with suppress(QueryError, sqlglot.ParseError):
            rewrite(sqlglot.parse_one(f"SELECT {name}({arguments}) FROM t", dialect=AthenaSql))


def test_position_is_the_first_letter() -> None:
    tree = sqlglot.parse_one("SELECT a,\n  some.col FROM t", dialect=AthenaSql)
    assert position(tree.expressions[1]) == "line 2:3: "


def test_duckdbs_errors_lose_their_words() -> None:
    error = from_duckdb(Exception('Catalog Error: Table with name x does not exist!\nDid you mean "y"?'))
    assert str(error) == "TABLE_NOT_FOUND: Table 'x' does not exist"
    assert from_duckdb(Exception("Something: else\nmore")).code == "GENERIC_INTERNAL_ERROR"


def test_formats() -> None:
    assert mysql_to_strftime("%Y-%m-%d %H:%i:%s %p 100%%") == "%Y-%m-%d %H:%M:%S %p 100%%"
    assert joda_to_strftime("yyyy-MM-dd''HH'o''clock' mm") == "%Y-%m-%d'%Ho'clock %M"
    with pytest.raises(QueryError, match="Date format not supported: %D"):
        mysql_to_strftime("%D")
    with pytest.raises(QueryError, match="Invalid format: 'GG'"):
        joda_to_strftime("GG")


@pytest.mark.parametrize("text", ["CAST(NULL AS varchar)", "'abc'"])
@pytest.mark.parametrize("start", ["0", "1", "-9", "CAST(NULL AS bigint)"])
@pytest.mark.parametrize("length", ["", ", 0", ", 2", ", CAST(NULL AS bigint)"])
def test_a_part_of_nothing_is_null(ask: Callable[[str], Any], text: str, start: str, length: str) -> None:
    (row,) = ask(f"SELECT substr({text}, {start}{length})")[0]
    assert (row == (None,)) == ("NULL" in f"{text}{start}{length}")
