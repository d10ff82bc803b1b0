"""Types of columns as the Glue Data Catalog spells them."""

from __future__ import annotations

import pytest

from dynaberg.contracts.column_types import parse_type, to_iceberg_type
from dynaberg.layers.glue_tables import hive_type


@pytest.mark.parametrize(
    ("spelled", "hive"),
    [
        ("string", "string"),
        ("json", "string"),
        ("int", "int"),
        ("long", "bigint"),
        ("double", "double"),
        ("boolean", "boolean"),
        ("binary", "binary"),
        ("date", "date"),
        ("timestamptz", "timestamp"),
        ("decimal(38,2)", "decimal(38,2)"),
        ("list<long>", "array<bigint>"),
        ("map<string,decimal(10,2)>", "map<string,decimal(10,2)>"),
        (
            "struct<a: long, b: list<struct<c: timestamptz>>>",
            "struct<a:bigint,b:array<struct<c:timestamp>>>",
        ),
    ],
)
def test_every_type_of_a_contract_has_one_in_glue(spelled: str, hive: str) -> None:
    assert hive_type(to_iceberg_type(parse_type(spelled, where="a test"))) == hive
