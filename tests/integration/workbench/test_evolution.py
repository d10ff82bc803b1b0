"""What a contract does not know yet is found, proposed and taken in, with what was there before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg import aws
from dynaberg.contracts import load_contract, project_contract
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings
from local_aws import Status

CONTRACT = """\
# Orders, by hand.
source_table: drifting-orders
table: orders
key: {partition: id}
columns:
  - name: id
    type: string
  - name: total  # exact
    type: decimal(6,2)
"""


def put(name: str, **more: dict[str, Any]) -> None:
    boto3.client("dynamodb").put_item(TableName="drifting-orders", Item={"id": {"S": name}, **more})


def arrive(wb: dynaberg.Workbench, rows: int) -> None:
    """Wait for rows of the change log; one change fails, so not for all changes."""

    def there() -> bool:
        return bool(wb.tables().set_index("table").loc["orders", "log_rows"] >= rows)

    aws.wait_for(there, timeout=90, what=f"{rows} rows")


def test_a_contract_learns_what_arrives(local_aws: Status, tmp_path: Path) -> None:
    path = tmp_path / "data" / "tables" / "orders.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(CONTRACT)
    names = {"name": "drifting", "namespace": "drifting", "bucket_name": "drifting", "root": tmp_path}
    settings = Settings(table_name="orders", table_bucket_name="drifting-tables", **names)
    wb = dynaberg.Workbench(settings, boto3.Session(), project_contract(settings))
    wb.enable_cdc()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    assert wb.table().drift_report().empty
    assert wb.table().evolve()["columns_added"].sum() == []
    assert path.read_text() == CONTRACT
    for number in range(4):
        more = {"couponCode": {"S": "SPRING"}, "pieces": {"N": str(number)}, "entityType": {"S": "Order"}}
        put(f"o{number}", total={"N": "1.50"}, **more)
    # Its row is larger than Firehose takes, so `unmapped` is packed.
    put("packed", pieces={"N": "9"}, bulk={"S": "\x01" * 180_000}, entityType={"S": "Basket"})
    put("large", total={"N": "123456.78"}, entityType={"S": "Order"})
    orders = wb.table()
    orders.wait_for_failures(1, timeout=90)
    put("gone", nothing={"BOOL": True})
    boto3.client("dynamodb").delete_item(TableName="drifting-orders", Key={"id": {"S": "gone"}})
    arrive(wb, 7)
    assert wb.query("SELECT count(*) FROM orders_changes WHERE unmapped LIKE '{\"$gzip%'").df.iloc[0, 0] == 1
    orders.refresh()

    found = orders.drift_report().set_index("attribute")
    assert found["found"].to_dict() == {
        "bulk": "no column",
        "couponCode": "no column",
        "entityType": "no column",
        "nothing": "no column",
        "pieces": "no column",
        "total": "does not fit",
    }
    assert found["types"].to_dict() == {
        "bulk": "S 1",
        "couponCode": "S 4",
        "entityType": "S 5",
        "nothing": "BOOL 1",
        "pieces": "N 5",
        "total": "N 1",
    }
    assert found["kinds"].to_dict() == {
        "bulk": "Basket 1",
        "couponCode": "Order 4",
        "entityType": "Basket 1, Order 4",
        "nothing": "other 1",
        "pieces": "Basket 1, Order 4",
        "total": "Order 1",
    }
    assert found["column"].dropna().to_dict() == {
        "bulk": "bulk",
        "couponCode": "coupon_code",
        "entityType": "entity_type",
        "pieces": "pieces",
        "total": "total",
    }
    assert found["first_changed_at"].notna().all()

    with pytest.raises(NotFoundError, match="proposed column 'color'"):
        orders.evolve(["color"])
    assert path.read_text() == CONTRACT
    with pytest.raises(NotFoundError, match="proposed column 'color'"):
        orders.preview_evolve(["color"])
    assert path.read_text() == CONTRACT
    effects = orders.preview_evolve(["coupon_code", "total"])
    assert effects[effects["touches"] == "values"].to_dict("records") == [
        {
            "change": "+ coupon_code: string",
            "touches": "values",
            "name": "orders_changes",
            "effect": "4 rows are filled from `unmapped`",
        }
    ]
    assert len(effects[effects["touches"] == "table"]) == 4
    assert path.read_text() == CONTRACT
    done = orders.evolve(["coupon_code", "total"]).set_index("table")
    assert done.loc["orders", "columns_added"] == ["coupon_code"]
    assert done["rows_filled"].to_dict() == {"orders_changes": 4, "orders": 0}
    in_log = wb.query("SELECT coupon_code FROM orders_changes WHERE id LIKE 'o%'").df
    assert in_log["coupon_code"].to_list() == ["SPRING"] * 4
    text = path.read_text()
    assert text.startswith("# Orders, by hand.\n")
    assert "total  # exact" in text
    assert load_contract(path).columns == orders.contract.columns == wb.table().contract.columns
    assert list(orders.replay_errors()["outcome"]) == ["replayed"]
    arrive(wb, 8)
    orders.refresh()
    report = orders.reconcile()
    assert report.matches, report.summary
    assert set(wb.query("SELECT coupon_code FROM orders WHERE id LIKE 'o%'").df["coupon_code"]) == {"SPRING"}
    assert orders.drift_report()["attribute"].to_list() == ["bulk", "entityType", "nothing", "pieces"]
    # Later, with a row that is packed; the log is not merged anew because its files were.
    done = orders.evolve(["pieces"]).set_index("table")
    assert done.loc["orders_changes", "rows_filled"] == 5
    assert wb.query("SELECT pieces FROM orders_changes WHERE id = 'packed'").df["pieces"].to_list() == [9]
    assert orders.evolve([])["rows_filled"].sum() == 0
    orders.refresh()
    assert orders.refresh()["action"].to_list() == ["none"]
    assert orders.reconcile().matches
    assert wb.preview().empty
    wb.clean_up(confirm="drifting", delete_items_of=["drifting-orders"])
