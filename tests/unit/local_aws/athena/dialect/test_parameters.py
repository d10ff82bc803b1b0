"""Parameters take their places in the order in which the statement is written."""

from __future__ import annotations

import pytest

from local_aws.athena.dialect.errors import QueryError
from local_aws.athena.dialect.statements import read


@pytest.mark.parametrize(
    ("sql", "bound"),
    [
        ("SELECT a, ? FROM t WHERE s = ? LIMIT ?", "SELECT a, 1 FROM t WHERE s = 2 LIMIT 3"),
        ("WITH q AS (SELECT ? AS z) SELECT ? FROM q", "WITH q AS (SELECT 1 AS z) SELECT 2 FROM q"),
        ("SELECT a FROM t WHERE a > ? OFFSET ? LIMIT ?", "SELECT a FROM t WHERE a > 1 LIMIT 3 OFFSET 2"),
        ("SELECT '?', ? FROM t -- ?\nWHERE a = ?", "SELECT '?', 1 FROM t /* ? */ WHERE a = 2"),
        ("UPDATE t SET a = ?, b = ? WHERE c = ?", "UPDATE t SET a = 1, b = 2 WHERE c = 3"),
        ("INSERT INTO t VALUES (?, ?), (?, ?)", "INSERT INTO t VALUES (1, 2), (3, 4)"),
    ],
)
def test_parameters_follow_the_text(sql: str, bound: str) -> None:
    values = [number for number in "1234" if number in bound]
    assert read(sql, values).sql() == bound


def test_a_wrong_number_of_parameters_is_refused() -> None:
    with pytest.raises(QueryError, match="expected 2 but found 1"):
        read("SELECT ?, ?", ["1"])
