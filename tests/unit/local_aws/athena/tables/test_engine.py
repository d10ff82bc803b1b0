"""The engine by itself: it reaches the objects of S3 and its own folder, and no other file, host or setting.

Statements of Athena are checked before they get here; this is what holds where a check has a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from ministack.services import s3

from local_aws.athena.tables.engine import Engine

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "DATA_DIR", str(home / "s3"))
        s3._persist_object("lake", "words.csv", {"body": b"word\nhello\n"})
        (home / "private.csv").write_text("word\nhush-hush\n")
        made = Engine(home / "duckdb", NOWHERE, "us-east-1")
        made.open()
        yield made
        made.close()


REFUSED = [
    "SELECT * FROM read_text('{home}/private.csv')",
    "SELECT * FROM read_blob('{home}/private.csv')",
    "SELECT * FROM read_csv('{home}/private.csv')",
    "SELECT * FROM read_csv('file://{home}/private.csv')",
    "SELECT * FROM read_csv_auto('{home}/*.csv')",
    "SELECT * FROM read_parquet('{home}/private.csv')",
    "SELECT * FROM read_parquet(['{home}/s3/000000000000/lake/words.csv', '{home}/private.csv'])",
    "SELECT * FROM read_json('{home}/private.csv')",
    "SELECT * FROM parquet_metadata('{home}/private.csv')",
    "SELECT * FROM sniff_csv('{home}/private.csv')",
    "SELECT * FROM glob('{home}/*')",
    "SELECT * FROM iceberg_scan('{home}')",
    "SELECT * FROM '{home}/private.csv'",
    'SELECT * FROM "{home}/private.csv"',
    "SELECT * FROM read_text('{home}/s3/000000000000/../../private.csv')",
    "SELECT * FROM read_text('{home}/duckdb/scratch/../../private.csv')",
    "SELECT * FROM read_text('{home}/s3/0000000000001/private.csv')",
    "SELECT * FROM read_text('private.csv')",
    "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    "SELECT * FROM read_parquet('hf://datasets/a/b.parquet')",
    "SELECT * FROM read_parquet('gcs://bucket/x.parquet')",
    "SELECT * FROM read_parquet('r2://bucket/x.parquet')",
    "SELECT * FROM read_csv('s3://lake/../../../private.csv')",
    "SELECT * FROM read_csv('s3://../../private.csv')",
    "SELECT * FROM read_csv('s3://lake/words.csv?s3_endpoint=127.0.0.1:1')",
    "COPY (SELECT 1) TO '{home}/out.csv'",
    "COPY (SELECT 1) TO 'http://127.0.0.1:1/out.csv'",
    "COPY (SELECT 1) TO '{home}/out' (FORMAT parquet, PARTITION_BY (1))",
    "EXPORT DATABASE '{home}/out'",
    "IMPORT DATABASE '{home}'",
    "ATTACH '{home}/out.db'",
    "ATTACH 'http://127.0.0.1:1/out.db'",
    "ATTACH 'arn:aws:s3tables:us-east-1:000000000000:bucket/x' AS x (TYPE ICEBERG, ENDPOINT_TYPE s3_tables)",
    "INSTALL spatial",
    "INSTALL '{home}/private.csv'",
    "LOAD '{home}/private.csv'",
    "LOAD sqlite",
    "CREATE PERSISTENT SECRET kept (TYPE S3, KEY_ID 'a', SECRET 'b')",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET GLOBAL allowed_directories = ['/']",
    "SET allowed_configs = ['memory_limit']",
    "SET memory_limit = '100GB'",
    "SET temp_directory = '{home}'",
    "SET log_query_path = '{home}/out.log'",
    "SET profiling_output = '{home}/out.json'",
    "SET s3_endpoint = '127.0.0.1:1'",
    "PRAGMA memory_limit = '100GB'",
    "RESET memory_limit",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_other_files_hosts_and_settings_are_out_of_reach(engine: Engine, home: Path, sql: str) -> None:
    before = {path for path in home.rglob("*") if "duckdb" not in path.parts}
    with engine.cursor() as cursor, pytest.raises((duckdb.Error, OSError)) as refused:
        cursor.execute(sql.format(home=home)).fetchall()
    assert "hush-hush" not in str(refused.value)
    assert {path for path in home.rglob("*") if "duckdb" not in path.parts} == before


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('s3://lake/words.csv')",
        "SELECT * FROM read_csv('{home}/s3/000000000000/lake/words.csv')",
    ],
)
def test_objects_are_read(engine: Engine, home: Path, sql: str) -> None:
    with engine.cursor() as cursor:
        assert cursor.execute(sql.format(home=home)).fetchall() == [("hello",)]


def test_its_own_folder_is_written(engine: Engine, home: Path) -> None:
    with engine.cursor() as cursor:
        cursor.execute(f"COPY (SELECT 1 AS n) TO '{engine.scratch}/out.csv'")
        cursor.execute("SELECT sum(n) FROM (SELECT unnest(range(3000000)) AS n ORDER BY hash(n))")
    assert (engine.scratch / "out.csv").read_text() == "n\n1\n"
