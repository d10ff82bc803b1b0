"""DuckDB's types by Athena's names."""

from __future__ import annotations

import pytest

from local_aws.athena.dialect.types import (
    DecimalType,
    coerces,
    column_info,
    decimal_type,
    parse_type,
    text_name,
)


@pytest.mark.parametrize(
    ("text", "children"),
    [
        ("INTEGER", []),
        ("VARCHAR[]", [("", "VARCHAR")]),
        ("INTEGER[2]", [("", "INTEGER")]),
        (
            "MAP(VARCHAR, STRUCT(a INTEGER, b DECIMAL(5,2)))",
            [("", "VARCHAR"), ("", "STRUCT(a INTEGER, b DECIMAL(5,2))")],
        ),
        ("STRUCT(INTEGER, TIMESTAMP WITH TIME ZONE)", [("", "INTEGER"), ("", "TIMESTAMP WITH TIME ZONE")]),
        ('STRUCT("x y" INTEGER, "b""q" VARCHAR[])', [("x y", "INTEGER"), ('b"q', "VARCHAR[]")]),
        ("STRUCT(at TIMESTAMP WITH TIME ZONE)", [("at", "TIMESTAMP WITH TIME ZONE")]),
    ],
)
def test_parse_type(text: str, children: list[tuple[str, str]]) -> None:
    assert [(name, child.text) for name, child in parse_type(text).children] == children


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("INTEGER", "integer"),
        ("DECIMAL(10,2)", "decimal(10,2)"),
        ("VARCHAR[][]", "array(array(varchar))"),
        ("MAP(VARCHAR, BIGINT)", "map(varchar, bigint)"),
        ("STRUCT(a INTEGER, b VARCHAR)", "row(a integer, b varchar)"),
        ("STRUCT(INTEGER)", "row(integer)"),
    ],
)
def test_text_name(name: str, text: str) -> None:
    assert text_name(name) == text


def test_decimals_of_whole_numbers() -> None:
    assert decimal_type("INTEGER") == DecimalType(10, 0)
    assert decimal_type("DECIMAL(5,2)") == DecimalType(5, 2)
    assert decimal_type("DOUBLE") is None


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ("INTEGER", "BIGINT", True),
        ("BIGINT", "INTEGER", False),
        ("HUGEINT", "BIGINT", True),
        ("INTEGER", "DECIMAL(12,2)", True),
        ("INTEGER", "DECIMAL(10,2)", False),
        ("DECIMAL(5,2)", "DECIMAL(6,3)", True),
        ("DECIMAL(5,2)", "DECIMAL(5,3)", False),
        ("DECIMAL(5,2)", "DOUBLE", True),
        ("DOUBLE", "DECIMAL(5,2)", False),
        ("VARCHAR", "INTEGER", False),
        ("DATE", "TIMESTAMP", True),
        ("NULL", "VARCHAR", True),
        ("INTEGER[]", "VARCHAR[]", True),
    ],
)
def test_coerces(given: str, wanted: str, expected: bool) -> None:
    assert coerces(given, wanted) is expected


def test_column_info_of_a_decimal() -> None:
    info = column_info("price", "DECIMAL(10,2)")
    assert (info["Name"], info["Type"], info["Precision"], info["Scale"]) == ("price", "decimal", 10, 2)
    assert column_info("wait", "INTERVAL", "interval year to month")["Type"] == "interval year to month"
