"""Values as text: in results, by CAST AS VARCHAR and by CAST AS JSON."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import pytest

from local_aws.athena.dialect import QueryError, from_duckdb
from local_aws.athena.dialect.types import parse_type
from local_aws.athena.typed.texts import Look, text_of

Ask = Callable[[str], tuple[list[tuple[str | None, ...]], list[str]]]


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
        ("0.05::DECIMAL(2,2)", "0.05"),
        ("-0.05::DECIMAL(38,38)", "-0.05" + "0" * 36),
        ("NULL::INTEGER[]", None),
        ("NULL::STRUCT(a INTEGER)", None),
    ],
)
def test_text_of_values(database: duckdb.DuckDBPyConnection, value: str, text: str | None) -> None:
    described = database.execute(f"DESCRIBE SELECT {value} AS v").fetchone()
    assert described is not None
    written = text_of("v", parse_type(described[1]), Look())
    assert database.execute(f"SELECT {written} FROM (SELECT {value} AS v)").fetchone() == (text,)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("DECIMAL '1234567890123456789.12'", "1234567890123456789.12"),
        ("ARRAY[DECIMAL '0.05', NULL]", "[0.05,null]"),
        ("ARRAY[CAST(1e-10 AS real)]", "[1.0E-10]"),
        ("ARRAY[1e-10, nan(), -infinity()]", '[1.0E-10,"NaN","-Infinity"]'),
        ('CAST(ROW(1, \'x"\') AS ROW("a b" integer, c varchar))', '{"a b":1,"c":"x\\""}'),
        ("MAP(ARRAY['b', 'a b', 'a'], ARRAY[1.50, NULL, 3])", '{"a":3.00,"a b":null,"b":1.50}'),
        ("MAP(ARRAY[2, 1], ARRAY[DATE '2026-01-01', NULL])", '{"1":null,"2":"2026-01-01"}'),
        ("ARRAY[TIMESTAMP '2026-01-01 00:00:00.1234']", '["2026-01-01 00:00:00.1234"]'),
        ("ARRAY[json_parse('{\"k\": [1]}'), NULL]", '[{"k":[1]},null]'),
        ("CAST(NULL AS array(integer))", None),
    ],
)
def test_json(ask: Ask, value: str, text: str | None) -> None:
    assert ask(f"SELECT json_format(CAST({value} AS json))")[0] == [(text,)]


def test_names_of_variables_do_not_matter(ask: Ask) -> None:
    inner = (
        "CAST(ARRAY[CAST(element_0 AS json), CAST(transform(e, element_0 -> element_0 + 1) AS json)] AS json)"
    )
    query = f"SELECT CAST(transform(ARRAY[ARRAY[1, 2]], e -> transform(e, element_0 -> {inner})) AS json)"
    assert ask(query)[0] == [("[[[1,[2,3]],[2,[2,3]]]]",)]


@pytest.mark.parametrize(
    "expression", ["CAST(nope AS varchar)", "nope / 2", "CAST(CAST(nope AS varchar) AS json)"]
)
def test_a_column_that_is_not_there_is_named(ask: Ask, expression: str) -> None:
    with pytest.raises(duckdb.Error) as raised:
        ask(f"SELECT {expression} FROM (SELECT 1 AS x)")
    assert str(from_duckdb(raised.value)) == "COLUMN_NOT_FOUND: Column 'nope' cannot be resolved"


def test_array_join(ask: Ask) -> None:
    query = "SELECT array_join(ARRAY[1e10, NULL], '-', '?'), array_join(ARRAY[DECIMAL '0.05', NULL], '-')"
    assert ask(query)[0] == [("1.0E10-?", "0.05")]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a", "1234567890123456789.10"),
        ("b", 'x, 1.50 " 2'),
        ("c[1]", "-2e5"),
        ("d", "12345678901234567890123"),
    ],
)
def test_numbers_in_json_are_read_as_they_are_written(ask: Ask, path: str, text: str) -> None:
    numbers = '"a": 1234567890123456789.10, "c": [1.50, -2e5], "d": 12345678901234567890123'
    written = f'{{{numbers}, "b": "x, 1.50 \\" 2"}}'
    assert ask(f"SELECT json_extract_scalar('{written}', '$.{path}')")[0] == [(text,)]


@pytest.mark.parametrize(
    ("value", "kind", "given"),
    [
        ("ARRAY[TIMESTAMP '2026-01-01 00:00:00 UTC']", "json", "timestamp with time zone"),
        ("ROW(1, X'00')", "json", "varbinary"),
        ("TIME '10:00:00'", "json", "time"),
        ("ARRAY[1]", "varchar", "array\\(integer\\)"),
        ("X'00'", "varchar", "varbinary"),
    ],
)
def test_casts_that_trino_has_not(ask: Ask, value: str, kind: str, given: str) -> None:
    with pytest.raises(QueryError, match=f"TYPE_MISMATCH: .*Cannot cast {given} to {kind}"):
        ask(f"SELECT CAST({value} AS {kind})")


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("TIMESTAMP '2026-01-01 00:00:00.5'", "2026-01-01 00:00:00.5"),
        ("TIMESTAMP '2026-01-01 00:00:00.1234 Asia/Tokyo'", "2026-01-01 00:00:00.1234 Asia/Tokyo"),
        ("TIME '10:00:00.25'", "10:00:00.25"),
        ("1e10", "1.0E10"),
        ("true", "true"),
    ],
)
@pytest.mark.parametrize("cast", ["CAST", "TRY_CAST"])
def test_varchar(ask: Ask, cast: str, expression: str, text: str) -> None:
    assert ask(f"SELECT {cast}({expression} AS varchar)")[0] == [(text,)]
    assert ask(f"SELECT transform(ARRAY[{expression}], x -> {cast}(x AS varchar))[1]")[0] == [(text,)]
