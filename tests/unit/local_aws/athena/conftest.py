"""Athena's SQL run on DuckDB in this process, without tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import duckdb
import pytest

from local_aws.athena.dialect import definitions, read
from local_aws.athena.statements.queries import plan_query
from local_aws.athena.tables import Context, StandIns, Tables

Answer = tuple[list[tuple[str | None, ...]], list[str]]


@pytest.fixture(scope="session")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for definition in definitions():
        connection.execute(definition)
    return connection


@pytest.fixture(scope="session")
def ask(database: duckdb.DuckDBPyConnection) -> Callable[[str], Answer]:
    """The rows of a query, as Athena writes them, and the types of its columns."""

    def answer(sql: str) -> Answer:
        nothing = cast("Any", None)
        cursor = database.cursor()
        tables = Tables(StandIns(nothing), cursor)
        context = Context(nothing, cursor, nothing, "awsdatacatalog", "shop", tables, "query")
        plan = plan_query(context, read(sql, ()))
        kinds = [
            f"decimal({c['Precision']},{c['Scale']})" if c["Type"] == "decimal" else c["Type"]
            for c in plan.columns
        ]
        return cursor.execute(plan.texts.by_name).fetchall(), kinds

    return answer
