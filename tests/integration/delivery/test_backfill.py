"""Backfill: what was in the table before its stream arrives exactly, whatever happens meanwhile."""

from __future__ import annotations

import base64
import importlib
import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3
import pytest
from tests.integration.conftest import create_source

import dynaberg
from dynaberg import layers, proof
from dynaberg.contracts import Column, Contract
from dynaberg.delivery.backfill import _Run, snapshot_record
from dynaberg.delivery.backfill_manifest import Manifest
from dynaberg.errors import NotFoundError, NotReadyError, SettingsError
from dynaberg.settings import Settings
from dynaberg.source import describe_source
from local_aws import Status

COLUMNS = (
    Column("pk", "string", attribute="PK"),
    Column("sk", "binary", attribute="SK"),
    Column("total", "decimal(12,2)"),
    Column("tags", "list<string>"),
)
ITEMS = 600


def item(number: int, total: str = "1.50") -> dict[str, Any]:
    key = {"PK": {"S": f"CUSTOMER#{number}"}, "SK": {"B": number.to_bytes(2)}}
    return {**key, "total": {"N": total}, "tags": {"L": [{"S": "a, b"}, {"NULL": True}]}, "note": {"S": "é"}}


def source(wb: dynaberg.Workbench) -> str:
    return wb.table().contract.source_table


def make_table(name: str) -> None:
    create_source(name, PK="S", SK="B")


@pytest.fixture(scope="module")
def wb(local_aws: Status, tmp_path_factory: pytest.TempPathFactory) -> dynaberg.Workbench:
    """An adopted table with items that were there before, and its delivery."""
    name = f"backfill-{secrets.token_hex(4)}"
    contract = Contract("transactions", f"{name}-Shop", "pk", "sk", COLUMNS)
    names = {"name": name, "namespace": name.replace("-", "_"), "root": tmp_path_factory.mktemp(name)}
    settings = Settings(table_bucket_name=f"{name}-tables", bucket_name=name, **names)
    make_table(contract.source_table)
    workbench = dynaberg.Workbench(settings, boto3.Session(), contract)
    write(workbench, *(item(number) for number in range(ITEMS)))
    workbench.adopt()
    workbench.integrate_analytics()
    workbench.deploy_firehose(buffer_seconds=0)
    return workbench


def write(wb: dynaberg.Workbench, *items: dict[str, Any]) -> None:
    table = boto3.client("dynamodb")
    for first in range(0, len(items), 25):
        requests = [{"PutRequest": {"Item": each}} for each in items[first : first + 25]]
        table.batch_write_item(RequestItems={source(wb): requests})


def delete(wb: dynaberg.Workbench, number: int) -> None:
    key = {name: item(number)[name] for name in ("PK", "SK")}
    boto3.client("dynamodb").delete_item(TableName=source(wb), Key=key)


def check(wb: dynaberg.Workbench) -> None:
    """Everything that was written is delivered, and the current table equals DynamoDB."""
    wb.table().wait_for_delivery(timeout=60)
    wb.table().refresh()
    report = wb.table().reconcile()
    assert report.matches, report
    counted = boto3.client("dynamodb").scan(TableName=source(wb), Select="COUNT")["Count"]
    assert wb.query("SELECT count(*) AS n FROM transactions").df["n"].tolist() == [counted]


def test_what_was_there_before_arrives(wb: dynaberg.Workbench, capsys: pytest.CaptureFixture[str]) -> None:
    assert wb.table().preview_backfill()["source_table"].tolist() == [source(wb)]
    done = wb.table().backfill()
    shown = capsys.readouterr().err
    assert f"{ITEMS}/{ITEMS} [" in shown, "items, rate and time left"
    assert " MiB]" in shown
    assert done.matches, done.summary
    assert (done.reconciled["transactions"].items, done.reconciled["transactions"].rows) == (ITEMS, ITEMS)
    report = done.df.iloc[0]
    assert (report["items"], report["unfit"], report["resumed"]) == (ITEMS, 0, False)
    assert report["read_units"] > 0
    check(wb)
    first = wb.table().item_history({"pk": "CUSTOMER#7", "sk": (7).to_bytes(2)})
    assert set(first["operation"]) == {"SNAPSHOT"}
    # What changes afterwards takes precedence, and a second backfill invents no history.
    write(wb, item(7, "8.00"))
    wb.table().wait_for_delivery(timeout=60)
    assert wb.table().backfill(reconcile=False).df["items"].tolist() == [ITEMS]
    check(wb)
    history = wb.table().item_history({"pk": "CUSTOMER#7", "sk": (7).to_bytes(2)})
    later = history.iloc[len(first) :]
    assert later[["operation", "attribute"]].to_numpy().tolist() == [["MODIFY", "total"]]
    # A change that the backfill has read already is no part of what was there before.
    first = history.loc[(history["operation"] == "SNAPSHOT") & (history["attribute"] == "total"), "after"]
    assert [Decimal(str(value)) for value in first] == [Decimal("1.50")]
    assert wb.table().freshness().set_index("hop").loc["total", "changes"] == 1


def test_changes_go_on_meanwhile(wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer inserts, updates and deletes all the while, also between the reading and the sending."""
    stop, chance = threading.Event(), random.Random(5)

    def change() -> None:
        number = chance.randrange(ITEMS + 50)
        if chance.random() < 0.3:
            delete(wb, number)
        else:
            write(wb, item(number, f"{chance.randrange(100)}.25"))

    def keep_changing() -> None:
        while not stop.is_set():
            change()

    send = _Run._convert

    def convert(self: Any, *arguments: Any) -> Any:
        found = send(self, *arguments)
        for _ in range(20):
            change()
        return found

    monkeypatch.setattr(_Run, "_convert", convert)
    writer = threading.Thread(target=keep_changing)
    writer.start()
    try:
        wb.table().backfill(reconcile=False)
    finally:
        stop.set()
        writer.join()
    check(wb)


def test_a_change_on_its_way_is_waited_for(wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first comparison an item is newer than both tables; they follow, and are refreshed again."""
    refresh, done = layers.refresh, []

    def refresh_and_change(*place: Any) -> Any:
        found = refresh(*place)
        if not done:
            write(wb, item(9, "7.25"))
        done.append(found)
        return found

    monkeypatch.setattr(layers, "refresh", refresh_and_change)
    report = wb.table().backfill(settle_seconds=120)
    assert report.matches, report.summary
    assert len(done) > 1


def test_what_follows_the_reading_is_said_before_and_shown_after(wb: dynaberg.Workbench) -> None:
    preview = wb.table().preview_backfill().iloc[0]
    assert preview["reconcile_items"] == preview["items"] > 7
    assert preview["reconcile_usd"] > preview["reconcile_read_units"] * Decimal("1e-9") > 0
    assert wb.table().preview_backfill(sample=7).iloc[0]["reconcile_items"] == 7
    without = wb.table().preview_backfill(reconcile=False).iloc[0]
    assert (without["reconcile_items"], without["reconcile_read_units"], without["reconcile_usd"]) == (
        0,
        0,
        0,
    )
    part = wb.table().backfill(sample=30)
    assert "Only a part was compared" in part.summary
    assert "Only a part was compared" in part._repr_html_()
    left_out = wb.table().backfill(reconcile=False)
    assert (left_out.reconciled, left_out.matches) == ({}, False)
    assert "refresh() and reconcile()" in repr(left_out)


@pytest.mark.parametrize("ending", [{"sample": 0}, {"sample": 5, "reconcile": False}])
def test_an_ending_that_contradicts_itself(wb: dynaberg.Workbench, ending: dict[str, Any]) -> None:
    for call in (wb.table().preview_backfill, wb.table().backfill):
        with pytest.raises(SettingsError, match="`sample` is") as caught:
            call(**ending)
        assert caught.value.hint


class Killed(BaseException):
    """As if the process had ended."""


@pytest.mark.thorough
@pytest.mark.parametrize(("page", "sent"), [(0, False), (0, True), (4, False), (6, True)])
def test_a_backfill_that_was_killed_continues(
    wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch, page: int, sent: bool
) -> None:
    note, pages = Manifest.note, []

    def killed(self: Any, segment: int, *arguments: Any, **options: Any) -> None:
        pages.append(segment)
        if len(pages) > page and not sent:
            raise Killed
        note(self, segment, *arguments, **options)
        if len(pages) > page:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "note", killed)
        with pytest.raises(Killed):
            wb.table().backfill()
    write(wb, item(3, "9.99"))
    delete(wb, 4)
    wb.table().wait_for_delivery(timeout=60)
    again = wb.table().backfill(reconcile=False).df.iloc[0]
    assert again["resumed"] == any(kept_before(pages, page, sent))
    check(wb)
    assert wb.table().backfill(reconcile=False).df["resumed"].tolist() == [False]


def kept_before(pages: list[int], page: int, sent: bool) -> list[bool]:
    """Whether each page's progress was kept: those before the kill, and that of the kill if it was sent."""
    return [True] * (page + sent)


def test_two_backfills_at_once(wb: dynaberg.Workbench) -> None:
    def attempt(_: int) -> str:
        try:
            wb.table().backfill(reconcile=False)
        except NotReadyError as error:
            return error.message
        return "done"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(attempt, range(2)), reverse=True)
    assert outcomes[0] == "done"
    assert "Another backfill" in outcomes[1] or outcomes[1] == "done"
    check(wb)


@pytest.mark.thorough
def test_items_that_do_not_fit(wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    check(wb)
    write(wb, {**item(1), "total": {"S": "a lot"}}, {**item(2), "total": {"N": "0.001"}})
    wb.table().wait_for_failures(2, timeout=60)
    waits, compare = [], proof.reconcile

    def compared(*place: Any, settle_seconds: float = 0, **options: Any) -> Any:
        waits.append(settle_seconds)
        return compare(*place, settle_seconds=settle_seconds, **options)

    monkeypatch.setattr(proof, "reconcile", compared)
    done = wb.table().backfill(settle_seconds=20)
    assert waits == [0], "what never comes is not waited for"
    assert done.df["unfit"].tolist() == [2]
    assert not done.matches
    assert "in failures(), or lost" in done.summary
    failed = wb.table().failures()
    assert sorted(failed.loc[failed["operation"] == "SNAPSHOT", "pk"]) == ["CUSTOMER#1", "CUSTOMER#2"]
    wb.table().refresh()
    report = wb.table().reconcile()
    assert set(report.df["pk"]) == {"CUSTOMER#1", "CUSTOMER#2"}


def test_without_a_stream_nothing_is_read(wb: dynaberg.Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("dynaberg.delivery.backfill_arrival")
    found = describe_source(wb.session, wb.table().contract.source_table)
    monkeypatch.setattr(module, "describe_source", lambda *_: replace(found, stream_arn=""))
    with pytest.raises(NotReadyError, match="is off") as caught:
        wb.table().backfill()
    assert "wb.adopt()" in caught.value.hint


def test_a_table_that_is_no_source_yet(wb: dynaberg.Workbench) -> None:
    contract = replace(wb.table().contract, source_table="backfill-off")
    with pytest.raises(NotFoundError, match="'backfill-off' is no source of") as caught:
        dynaberg.Workbench(wb.settings, wb.session, contract).table().backfill()
    assert "wb.adopt(" in caught.value.hint


def test_before_anything_is_deployed(wb: dynaberg.Workbench) -> None:
    nothing = dynaberg.Workbench(
        replace(wb.settings, name="backfill-none"),
        wb.session,
        replace(wb.table().contract, source_table="backfill-none"),
    )
    with pytest.raises(NotFoundError, match="There is no stack") as caught:
        nothing.table().backfill()
    assert "02_deploy_firehose" in caught.value.hint


def test_a_rate_must_be_positive(wb: dynaberg.Workbench) -> None:
    with pytest.raises(SettingsError, match="read_units_per_second"):
        wb.table().backfill(read_units_per_second=0)


def test_an_id_of_a_backfill_sorts_before_those_of_dynamodb() -> None:
    contract = Contract("orders", "Orders", "pk", "sk", COLUMNS)
    key = item(1) | {"SK": {"B": base64.b64encode(b"1").decode()}}
    found = snapshot_record(contract, key, datetime(2026, 1, 31, tzinfo=UTC))["eventID"]
    assert found < "0"
    assert found != snapshot_record(contract, key, datetime(2026, 2, 1, tzinfo=UTC))["eventID"]
