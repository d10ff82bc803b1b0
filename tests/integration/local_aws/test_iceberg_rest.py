"""The Iceberg REST catalog over the wire, with pyiceberg and DuckDB."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import duckdb_extensions
import orjson
import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import (
    BadRequestError,
    CommitFailedException,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from local_aws import Status

ROWS = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["a", "b", "c"]})
SCHEMA = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()))


@pytest.fixture(scope="module")
def bucket_arn(local_aws: Status) -> str:
    s3tables = boto3.client("s3tables")
    arn = s3tables.create_table_bucket(name=f"lake-{uuid.uuid4().hex[:8]}")["arn"]
    s3tables.create_namespace(tableBucketARN=arn, namespace=["analytics"])
    return str(arn)


@pytest.fixture(scope="module")
def catalog(local_aws: Status, bucket_arn: str) -> RestCatalog:
    return open_catalog(local_aws, bucket_arn)


@pytest.fixture
def name() -> str:
    return f"analytics.t{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def duck(local_aws: Status, bucket_arn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    connection = duckdb.connect()
    connection.execute(f"SET extension_directory = '{tmp_path_factory.mktemp('duckdb')}'")
    for extension in ("avro", "httpfs", "iceberg"):
        duckdb_extensions.import_extension(extension, con=connection)
        connection.load_extension(extension)
    address = local_aws.endpoint.removeprefix("http://")
    connection.execute(
        f"CREATE SECRET (TYPE S3, KEY_ID 'test', SECRET 'test', ENDPOINT '{address}', "
        "URL_STYLE 'path', USE_SSL false)"
    )
    options = f"TYPE ICEBERG, ENDPOINT '{local_aws.endpoint}/iceberg', AUTHORIZATION_TYPE 'none'"
    connection.execute(f"ATTACH '{bucket_arn}' AS lake ({options}, PURGE_REQUESTED true)")
    yield connection
    connection.close()


def open_catalog(status: Status, warehouse: str, **options: str) -> RestCatalog:
    places = {"uri": f"{status.endpoint}/iceberg", "warehouse": warehouse, "s3.endpoint": status.endpoint}
    return RestCatalog("test", **places, **options)


def call(status: Status, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = orjson.dumps(body) if body is not None else None
    request = urllib.request.Request(f"{status.endpoint}/iceberg/v1/{path}", data, method=method)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, orjson.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, orjson.loads(error.read() or b"null")


def objects(bucket_arn: str, name: str) -> list[str]:
    prefix = name.replace(".", "/") + "-"
    answer = boto3.client("s3").list_objects_v2(Bucket=bucket_arn.rpartition("/")[2], Prefix=prefix)
    return [item["Key"] for item in answer.get("Contents", [])]


def test_the_name_transactions_is_a_table_like_any_other(catalog: RestCatalog) -> None:
    table = catalog.create_table("analytics.transactions", SCHEMA)
    table.append(ROWS)
    assert catalog.load_table("analytics.transactions").scan().to_arrow().num_rows == 3
    catalog.purge_table("analytics.transactions")


@pytest.mark.parametrize("namespace", ["transactions", "namespaces", "tables", "0_9"])
def test_any_legal_name_works(
    local_aws: Status, bucket_arn: str, catalog: RestCatalog, namespace: str
) -> None:
    catalog.create_namespace(namespace)
    table = catalog.create_table((namespace, namespace), SCHEMA)
    table.append(ROWS)
    assert catalog.list_tables(namespace) == [(namespace, namespace)]
    assert catalog.load_table((namespace, namespace)).scan().to_arrow().num_rows == 3


def test_create_keeps_schema_partitioning_order_and_properties(catalog: RestCatalog, name: str) -> None:
    spec = PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "id"))
    order = SortOrder(SortField(2, IdentityTransform()))
    made = catalog.create_table(
        name, SCHEMA, partition_spec=spec, sort_order=order, properties={"owner": "me"}
    )
    table = catalog.load_table(name)
    assert table.metadata == made.metadata
    assert [field.name for field in table.schema().fields] == ["id", "name"]
    assert (table.spec().fields[0].name, table.sort_order().fields[0].source_id) == ("id", 2)
    assert table.properties["owner"] == "me"
    assert f"/{name.replace('.', '/')}-" in table.location()


def test_history_and_metadata_log_are_kept(catalog: RestCatalog, name: str) -> None:
    table = catalog.create_table(name, SCHEMA)
    for _ in range(3):
        table.append(ROWS)
    table = catalog.load_table(name)
    assert [entry.snapshot_id for entry in table.history()] == [s.snapshot_id for s in table.snapshots()]
    assert len(table.metadata.metadata_log) == 3
    second = table.snapshots()[1]
    assert table.snapshot_as_of_timestamp(second.timestamp_ms) == second


def test_a_commit_is_answered_without_the_history_where_the_client_prefers_it(
    local_aws: Status, bucket_arn: str, catalog: RestCatalog, name: str
) -> None:
    catalog.create_table(name, SCHEMA)
    brief = open_catalog(local_aws, bucket_arn, **{"header.Prefer": "return=minimal"})
    table = brief.load_table(name)
    for _ in range(3):
        table.append(ROWS)
    loaded = brief.load_table(name)
    assert [len(one.snapshots()) for one in (table, loaded)] == [1, 3]
    assert table.current_snapshot() == loaded.current_snapshot()
    assert loaded.scan().to_arrow().num_rows == 9


def test_metadata_log_is_trimmed_and_old_files_deleted_where_asked(
    catalog: RestCatalog, bucket_arn: str, name: str
) -> None:
    keep = {"write.metadata.previous-versions-max": "2", "write.metadata.delete-after-commit.enabled": "true"}
    table = catalog.create_table(name, SCHEMA, properties=keep)
    for _ in range(5):
        table.append(ROWS)
    assert len(catalog.load_table(name).metadata.metadata_log) == 2
    assert len([key for key in objects(bucket_arn, name) if key.endswith(".metadata.json")]) == 3


def test_metadata_files_stay_by_default(catalog: RestCatalog, bucket_arn: str, name: str) -> None:
    table = catalog.create_table(name, SCHEMA, properties={"write.metadata.previous-versions-max": "2"})
    for _ in range(4):
        table.append(ROWS)
    assert len([key for key in objects(bucket_arn, name) if key.endswith(".metadata.json")]) == 5


def test_schema_and_partitioning_evolve(catalog: RestCatalog, name: str) -> None:
    table = catalog.create_table(name, SCHEMA)
    table.append(ROWS)
    with table.update_schema() as schema:
        schema.add_column("amount", LongType())
        schema.rename_column("name", "label")
    with table.update_spec() as spec:
        spec.add_identity("label")
    table.append(pa.table({"id": [4], "label": ["d"], "amount": [40]}))
    table = catalog.load_table(name)
    assert table.scan().to_arrow().sort_by("id").column("amount").to_pylist() == [None, None, None, 40]
    assert (table.metadata.current_schema_id, table.metadata.default_spec_id) == (1, 1)


def test_tags_rollback_and_expiry(catalog: RestCatalog, name: str) -> None:
    table = catalog.create_table(name, SCHEMA)
    for _ in range(3):
        table.append(ROWS)
    first, second, third = (snapshot.snapshot_id for snapshot in table.snapshots())
    table.manage_snapshots().create_tag(first, "start").create_branch(second, "side").commit()
    assert set(catalog.load_table(name).refs()) == {"main", "start", "side"}
    assert table.scan(snapshot_id=first).to_arrow().num_rows == 3
    table.manage_snapshots().remove_tag("start").remove_branch("side").commit()
    table.maintenance.expire_snapshots().by_id(first).commit()
    table = catalog.load_table(name)
    assert [snapshot.snapshot_id for snapshot in table.snapshots()] == [second, third]
    assert [entry.snapshot_id for entry in table.history()] == [second, third]


def test_properties_are_set_and_removed(catalog: RestCatalog, name: str) -> None:
    table = catalog.create_table(name, SCHEMA, properties={"a": "1"})
    with table.transaction() as change:
        change.set_properties(b="2")
        change.remove_properties("a")
    assert catalog.load_table(name).properties == {"b": "2"}


def test_a_staged_table_exists_once_it_is_committed(catalog: RestCatalog, name: str) -> None:
    staged = catalog.create_table_transaction(name, SCHEMA)
    assert not catalog.table_exists(name)
    staged.append(ROWS)
    staged.commit_transaction()
    assert catalog.load_table(name).scan().to_arrow().num_rows == 3
    assert catalog.load_table(name).location() == staged.table_metadata.location


def test_a_table_staged_twice_is_created_once(catalog: RestCatalog, name: str) -> None:
    first, second = (catalog.create_table_transaction(name, SCHEMA) for _ in range(2))
    first.commit_transaction()
    with pytest.raises(CommitFailedException, match="already exists"):
        second.commit_transaction()


def test_what_is_not_there_is_not_found(catalog: RestCatalog, name: str) -> None:
    with pytest.raises(NoSuchTableError):
        catalog.load_table(name)
    with pytest.raises(NoSuchTableError):
        catalog.purge_table(name)
    with pytest.raises(NoSuchNamespaceError):
        catalog.create_table("nowhere.t", SCHEMA)
    with pytest.raises(NoSuchNamespaceError):
        catalog.list_tables("nowhere")
    assert not catalog.table_exists(name)
    assert not catalog.namespace_exists("nowhere")


def test_create_refuses_what_exists_and_names_that_s3_tables_refuses(catalog: RestCatalog, name: str) -> None:
    catalog.create_table(name, SCHEMA)
    with pytest.raises(TableAlreadyExistsError):
        catalog.create_table(name, SCHEMA)
    for bad in ("Upper", "with-hyphen", "_first", "x" * 256):
        with pytest.raises(BadRequestError, match="not valid"):
            catalog.create_table(("analytics", bad), SCHEMA)


def test_a_stale_writer_gets_a_conflict_and_retries(catalog: RestCatalog, name: str) -> None:
    catalog.create_table(name, SCHEMA, properties={"commit.retry.num-retries": "0"})
    fresh, stale = catalog.load_table(name), catalog.load_table(name)
    fresh.append(ROWS)
    with pytest.raises(CommitFailedException, match="created concurrently"):
        stale.append(ROWS)
    stale.refresh()
    stale.append(ROWS)
    assert catalog.load_table(name).scan().to_arrow().num_rows == 6


def test_concurrent_writers_lose_nothing(
    local_aws: Status, bucket_arn: str, catalog: RestCatalog, name: str
) -> None:
    options = {
        "commit.retry.num-retries": "50",
        "commit.retry.min-wait-ms": "5",
        "commit.retry.max-wait-ms": "100",
    }
    catalog.create_table(name, SCHEMA, properties=options)

    def append_three_times() -> None:
        own = open_catalog(local_aws, bucket_arn)
        for _ in range(3):
            own.load_table(name).append(ROWS)

    writers = [threading.Thread(target=append_three_times) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    table = catalog.load_table(name)
    assert len(table.snapshots()) == 12
    assert table.scan().to_arrow().num_rows == 36


def test_a_drop_takes_the_data_along_and_only_so(catalog: RestCatalog, bucket_arn: str, name: str) -> None:
    table = catalog.create_table(name, SCHEMA)
    table.append(ROWS)
    with pytest.raises(BadRequestError, match="purge"):
        catalog.drop_table(name)
    assert objects(bucket_arn, name)
    catalog.purge_table(name)
    assert not objects(bucket_arn, name)
    assert not catalog.table_exists(name)
    assert catalog.create_table(name, SCHEMA).metadata.table_uuid != table.metadata.table_uuid


def test_rename_keeps_rows_and_history(catalog: RestCatalog, bucket_arn: str, name: str) -> None:
    table = catalog.create_table(name, SCHEMA)
    table.append(ROWS)
    renamed = catalog.rename_table(name, f"{name}_new")
    renamed.append(ROWS)
    assert not catalog.table_exists(name)
    catalog.create_table(name, SCHEMA).append(ROWS)
    catalog.purge_table(name)
    assert catalog.load_table(f"{name}_new").scan().to_arrow().num_rows == 6
    catalog.purge_table(f"{name}_new")
    assert not objects(bucket_arn, name)


def test_a_multi_table_commit_is_all_or_nothing(
    local_aws: Status, bucket_arn: str, catalog: RestCatalog
) -> None:
    names = [f"m{uuid.uuid4().hex[:8]}" for _ in range(2)]
    tables = [catalog.create_table(("analytics", name), SCHEMA) for name in names]
    prefix = urllib.parse.quote(bucket_arn, safe="")

    def change(name: str, table_uuid: str) -> dict[str, Any]:
        return {
            "identifier": {"namespace": ["analytics"], "name": name},
            "requirements": [{"type": "assert-table-uuid", "uuid": table_uuid}],
            "updates": [{"action": "set-properties", "updates": {"seen": "yes"}}],
        }

    wrong = [change(names[0], str(tables[0].metadata.table_uuid)), change(names[1], str(uuid.uuid4()))]
    status, answer = call(local_aws, "POST", f"{prefix}/transactions/commit", {"table-changes": wrong})
    assert (status, answer["error"]["type"]) == (409, "CommitFailedException")
    assert [catalog.load_table(("analytics", name)).properties for name in names] == [{}, {}]

    right = [change(name, str(table.metadata.table_uuid)) for name, table in zip(names, tables, strict=True)]
    assert call(local_aws, "POST", f"{prefix}/transactions/commit", {"table-changes": right}) == (204, None)
    assert [catalog.load_table(("analytics", name)).properties["seen"] for name in names] == ["yes", "yes"]


@pytest.mark.parametrize(
    "change",
    [
        {"updates": [{"action": "teleport"}]},
        {"updates": [{"action": "set-current-schema", "schema-id": 77}]},
        {"updates": [{"action": "remove-snapshots", "snapshot-ids": [1]}]},
        {"updates": [{"action": "set-location", "location": "s3://elsewhere"}]},
        {"requirements": [{"type": "assert-luck"}]},
        {"updates": 5},
    ],
)
def test_an_update_that_makes_no_sense_changes_nothing(
    local_aws: Status, bucket_arn: str, catalog: RestCatalog, name: str, change: dict[str, Any]
) -> None:
    before = catalog.create_table(name, SCHEMA).metadata
    path = f"{urllib.parse.quote(bucket_arn, safe='')}/namespaces/analytics/tables/{name.partition('.')[2]}"
    status, answer = call(
        local_aws, "POST", path, {"updates": [{"action": "set-properties", "updates": {"a": "b"}}]} | change
    )
    assert (status, answer["error"]["type"]) == (400, "BadRequestException")
    assert catalog.load_table(name).metadata == before


def test_tables_made_by_s3_tables_load_and_commit(catalog: RestCatalog, bucket_arn: str) -> None:
    s3tables = boto3.client("s3tables")
    fields = [{"name": "id", "type": "long", "required": True}, {"name": "name", "type": "string"}]
    shapes: dict[str, Any] = {
        "plain": {},
        "transactions": {"metadata": {"iceberg": {"schema": {"fields": fields}}}},
    }
    for name, metadata in shapes.items():
        s3tables.create_table(
            tableBucketARN=bucket_arn, namespace="analytics", name=name, format="ICEBERG", **metadata
        )
    assert catalog.load_table("analytics.plain").schema().fields == ()
    table = catalog.load_table("analytics.transactions")
    assert table.metadata.table_uuid == catalog.load_table("analytics.transactions").metadata.table_uuid
    required = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("name", pa.string())])
    table.append(ROWS.cast(required))
    assert catalog.load_table("analytics.transactions").scan().to_arrow().num_rows == 3
    known = s3tables.get_table_metadata_location(
        tableBucketARN=bucket_arn, namespace="analytics", name="transactions"
    )
    assert known["metadataLocation"] == catalog.load_table("analytics.transactions").metadata_location
    for name in shapes:
        s3tables.delete_table(tableBucketARN=bucket_arn, namespace="analytics", name=name)


@pytest.fixture(scope="module")
def cloudformation_bucket(local_aws: Status) -> str:
    return f"cf-{uuid.uuid4().hex[:8]}"


def make_stack(status: Status, bucket: str) -> RestCatalog:
    template = Path(__file__).with_name("s3tables.yaml").read_text(encoding="utf-8")
    cloudformation = boto3.client("cloudformation")
    parameters = [{"ParameterKey": "Bucket", "ParameterValue": bucket}]
    cloudformation.create_stack(StackName=bucket, TemplateBody=template, Parameters=parameters)
    cloudformation.get_waiter("stack_create_complete").wait(StackName=bucket, WaiterConfig={"Delay": 1})
    stack = cloudformation.describe_stacks(StackName=bucket)["Stacks"][0]
    return open_catalog(status, next(item["OutputValue"] for item in stack["Outputs"]))


def test_tables_made_by_cloudformation_come_and_go(local_aws: Status, cloudformation_bucket: str) -> None:
    cloudformation = boto3.client("cloudformation")
    for _ in range(2):
        table = make_stack(local_aws, cloudformation_bucket).load_table("raw.transactions")
        assert table.snapshots() == []
        table.append(ROWS)
        assert table.scan().to_arrow().num_rows == 3
        cloudformation.delete_stack(StackName=cloudformation_bucket)
        cloudformation.get_waiter("stack_delete_complete").wait(
            StackName=cloudformation_bucket, WaiterConfig={"Delay": 1}
        )
        assert cloudformation_bucket not in [
            item["Name"] for item in boto3.client("s3").list_buckets()["Buckets"]
        ]
        assert not list((local_aws.state_dir / "s3").glob(f"*/{cloudformation_bucket}"))


def test_tables_made_by_cloudformation_are_as_described(
    local_aws: Status, cloudformation_bucket: str
) -> None:
    catalog = make_stack(local_aws, cloudformation_bucket)
    table = catalog.load_table("raw.described")
    fields = [(f.field_id, f.name, str(f.field_type), f.required, f.doc) for f in table.schema().fields]
    assert fields[:2] == [(1, "id", "long", True, None), (2, "at", "timestamptz", False, "when")]
    assert fields[2][1:3] == ("place", "struct<4: city: optional string>")
    assert (table.schema().identifier_field_ids, table.properties) == ([1], {"owner": "me"})
    assert (str(table.spec().fields[0].transform), table.sort_order().fields[0].source_id) == ("day", 1)
    names = {"tableBucketARN": catalog.properties["warehouse"], "namespace": "raw", "name": "described"}
    kept = boto3.client("s3tables").get_table_maintenance_configuration(**names)["configuration"]
    assert kept["icebergCompaction"]["settings"]["icebergCompaction"]["targetFileSizeMB"] == 128
    assert kept["icebergSnapshotManagement"]["settings"]["icebergSnapshotManagement"] == {
        "minSnapshotsToKeep": 10,
        "maxSnapshotAgeHours": 168,
    }


def test_a_catalog_may_be_named_as_the_data_catalog_names_it(
    local_aws: Status, bucket_arn: str, catalog: RestCatalog, name: str
) -> None:
    catalog.create_table(name, SCHEMA).append(ROWS)
    account, bucket = bucket_arn.split(":")[4], bucket_arn.rpartition("/")[2]
    federated = open_catalog(local_aws, f"{account}:s3tablescatalog/{bucket}")
    assert federated.load_table(name).scan().to_arrow().num_rows == 3


def test_namespaces_have_one_level_and_legal_names(catalog: RestCatalog) -> None:
    for bad in ("Upper", ("two", "levels")):
        with pytest.raises(BadRequestError):
            catalog.create_namespace(bad)


def test_a_namespace_with_tables_stays(catalog: RestCatalog) -> None:
    catalog.create_namespace("short_lived")
    catalog.create_table("short_lived.t", SCHEMA)
    with pytest.raises(NamespaceNotEmptyError):
        catalog.drop_namespace("short_lived")
    catalog.purge_table("short_lived.t")
    catalog.drop_namespace("short_lived")
    assert not catalog.namespace_exists("short_lived")


def test_duckdb_reads_and_writes_what_pyiceberg_sees(duck: Any, catalog: RestCatalog, name: str) -> None:
    catalog.create_table(name, SCHEMA).append(ROWS)
    duck.execute(f"INSERT INTO lake.{name} VALUES (4, 'd')")
    duck.execute(f"DELETE FROM lake.{name} WHERE id = 1")
    duck.execute(f"UPDATE lake.{name} SET name = 'B' WHERE id = 2")
    merge = f"""MERGE INTO lake.{name} t USING (SELECT 3 AS id, 'C' AS name) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)"""
    duck.execute(merge)
    expected = [(2, "B"), (3, "C"), (4, "d")]
    assert duck.execute(f"SELECT * FROM lake.{name} ORDER BY id").fetchall() == expected
    rows = catalog.load_table(name).scan().to_arrow().sort_by("id").to_pylist()
    assert [(row["id"], row["name"]) for row in rows] == expected
    assert len(catalog.load_table(name).history()) == len(catalog.load_table(name).snapshots())


def test_duckdb_commits_two_tables_together(duck: Any, catalog: RestCatalog, name: str) -> None:
    duck.execute(f"CREATE TABLE lake.{name} AS SELECT 1 AS id")
    duck.execute(f"CREATE TABLE lake.{name}_b (id BIGINT)")
    duck.execute(f"BEGIN; INSERT INTO lake.{name} VALUES (2); INSERT INTO lake.{name}_b VALUES (3); COMMIT")
    assert duck.execute(f"SELECT count(*) FROM lake.{name}").fetchall() == [(2,)]
    assert catalog.load_table(f"{name}_b").scan().to_arrow().to_pylist() == [{"id": 3}]
    duck.execute(f"ALTER TABLE lake.{name} ADD COLUMN note VARCHAR")
    assert "note" in catalog.load_table(name).schema().column_names
    duck.execute(f"DROP TABLE lake.{name}")
    assert not catalog.table_exists(name)


def test_duckdb_that_began_before_another_commit_is_refused(
    duck: Any, catalog: RestCatalog, name: str
) -> None:
    catalog.create_table(name, SCHEMA).append(ROWS)
    duck.execute("BEGIN")
    duck.execute(f"DELETE FROM lake.{name} WHERE id = 1")
    catalog.load_table(name).append(ROWS)
    with pytest.raises(duckdb.Error, match="has changed"):
        duck.execute("COMMIT")
    assert catalog.load_table(name).scan().to_arrow().num_rows == 6
