from __future__ import annotations

import pytest
import sqlglot

from local_aws.athena.api.prepared import split_values
from local_aws.athena.dialect.dialect import AthenaSql, to_duckdb
from local_aws.athena.dialect.errors import QueryError, StatementError, from_duckdb, position
from local_aws.athena.dialect.formats import joda_to_strftime, mysql_to_strftime
from local_aws.athena.dialect.statements import kind_of, read, without_comments
from local_aws.athena.dialect.translate import rewrite
from local_aws.athena.dialect.validate import parse
from local_aws.athena.typed.precision import Look, look_of


@pytest.mark.parametrize(
    ("sql", "name", "kind"),
    [
        ("select 1", "SELECT", "DML"),
        ("-- why\n/* how */ WITH a AS (SELECT 1) SELECT * FROM a", "SELECT", "DML"),
        ("(SELECT 1)", "SELECT", "DML"),
        ("VALUES 1", "SELECT", "DML"),
        ("insert into t values (1)", "INSERT", "DML"),
        ("MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE", "MERGE", "DML"),
        ("CREATE TABLE t AS SELECT 1 AS x", "CREATE_TABLE_AS_SELECT", "DDL"),
        ("CREATE TABLE t WITH (table_type = 'ICEBERG') AS (SELECT 1 AS x)", "CREATE_TABLE_AS_SELECT", "DDL"),
        ("CREATE TABLE t (as_of date)", "CREATE_TABLE", "DDL"),
        ("CREATE EXTERNAL TABLE t (a int)", "CREATE_TABLE", "DDL"),
        ("SHOW TABLES", "SHOW", "UTILITY"),
        ("DESCRIBE t", "DESCRIBE_TABLE", "UTILITY"),
        ("EXPLAIN SELECT 1", "EXPLAIN", "UTILITY"),
        ("UNLOAD (SELECT 1) TO 's3://b/' WITH (format = 'JSON')", "UNLOAD", "DML"),
    ],
)
def test_kind_of(sql: str, name: str, kind: str) -> None:
    found = kind_of(sql)
    assert (found.name, found.type) == (name, kind)


def test_what_aws_refuses_on_s3_tables() -> None:
    for sql in ("CREATE OR REPLACE VIEW v AS SELECT 1", "VACUUM t", "ALTER TABLE t RENAME TO u"):
        with pytest.raises(QueryError, match=r"NOT_SUPPORTED: .* is not supported for S3 Tables"):
            kind_of(sql)


@pytest.mark.parametrize(
    ("sql", "place"), [("SELEC 1", "line 1:1"), ("\n  PRAGMA x", "line 2:3"), ("", "line 1:1")]
)
def test_what_is_no_statement(sql: str, place: str) -> None:
    with pytest.raises(StatementError, match=f"{place}: mismatched input"):
        kind_of(sql)


def test_comments_and_semicolon_are_left_out() -> None:
    assert without_comments("-- a\n /* b */ SELECT '--c' ; ") == "SELECT '--c'"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT [1]",
        "SELECT {'a': 1}",
        "FROM t",
        "SELECT * FROM (FROM t)",
        "SELECT a::int",
        "SELECT * EXCLUDE (a) FROM t",
        "SELECT DISTINCT ON (a) b FROM t",
        "SELECT a FROM t ORDER BY ALL",
        "SELECT * FROM 'x.csv'",
        "SELECT a FROM t ANTI JOIN u USING (a)",
        "SELECT 1 UNION ALL BY NAME SELECT 1",
        "SELECT 1 | 2",
    ],
)
def test_grammar_that_only_duckdb_has(sql: str) -> None:
    with pytest.raises(StatementError, match=r"line 1:\d+: mismatched input"):
        parse(sql)


@pytest.mark.parametrize(
    "sql", ['SELECT a[1], ARRAY[1][1], f(x)[1], (a)[1], "b"[1] FROM t', "SELECT trim(BOTH 'x' FROM 'xax')"]
)
def test_grammar_that_both_have(sql: str) -> None:
    assert parse(sql)


def test_parameters_take_their_places() -> None:
    tree = read(
        "SELECT ? AS a FROM t WHERE b = ? AND c IN (?, ?)",
        ["'x''y'", "1", "DATE '2026-01-01'", "plain words"],
    )
    assert tree.sql(dialect=AthenaSql) == (
        "SELECT 'x''y' AS a FROM t WHERE b = 1 AND c IN (CAST('2026-01-01' AS DATE), 'plain words')"
    )


def test_a_parameter_is_never_sql() -> None:
    tree = read("SELECT ?", ["(SELECT 1 FROM secrets)"])
    assert tree.sql() == "SELECT '(SELECT 1 FROM secrets)'"


def test_values_of_using() -> None:
    values = split_values("'a,b', ARRAY[1, 2], 'it''s'")
    assert [value.strip() for value in values] == ["'a,b'", "ARRAY[1, 2]", "'it''s'"]


@pytest.mark.parametrize(
    ("sql", "duckdb_sql"),
    [
        (
            "SELECT approx_distinct(x) FILTER (WHERE y) FROM t",
            "SELECT approx_count_distinct(x) FILTER(WHERE y) FROM t",
        ),
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
        ("trino_divide", "FUNCTION_NOT_FOUND"),
    ],
)
def test_functions_without_a_row_do_not_run(function: str, code: str) -> None:
    with pytest.raises(QueryError, match=f"{code}: line 2:2: Function '{function}'"):
        rewrite(sqlglot.parse_one(f"SELECT\n {function}(x)", dialect=AthenaSql))


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


@pytest.mark.parametrize(
    ("sql", "look"),
    [
        ("SELECT at FROM t", Look(6)),
        ("SELECT * FROM t", Look(6)),
        ("SELECT max(date_trunc('hour', at)) FROM t", Look(6)),
        ("SELECT CAST(at AS timestamp) FROM t", Look(3)),
        ("SELECT now()", Look(3)),
        ("SELECT TIMESTAMP '2026-01-01 00:00:00.123456'", Look(6)),
        ("WITH c AS (SELECT from_unixtime(x) AS at FROM t) SELECT at FROM c", Look(3)),
        ("SELECT at FROM (SELECT at FROM t) s", Look(6)),
        ('SELECT at FROM "t$snapshots"', Look(3)),
        ("SELECT at AT TIME ZONE 'Asia/Tokyo' FROM t", Look(6, "Asia/Tokyo", "timestamp with time zone")),
        ("SELECT INTERVAL '1' MONTH", Look(3, "", "interval year to month")),
    ],
)
def test_look_of_a_column(sql: str, look: Look) -> None:
    assert look_of(sqlglot.parse_one(sql, dialect=AthenaSql), 0, "at") == look
