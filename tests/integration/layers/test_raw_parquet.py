"""The raw layer as plain Parquet, too: the same rows as the change log, by day, whatever happens to it."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from pyiceberg.types import LongType
from tests.integration.conftest import item

import dynaberg
from dynaberg import aws, catalog, deploy, erasure, layers, sql, upkeep
from dynaberg.contracts import Column, Contract
from dynaberg.delivery import wait_for_delivery
from dynaberg.errors import NotFoundError, NotReadyError
from dynaberg.functions.schedule import BusyError, Lake, Mirror
from dynaberg.functions.schedule.mirror import NeedsNotebookError
from local_aws.s3tables.maintenance.compaction import compact

Make = Callable[..., Any]
WRONG = ["missing", "surplus", "different"]


@pytest.fixture(scope="module")
def kept(make_pipeline: Make) -> Any:
    """A pipeline that keeps plain Parquet, with inserts, changes and deletes of every type."""
    return switched_on(make_pipeline("rawparquet"))


def switched_on(pipeline: Any) -> Any:
    pipeline = replace(pipeline, settings=replace(pipeline.settings, raw_parquet=True))
    planned = deploy.preview(*place(pipeline))
    assert {"AWS::S3::Bucket", "AWS::Glue::Database"} <= {
        *planned[planned["stack"] == "rawparquet-parquet"]["type"]
    }
    deploy.deploy_firehose(pipeline.session, pipeline.settings, pipeline.contract, buffer_seconds=0)
    return pipeline


def place(pipeline: Any) -> tuple[Any, Any, Contract]:
    return pipeline.session, pipeline.settings, pipeline.contract


def change(number: int, day: int, **values: Any) -> dict[str, Any]:
    moment = datetime(2026, 11, day, 23, 59, 59, 123456, tzinfo=UTC).isoformat()
    return {
        "change_id": f"change-{number}",
        "operation": "INSERT",
        "changed_at": moment,
        "sequence_number": f"{number:040d}",
        "received_at": moment,
        "id": f"item-{number}",
        "at": number,
        **values,
    }


def objects(pipeline: Any) -> dict[str, bytes]:
    bucket = deploy.parquet_outputs(*place(pipeline)[:2])["ParquetBucketName"]
    s3 = pipeline.session.client("s3")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {o["Key"]: s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read() for o in listed}


def copied_rows(pipeline: Any) -> list[dict[str, Any]]:
    """All rows of the copies, by pyarrow alone."""
    files = [body for key, body in objects(pipeline).items() if "/received_day=" in key]
    tables = [parquet.read_table(io.BytesIO(body)) for body in files]
    return pa.concat_tables(tables, promote_options="default").to_pylist() if tables else []


def log_rows(pipeline: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pipeline.load(pipeline.contract.log_name).scan().to_arrow().to_pylist()
    return rows


def in_order(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr(sorted(row.items())) for row in rows)


def assert_same(pipeline: Any) -> None:
    """The copies have the rows of the log: by pyarrow, and by the library's own comparison."""
    assert in_order(copied_rows(pipeline)) == in_order(log_rows(pipeline))
    found = layers.check_parquet(*place(pipeline))
    assert not found[WRONG].to_numpy().any(), found
    assert found["rows"].sum() == found["parquet_rows"].sum() == len(log_rows(pipeline))


def test_copies_have_the_rows_of_the_log(kept: Any) -> None:
    dynamodb = kept.session.client("dynamodb")
    kept.write(*(item(number) for number in range(6)))
    kept.write(
        item(1, amount={"N": "9999999999.99"}), item(2, surplus={"S": "…"}), item(3, place={"NULL": True})
    )
    dynamodb.delete_item(TableName=kept.contract.source_table, Key={"id": {"S": "item-04"}, "at": {"N": "4"}})
    wait_for_delivery(*place(kept), progress=False)
    done = layers.write_parquet(*place(kept))
    assert done["rows"].sum() == 10
    assert {"INSERT", "MODIFY", "REMOVE"} == {row["operation"] for row in copied_rows(kept)}
    assert all("4111" not in str(row) for row in copied_rows(kept))
    assert_same(kept)
    assert layers.write_parquet(*place(kept)).empty
    looked = deploy.doctor(*place(kept)[:2]).set_index("check").loc["raw Parquet"]
    assert looked["ok"]
    assert "transactions_changes 20" in looked["found"]


def mirror(pipeline: Any) -> Mirror:
    """What the schedule has: boto3 alone."""
    session, settings, contract = place(pipeline)
    lake = Lake(catalog.table_bucket_arn(session, settings), settings.namespace, session)
    bucket = deploy.parquet_outputs(session, settings)["ParquetBucketName"]
    return Mirror(lake, aws.client(session, "s3"), contract.log_name, bucket)


def days(pipeline: Any) -> dict[str, int]:
    """Rows by folder."""
    found: dict[str, int] = {}
    for key, body in objects(pipeline).items():
        if "/received_day=" in key:
            day = key.partition("/received_day=")[2].partition("/")[0]
            found[day] = found.get(day, 0) + len(parquet.read_table(io.BytesIO(body)))
    return found


def test_late_rows_compactions_and_deletes_are_followed(kept: Any) -> None:
    """By what the schedule has, as far as that goes; each row is in the folder of the day that it came in."""
    # More than a file's footer, so that it shows which files are read.
    kept.send(
        [change(100, 20, status=secrets.token_hex(50_000)), change(101, 20, status="late"), change(102, 21)]
    )
    done = mirror(kept).update("run")
    assert sum(file.rows for file in done.copied) == 3
    assert (days(kept)["2026-11-20"], days(kept)["2026-11-21"]) == (2, 1)
    assert_same(kept)

    kept.send([change(103, 20)])
    compact(kept.load(kept.contract.log_name), target_bytes=2**26)
    done = mirror(kept).update("run")
    assert done.removed
    assert len([key for key in objects(kept) if "/received_day=2026-11-20/" in key]) == 1
    assert_same(kept)
    assert mirror(kept).update("run").copied == ()

    sql.query(*place(kept)[:2], "DELETE FROM transactions_changes WHERE change_id = 'change-101'")
    if any(task.delete_files for task in kept.load(kept.contract.log_name).scan().plan_files()):
        with pytest.raises(NeedsNotebookError, match=r"deleted.*parquet.write"):
            mirror(kept).update("run")
    layers.write_parquet(*place(kept))
    assert days(kept)["2026-11-20"] == 2
    assert_same(kept)
    assert mirror(kept).update("run").copied == ()


def test_athena_duckdb_and_pandas_read_them(kept: Any, tmp_path: Any) -> None:
    import duckdb

    name = f'"awsdatacatalog"."{deploy.parquet_outputs(*place(kept)[:2])["ParquetDatabaseName"]}"'
    name += ".transactions_changes"
    query = sql.query
    every = query(*place(kept)[:2], f"SELECT * FROM {name}")
    assert len(every.df) == len(log_rows(kept))
    one_day = query(*place(kept)[:2], f"SELECT * FROM {name} WHERE received_day = '2026-11-21'")
    assert one_day.df["change_id"].tolist() == ["change-102"]
    assert one_day.df["changed_at"].iloc[0] == pd.Timestamp("2026-11-21 23:59:59.123")
    assert 0 < one_day.bytes_scanned < every.bytes_scanned / 2
    assert query(*place(kept)[:2], f"SELECT day FROM {name} WHERE received_day > '2099-01-01'").df.empty
    columns = "amount, prices['b'] AS b, place.city, place.zip, tags[1] AS tag, at, ratio, \"day\", old_image"
    where = "WHERE id = 'item-00'"
    here = query(*place(kept)[:2], f"SELECT {columns} FROM {name} {where}").df
    there = query(*place(kept)[:2], f"SELECT {columns} FROM transactions_changes {where}").df
    assert len(here) == 1
    assert here.to_dict("records") == there.to_dict("records")

    for key, body in objects(kept).items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(body)
    folder = tmp_path / "transactions_changes"
    sql_ = f"SELECT count(*), sum(amount) FROM read_parquet('{folder}/*/*.parquet', union_by_name = true)"
    amounts = [row["amount"] for row in log_rows(kept) if row["amount"] is not None]
    assert duckdb.sql(sql_).fetchone() == (len(log_rows(kept)), sum(amounts))
    frame = pd.read_parquet(folder, filters=[("received_day", "=", "2026-11-21")])
    assert frame["change_id"].tolist() == ["change-102"]


def test_columns_that_change_are_as_the_log_has_them_now(kept: Any) -> None:
    """A new column leaves the files as they are; other names and types are more than the schedule can do."""
    before = objects(kept)
    log = kept.load(kept.contract.log_name)
    with log.update_schema() as update:
        update.add_column("coupon", LongType())
    kept.send([change(200, 22, coupon=7)])
    mirror(kept).update("run")
    assert before.items() - objects(kept).items() <= {
        x for x in before.items() if "_state" in x[0] or "_locks" in x[0]
    }
    assert_same(kept)

    with log.update_schema() as update:
        update.rename_column("status", "state")
        update.update_column("place.zip", LongType())
    kept.send([change(201, 22, state="new", place={"city": "Bern", "zip": 3001})])
    with pytest.raises(NeedsNotebookError, match=r"names or types.*parquet.write"):
        mirror(kept).update("run")
    layers.write_parquet(*place(kept))
    assert_same(kept)
    assert {row["state"] for row in copied_rows(kept)} >= {"open", "new"}
    assert mirror(kept).update("run").copied == ()
    with log.update_schema() as update:
        update.rename_column("state", "status")
    layers.write_parquet(*place(kept))
    assert_same(kept)


def test_one_at_a_time_and_what_was_interrupted_goes_on(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.send([change(300 + n, 1 + n) for n in range(12)])
    found = mirror(kept)
    copied: list[Any] = []

    def copy(file: Any, rewriter: Any) -> None:
        with pytest.raises(BusyError):
            mirror(kept).update("another run")
        with pytest.raises(NotReadyError, match="being copied"):
            layers.write_parquet(*place(kept))
        copied.append(file)
        if len(copied) > 3:
            raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_copy", lambda self, file, rewriter: copy(file, rewriter))
        with pytest.raises(InterruptedError):
            found.update("run")
    assert found.update("run").copied
    assert_same(kept)


def holding(pipeline: Any, planted: str) -> list[str]:
    """The copies that show a value."""
    files = {key: body for key, body in objects(pipeline).items() if key.endswith(".parquet")}
    tables = {key: repr(parquet.read_table(io.BytesIO(body)).to_pylist()) for key, body in files.items()}
    return [key for key, shown in tables.items() if planted in shown]


@pytest.mark.thorough
def test_masks_forgetting_and_retention_are_followed(kept: Any) -> None:
    """What the log lets go is in no object any more, as soon as the call has ended."""
    planted = "PLANTED-4111"
    kept.send([change(400, 23, card=planted), change(401, 23, status="stays")])
    layers.write_parquet(*place(kept))
    assert len(holding(kept, planted)) == 1
    upkeep.remask(*place(kept), confirm="transactions")
    assert holding(kept, planted) == []
    assert_same(kept)

    key = {"id": "item-400", "at": 400}
    found = erasure.preview_forget(*place(kept), key).df.set_index("place")
    assert found.loc["raw Parquet", "found"] == 1
    done = erasure.forget(*place(kept), key, confirm="item-400/400", timeout=1).df.set_index("place")
    assert done.loc["raw Parquet", ["found", "removed", "left"]].tolist() == [1, 1, 0]
    assert holding(kept, "item-400") == []
    assert holding(kept, "item-401")
    assert_same(kept)

    kept.send([change(500, 2), change(501, 3, id="item-500", at=500)])
    layers.write_parquet(*place(kept))
    assert holding(kept, "change-500")
    erasure.apply_retention(*place(kept), days=2, confirm="transactions")
    assert holding(kept, "change-500") == []
    assert holding(kept, "change-501")
    assert_same(kept)


def test_the_check_finds_what_is_wrong(kept: Any) -> None:
    found = mirror(kept)
    whole, changed, lost = sorted(found.copies())[:3]
    rows = parquet.read_table(io.BytesIO(objects(kept)[changed]))
    at = rows.column_names.index("change_id")
    rows = rows.set_column(at, "change_id", pa.array(["other"] * len(rows)))
    out = io.BytesIO()
    parquet.write_table(rows, out)
    s3, bucket = found.s3, found.bucket
    s3.put_object(Bucket=bucket, Key=changed, Body=out.getvalue())
    s3.delete_object(Bucket=bucket, Key=lost)
    s3.put_object(
        Bucket=bucket, Key=f"{found.log}/received_day=2020-01-01/x.parquet", Body=objects(kept)[whole]
    )
    wrong = layers.check_parquet(*place(kept))
    assert (wrong[WRONG].sum() > 0).all()
    assert wrong.set_index("day").loc["2020-01-01", "surplus"] > 0
    layers.write_parquet(*place(kept))
    left = layers.check_parquet(*place(kept))[WRONG].sum()
    assert left[["missing", "surplus"]].tolist() == [0, 0]


def test_the_workbench_deploys_it_and_hands_it_out(make_pipeline: Make) -> None:
    """Athena finds the table before anything was copied; the copies of a table go with its own calls."""
    small = Contract("transactions", "rawbench-source", "id", None, (Column("id", "string"),))
    pipeline = make_pipeline("rawbench", small)
    settings = replace(pipeline.settings, raw_parquet=True)
    wb = dynaberg.Workbench(settings, pipeline.session, small)
    assert "AWS::Glue::Database" in set(wb.deploy_firehose(buffer_seconds=0)["type"])
    count = 'SELECT count(*) AS n FROM "awsdatacatalog"."rawbench_parquet".transactions_changes'
    assert wb.query(count).df["n"].tolist() == [0]
    pipeline.write({"id": {"S": "a"}}, {"id": {"S": "b"}})
    transactions = wb.table()
    transactions.wait_for_delivery()
    written = transactions.parquet.write()
    assert written["address"].str.startswith(transactions.parquet.address).all()
    assert wb.query(f"{count} WHERE day >= '2020-01-01'").df["n"].tolist() == [2]
    assert transactions.parquet.check()["parquet_rows"].sum() == 2


def test_it_is_off_by_default_and_goes_with_the_project(make_pipeline: Make, kept: Any) -> None:
    session, settings, contract = place(kept)
    other = replace(settings, name="rawparquet-off")
    assert not deploy.parquet_outputs(session, other)
    with pytest.raises(NotFoundError, match="keeps no plain Parquet"):
        layers.write_parquet(session, other, contract)
    layers.follow_parquet(session, other, contract)
    found = deploy.list_resources(session, settings)
    bucket = deploy.parquet_outputs(session, settings)["ParquetBucketName"]
    assert {bucket, "rawparquet_parquet"} <= {*found["name"]}
    table = contract.source_table
    deploy.clean_up(session, settings, confirm="rawparquet", delete_items_of=[table])
    assert not deploy.parquet_outputs(session, settings)
    assert bucket not in [each["Name"] for each in session.client("s3").list_buckets()["Buckets"]]
    databases = session.client("glue").get_databases()["DatabaseList"]
    assert "rawparquet_parquet" not in [each["Name"] for each in databases]
