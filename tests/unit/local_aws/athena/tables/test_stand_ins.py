"""Columns are asked for beside the statement's transaction, and a silent catalog is no unknown type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables import StandIns, Tables, stand_ins

ASKED = 'SELECT count(*) FROM "s3tablescatalog/lake"."analytics"."orders"'


@pytest.mark.parametrize("location", ["", "s3://lake/metadata/00001-x.metadata.json"])
def test_a_silent_catalog_fails_the_statement_and_ends_no_transaction(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(cursor: Any, sql: str) -> Any:
        with pytest.raises(duckdb.IOException):
            cursor.execute("FROM read_csv('/nowhere/orders.csv')")
        raise duckdb.IOException(f"IO Error: no answer to {sql}")

    catalogs: Any = SimpleNamespace(metadata_location=lambda *_: location)
    monkeypatch.setattr(stand_ins, "columns_of", silent)
    with duckdb.connect(":memory:") as cursor:
        cursor.execute("BEGIN")
        with pytest.raises(QueryError, match=r"GENERIC_INTERNAL_ERROR: .*no answer"):
            Tables(StandIns(catalogs), cursor).described(ASKED)
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]
