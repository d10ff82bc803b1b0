"""INSERT, UPDATE, DELETE, MERGE and DDL on Iceberg tables, read back by pyiceberg."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import DataFileContent
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType, StructType

from local_aws.s3tables import nulls

assert nulls  # pyiceberg itself makes NULL lists of structs empty
BUCKET, NAMESPACE = "dml-lake", "shop"
CATALOG = f"s3tablescatalog/{BUCKET}"
ICEBERG = "TBLPROPERTIES ('table_type'='ICEBERG')"


class Shop:
    """Statements through Athena, tables through pyiceberg."""

    def __init__(self, catalog: RestCatalog) -> None:
        self.athena, self.catalog = boto3.client("athena"), catalog

    def run(self, sql: str) -> dict[str, Any]:
        query_id = self.athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Catalog": CATALOG, "Database": NAMESPACE},
            ResultConfiguration={"OutputLocation": "s3://dml-results/"},
        )["QueryExecutionId"]
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return dict(execution)
            time.sleep(0.02)

    def change(self, sql: str) -> int:
        """How many rows a statement changed."""
        execution = self.run(sql)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]["StateChangeReason"]
        answer = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        return int(answer["UpdateCount"])

    def reason(self, sql: str) -> str:
        execution = self.run(sql)
        assert execution["Status"]["State"] == "FAILED"
        return str(execution["Status"]["StateChangeReason"])

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """What pyiceberg reads, in order."""
        found = self.catalog.load_table((NAMESPACE, table)).scan().to_arrow().to_pylist()
        return sorted((tuple(row.values()) for row in found), key=repr)

    def snapshots(self, table: str) -> int:
        return len(self.catalog.load_table((NAMESPACE, table)).snapshots())


@pytest.fixture(scope="module")
def shop(local_aws: object) -> Shop:
    tables = boto3.client("s3tables")
    arn = tables.create_table_bucket(name=BUCKET)["arn"]
    tables.create_namespace(tableBucketARN=arn, namespace=[NAMESPACE])
    boto3.client("s3").create_bucket(Bucket="dml-results")
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    settings = {
        "s3.endpoint": endpoint,
        "rest.sigv4-enabled": "true",
        "rest.signing-name": "s3tables",
        "rest.signing-region": "us-east-1",
    }
    catalog = load_catalog("shop", type="rest", uri=f"{endpoint}/iceberg", warehouse=arn, **settings)
    assert isinstance(catalog, RestCatalog)
    return Shop(catalog)


@pytest.fixture
def stock(shop: Shop) -> str:
    """A table of three rows, made anew."""
    shop.change("DROP TABLE IF EXISTS stock")
    shop.change(f"CREATE TABLE stock (id bigint, item string, n int) {ICEBERG}")
    shop.change("INSERT INTO stock VALUES (1, 'pen', 10), (2, 'ink', 20), (3, 'pad', 30)")
    return "stock"


def test_insert_update_delete(shop: Shop, stock: str) -> None:
    assert (
        shop.change("INSERT INTO stock (item, id) SELECT upper(item), id + 10 FROM stock WHERE n > 10") == 2
    )
    assert shop.change("UPDATE stock SET n = n / 3, item = concat(item, '!') WHERE id = 2") == 1
    assert shop.change("DELETE FROM stock WHERE n IS NULL AND id = 12") == 1
    assert shop.rows(stock) == [(1, "pen", 10), (13, "PAD", None), (2, "ink!", 6), (3, "pad", 30)]


def test_nothing_changed_makes_no_snapshot(shop: Shop, stock: str) -> None:
    before = shop.snapshots(stock)
    assert shop.change("DELETE FROM stock WHERE id = 99") == 0
    assert shop.change("UPDATE stock SET n = 0 WHERE id = 99") == 0
    merge = (
        "MERGE INTO stock t USING (VALUES (99, 'x')) AS s(id, item) ON t.id = s.id WHEN MATCHED THEN DELETE"
    )
    assert shop.change(merge) == 0
    assert shop.snapshots(stock) == before


def test_merge_takes_the_first_clause_that_applies(shop: Shop, stock: str) -> None:
    changed = shop.change("""
        MERGE INTO stock t
        USING (VALUES (1, 'remove', 0), (2, 'set', 7), (3, 'keep', 0), (4, 'add', 40), (5, 'remove', 0))
          AS s(id, what, n)
        ON t.id = s.id
        WHEN MATCHED AND s.what = 'remove' THEN DELETE
        WHEN MATCHED AND s.what = 'set' THEN UPDATE SET n = s.n + t.n
        WHEN NOT MATCHED AND s.what = 'add' THEN INSERT (id, item, n) VALUES (s.id, 'new', s.n)""")
    assert changed == 3
    assert shop.rows(stock) == [(2, "ink", 27), (3, "pad", 30), (4, "new", 40)]


def test_merge_of_a_row_matched_twice_is_refused(shop: Shop, stock: str) -> None:
    merge = (
        "MERGE INTO stock t USING (VALUES (1), (1)) AS s(id) ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET n = 0"
    )
    assert shop.reason(merge).startswith(
        "MERGE_TARGET_ROW_MULTIPLE_MATCHES: One MERGE target table row matched"
    )
    assert shop.rows(stock) == [(1, "pen", 10), (2, "ink", 20), (3, "pad", 30)]


def test_merge_is_one_commit_of_delete_and_insert(shop: Shop, stock: str) -> None:
    before = shop.rows(stock)
    shop.change(
        "MERGE INTO stock t USING (SELECT id FROM stock) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET n = t.n + 1"
    )
    assert [row[2] for row in shop.rows(stock)] == [row[2] + 1 for row in before]
    assert shop.change("SELECT 1") == 0


REPLACE = """
    MERGE INTO {table} t
    USING (SELECT 0 AS old, * FROM ({select}) AS new (id, item, n) UNION ALL SELECT 1, NULL, NULL, NULL) s
    ON s.old = cardinality(ARRAY[t.{key}])
    WHEN MATCHED THEN DELETE
    WHEN NOT MATCHED AND s.old = 0 THEN INSERT VALUES (s.id, s.item, s.n)"""


def test_a_merge_of_all_rows_leaves_none_of_their_files(shop: Shop, stock: str) -> None:
    shop.change("INSERT INTO stock VALUES (4, 'cap', 40), (5, 'bag', 50)")
    shop.change("DELETE FROM stock WHERE id IN (1, 5)")
    before = shop.catalog.load_table((NAMESPACE, stock))
    select = (
        "SELECT id + 10 AS id, upper(item) AS item, n FROM stock WHERE n > 20 UNION ALL SELECT 9, NULL, NULL"
    )
    assert shop.change(REPLACE.format(table=stock, select=select, key="id")) == 6
    assert shop.rows(stock) == [(13, "PAD", 30), (14, "CAP", 40), (9, None, None)]
    after = shop.catalog.load_table((NAMESPACE, stock))
    found = after.current_snapshot()
    assert found is not None
    summary = found.summary
    assert summary is not None
    assert summary.operation == Operation.OVERWRITE
    assert summary["trino_query_id"]
    [task] = after.scan().plan_files()
    assert task.file.record_count == 3
    assert not task.delete_files
    counted = ("total-records", "total-data-files", "total-delete-files", "total-position-deletes")
    assert [summary[name] for name in counted] == ["3", "1", "0", "0"]
    assert len(after.snapshots()) == len(before.snapshots()) + 1
    rows = after.scan(snapshot_id=found.parent_snapshot_id).to_arrow()
    assert sorted(rows["id"].to_pylist()) == [2, 3, 4]
    assert shop.change(REPLACE.format(table=stock, select=select.replace("20", "30"), key="id")) == 5
    assert shop.rows(stock) == [(24, "CAP", 40), (9, None, None)]


@pytest.mark.parametrize("kind", ["partitioned", "required"])
def test_a_merge_of_all_rows_keeps_what_a_table_asks_for(shop: Shop, stock: str, kind: str) -> None:
    with suppress(NoSuchTableError):
        shop.catalog.purge_table((NAMESPACE, kind))
    table = shop.catalog.load_table((NAMESPACE, stock))
    fields = [
        NestedField(f.field_id, f.name, f.field_type, required=kind == "required" and f.name == "id")
        for f in table.schema().fields
    ]
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "item"))
    given = {"partition_spec": spec} if kind == "partitioned" else {}
    shop.catalog.create_table((NAMESPACE, kind), Schema(*fields), **given)
    shop.change(f"INSERT INTO {kind} SELECT * FROM stock")
    select = f"SELECT id, upper(item) AS item, n FROM {kind}"
    shop.change(REPLACE.format(table=kind, select=select, key="item"))
    assert shop.rows(kind) == [(1, "PEN", 10), (2, "INK", 20), (3, "PAD", 30)]
    if kind == "partitioned":
        files = shop.catalog.load_table((NAMESPACE, kind)).scan().plan_files()
        assert {task.file.partition[0] for task in files} >= {"PEN", "INK", "PAD"}
    else:
        broken = REPLACE.format(table=kind, select=f"SELECT NULL AS id, item, n FROM {kind}", key="item")
        assert shop.run(broken)["Status"]["State"] == "FAILED"
        assert len(shop.rows(kind)) == 3


def test_a_merge_of_all_rows_takes_any_name_of_a_column(shop: Shop) -> None:
    shop.change("DROP TABLE IF EXISTS odd")
    fields = [
        NestedField(1, "item's id", LongType()),
        NestedField(2, "Größe.cm", StructType(NestedField(3, "the 'top'", StringType()))),
    ]
    table = shop.catalog.create_table((NAMESPACE, "odd"), Schema(*fields))
    rows = [{"item's id": 1, "Größe.cm": {"the 'top'": "a"}}, {"item's id": 2, "Größe.cm": None}]
    table.append(pa.Table.from_pylist(rows, table.schema().as_arrow()))
    changed = shop.change("""
        MERGE INTO odd USING (SELECT "item's id" AS id FROM odd) s ON "item's id" = s.id
        WHEN MATCHED THEN UPDATE SET "item's id" = "item's id" + 1""")
    assert changed == 2
    assert shop.rows("odd") == [(2, {"the 'top'": "a"}), (3, None)]
    [task] = shop.catalog.load_table((NAMESPACE, "odd")).scan().plan_files()
    assert task.file.record_count == 2


IDS = st.lists(st.integers(0, 9), unique=True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=IDS, then=IDS, deleted=IDS, source=st.dictionaries(st.integers(0, 9), st.sampled_from("dun")))
@example(first=[1, 2], then=[3], deleted=[2], source={1: "u", 3: "u"})
@example(first=[1, 2], then=[3], deleted=[], source={1: "d", 2: "d", 3: "d", 4: "u"})
@example(first=[1, 2], then=[], deleted=[], source={1: "d", 2: "d"})
def test_merge_does_what_its_clauses_say(
    shop: Shop, stock: str, first: list[int], then: list[int], deleted: list[int], source: dict[int, str]
) -> None:
    shop.change("DELETE FROM stock")
    rows: dict[int, tuple[str, int]] = {}
    for part, ids in (("a", first), ("b", [i for i in then if i not in first])):
        values = ", ".join(f"({i}, '{part}', {i})" for i in ids)
        if ids:
            shop.change(f"INSERT INTO stock VALUES {values}")
        rows |= {i: (part, i) for i in ids}
    if deleted:
        shop.change(f"DELETE FROM stock WHERE id IN ({', '.join(map(str, deleted))})")
    rows = {i: row for i, row in rows.items() if i not in deleted}
    values = ", ".join(f"({i}, '{what}')" for i, what in (source | {99: "n"}).items())
    changed = shop.change(f"""
        MERGE INTO stock t USING (VALUES {values}) AS s(id, what) ON t.id = s.id
        WHEN MATCHED AND s.what = 'd' THEN DELETE
        WHEN MATCHED AND s.what = 'u' THEN UPDATE SET item = concat(t.item, 'u')
        WHEN NOT MATCHED AND s.what = 'u' THEN INSERT VALUES (s.id, 'new', 0)""")
    expected = dict(rows)
    for i, what in source.items():
        if i in rows and what == "d":
            del expected[i]
        elif what == "u":
            expected[i] = (f"{rows[i][0]}u", i) if i in rows else ("new", 0)
    assert {i: row for i, *row in shop.rows(stock)} == {i: list(row) for i, row in expected.items()}
    assert changed == sum(what == "u" or (what == "d" and i in rows) for i, what in source.items())


def test_time_travel_over_dml(shop: Shop, stock: str) -> None:
    snapshot = shop.catalog.load_table((NAMESPACE, stock)).current_snapshot()
    assert snapshot is not None
    shop.change("DELETE FROM stock")
    shop.change(f"CREATE TABLE was AS SELECT * FROM stock FOR VERSION AS OF {snapshot.snapshot_id}")
    assert len(shop.rows("was")) == 3
    assert shop.rows(stock) == []


def test_concurrent_updates_are_all_kept(shop: Shop, stock: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(shop.run, ["UPDATE stock SET n = n + 1 WHERE id = 1"] * 6))
    done = sum(outcome["Status"]["State"] == "SUCCEEDED" for outcome in outcomes)
    failed = [o["Status"]["StateChangeReason"] for o in outcomes if o["Status"]["State"] != "SUCCEEDED"]
    assert all(reason.startswith("ICEBERG_COMMIT_ERROR") for reason in failed)
    assert shop.rows(stock)[0] == (1, "pen", 10 + done)
    assert done >= 1


def test_concurrent_inserts_and_appends_lose_nothing(shop: Shop, stock: str) -> None:
    row = pa.table({"id": pa.array([500], pa.int64()), "item": ["side"], "n": pa.array([1], pa.int32())})

    def append(_: int) -> bool:
        try:
            shop.catalog.load_table((NAMESPACE, stock)).append(row)
        except CommitFailedException:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        inserts = threads.map(shop.run, [f"INSERT INTO stock VALUES ({n}, 'in', 0)" for n in range(100, 105)])
        appends = threads.map(append, range(5))
        inserted = sum(o["Status"]["State"] == "SUCCEEDED" for o in inserts)
        appended = sum(appends)
    rows = shop.rows(stock)
    assert sum(r[1] == "in" for r in rows) == inserted
    assert sum(r[1] == "side" for r in rows) == appended


def test_insert_checks_columns_and_types(shop: Shop, stock: str) -> None:
    assert shop.reason("INSERT INTO stock VALUES (1, 'x')").startswith(
        "TYPE_MISMATCH: line 1:13: Insert query has mismatched"
    )
    assert shop.reason("INSERT INTO stock (id, nothing) VALUES (1, 2)").startswith("COLUMN_NOT_FOUND: ")
    assert shop.reason("UPDATE stock SET nothing = 1").startswith("COLUMN_NOT_FOUND: ")
    assert shop.reason("UPDATE stock SET n = 'x'").startswith("TYPE_MISMATCH: ")
    assert shop.reason("INSERT INTO nothing VALUES (1)").startswith("TABLE_NOT_FOUND: line 1:13: ")
    assert shop.reason("DELETE FROM stock WHERE nothing = 1").startswith("COLUMN_NOT_FOUND: ")


def test_create_table_with_partitions_and_types(shop: Shop) -> None:
    shop.change("""
        CREATE TABLE IF NOT EXISTS visits (
          id bigint COMMENT 'who', at timestamp, moment timestamp with time zone, price decimal(12,4),
          tags array<string>,
          seen map<string,int>, place struct<city:string,points:array<struct<x:double,y:double>>>, raw binary,
          ok boolean
        ) PARTITIONED BY (day(at), bucket(8, id), ok) COMMENT 'Visits'
        TBLPROPERTIES ('table_type'='ICEBERG', 'write_compression'='zstd')""")
    table = shop.catalog.load_table((NAMESPACE, "visits"))
    plain = [str(f.field_type) for f in table.schema().fields if f.field_type.is_primitive]
    assert plain == ["long", "timestamp", "timestamptz", "decimal(12, 4)", "binary", "boolean"]
    assert [str(f.transform) for f in table.spec().fields] == ["day", "bucket[8]", "identity"]
    assert table.schema().find_field("id").doc == "who"
    point = "CAST(ROW(1, 2) AS ROW(x double, y double))"
    place = f"CAST(ROW('Ulm', ARRAY[{point}]) AS ROW(city varchar, points array(row(x double, y double))))"
    moments = "TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2026-01-01 00:00:00 UTC'"
    row = f"1, {moments}, DECIMAL '1.5', ARRAY['a'], MAP(ARRAY['k'], ARRAY[1]), {place}, X'00FF', true"
    assert shop.change(f"INSERT INTO visits VALUES ({row})") == 1
    found = shop.catalog.load_table((NAMESPACE, "visits")).scan().to_arrow().to_pylist()[0]
    assert found["place"] == {"city": "Ulm", "points": [{"x": 1.0, "y": 2.0}]}
    assert found["raw"] == b"\x00\xff"
    assert shop.reason(f"CREATE TABLE visits (id int) {ICEBERG}").startswith("TABLE_ALREADY_EXISTS: ")
    assert shop.reason("CREATE TABLE hive (id int)").startswith("NOT_SUPPORTED: ")


def test_create_table_as_select(shop: Shop, stock: str) -> None:
    made = shop.change(
        "CREATE TABLE summary WITH (table_type='ICEBERG', partitioning=ARRAY['item']) AS "
        "SELECT item, sum(n) AS total, avg(n) AS mean, max(DATE '2026-01-01') AS day FROM stock GROUP BY item"
    )
    assert made == 3
    table = shop.catalog.load_table((NAMESPACE, "summary"))
    assert {f.name: str(f.field_type) for f in table.schema().fields} == {
        "item": "string",
        "total": "long",
        "mean": "double",
        "day": "date",
    }
    assert [str(f.transform) for f in table.spec().fields] == ["identity"]
    assert shop.reason("CREATE TABLE bad AS SELECT n + 1 FROM stock").startswith("MISSING_COLUMN_NAME: ")
    assert "bad" not in [name for _, name in shop.catalog.list_tables(NAMESPACE)]


def test_a_with_query_may_have_the_name_of_the_table_that_it_reads(shop: Shop, stock: str) -> None:
    shop.change("DROP TABLE IF EXISTS narrowed")
    narrowed = "WITH stock AS (SELECT item, n FROM stock WHERE n > 10) SELECT item, n + 1 AS n FROM stock"
    assert shop.change(f"CREATE TABLE narrowed AS {narrowed}") == 2
    assert shop.rows("narrowed") == [("ink", 21), ("pad", 31)]


@pytest.mark.parametrize("moment", ["current_timestamp", "ARRAY[current_timestamp]"])
def test_ctas_takes_no_time_zone(shop: Shop, moment: str) -> None:
    """ "Supported data types for Iceberg tables in Athena": DDL has timestamps without time zone only."""
    assert shop.reason(f"CREATE TABLE zoned AS SELECT {moment} AS at") == (
        "NOT_SUPPORTED: Unsupported Hive type: timestamp(6) with time zone"
    )
    assert "zoned" not in [name for _, name in shop.catalog.list_tables(NAMESPACE)]


def test_ctas_takes_a_moment_in_utc(shop: Shop) -> None:
    moment = "TIMESTAMP '2026-01-31 12:00:00.123456 +02:00'"
    shop.change("DROP TABLE IF EXISTS utc")
    shop.change(f"CREATE TABLE utc AS SELECT CAST({moment} AT TIME ZONE 'UTC' AS timestamp(6)) AS at")
    assert shop.rows("utc") == [(datetime(2026, 1, 31, 10, 0, 0, 123456),)]  # noqa: DTZ001 - without a zone


def test_a_failed_ctas_leaves_no_table(shop: Shop, stock: str) -> None:
    assert shop.reason("CREATE TABLE halved AS SELECT 1 / (n - 10) AS x FROM stock").startswith(
        "DIVISION_BY_ZERO: "
    )
    assert "halved" not in [name for _, name in shop.catalog.list_tables(NAMESPACE)]


def test_alter_table(shop: Shop, stock: str) -> None:
    shop.change("ALTER TABLE stock ADD COLUMNS (color string, size double)")
    shop.change("ALTER TABLE stock CHANGE COLUMN n amount bigint")
    shop.change("ALTER TABLE stock DROP COLUMN size")
    shop.change("ALTER TABLE stock SET TBLPROPERTIES ('owner'='ann')")
    table = shop.catalog.load_table((NAMESPACE, stock))
    assert {f.name: str(f.field_type) for f in table.schema().fields} == {
        "id": "long",
        "item": "string",
        "amount": "long",
        "color": "string",
    }
    assert table.properties["owner"] == "ann"
    assert shop.change("UPDATE stock SET color = 'red' WHERE amount = 10") == 1
    shop.change("ALTER TABLE stock UNSET TBLPROPERTIES ('owner')")
    assert "owner" not in shop.catalog.load_table((NAMESPACE, stock)).properties
    assert shop.reason("ALTER TABLE stock DROP COLUMN nothing").startswith("COLUMN_NOT_FOUND: ")
    assert shop.reason("ALTER TABLE stock RENAME TO goods").startswith("NOT_SUPPORTED: ")


def test_a_table_made_anew_is_read_anew(shop: Shop) -> None:
    for value in ("one", "two"):
        shop.change("DROP TABLE IF EXISTS reborn")
        shop.change(f"CREATE TABLE reborn AS SELECT '{value}' AS v")
        assert shop.rows("reborn") == [(value,)]
    table = shop.catalog.load_table((NAMESPACE, "reborn"))
    table.append(pa.table({"v": ["three"]}))
    shop.change("CREATE TABLE counted AS SELECT count(*) AS n FROM reborn")
    assert shop.rows("counted") == [(2,)]
    assert shop.reason("DROP TABLE nothing").startswith("TABLE_NOT_FOUND: ")


def test_databases(shop: Shop) -> None:
    shop.change("CREATE DATABASE IF NOT EXISTS extra")
    assert ("extra",) in shop.catalog.list_namespaces()
    assert shop.reason("CREATE DATABASE extra").startswith("SCHEMA_ALREADY_EXISTS: ")
    shop.change("DROP DATABASE extra")
    assert ("extra",) not in shop.catalog.list_namespaces()


def test_prepared_statements(shop: Shop, stock: str) -> None:
    shop.change("PREPARE of_item FROM SELECT id FROM stock WHERE item = ? AND n > ?")
    execution = shop.run("EXECUTE of_item USING 'ink', 5")
    answer = shop.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    assert [row["Data"][0]["VarCharValue"] for row in answer["ResultSet"]["Rows"]] == ["id", "2"]
    assert shop.athena.get_prepared_statement(StatementName="of_item", WorkGroup="primary")
    shop.change("EXECUTE IMMEDIATE 'DELETE FROM stock WHERE id = ?' USING 1")
    assert len(shop.rows(stock)) == 2
    shop.change("DEALLOCATE PREPARE of_item")
    with pytest.raises(shop.athena.exceptions.ClientError, match="of_item was not found"):
        shop.run("EXECUTE of_item")


def test_unload(shop: Shop, stock: str) -> None:
    shop.change(
        "UNLOAD (SELECT id, item FROM stock) TO 's3://dml-results/unloaded/' "
        "WITH (format = 'PARQUET', compression = 'SNAPPY')"
    )
    listed = boto3.client("s3").list_objects_v2(Bucket="dml-results", Prefix="unloaded/")["Contents"]
    assert len(listed) == 1
    again = "UNLOAD (SELECT 1 AS x) TO 's3://dml-results/unloaded/' WITH (format = 'JSON')"
    assert shop.reason(again).startswith("HIVE_PATH_ALREADY_EXISTS: ")


def test_workgroups_with_kms_may_not_write(shop: Shop, stock: str) -> None:
    answer = shop.athena.start_query_execution(
        QueryString="DELETE FROM stock",
        QueryExecutionContext={"Catalog": CATALOG, "Database": NAMESPACE},
        ResultConfiguration={
            "OutputLocation": "s3://dml-results/",
            "EncryptionConfiguration": {"EncryptionOption": "SSE_KMS", "KmsKey": "key"},
        },
    )
    execution = shop.athena.get_query_execution(QueryExecutionId=answer["QueryExecutionId"])["QueryExecution"]
    while execution["Status"]["State"] in ("QUEUED", "RUNNING"):
        time.sleep(0.02)
        execution = shop.athena.get_query_execution(QueryExecutionId=execution["QueryExecutionId"])[
            "QueryExecution"
        ]
    assert execution["Status"]["StateChangeReason"].startswith("NOT_SUPPORTED: DML on S3 Tables")
    assert len(shop.rows(stock)) == 3


def test_merge_and_copies_keep_nulls_and_the_ends_of_types(shop: Shop) -> None:
    shop.change("DROP TABLE IF EXISTS edges")
    shop.change("DROP TABLE IF EXISTS edges_copied")
    shop.change(
        "CREATE TABLE edges (id bigint, l array<struct<x:int,y:array<string>>>, m map<string,struct<x:int>>, "
        "s struct<t:struct<u:int>,v:array<int>>, d decimal(38,0), b binary, ts timestamp, f double, "
        f"day date) {ICEBERG}"
    )
    table = shop.catalog.load_table((NAMESPACE, "edges"))
    most, (first, last) = Decimal("9" * 38), (datetime.min, datetime.max)  # noqa: DTZ901 - without a zone
    lists, parts = [{"x": None, "y": []}, None, {"x": 1, "y": [None]}], {"t": None, "v": []}
    rows = [
        (1, lists, [("k", None), ("j", {"x": None})], parts, most, b"\xff", last, float("nan"), date.min),
        (2, None, None, None, most.copy_negate(), b"", first, -0.0, date.max),
        (3, [], [], {"t": {"u": None}, "v": None}, None, None, None, float("inf"), None),
    ]
    names = [field.name for field in table.schema().fields]
    written = pa.Table.from_pylist(
        [dict(zip(names, row, strict=True)) for row in rows], table.schema().as_arrow()
    )
    table.append(written)
    before = shop.rows("edges")
    assert repr(before) == repr(sorted(rows, key=repr))
    values = ", ".join(f"{name} = s.{name}" for name in names[1:])
    shop.change(
        "MERGE INTO edges USING (SELECT * FROM edges) s ON edges.id = s.id "
        f"WHEN MATCHED THEN UPDATE SET {values}"
    )
    shop.change("CREATE TABLE edges_copied AS SELECT * FROM edges")
    assert repr(shop.rows("edges")) == repr(shop.rows("edges_copied")) == repr(before)


def test_merge_and_copies_keep_maps_that_are_null_or_empty(shop: Shop) -> None:
    shop.change("DROP TABLE IF EXISTS maps")
    shop.change("DROP TABLE IF EXISTS maps_copied")
    shop.change(
        "CREATE TABLE maps (id bigint, l array<map<string,array<map<string,int>>>>, "
        f"s struct<m:map<string,struct<x:int>>>, mm map<string,map<string,int>>) {ICEBERG}"
    )
    table = shop.catalog.load_table((NAMESPACE, "maps"))
    rows = [
        (1, [None, [], [("a", None)], [("b", [None, [], [("c", None)]])]], {"m": None}, [("k", None)]),
        (2, None, None, None),
        (3, [], {"m": []}, []),
        (4, [None], {"m": [("k", None), ("j", {"x": None})]}, [("k", []), ("j", [("i", 1)])]),
    ]
    names = [field.name for field in table.schema().fields]
    table.append(
        pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], table.schema().as_arrow())
    )
    values = ", ".join(f"{name} = s.{name}" for name in names[1:])
    shop.change(
        "MERGE INTO maps USING (SELECT * FROM maps) s ON maps.id = s.id "
        f"WHEN MATCHED THEN UPDATE SET {values}"
    )
    assert shop.rows("maps") == rows
    shop.change("CREATE TABLE maps_copied AS SELECT * FROM maps")
    shop.change("INSERT INTO maps_copied (mm, id) SELECT mm, id + 10 FROM maps WHERE id < 3")
    shop.change("UPDATE maps_copied SET s = NULL, mm = NULL WHERE id IN (1, 11)")
    shop.change("DELETE FROM maps_copied WHERE id = 12")
    shorter = [(1, rows[0][1], None, None), (11, None, None, None)]
    assert shop.rows("maps_copied") == sorted([*shorter, *rows[1:]], key=repr)


def test_metadata_tables_of_a_table_without_snapshots(shop: Shop) -> None:
    shop.change("DROP TABLE IF EXISTS empty")
    shop.change(f"CREATE TABLE empty (id bigint) {ICEBERG}")
    for kind in ("partitions", "files", "manifests", "history", "snapshots", "refs"):
        assert shop.run(f'SELECT * FROM "empty${kind}"')["Status"]["State"] == "SUCCEEDED"


def text_bounds_are_true(shop: Shop, table: str, column: str) -> None:
    """Every file's bounds of a column are UTF-8 and enclose its values; every reader opens the table."""
    loaded = shop.catalog.load_table((NAMESPACE, table))
    assert loaded.inspect.files().num_rows > 0
    field = loaded.schema().find_field(column).field_id
    for task in loaded.scan().plan_files():
        assert task.file.content == DataFileContent.DATA
        with loaded.io.new_input(task.file.file_path).open() as stream:
            values = [v.encode() for v in parquet.read_table(stream)[column].to_pylist() if v is not None]
        lower, upper = (bounds.get(field) for bounds in (task.file.lower_bounds, task.file.upper_bounds))
        for bound in filter(None, (lower, upper)):
            bound.decode()
        assert lower is None or all(lower <= value for value in values)
        assert upper is None or all(value <= upper for value in values)
    value = values[0]
    assert loaded.scan(row_filter=EqualTo(column, value.decode())).to_arrow().num_rows > 0
    for kind in ("files", "partitions", "manifests"):
        assert shop.run(f'SELECT * FROM "{table}${kind}"')["Status"]["State"] == "SUCCEEDED"


LETTERS = st.sampled_from("aA\x7fé\u07ff•日\ud7ff\ue000\uffff\U0001f600\U0010ffff")
TEXTS = st.lists(st.text(LETTERS, min_size=1, max_size=20), min_size=3, max_size=3, unique=True)


@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS)
@example(texts=["AAAAAAAAAAAAAAA• a bullet", "日本語のとても長い題名です", "\U0010ffff" * 9])
@example(texts=["\ud7ff" * 9, "a" + "\ud7ff" * 9, "b" * 20])
def test_bounds_of_text_are_whole_characters(shop: Shop, texts: list[str]) -> None:
    first, second, third = (f"'{text}'" for text in texts)
    for table in ("words", "copied", "replaced"):
        shop.change(f"DROP TABLE IF EXISTS {table}")
    shop.change(f"CREATE TABLE words (id bigint, word string) {ICEBERG}")
    shop.change(f"INSERT INTO words VALUES (1, {first}), (2, {second})")
    shop.change(
        f"MERGE INTO words w USING (VALUES (1, {third}), (3, {first})) AS s(id, word) ON w.id = s.id "
        "WHEN MATCHED THEN UPDATE SET word = s.word "
        "WHEN NOT MATCHED THEN INSERT (id, word) VALUES (s.id, s.word)"
    )
    shop.change("CREATE TABLE copied WITH (partitioning = ARRAY['word']) AS SELECT * FROM words")
    shop.change("CREATE TABLE replaced AS SELECT id, 'x' AS word FROM words")
    shop.change(
        "MERGE INTO replaced r USING words w ON r.id = w.id WHEN MATCHED THEN UPDATE SET word = w.word"
    )
    for table in ("words", "copied", "replaced"):
        text_bounds_are_true(shop, table, "word")
    assert sorted(row[1] for row in shop.rows("words")) == sorted([texts[2], texts[1], texts[0]])
