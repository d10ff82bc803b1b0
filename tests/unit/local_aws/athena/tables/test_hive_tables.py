"""Tables over Parquet: columns by their names, folders that are left out, moments to the millisecond."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables.hive_tables import rows_of, select

COLUMNS = [
    {"Name": "id", "Type": "bigint"},
    {"Name": "at", "Type": "timestamp"},
    {"Name": "place", "Type": "struct<city:string,zip:array<int>>"},
    {"Name": "later", "Type": "decimal(10,2)"},
]
TABLE = {"StorageDescriptor": {"Columns": COLUMNS}, "PartitionKeys": [{"Name": "day", "Type": "string"}]}


@pytest.fixture
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def template(folder: Path) -> str:
    return f"{folder}/t/day=${{day}}/"


def write(folder: Path, name: str, **columns: Any) -> None:
    path = folder / "t" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_columns_are_found_by_their_names(database: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    moment = datetime(2026, 1, 1, 12, 0, 0, 123456, UTC)
    write(tmp_path, "day=2026-01-01/a.parquet", id=pa.array([1], pa.int32()), at=[moment], gone=["x"])
    places = [{"city": "Bern", "zip": [1]}]
    write(tmp_path, "day=2026-01-02/a.parquet", id=[2**40], place=places)
    write(tmp_path, "day=2026-01-03/a.parquet", id=[2**50], place=places)
    write(tmp_path, "elsewhere/a.parquet", id=[9])
    sql = select(database, TABLE, template(tmp_path))
    assert database.sql(f"{sql} ORDER BY id").fetchall() == [
        (1, moment.replace(microsecond=123000, tzinfo=None), None, None, "2026-01-01"),
        (2**40, None, *places, None, "2026-01-02"),
        (2**50, None, *places, None, "2026-01-03"),
    ]
    plan = str(database.sql(f"EXPLAIN ANALYZE SELECT * FROM ({sql}) WHERE day = '2026-01-02'").fetchall())
    assert "Scanning Files: 1/2" in plan


def test_a_table_without_files_is_empty(database: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    found = database.sql(select(database, TABLE, template(tmp_path)))
    assert found.columns == ["id", "at", "place", "later", "day"]
    assert found.fetchall() == []


def test_other_tables_are_refused(database: duckdb.DuckDBPyConnection) -> None:
    class Glue:
        def glue_table(self, database: str, table: str) -> dict[str, Any] | None:
            return {"Parameters": {"classification": "csv"}} if table == "plain" else None

    glue = cast("Any", Glue())
    with pytest.raises(QueryError, match=r"awsdatacatalog\.shop\.absent' does not exist"):
        rows_of(database, glue, "shop", exp.to_table("shop.Absent"))
    with pytest.raises(QueryError, match="needs partition projection"):
        rows_of(database, glue, "shop", exp.to_table("shop.plain"))
