"""The snippets of `pages/engines.md`, run: DuckDB on the local AWS, Spark on a local warehouse."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from pyiceberg.table import StaticTable

import dynaberg
from dynaberg.contracts.contract import load_contract
from dynaberg.settings import Settings
from dynaberg.source.transactions_model import plan_changes
from local_aws import Status
from local_aws.athena.tables.engine import load_extension

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "lib" / "dynaberg" / "pages" / "engines.md").read_text(encoding="utf-8")
CONTRACT = load_contract(ROOT / "data" / "tables" / "transactions.yaml")


def statements(engine: str) -> list[str]:
    (block,) = re.findall(rf"```sql {engine}\n(.*?)```", PAGE, re.DOTALL)
    return [text.strip() for text in block.split(";") if text.strip()]


# DuckDB -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workbench(local_aws: Status) -> Iterator[dynaberg.Workbench]:
    """A pipeline under the page's own names, with a few transactions."""
    settings = Settings(name="engines", bucket_name="engines", root=ROOT)
    contract = replace(CONTRACT, source_table="engines-transactions")
    wb = dynaberg.Workbench(settings, boto3.Session(), contract)
    wb.enable_cdc()
    wb.deploy_firehose(buffer_seconds=0)
    wb.generate_traffic(60)
    wb.table().wait_for_delivery()
    wb.table().refresh()
    yield wb
    wb.clean_up(confirm="engines")


def local_spelling(statement: str, local: Status) -> str | None:
    """A statement of the page for the local AWS: its address, its keys, extensions from their wheels."""
    if statement.startswith(("INSTALL", "LOAD")):
        return None
    if statement.startswith("CREATE SECRET"):
        keys = "KEY_ID 'test', SECRET 'test', URL_STYLE 'path', USE_SSL false"
        place = local.endpoint.removeprefix("http://")
        return statement.replace("PROVIDER credential_chain", f"{keys}, ENDPOINT '{place}'")
    address = f"ENDPOINT '{local.endpoint}/iceberg', AUTHORIZATION_TYPE 'none'"
    return statement.replace("ENDPOINT_TYPE s3_tables", address).replace("ACCOUNT", "000000000000")


def test_duckdb_reads_what_athena_reads(
    workbench: dynaberg.Workbench, local_aws: Status, tmp_path: Path
) -> None:
    connection = duckdb.connect(config={"extension_directory": str(tmp_path)})
    for extension in ("httpfs", "avro", "iceberg"):
        load_extension(connection, extension)
    answers = []
    for statement in statements("duckdb"):
        if text := local_spelling(statement, local_aws):
            answers.append(connection.execute(text).fetchall())
    by_status, (items,) = answers[-2], answers[-1]
    expected = workbench.query(
        "SELECT status, count(*) AS n FROM transactions GROUP BY status ORDER BY status"
    )
    assert by_status == [(row.status, row.n) for row in expected.df.itertuples()]
    assert items == (sum(count for _, count in by_status),)


# Spark ------------------------------------------------------------------------------------------

SPARK_TYPES = {"long": "bigint", "timestamptz": "timestamp"}


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Spark with the page's configuration, on a warehouse in a folder instead of S3 Tables."""
    if not shutil.which("java"):
        pytest.skip("there is no Java, on which Spark runs")
    hint = "make spark"
    sql = pytest.importorskip("pyspark.sql", reason=f"pyspark is not installed: {hint}")
    jars = pytest.importorskip(
        "snowpark_connect_deps_iceberg", reason=f"Iceberg's jar is not installed: {hint}"
    )
    (jar,) = Path(jars.__file__).parent.glob("jars/iceberg-spark-runtime-3.5_2.12-*.jar")
    (block,) = re.findall(r"```python spark\n(.*?)```", PAGE, re.DOTALL)
    options = dict(re.findall(r'config\(\s*"([^"]+)",\s*"([^"]+)"', block))
    catalog = "spark.sql.catalog.lake"
    remote = ("uri", "io-impl", "rest.")
    kept = {k: v for k, v in options.items() if not k.removeprefix(f"{catalog}.").startswith(remote)}
    kept.pop("spark.jars.packages")
    warehouse = tmp_path_factory.mktemp("warehouse")
    kept |= {f"{catalog}.type": "hadoop", f"{catalog}.warehouse": str(warehouse), "spark.jars": str(jar)}
    kept |= {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1"}
    kept |= {"spark.sql.session.timeZone": "UTC", "spark.driver.bindAddress": "127.0.0.1"}
    kept |= {"spark.driver.host": "127.0.0.1", "spark.driver.memory": "512m"}
    builder = sql.SparkSession.builder.master("local[1]")
    for key, value in kept.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.warehouse_folder = warehouse
    yield session
    session.stop()


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    """Transactions as the current table would have them, by column."""
    plan = plan_changes((40, 0, 0), seed=7, now=datetime(2026, 1, 1, tzinfo=UTC))
    return [change.transaction._asdict() for change in plan]


def test_spark_reads_the_tables_of_the_contract(spark: Any, items: list[dict[str, Any]]) -> None:
    fields = CONTRACT.current_schema().fields
    types = {field.name: SPARK_TYPES.get(str(field.field_type), str(field.field_type)) for field in fields}
    columns = ", ".join(f"`{name}` {type_}" for name, type_ in types.items())
    spark.sql(f"CREATE TABLE lake.analytics.transactions ({columns}) USING iceberg")
    append_rows(spark, types, items[:25])
    append_rows(spark, types, items[25:])

    by_status, (snapshots,), (count,) = (spark.sql(text).collect() for text in statements("spark"))
    expected: dict[str, int] = {}
    for item in items:
        expected[item["status"]] = expected.get(item["status"], 0) + 1
    assert [tuple(row) for row in by_status] == sorted(expected.items())
    assert snapshots["snapshots"] == 2
    assert count["items"] == len(items)


def test_pyiceberg_reads_what_spark_wrote(spark: Any, items: list[dict[str, Any]]) -> None:
    folder = spark.warehouse_folder / "analytics" / "transactions" / "metadata"
    newest = max(folder.glob("v*.metadata.json"), key=lambda path: int(path.name[1:].split(".")[0]))
    table = StaticTable.from_metadata(str(newest))
    assert [(f.name, str(f.field_type)) for f in table.schema().fields] == [
        (f.name, str(f.field_type)) for f in CONTRACT.current_schema().fields
    ]
    found = table.scan(selected_fields=("transaction_id", "amount")).to_arrow().to_pylist()
    amounts = {row["transaction_id"]: row["amount"] for row in found}
    assert amounts == {item["transaction_id"]: Decimal(item["amount"]) for item in items}


def append_rows(spark: Any, types: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """One commit; every value goes in as text and is cast to its column's type."""
    given = [tuple(str(row[name]) if name in row else None for name in types) for row in rows]
    schema = ", ".join(f"`{name}` string" for name in types)
    frame = spark.createDataFrame(given, schema)
    casts = [f"CAST(`{name}` AS {type_}) AS `{name}`" for name, type_ in types.items()]
    frame.selectExpr(*casts).writeTo("lake.analytics.transactions").append()
