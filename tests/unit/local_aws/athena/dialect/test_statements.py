"""What kind of statement it is, what is none, and where parameters go."""

from __future__ import annotations

import pytest

from local_aws.athena.dialect.dialect import AthenaSql
from local_aws.athena.dialect.errors import QueryError, StatementError
from local_aws.athena.dialect.statements import kind_of, read, without_comments
from local_aws.athena.dialect.validate import parse


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


def test_a_statement_too_large_for_the_validator_is_still_read() -> None:
    columns = [f'"c{number}"' for number in range(1_000)]
    assignments = ", ".join(f"{column} = s.{column}" for column in columns)
    merge = (
        f"MERGE INTO t USING s ON t.c0 = s.c0 WHEN MATCHED THEN UPDATE SET {assignments} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join(columns)}) VALUES ({', '.join(columns)})"
    )
    assert parse(merge).key == "merge"
    with pytest.raises(StatementError, match="Only one sql statement is allowed"):
        parse(f"{merge}; DROP TABLE t")
    with pytest.raises(StatementError, match="mismatched input"):
        parse(f"{merge} WHEN")
