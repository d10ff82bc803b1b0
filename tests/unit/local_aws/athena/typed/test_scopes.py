"""Types are asked of DuckDB in few statements, however many expressions a query has."""

from __future__ import annotations

import duckdb
import pytest
from sqlglot import exp

from local_aws.athena.dialect import to_duckdb
from local_aws.athena.dialect.translate import rewrite
from local_aws.athena.dialect.validate import parsed
from local_aws.athena.tables.engine import definitions
from local_aws.athena.typed.scopes import named_cte
from local_aws.athena.typed.typed import rewrite_typed

WIDTH = 60


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    for definition in definitions():
        made.execute(definition)
    columns = ", ".join(f"c{number} varchar" for number in range(WIDTH))
    made.execute(f"CREATE TABLE wide ({columns})")
    return made


def test_a_lambdas_parameter_does_not_make_a_query_per_expression(
    database: duckdb.DuckDBPyConnection,
) -> None:
    texts = ", ".join(f"concat(c{number}, '-')" for number in range(WIDTH))
    wrapped = f"transform(ARRAY[{texts}], t -> concat('x', t))"
    asked: list[str] = []

    def describe(sql: str) -> list[str]:
        asked.append(sql)
        return [str(kind) for kind in database.sql(sql).types]

    tree = rewrite(parsed(f"SELECT array_join({wrapped}, ',') FROM wide").copy())
    rewrite_typed(tree, describe)
    assert database.sql(to_duckdb(tree)).fetchall() == []
    assert len(asked) < WIDTH / 4


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", 1),
        ("WITH T AS (SELECT * FROM t WHERE a IN (SELECT a FROM t)) SELECT * FROM t", 2),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT * FROM a) SELECT * FROM b", 1),
        ("WITH a AS (SELECT 1 AS n), b AS (SELECT * FROM a) SELECT * FROM a, b", 0),
        ("WITH a AS (WITH b AS (SELECT * FROM a) SELECT * FROM b) SELECT * FROM a", 1),
        ("WITH t AS (SELECT * FROM (WITH t AS (SELECT * FROM t) SELECT * FROM t)) SELECT * FROM t", 1),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n", 0),
    ],
)
def test_a_with_query_does_not_see_itself_or_a_later_one(sql: str, tables: int) -> None:
    found = parsed(sql).find_all(exp.Table)
    assert sum(named_cte(table) is None for table in found) == tables
