"""Iceberg's types by Athena's names."""

from __future__ import annotations

import itertools

import pytest

from local_aws.athena.dialect.errors import QueryError
from local_aws.athena.tables.iceberg_types import athena_type, iceberg_type, split_outside


@pytest.mark.parametrize(
    ("text", "ddl", "query"),
    [
        ("string", "string", "varchar"),
        ("varchar(20)", "string", "varchar"),
        ("INT", "int", "integer"),
        ("decimal(10, 2)", "decimal(10,2)", "decimal(10,2)"),
        ("timestamp with time zone", "timestamp with time zone", "timestamp(6) with time zone"),
        (
            "array<struct<a:int,b:map<string,double>>>",
            "array<struct<a:int,b:map<string,double>>>",
            "array(row(a integer,b map(varchar,double)))",
        ),
    ],
)
def test_iceberg_types_by_both_names(text: str, ddl: str, query: str) -> None:
    kind = iceberg_type(text, itertools.count(1))
    assert athena_type(kind) == ddl
    assert athena_type(kind, for_query=True) == query


def test_unknown_iceberg_type() -> None:
    with pytest.raises(QueryError, match="TYPE_NOT_FOUND: Unknown type: money"):
        iceberg_type("money", itertools.count(1))


def test_split_outside_brackets() -> None:
    assert split_outside("a int COMMENT 'x, y', b decimal(1,2), c map<string,int>", ",") == [
        "a int COMMENT 'x, y'",
        " b decimal(1,2)",
        " c map<string,int>",
    ]
