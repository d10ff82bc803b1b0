"""A query reads what pyiceberg reads, wherever files lie; asked again, it sees what came since."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pyarrow as pa
import pyathena
import pytest
from pyarrow import parquet
from pyathena.connection import Connection
from pyathena.error import OperationalError
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog

BUCKET, NAMESPACE, ELSEWHERE = "scan-lake", "metadata", "scan-elsewhere"
"""The namespace bears the name of a folder of every table, which misleads whoever goes by it."""
ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "word": ["one", "two"]})


@pytest.fixture(scope="module")
def catalog(local_aws: object) -> RestCatalog:
    tables = boto3.client("s3tables")
    arn = tables.create_table_bucket(name=BUCKET)["arn"]
    for namespace in (NAMESPACE, "plain"):
        tables.create_namespace(tableBucketARN=arn, namespace=[namespace])
    for bucket in ("scan-results", ELSEWHERE):
        boto3.client("s3").create_bucket(Bucket=bucket)
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    settings = {"uri": f"{endpoint}/iceberg", "warehouse": arn, "s3.endpoint": endpoint}
    signing = {"rest.sigv4-enabled": "true", "rest.signing-name": "s3tables"}
    made = load_catalog("scans", type="rest", **settings, **signing)
    assert isinstance(made, RestCatalog)
    return made


@pytest.fixture
def connection(catalog: RestCatalog) -> Iterator[Connection[Any]]:
    with pyathena.connect(
        s3_staging_dir="s3://scan-results/",
        catalog_name=f"s3tablescatalog/{BUCKET}",
        schema_name="plain",
        poll_interval=0.01,
    ) as made:
        yield made


def ask(connection: Connection[Any], sql: str) -> list[Any]:
    return list(connection.cursor().execute(sql).fetchall())


@pytest.mark.parametrize("namespace", [NAMESPACE, "plain"])
def test_rows_come_from_files_and_from_any_folder(
    catalog: RestCatalog, connection: Connection[Any], namespace: str
) -> None:
    table = catalog.create_table((namespace, "words"), ROWS.schema)
    select = f"SELECT id, word FROM {namespace}.words ORDER BY id"
    assert ask(connection, select) == []
    table.append(ROWS)
    assert ask(connection, select) == [(1, "one"), (2, "two")]


def test_a_file_that_lies_in_another_bucket_is_found(
    catalog: RestCatalog, connection: Connection[Any]
) -> None:
    table = catalog.create_table(("plain", "added"), ROWS.schema)
    table.append(ROWS)
    body = io.BytesIO()
    parquet.write_table(pa.table({"id": pa.array([3], pa.int64()), "word": ["three"]}), body)
    for key in ("loose.parquet", "data/in_a_folder.parquet"):
        boto3.client("s3").put_object(Bucket=ELSEWHERE, Key=key, Body=body.getvalue())
        table.add_files([f"s3://{ELSEWHERE}/{key}"])
    expected = table.scan().to_arrow()
    assert len(expected) == 4
    assert ask(connection, "SELECT count(*), sum(id) FROM added") == [(4, 9)]


def test_a_file_that_is_gone_is_named_by_its_address(
    catalog: RestCatalog, connection: Connection[Any]
) -> None:
    table = catalog.create_table(("plain", "broken"), ROWS.schema)
    table.append(ROWS)
    path = next(iter(table.scan().plan_files())).file.file_path
    bucket, _, key = path.removeprefix("s3://").partition("/")
    boto3.client("s3").delete_object(Bucket=bucket, Key=key)
    with pytest.raises(OperationalError) as caught:
        ask(connection, "SELECT sum(id) FROM broken")
    assert str(caught.value) == f"ICEBERG_CANNOT_OPEN_SPLIT: Error opening Iceberg split {path}: not in S3"


def test_the_address_of_a_row_is_the_objects(catalog: RestCatalog, connection: Connection[Any]) -> None:
    table = catalog.create_table(("plain", "placed"), ROWS.schema)
    table.append(ROWS)
    paths = {task.file.file_path for task in table.scan().plan_files()}
    assert {path for (path,) in ask(connection, 'SELECT DISTINCT "$path" FROM placed')} == paths
    (path,) = paths
    assert ask(connection, f"SELECT id FROM placed WHERE \"$path\" = '{path}' ORDER BY 1") == [(1,), (2,)]
    grouped = (
        'SELECT t."$path", count(*) FROM (SELECT "$path", id FROM placed) t GROUP BY t."$path" ORDER BY 1'
    )
    assert ask(connection, grouped) == [(path, 2)]


def test_a_column_may_bear_duckdbs_name_of_the_address(
    catalog: RestCatalog, connection: Connection[Any]
) -> None:
    rows = pa.table({"filename": pa.array([7], pa.int64())})
    catalog.create_table(("plain", "files"), rows.schema).append(rows)
    assert ask(connection, "SELECT filename FROM files") == [(7,)]
    with pytest.raises(OperationalError, match="for a table with a column filename"):
        ask(connection, 'SELECT "$path" FROM files')


def test_a_query_asked_again_sees_what_came_since(catalog: RestCatalog, connection: Connection[Any]) -> None:
    table = catalog.create_table(("plain", "moving"), ROWS.schema)
    table.append(ROWS)
    select = "SELECT * FROM moving ORDER BY id"
    assert ask(connection, select) == ask(connection, select) == [(1, "one"), (2, "two")]
    ask(connection, "UPDATE moving SET word = 'deux' WHERE id = 2")
    assert ask(connection, select) == [(1, "one"), (2, "deux")]
    ask(connection, "ALTER TABLE moving ADD COLUMNS (more int)")
    assert ask(connection, select) == [(1, "one", None), (2, "deux", None)]
    ask(connection, "DELETE FROM moving WHERE id = 1")
    assert ask(connection, select) == [(2, "deux", None)]
    catalog.purge_table(("plain", "moving"))
    with pytest.raises(OperationalError, match="TABLE_NOT_FOUND"):
        ask(connection, select)
    catalog.create_table(("plain", "moving"), pa.schema([("id", pa.string())])).append(
        pa.table({"id": ["x"]})
    )
    assert ask(connection, select) == [("x",)]


def test_time_moves_on_for_a_query_asked_again(catalog: RestCatalog, connection: Connection[Any]) -> None:
    table = catalog.create_table(("plain", "ticking"), ROWS.schema)
    table.append(ROWS)
    select = "SELECT count(*) FROM ticking FOR TIMESTAMP AS OF current_timestamp"
    snapshots = 'SELECT count(*) FROM "ticking$snapshots"'
    for appended in (1, 2, 3):
        assert ask(connection, select) == [(2 * appended,)]
        assert ask(connection, snapshots) == [(appended,)]
        table.append(ROWS)


def test_one_query_joins_names_files_and_rows_at_hand(
    catalog: RestCatalog, connection: Connection[Any]
) -> None:
    table = catalog.create_table(("plain", "joined"), ROWS.schema)
    table.append(ROWS)
    first = table.current_snapshot()
    assert first is not None
    ask(connection, "DELETE FROM joined WHERE id = 1")
    sql = (
        f"SELECT now.id, past.word, s.operation FROM joined FOR VERSION AS OF {first.snapshot_id} past "
        'LEFT JOIN joined now ON now.id = past.id CROSS JOIN "joined$snapshots" s '
        f"WHERE s.snapshot_id = {first.snapshot_id} ORDER BY past.id"
    )
    assert ask(connection, sql) == [(None, "one", "append"), (2, "two", "append")]
