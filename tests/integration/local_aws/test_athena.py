"""Athena over the wire: boto3 and every PyAthena cursor, with nothing but environment variables set."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pyathena
import pytest
from botocore.exceptions import ClientError
from pyarrow import parquet
from pyathena.connection import Connection

BUCKET, NAMESPACE, OUTPUT = "athena-lake", "sales", "s3://athena-results/queries/"
CATALOG = f"s3tablescatalog/{BUCKET}"
# DuckDB reads this much at the end of a Parquet file, to have its footer.
FOOTER_BYTES = 16_384

EVENTS = """
CREATE TABLE events (id bigint, name string, price decimal(10,2), at timestamp with time zone, day date,
  tags array<string>, attributes map<string,int>, place struct<city:string,zip:int>)
PARTITIONED BY (day) TBLPROPERTIES ('table_type'='ICEBERG')
"""
ROWS = """
INSERT INTO events VALUES
  (1, 'one', DECIMAL '1.50', TIMESTAMP '2026-01-01 10:00:00 UTC', DATE '2026-01-01', ARRAY['a', 'b'],
   MAP(ARRAY['x'], ARRAY[1]), CAST(ROW('Bonn', 53111) AS ROW(city varchar, zip integer))),
  (2, 'it''s "two", ok', DECIMAL '2.25', TIMESTAMP '2026-01-02 10:00:00.123456 UTC', DATE '2026-01-02',
   ARRAY[], NULL, NULL),
  (3, '', NULL, NULL, DATE '2026-01-02', NULL, NULL, NULL)
"""


class Client:
    """Runs statements with boto3 alone."""

    def __init__(self) -> None:
        self.athena = boto3.client("athena")

    def start(self, sql: str, **more: Any) -> str:
        context = {"Catalog": CATALOG, "Database": NAMESPACE}
        settings: dict[str, Any] = {
            "QueryExecutionContext": context,
            "ResultConfiguration": {"OutputLocation": OUTPUT},
        }
        return self.athena.start_query_execution(QueryString=sql, **(settings | more))["QueryExecutionId"]

    def finished(self, query_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            execution = self.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                return dict(execution)
            time.sleep(0.01)
        raise TimeoutError(query_id)

    def run(self, sql: str, **more: Any) -> dict[str, Any]:
        return self.finished(self.start(sql, **more))

    def rows(self, sql: str, **more: Any) -> list[tuple[str | None, ...]]:
        execution = self.run(sql, **more)
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        answer = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        rows = [tuple(d.get("VarCharValue") for d in row["Data"]) for row in answer["ResultSet"]["Rows"]]
        return rows[1:] if execution["StatementType"] == "DML" else rows

    def reason(self, sql: str) -> str:
        execution = self.run(sql)
        assert execution["Status"]["State"] == "FAILED", execution["Status"]
        assert execution["Status"]["AthenaError"]["ErrorMessage"] == execution["Status"]["StateChangeReason"]
        return str(execution["Status"]["StateChangeReason"])


@pytest.fixture(scope="module")
def client(local_aws: object) -> Client:
    tables = boto3.client("s3tables")
    arn = tables.create_table_bucket(name=BUCKET)["arn"]
    tables.create_namespace(tableBucketARN=arn, namespace=[NAMESPACE])
    boto3.client("s3").create_bucket(Bucket="athena-results")
    made = Client()
    for sql in (EVENTS, ROWS):
        status = made.run(sql)["Status"]
        assert status["State"] == "SUCCEEDED", status
    return made


@pytest.fixture
def connection(client: Client) -> Iterator[Connection[Any]]:
    with pyathena.connect(
        s3_staging_dir=OUTPUT, catalog_name=CATALOG, schema_name=NAMESPACE, poll_interval=0.01
    ) as made:
        return made


def test_execution_says_what_ran(client: Client) -> None:
    execution = client.run("SELECT sum(price) FROM events")
    assert execution["StatementType"] == "DML"
    assert execution["SubstatementType"] == "SELECT"
    assert (
        execution["ResultConfiguration"]["OutputLocation"] == f"{OUTPUT}{execution['QueryExecutionId']}.csv"
    )
    assert execution["Statistics"]["DataScannedInBytes"] > 0
    assert execution["Statistics"]["EngineExecutionTimeInMillis"] >= 0
    assert execution["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"


def test_bytes_scanned_are_those_of_the_columns_read(client: Client) -> None:
    client.run(
        "CREATE TABLE wide AS SELECT n AS a, to_hex(sha256(to_utf8(CAST(n AS varchar)))) AS b "
        "FROM UNNEST(sequence(1, 20000)) AS t(n)"
    )
    one, all_columns = (
        client.run(f"SELECT {what} FROM wide")["Statistics"]["DataScannedInBytes"]
        for what in ("sum(a)", "max(b), sum(a)")
    )
    assert 0 < one < all_columns / 5


def test_bytes_scanned_are_column_chunks_and_footers_each_time(client: Client) -> None:
    client.run(
        "CREATE TABLE chunks WITH (partitioning = ARRAY['part']) AS "
        "SELECT n % 2 AS part, n AS a, to_hex(md5(to_utf8(CAST(n AS varchar)))) AS b "
        "FROM UNNEST(sequence(1, 40000)) AS t(n)"
    )
    sql = "SELECT sum(a), max(b) FROM chunks WHERE part = 1"
    first, again = (client.run(sql)["Statistics"]["DataScannedInBytes"] for _ in range(2))
    files = client.rows('SELECT DISTINCT "$path" FROM chunks WHERE part = 1')
    assert first == again == sum(read_of_file(path, {"part", "a", "b"}) for (path,) in files if path)


def read_of_file(path: str, columns: set[str]) -> int:
    """The column chunks of a Parquet file, and its end, which is read for the footer."""
    bucket, _, key = path.removeprefix("s3://").partition("/")
    body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    metadata = parquet.ParquetFile(io.BytesIO(body)).metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(place) for group in groups for place in range(group.num_columns)]
    read = sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in columns)
    return read + min(FOOTER_BYTES, len(body))


def test_columns_may_be_named_by_database_and_table(client: Client) -> None:
    assert client.rows("SELECT sales.events.id FROM events WHERE sales.events.name = 'one'") == [("1",)]
    full = f'"{CATALOG}".sales.events'
    assert client.rows(f"SELECT max({full}.id), count({full}.place.city) FROM {full}") == [("3", "1")]
    assert "cannot be resolved" in client.reason("SELECT sales.events.id FROM events AS e")


def test_result_file_is_athenas(client: Client) -> None:
    execution = client.run("SELECT id, name, price FROM events ORDER BY id")
    key = execution["ResultConfiguration"]["OutputLocation"].removeprefix("s3://athena-results/")
    body = boto3.client("s3").get_object(Bucket="athena-results", Key=key)["Body"].read().decode()
    assert body == '"id","name","price"\n"1","one","1.50"\n"2","it\'s ""two"", ok","2.25"\n"3","",\n'


def test_values_of_every_type(client: Client) -> None:
    rows = client.rows("SELECT * FROM events ORDER BY id")
    assert rows[0] == (
        "1",
        "one",
        "1.50",
        "2026-01-01 10:00:00.000000 UTC",
        "2026-01-01",
        "[a, b]",
        "{x=1}",
        "{city=Bonn, zip=53111}",
    )
    assert rows[1][3] == "2026-01-02 10:00:00.123456 UTC"
    assert rows[2] == ("3", "", None, None, "2026-01-02", None, None, None)


def test_pages_carry_the_header_once(client: Client) -> None:
    query_id = client.run("SELECT n, CAST(n AS varchar) FROM UNNEST(sequence(1, 2500)) AS t(n) ORDER BY n")[
        "QueryExecutionId"
    ]
    first = client.athena.get_query_results(QueryExecutionId=query_id, MaxResults=10)
    assert [d["VarCharValue"] for d in first["ResultSet"]["Rows"][0]["Data"]] == ["n", "_col1"]
    assert len(first["ResultSet"]["Rows"]) == 10
    pages = client.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
    values = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert values == ["n", *map(str, range(1, 2501))]


def test_parameters_are_bound_in_order(client: Client) -> None:
    sql = "SELECT id, ? AS given FROM events WHERE id = ? AND day = CAST(? AS date)"
    assert client.rows(sql, ExecutionParameters=["'it''s'", "2", "'2026-01-02'"]) == [("2", "it's")]
    wrong = client.run(sql, ExecutionParameters=["1"])
    assert "Incorrect number of parameters: expected 3 but found 1" in wrong["Status"]["StateChangeReason"]


def test_token_makes_a_start_idempotent(client: Client) -> None:
    token = "t" * 40
    first = client.start("SELECT 1", ClientRequestToken=token)
    assert client.start("SELECT 1", ClientRequestToken=token) == first
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        client.start("SELECT 2", ClientRequestToken=token)


def test_stop_interrupts_a_query(client: Client) -> None:
    numbers = "UNNEST(sequence(1, 100000))"
    sql = f"SELECT count(*) FROM {numbers} AS a(x) CROSS JOIN {numbers} AS b(y) WHERE x * y % 7 = 3"
    query_id = client.start(sql)
    time.sleep(0.3)
    client.athena.stop_query_execution(QueryExecutionId=query_id)
    assert client.finished(query_id)["Status"]["State"] == "CANCELLED"


def test_batch_list_and_runtime_statistics(client: Client) -> None:
    ids = [client.run(f"SELECT {n}")["QueryExecutionId"] for n in range(2)]
    batch = client.athena.batch_get_query_execution(QueryExecutionIds=[*ids, "nothing"])
    assert [e["QueryExecutionId"] for e in batch["QueryExecutions"]] == ids
    assert batch["UnprocessedQueryExecutionIds"][0]["QueryExecutionId"] == "nothing"
    assert (
        client.athena.list_query_executions(WorkGroup="primary", MaxResults=2)["QueryExecutionIds"]
        == ids[::-1]
    )
    statistics = client.athena.get_query_runtime_statistics(QueryExecutionId=ids[0])["QueryRuntimeStatistics"]
    assert statistics["Rows"]["OutputRows"] == 1


def test_workgroup_gives_the_output_location(client: Client) -> None:
    settings = {
        "ResultConfiguration": {"OutputLocation": "s3://athena-results/group/"},
        "EnforceWorkGroupConfiguration": True,
    }
    client.athena.create_work_group(Name="analysts", Configuration=settings)
    execution = client.run("SELECT 1", WorkGroup="analysts")
    assert execution["ResultConfiguration"]["OutputLocation"].startswith("s3://athena-results/group/")
    with pytest.raises(ClientError, match="No output location provided"):
        client.athena.start_query_execution(QueryString="SELECT 1")


def test_metadata_of_a_table_bucket(client: Client) -> None:
    assert client.athena.get_data_catalog(Name=CATALOG)["DataCatalog"]["Name"] == CATALOG
    assert [d["Name"] for d in client.athena.list_databases(CatalogName=CATALOG)["DatabaseList"]] == [
        NAMESPACE
    ]
    listed = client.athena.list_table_metadata(CatalogName=CATALOG, DatabaseName=NAMESPACE)[
        "TableMetadataList"
    ]
    assert "events" in [t["Name"] for t in listed]
    table = client.athena.get_table_metadata(CatalogName=CATALOG, DatabaseName=NAMESPACE, TableName="events")[
        "TableMetadata"
    ]
    assert [(c["Name"], c["Type"]) for c in table["Columns"]][4:8] == [
        ("day", "date"),
        ("tags", "array<string>"),
        ("attributes", "map<string,int>"),
        ("place", "struct<city:string,zip:int>"),
    ]
    assert [c["Name"] for c in table["PartitionKeys"]] == ["day"]
    with pytest.raises(ClientError, match="does not exist"):
        client.athena.get_table_metadata(CatalogName=CATALOG, DatabaseName=NAMESPACE, TableName="nothing")


def test_glue_shows_a_table_bucket_and_drops_its_tables(client: Client) -> None:
    glue, place = boto3.client("glue"), {"CatalogId": f"000000000000:{CATALOG}", "DatabaseName": NAMESPACE}
    client.rows("CREATE TABLE short_lived AS SELECT 1 AS id, 'a' AS name")
    assert [d["Name"] for d in glue.get_databases(CatalogId=place["CatalogId"])["DatabaseList"]] == [
        NAMESPACE
    ]
    pages = glue.get_paginator("get_tables").paginate(**place, PaginationConfig={"PageSize": 1})
    assert {"events", "short_lived"} <= {table["Name"] for page in pages for table in page["TableList"]}
    table = glue.get_table(**place, Name="events")["Table"]
    athena = client.athena.get_table_metadata(CatalogName=CATALOG, DatabaseName=NAMESPACE, TableName="events")
    assert table["StorageDescriptor"]["Columns"] == athena["TableMetadata"]["Columns"]
    assert (table["Parameters"]["table_type"], table["PartitionKeys"]) == ("ICEBERG", [])
    glue.delete_table(**place, Name="short_lived")
    assert "does not exist" in client.reason("SELECT * FROM short_lived")
    for call in (glue.get_table, glue.delete_table):
        with pytest.raises(ClientError, match="EntityNotFoundException"):
            call(**place, Name="short_lived")
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.get_database(CatalogId=place["CatalogId"], Name="nothing")


def test_default_cursor_gives_python_types(connection: Connection[Any]) -> None:
    cursor = connection.cursor()
    row = cursor.execute("SELECT id, name, price, at, day, tags FROM events WHERE id = 1").fetchone()
    assert row is not None
    assert (row[0], row[1], row[2], str(row[4])) == (1, "one", Decimal("1.50"), "2026-01-01")
    assert row[3].isoformat() == "2026-01-01T10:00:00+00:00"
    assert cursor.data_scanned_in_bytes


def test_dict_cursor(connection: Connection[Any]) -> None:
    from pyathena.cursor import DictCursor

    row = connection.cursor(DictCursor).execute("SELECT id, name FROM events WHERE id = 1").fetchone()
    assert row == {"id": 1, "name": "one"}


def test_pandas_cursor(connection: Connection[Any]) -> None:
    from pyathena.pandas.cursor import PandasCursor

    df = connection.cursor(PandasCursor).execute("SELECT id, name, price FROM events ORDER BY id").as_pandas()
    assert df["id"].tolist() == [1, 2, 3]
    assert df["name"].tolist()[:2] == ["one", 'it\'s "two", ok']


def test_polars_cursor(connection: Connection[Any]) -> None:
    pytest.importorskip("polars")
    from pyathena.polars.cursor import PolarsCursor

    frame = connection.cursor(PolarsCursor).execute("SELECT id FROM events ORDER BY id").as_polars()
    assert frame["id"].to_list() == [1, 2, 3]


def test_s3fs_cursor(connection: Connection[Any]) -> None:
    from pyathena.s3fs.cursor import S3FSCursor

    rows = connection.cursor(S3FSCursor).execute("SELECT id, name FROM events ORDER BY id").fetchall()
    assert rows[0] == (1, "one")


def test_async_cursor(connection: Connection[Any]) -> None:
    from pyathena.async_cursor import AsyncCursor

    _, future = connection.cursor(AsyncCursor).execute("SELECT count(*) FROM events")
    assert future.result(30).fetchone() == (3,)


@pytest.mark.parametrize("unload", [False, True])
def test_arrow_cursor_with_its_shim(
    connection: Connection[Any], monkeypatch: pytest.MonkeyPatch, unload: bool
) -> None:
    """pyarrow's S3 file system does not read AWS_ENDPOINT_URL; everything else is PyAthena's own."""
    import os

    from pyarrow import fs
    from pyathena.arrow.cursor import ArrowCursor

    endpoint = os.environ["AWS_ENDPOINT_URL"]

    class Local(fs.S3FileSystem):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, endpoint_override=endpoint, **kwargs)

    monkeypatch.setattr(fs, "S3FileSystem", Local)
    table = (
        connection.cursor(ArrowCursor, unload=unload)
        .execute("SELECT id, name FROM events ORDER BY id")
        .as_arrow()
    )
    assert table.column("id").to_pylist() == [1, 2, 3]
    assert table.column("name").to_pylist() == ["one", 'it\'s "two", ok', ""]


def test_sqlalchemy_inspects_and_selects(client: Client) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from urllib.parse import quote_plus

    address = f"awsathena+rest://:@athena.us-east-1.amazonaws.com:443/{NAMESPACE}?s3_staging_dir={quote_plus(OUTPUT)}&catalog_name={quote_plus(CATALOG)}&poll_interval=0.01"
    engine = sqlalchemy.create_engine(address)
    inspector = sqlalchemy.inspect(engine)
    assert "events" in inspector.get_table_names()
    assert [c["name"] for c in inspector.get_columns("events")][:2] == ["id", "name"]
    with engine.connect() as opened:
        assert opened.execute(sqlalchemy.text("SELECT count(*) FROM events")).scalar() == 3


def test_parameters_of_pyathena(connection: Connection[Any]) -> None:
    cursor = connection.cursor()
    assert cursor.execute("SELECT name FROM events WHERE id = %(id)s", {"id": 1}).fetchone() == ("one",)
    assert cursor.execute("SELECT name FROM events WHERE id = ?", ["1"], paramstyle="qmark").fetchone() == (
        "one",
    )


def test_rowcount_of_dml(connection: Connection[Any], client: Client) -> None:
    client.run("CREATE TABLE counted (id bigint) TBLPROPERTIES ('table_type'='ICEBERG')")
    cursor = connection.cursor()
    cursor.execute("INSERT INTO counted VALUES (1), (2), (3)")
    assert cursor.rowcount == 3
    cursor.execute("DELETE FROM counted WHERE id > 1")
    assert cursor.rowcount == 2


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (
            "SELECT * FROM nothing",
            f"TABLE_NOT_FOUND: line 1:15: Table '{CATALOG}.sales.nothing' does not exist",
        ),
        ("SELECT nothing FROM events", "COLUMN_NOT_FOUND: line 1:8: Column 'nothing' cannot be resolved"),
        (
            "SELECT e.nothing FROM events e",
            "COLUMN_NOT_FOUND: line 1:8: Column 'e.nothing' cannot be resolved",
        ),
        ("SELECT\n  foo(1)", "FUNCTION_NOT_FOUND: line 2:3: Function 'foo' not registered"),
        (
            "SELECT list_sum(tags) FROM events",
            "FUNCTION_NOT_FOUND: line 1:8: Function 'list_sum' not registered",
        ),
        ("SELECT 1/0", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT CAST('abc' AS integer)", "INVALID_CAST_ARGUMENT: Cannot cast 'abc' to INT"),
        (
            "SELECT * FROM events WHERE day > '2026-01-01'",
            "TYPE_MISMATCH: line 1:28: Cannot apply operator: date > varchar",
        ),
        (
            "INSERT INTO events (id) VALUES ('x')",
            "TYPE_MISMATCH: line 1:13: Insert query has mismatched column types: Table: [bigint], Query: ",
        ),
        ("CREATE VIEW v AS SELECT 1", "NOT_SUPPORTED: CREATE VIEW is not supported for S3 Tables"),
        ("OPTIMIZE events REWRITE DATA USING BIN_PACK", "NOT_SUPPORTED: OPTIMIZE"),
        ("VACUUM events", "NOT_SUPPORTED: VACUUM"),
        ("ALTER TABLE events RENAME TO happenings", "NOT_SUPPORTED: ALTER TABLE RENAME"),
        ("ALTER DATABASE sales SET DBPROPERTIES ('a'='b')", "NOT_SUPPORTED: ALTER DATABASE"),
        (
            'SELECT * FROM "events$nothing"',
            "TABLE_NOT_FOUND: line 1:15: Table 'sales.events$nothing' does not exist",
        ),
        ('SELECT 1 FROM "s3tablescatalog/nothing".a.b', "CATALOG_NOT_FOUND: "),
    ],
)
def test_failures_in_athenas_words(client: Client, sql: str, reason: str) -> None:
    assert client.reason(sql).startswith(reason)


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELEC 1", "line 1:1: mismatched input 'SELEC'"),
        ("SELECT id::int FROM events", "line 1:10: "),
        ("SELECT [1, 2]", "line 1:8: mismatched input '\\['"),
        ("SELECT {'a': 1}", "line 1:8: mismatched input '{'"),
        ("FROM events", "line 1:1: mismatched input 'FROM'"),
        ("SELECT * EXCLUDE (id) FROM events", "mismatched input 'EXCEPT'|mismatched input 'EXCLUDE'"),
        ("SELECT id FROM events QUALIFY row_number() OVER () = 1", "line 1:"),
        ("SELECT 1 FROM", "line 1:14: mismatched input '<EOF>'"),
    ],
)
def test_syntax_errors_fail_the_start(client: Client, sql: str, place: str) -> None:
    with pytest.raises(ClientError, match=place) as caught:
        client.start(sql)
    assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
    assert caught.value.response["AthenaErrorCode"] == "MALFORMED_QUERY"  # type: ignore[typeddict-item]
