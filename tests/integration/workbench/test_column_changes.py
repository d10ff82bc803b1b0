"""Columns of a living table are renamed, widened and dropped: nothing is lost, the past stays readable."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

import dynaberg
from dynaberg import layers
from dynaberg.contracts import load_contract, project_contract
from dynaberg.errors import ContractError, NotFoundError, SettingsError
from dynaberg.settings import Settings
from dynaberg.workbench import column_changes
from local_aws import Status

pytestmark = pytest.mark.thorough

SOURCE = "changing-orders"
CONTRACT = f"""\
# Orders, by hand.
source_table: {SOURCE}
table: orders
key: {{partition: id}}
columns:
  - name: id
    type: string
  - name: total  # exact
    type: decimal(6,2)
  # how many
  - name: pieces
    type: int
  - name: card
    type: string
    mask: last4
    attribute: cardNumber
  - name: note
    type: string
"""
BY_TOTAL = "-- build: full\nSELECT total, count(*) AS orders FROM orders GROUP BY total\n"
EVERYTHING = "-- build: full\nSELECT * FROM orders\n"
OTHER = "-- build: full\nSELECT count(*) AS orders FROM orders\n"
CARD = "4111111111111111"


def put(name: str, **more: dict[str, Any]) -> None:
    item = {"id": {"S": name}, "cardNumber": {"S": CARD}, "note": {"S": f"note of {name}"}, **more}
    boto3.client("dynamodb").put_item(TableName=SOURCE, Item=item)


@pytest.fixture(scope="module", name="wb")
def _wb(local_aws: Status, tmp_path_factory: pytest.TempPathFactory) -> dynaberg.Workbench:
    root = tmp_path_factory.mktemp("changing")
    files = {"tables/orders.yaml": CONTRACT, "sql/curated/by_total.sql": BY_TOTAL}
    files |= {"sql/curated/everything.sql": EVERYTHING, "sql/curated/other.sql": OTHER}
    for name, text in files.items():
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names = {"name": "evolving", "namespace": "evolving", "bucket_name": "evolving", "root": root}
    settings = Settings(table_name="orders", table_bucket_name="evolving-tables", **names)
    wb = dynaberg.Workbench(settings, boto3.Session(), project_contract(settings))
    wb.enable_cdc()
    wb.integrate_analytics()
    wb.deploy_firehose(buffer_seconds=0)
    put("first", total={"N": "1.50"}, pieces={"N": "7"})
    put("still", total={"N": "2.50"}, pieces={"N": "8"})
    arrive(wb)
    return wb


def arrive(wb: dynaberg.Workbench) -> None:
    wb.table().wait_for_delivery()
    wb.table().refresh()


def file_of(wb: dynaberg.Workbench) -> Path:
    return wb.settings.root / "data" / "tables" / "orders.yaml"


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"rename": {"sum": "amount"}}, NotFoundError, "'sum'"),
        ({"rename": {"id": "key_of_it"}}, ContractError, "'id' is a key"),
        ({"drop": ["id"]}, ContractError, "'id' is a key"),
        ({"rename": {"total": "note"}}, ContractError, "'note' is taken"),
        ({"rename": {"total": "changed_at"}}, ContractError, "changed_at"),
        ({"rename": {"total": "Total"}}, ContractError, "Total"),
        ({"widen": {"total": "decimal(5,2)"}}, ContractError, "cannot become"),
        ({"widen": {"note": "long"}}, ContractError, "cannot become"),
        ({"widen": {"total": "decimal(8,2)"}, "drop": ["total"]}, ContractError, "two ways"),
        ({"drop": ["note"], "confirm": "orders"}, SettingsError, "Nothing was dropped"),
    ],
)
def test_what_cannot_be_done_is_refused_whole(
    wb: dynaberg.Workbench, asked: dict[str, Any], error: type[Exception], words: str
) -> None:
    before = wb.table().current.schema(), file_of(wb).read_text()
    with pytest.raises(error, match=words):
        wb.table().evolve(**asked)
    assert (wb.table().current.schema(), file_of(wb).read_text()) == before


def test_a_preview_names_what_it_touches(wb: dynaberg.Workbench) -> None:
    found = wb.table().preview_evolve(rename={"total": "amount"}, drop=["card"])
    rows = {(row.change, row.touches, row.name): row.effect for row in found.itertuples(index=False)}
    assert "breaks" in rows["total → amount", "curated SQL", "by_total.sql"]
    assert "full=True" in rows["total → amount", "curated SQL", "everything.sql"]
    assert "last4" in rows["- card", "mask", "cardNumber"]
    assert "unmapped" in rows["- card", "values", "cardNumber"]
    assert not found["name"].eq("other.sql").any()
    assert {"orders", "orders_changes", "orders.yaml", SOURCE} <= set(found["name"])
    assert file_of(wb).read_text() == CONTRACT


def test_a_killed_renaming_is_finished_by_the_same_call(
    wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.now(UTC)
    change = layers.change_columns

    class Killed(BaseException):
        pass

    def killed_between(*place: Any) -> Any:
        change(*place)
        raise Killed

    def killed_at_the_end(*_: Any) -> None:
        raise Killed

    # Between the tables and the file; then between the file and the last deployment.
    with monkeypatch.context() as patched:
        patched.setattr(layers, "change_columns", killed_between)
        with pytest.raises(Killed):
            wb.table().evolve(rename={"total": "amount"})
    put("between", total={"N": "3.50"})
    for call in (wb.deploy_firehose, wb.table().refresh):
        with pytest.raises(ContractError, match="'total' is 'amount' now"):
            call()
    with monkeypatch.context() as patched:
        patched.setattr(column_changes, "_both", killed_at_the_end)
        with pytest.raises(Killed):
            wb.table().evolve(rename={"total": "amount"})
    done = wb.table().evolve(rename={"total": "amount"})
    assert list(done["status"]) == ["unchanged", "unchanged"]
    assert load_contract(file_of(wb)).column("amount").attribute == "total"
    assert "  - name: amount  # exact\n    attribute: total\n" in file_of(wb).read_text()
    put("after", total={"N": "4.50"})
    arrive(wb)
    rows = wb.query("SELECT id, amount FROM orders").df.set_index("id")["amount"].to_dict()
    values = {"first": "1.50", "still": "2.50", "between": "3.50", "after": "4.50"}
    assert rows == {name: Decimal(value) for name, value in values.items()}
    orders = wb.table()
    assert orders.reconcile().matches
    old = orders.read_as_of(before).set_index("id")
    assert old.loc["first", "total"] == Decimal("1.50")
    assert orders.read_as_of(datetime.now(UTC)).set_index("id").loc["first", "amount"] == Decimal("1.50")
    assert orders.state_as_of(datetime.now(UTC)).set_index("id").loc["still", "amount"] == Decimal("2.50")
    assert "amount" in set(orders.item_history({"id": "first"})["attribute"])


def test_a_wider_type_takes_larger_values(wb: dynaberg.Workbench) -> None:
    wb.table().evolve(widen={"pieces": "long", "amount": "decimal(12,2)"})
    assert "  # how many\n" in file_of(wb).read_text()
    put("large", total={"N": "123456.78"}, pieces={"N": "3000000000"})
    arrive(wb)
    row = wb.query("SELECT pieces, amount FROM orders WHERE id = 'large'").df.iloc[0]
    assert (int(row["pieces"]), row["amount"]) == (3_000_000_000, Decimal("123456.78"))
    assert wb.table().reconcile().matches


def test_no_value_is_lost_while_the_table_is_written_to(wb: dynaberg.Workbench) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            put("written", pieces={"N": str(number)})
            put(f"written-{number % 50}", pieces={"N": str(number)})
            number += 1
            stop.wait(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wb.table().evolve(rename={"pieces": "parts"})
    finally:
        stop.set()
        writer.join()
    arrive(wb)
    report = wb.table().reconcile()
    assert report.matches, report.df.to_string()
    lost = "SELECT count(*) FROM orders_changes WHERE id LIKE 'written%' AND parts IS NULL"
    assert wb.query(lost).df.iloc[0, 0] == 0
    boto3.client("dynamodb").delete_item(TableName=SOURCE, Key={"id": {"S": "written"}})
    for number in range(50):
        boto3.client("dynamodb").delete_item(TableName=SOURCE, Key={"id": {"S": f"written-{number}"}})
    arrive(wb)


def test_what_a_dropped_column_held_arrives_in_unmapped_masked(wb: dynaberg.Workbench) -> None:
    before, expected = datetime.now(UTC), wb.settings.name
    wb.table().evolve(drop=["card", "note"], confirm=expected)
    text = file_of(wb).read_text()
    assert "  # - name: note\n" in text
    assert [str(mask) for mask in load_contract(file_of(wb)).masks] == ["cardNumber"]
    assert not {"card", "note"} & {field.name for field in wb.table().log.schema().fields}
    put("first", total={"N": "5.50"})
    arrive(wb)
    report = wb.table().reconcile()
    assert set(report.df["id"]) == {"still", "between", "after", "large"}
    wb.table().backfill(reconcile=False)
    arrive(wb)
    orders = wb.table()
    assert orders.reconcile().matches
    found = dict(wb.query("SELECT id, unmapped FROM orders").df.itertuples(index=False, name=None))
    assert '"cardNumber":{"S":"****1111"}' in found["still"]
    assert '"note":{"S":"note of still"}' in found["still"]
    assert CARD not in str(found)
    assert orders.read_as_of(before).set_index("id").loc["still", "note"] == "note of still"
    # The name may be used again, for another column.
    commented = "  # - name: note\n  #   type: string\n"
    assert commented in text
    file_of(wb).write_text(text.replace(commented, "  - name: note\n    type: string\n"))
    again = dynaberg.Workbench(wb.settings, wb.session, project_contract(wb.settings))
    again.deploy_firehose(buffer_seconds=0)
    again.table().refresh()
    notes = again.query("SELECT id, note FROM orders").df.set_index("id")["note"].to_dict()
    assert notes["still"] == "note of still"
