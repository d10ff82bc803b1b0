"""The statement that replaces a curated table, without a local AWS."""

from __future__ import annotations

from pathlib import Path

import sqlglot
from sqlglot import exp
from trino_sql_validator import validate

import dynaberg
from dynaberg.functions.statements.builds import replace_sql


def test_the_rebuild_of_a_curated_table_joins_by_an_equality_of_both_sides() -> None:
    statement = replace_sql("by_status", "SELECT status, 1 AS items", ["status", "items"])
    assert validate(statement, dialect="trino").valid
    condition = sqlglot.parse_one(statement, dialect="trino").args["on"]
    assert isinstance(condition, exp.EQ)
    sides = [{column.table for column in side.find_all(exp.Column)} for side in condition.iter_expressions()]
    assert sides == [{"s"}, {"t"}]


def test_tables_are_dropped_by_the_api_of_s3_tables() -> None:
    """pyiceberg asks for `purgeRequested=True`; whether S3 Tables takes the capital is not known."""
    files = Path(dynaberg.__file__).parent.rglob("*.py")
    assert [file.name for file in files if "purge_table(" in file.read_text()] == []
