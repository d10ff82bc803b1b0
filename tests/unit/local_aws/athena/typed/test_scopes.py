"""Types are asked of DuckDB in few statements, however many expressions a query has."""

from __future__ import annotations

import duckdb
import pytest

from local_aws.athena.dialect import to_duckdb
from local_aws.athena.dialect.translate import rewrite
from local_aws.athena.dialect.validate import parsed
from local_aws.athena.tables.engine import definitions
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
