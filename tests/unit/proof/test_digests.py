"""The statements of the digests are ones that Trino takes, however wide the table is."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot import exp
from trino_sql_validator import validate

from dynaberg.contracts import Column, Contract
from dynaberg.proof.digests import Past, ranges_statement, rows_statement

MOST_IN_ARRAY = 254


@pytest.mark.parametrize("width", [1, 199, 200, 253, 254, 400, 1_000])
def test_no_array_is_too_long_and_every_column_is_in_it(width: int) -> None:
    columns = tuple(Column(f"c{i}", "string") for i in range(width))
    contract = Contract("wide", "source", "id", None, (Column("id", "string"), *columns))
    for statement in (
        ranges_statement(contract, {"current": 1, "log": 2}, 2),
        rows_statement(contract, {"current": 1}, 2, ["ab"]),
    ):
        arrays = [*sqlglot.parse_one(statement, read="trino").find_all(exp.Array)]
        assert max(len(array.expressions) for array in arrays) <= MOST_IN_ARRAY
        compared = {column.name for array in arrays for column in array.find_all(exp.Column)}
        assert compared == {"id", "unmapped", *(column.name for column in columns)}


def test_columns_are_read_by_the_names_that_they_had_at_the_snapshots() -> None:
    columns = (Column("id", "string"), Column("new", "long"), Column("amount", "decimal(6,2)"))
    contract = Contract("orders", "source", "id", None, columns)
    then: dict[str, str | None] = {"new": None, "amount": "total"}
    past = Past(["new"], {"current": then, "log": then})
    statement = ranges_statement(contract, {"current": 1, "log": 2}, 2, past=past)
    current, log = statement.split("UNION ALL")
    assert 'CAST(NULL AS bigint) AS "new", "total" AS "amount"' in current
    assert (
        """TRY_CAST(json_extract_scalar(unmapped, '$["new"].N') AS bigint) AS "new", "total" AS "amount\""""
        in log
    )
    assert validate(statement, dialect="trino").valid
