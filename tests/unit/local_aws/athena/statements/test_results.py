from __future__ import annotations

import duckdb
import pytest

from local_aws.athena.dialect.functions import definitions
from local_aws.athena.dialect.types import parse_type
from local_aws.athena.statements.results import header, text_of
from local_aws.athena.typed.precision import Look


@pytest.fixture(scope="module")
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for definition in definitions():
        connection.execute(definition)
    return connection


def test_header_is_quoted() -> None:
    assert header(["id", 'a"b']) == b'"id","a""b"\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1e10::DOUBLE", "1.0E10"),
        ("'nan'::DOUBLE", "NaN"),
        ("1.50::DECIMAL(5,2)", "1.50"),
        ("[1, NULL]", "[1, null]"),
        ("[]::INTEGER[]", "[]"),
        ("MAP {'k': [1.5::DOUBLE]}", "{k=[1.5]}"),
        ("{'a': 1, 'b': NULL::VARCHAR}", "{a=1, b=null}"),
        ("row(1, 'x')", "{field0=1, field1=x}"),
        ("'ab'::BLOB", "61 62"),
        ("TIME '10:00:00'", "10:00:00.000"),
        ("TIMESTAMP '2026-01-01 00:00:00.5'", "2026-01-01 00:00:00.500"),
        ("TIMESTAMPTZ '2026-01-01 00:00:00+02'", "2025-12-31 22:00:00.000 UTC"),
        ("INTERVAL 26 HOUR", "1 02:00:00.000"),
        ("NULL::INTEGER[]", None),
        ("NULL::STRUCT(a INTEGER)", None),
    ],
)
def test_text_of_values(database: duckdb.DuckDBPyConnection, value: str, text: str | None) -> None:
    described = database.execute(f"DESCRIBE SELECT {value} AS v").fetchone()
    assert described is not None
    written = text_of("v", parse_type(described[1]), Look())
    assert database.execute(f"SELECT {written} FROM (SELECT {value} AS v)").fetchone() == (text,)


def test_zone_of_a_wall_clock(database: duckdb.DuckDBPyConnection) -> None:
    written = text_of("v", parse_type("TIMESTAMP"), Look(3, "Europe/Berlin"))
    row = database.execute(f"SELECT {written} FROM (SELECT TIMESTAMP '2026-01-01 01:00:00' AS v)").fetchone()
    assert row == ("2026-01-01 01:00:00.000 Europe/Berlin",)
