"""Plain Parquet of a source with several tables: of each, and of what none of them claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.integration.conftest import create_source
from tests.integration.workbench.test_single_table import KINDS, change, open_shop

import dynaberg
from dynaberg.contracts import project_contract
from dynaberg.settings import Settings
from local_aws import Status

WRONG = ["missing", "surplus", "different"]
LISTED = """\
source_table: {source}
table: {table}
key: {{partition: id}}
columns:
  - {{name: id, type: string}}
"""


def written(wb: dynaberg.Workbench, table: str) -> dict[str, int]:
    """How many rows the files of a table and of the rest have, by log, once they follow."""
    found = wb.table(table)
    found.wait_for_delivery(timeout=90)
    found.parquet.write()
    checked = found.parquet.check()
    assert not checked[WRONG].to_numpy().any(), checked
    return dict(checked.groupby("log")["parquet_rows"].sum())


def keys(bucket: str) -> set[str]:
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket)
    return {found["Key"].partition("/")[0] for found in listed.get("Contents", [])}


@pytest.mark.thorough
def test_every_log_of_a_source_has_its_files(local_aws: Status, tmp_path: Path) -> None:
    wb = open_shop(tmp_path, "flat", raw_parquet=True)
    wb.adopt()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    for number in range(8):
        change("flat", number, KINDS[number % 4])
    assert written(wb, "orders") == {"orders_changes": 2, "flat_shop_other_changes": 4}
    assert written(wb, "customers") == {"customers_changes": 2, "flat_shop_other_changes": 4}

    orders = wb.table("orders")
    orders.evolve(rename={"total": "amount"})
    wb = dynaberg.Workbench(wb.settings, wb.session, project_contract(wb.settings))
    change("flat", 0, "Order", "7.25")
    assert written(wb, "orders") == {"orders_changes": 3, "flat_shop_other_changes": 4}
    database = f"{wb.settings.name}_parquet"
    amounts: Any = wb.query(f'SELECT amount FROM "AwsDataCatalog"."{database}"."orders_changes"').df
    assert sorted(map(str, amounts["amount"])) == ["1.50", "1.50", "7.25"]
    wb.clean_up(confirm="flat")
    assert wb.list_resources().empty


@pytest.mark.thorough
def test_a_source_that_is_removed_takes_its_files_along(local_aws: Status, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tables"
    folder.mkdir(parents=True)
    for table, source in (("orders", "listed-First"), ("more", "listed-More")):
        create_source(source, id="S")
        (folder / f"{table}.yaml").write_text(LISTED.format(source=source, table=table))
    names = {"name": "listed", "namespace": "listed", "bucket_name": "listed"}
    settings = Settings(
        table_name="orders", root=tmp_path, table_bucket_name="listed-tables", raw_parquet=True, **names
    )
    wb = dynaberg.Workbench(settings, boto3.Session(), project_contract(settings))
    wb.adopt("orders")
    wb.adopt("more")
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    for source in ("listed-First", "listed-More"):
        boto3.client("dynamodb").put_item(TableName=source, Item={"id": {"S": "a"}})
    assert written(wb, "orders") == {"orders_changes": 1}
    assert written(wb, "more") == {"more_changes": 1}
    bucket = wb.table("more").parquet.address.split("/")[2]
    assert {"orders_changes", "more_changes"} <= keys(bucket)

    wb.table("more").remove_source(confirm="listed-More")
    assert not [key for key in keys(bucket) if "more" in key]
    tables = boto3.client("glue").get_tables(DatabaseName="listed_parquet")["TableList"]
    assert [found["Name"] for found in tables] == ["orders_changes"]
    assert written(wb, "orders") == {"orders_changes": 1}
    wb.clean_up(confirm="listed")
