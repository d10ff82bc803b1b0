"""Reconcile finds nothing where nothing differs, and names every missing, extra and stale key."""

from __future__ import annotations

import importlib
import itertools
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.table import Table

from dynaberg import layers
from dynaberg.contracts import Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import NotFoundError
from dynaberg.layers.refresh import MERGED_SNAPSHOT
from dynaberg.proof.comparison import EDITED, NOT_LOGGED, PENDING
from dynaberg.proof.reconcile import ReconcileReport, reconcile
from dynaberg.proof.repair import repair
from dynaberg.sql.query import query

NESTED = {"ratio", "tags", "prices", "place"}


def plain(story: Any) -> Contract:
    """The contract with the columns that have no canonical text left out of the comparison."""
    return without_nested(story.pipeline.contract)


def without_nested(contract: Contract) -> Contract:
    columns = (replace(c, mask="drop") if c.name in NESTED else c for c in contract.columns)
    return replace(contract, columns=tuple(columns))


def tampered(
    story: Any, name: str, rows: list[dict[str, Any]], contract: Contract | None = None
) -> ReconcileReport:
    """Compare the source and its log, all of it merged, with a current table of other rows."""
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    schema = table.schema().as_arrow()
    log = copy_table(pipeline, pipeline.contract.log_name, f"{name}_changes")
    edited = copy_table(pipeline, "transactions", name, pa.Table.from_pylist(rows, schema=schema))
    edited.transaction().set_properties(
        {MERGED_SNAPSHOT: str(log.current_snapshot().snapshot_id)}
    ).commit_transaction()
    contract = replace(contract or pipeline.contract, table=name)
    return reconcile(pipeline.session, pipeline.settings, contract)


def copy_table(pipeline: Any, name: str, copy: str, rows: pa.Table | None = None) -> Table:
    """A new table like another one, with its rows or others."""
    table = pipeline.load(name)
    made = table.catalog.create_table((pipeline.settings.namespace, copy), table.schema())
    made.append(table.scan().to_arrow() if rows is None else rows)
    return made


def test_every_type_matches(story: Any) -> None:
    pipeline = story.pipeline
    report = reconcile(pipeline.session, pipeline.settings, pipeline.contract)
    assert report.matches, report.df.to_string()
    assert (report.items, report.rows) == (39, 39)
    assert (report.missing, report.extra, report.stale) == (0, 0, 0)
    assert "card" not in report.columns, "a masked column cannot be compared"
    assert len(report.columns) == len(pipeline.contract.columns), "`unmapped` is compared too"
    assert report.not_compared == ("card",)
    assert report.snapshot_id == story.second
    assert "They match." in repr(report)


def test_every_difference_is_named(story: Any) -> None:
    rows = {row["id"]: row for row in story.pipeline.load("transactions").scan().to_arrow().to_pylist()}
    del rows["item-05"]
    rows["item-99"] = {**rows["item-06"], "id": "item-99"}
    rows["item-06"] |= {"amount": Decimal("6.11"), "active": None}
    rows["item-07"] |= {"prices": [("a", Decimal("2.00")), ("b", Decimal("0.11"))]}
    rows["item-08"] |= {"tags": rows["item-08"]["tags"][::-1], "prices": rows["item-08"]["prices"][::-1]}
    rows["item-09"] |= {"anything": '{"M": {"n": {"N": "1.5"}, "l": {"L": [{"NULL": true}]}}}'}
    report = tampered(story, "tampered", list(rows.values()))
    assert not report.matches
    assert (report.missing, report.extra, report.stale) == (1, 1, 2)
    found = list(report.df.astype(object).where(report.df.notna(), None).itertuples(index=False, name=None))
    assert found == [
        ("item-05", 5, "missing", None, None, None, EDITED),
        ("item-06", 6, "stale", "amount", Decimal("6.10"), Decimal("6.11"), EDITED),
        ("item-06", 6, "stale", "active", True, None, EDITED),
        (
            "item-07",
            7,
            "stale",
            "prices",
            {"a": Decimal("2.00"), "b": Decimal("0.10")},
            {"a": Decimal("2.00"), "b": Decimal("0.11")},
            EDITED,
        ),
        ("item-99", 6, "extra", None, None, None, EDITED),
    ]
    assert "1 missing, 1 extra, 2 stale, 0 unlogged. 4 were edited in the current table" in repr(report)
    assert ">item-07</td>" in report._repr_html_()


def test_digests_of_every_plain_type_agree_and_no_row_is_read(story: Any) -> None:
    pipeline = story.pipeline
    report = reconcile(pipeline.session, pipeline.settings, plain(story))
    assert report.matches, report.df.to_string()
    assert (report.items, report.rows, report.rows_read) == (39, 39, 0)


def test_digests_lead_to_every_difference_and_to_few_rows(story: Any) -> None:
    rows = {row["id"]: row for row in story.pipeline.load("transactions").scan().to_arrow().to_pylist()}
    del rows["item-05"]
    rows["item-99"] = {**rows["item-06"], "id": "item-99"}
    changes = {
        "item-06": {"amount": Decimal("6.11")},
        "item-07": {"active": None},
        "item-08": {"day": date(2026, 2, 1)},
        "item-09": {"seen": rows["item-09"]["seen"] + timedelta(microseconds=1)},
        "item-10": {"raw": b"\x00\xfe"},
        "item-11": {"status": ""},
        "item-12": {"anything": '{"NULL":true}'},
    }
    for id_, changed in changes.items():
        rows[id_] |= changed
    report = tampered(story, "digested", list(rows.values()), plain(story))
    found = list(report.df[["id", "problem", "column"]].itertuples(index=False, name=None))
    stale = [(id_, "stale", next(iter(changed))) for id_, changed in changes.items()]
    assert [(a, b, None if b != "stale" else c) for a, b, c in found] == [
        ("item-05", "missing", None),
        *stale,
        ("item-99", "extra", None),
    ]
    assert report.rows == 39
    assert report.rows_read == 8


def test_it_says_where_each_difference_arose(make_pipeline: Any) -> None:
    pipeline = make_pipeline("arose")
    parts = (pipeline.session, pipeline.settings, pipeline.contract)
    plainly = without_nested(pipeline.contract)

    def put(id_: str, amount: dict[str, str]) -> None:
        pipeline.write({"id": {"S": id_}, "at": {"N": "1"}, "amount": amount})

    def found(contract: Contract) -> list[tuple[str, ...]]:
        report = reconcile(pipeline.session, pipeline.settings, contract)
        return list(report.df[["id", "problem", "cause"]].itertuples(index=False, name=None))

    for id_ in ("edited", "gone", "forgotten", "updated", "deleted"):
        put(id_, {"N": "1.10"})
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)
    put("updated", {"N": "2.20"})
    put("new", {"N": "3.30"})
    key = {"id": {"S": "deleted"}, "at": {"N": "1"}}
    pipeline.session.client("dynamodb").delete_item(TableName=pipeline.contract.source_table, Key=key)
    wait_for_delivery(*parts, progress=False)
    put("poison", {"S": "a lot"})
    for statement in (
        "UPDATE transactions SET amount = 9 WHERE id IN ('edited', 'updated')",
        "DELETE FROM transactions WHERE id = 'gone'",
    ):
        query(pipeline.session, pipeline.settings, statement)
    expected = [
        ("deleted", "extra", PENDING),
        ("edited", "stale", EDITED),
        ("gone", "missing", EDITED),
        ("new", "missing", PENDING),
        ("poison", "missing", NOT_LOGGED),
        ("updated", "stale", PENDING),
    ]
    assert found(pipeline.contract) == found(plainly) == expected

    query(pipeline.session, pipeline.settings, "DELETE FROM transactions_changes WHERE id = 'forgotten'")
    # A log that was rewritten is merged as a whole, which brings back the row that was deleted by hand.
    expected[2] = ("gone", "missing", PENDING)
    expected.insert(2, ("forgotten", "unlogged", NOT_LOGGED))
    assert found(pipeline.contract) == found(plainly) == expected
    layers.refresh(*parts)
    left = [("edited", "stale", EDITED), expected[2], expected[5]]
    assert found(pipeline.contract) == found(plainly) == left
    report = reconcile(*parts)
    assert (
        "2 are not in the change log: on their way, or in failures(), or lost; 1 was edited" in report.summary
    )
    repair(*parts, report, confirm="arose")
    assert found(plainly) == [expected[5]]


@pytest.fixture(scope="module")
def changing(make_pipeline: Any) -> Any:
    """A pipeline for the tests that write while it is compared; all but the first refresh it before."""
    return make_pipeline("flight")


def test_what_changes_meanwhile_is_in_flight_and_not_lost(
    changing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = changing
    pipeline.write(*({"id": {"S": id_}, "at": {"N": "1"}} for id_ in "abc"))
    reconciling = importlib.import_module("dynaberg.proof.reconcile")
    scan = reconciling.scan_items

    def scan_then_write(*given: Any) -> Any:
        items = scan(*given)
        pipeline.write({"id": {"S": "b"}, "at": {"N": "1"}, "status": {"S": "new"}})
        return items

    monkeypatch.setattr(reconciling, "scan_items", scan_then_write)
    report = reconcile(pipeline.session, pipeline.settings, pipeline.contract)
    assert report.df["id"].tolist() == ["a", "c"], "nothing has been refreshed yet"
    assert (report.missing, report.in_flight) == (2, 1)
    assert "1 more changed in the meantime" in report.summary


def test_all_that_differed_may_be_gone_at_the_second_look(
    changing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = changing
    parts = (pipeline.session, pipeline.settings, pipeline.contract)
    lasting, fleeting = ({"id": {"S": id_}, "at": {"N": "1"}} for id_ in ("lasting", "fleeting"))
    pipeline.write(lasting)
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)
    reconciling = importlib.import_module("dynaberg.proof.reconcile")
    scan = reconciling.scan_items

    def scan_amid_writes(*given: Any) -> Any:
        pipeline.write(fleeting)
        items = scan(*given)
        pipeline.session.client("dynamodb").delete_item(TableName=parts[2].source_table, Key=fleeting)
        return items

    monkeypatch.setattr(reconciling, "scan_items", scan_amid_writes)
    report = reconcile(*parts)
    assert (len(report.df), report.in_flight, report.matches) == (0, 1, False), report.summary


@pytest.mark.thorough
def test_a_table_that_is_written_to_is_compared_at_a_moment(changing: Any) -> None:
    """While a writer goes on, only what it touches can differ, and never for another reason."""
    pipeline = changing
    parts = (pipeline.session, pipeline.settings, pipeline.contract)
    pipeline.write(*({"id": {"S": f"still-{n}"}, "at": {"N": "1"}} for n in range(20)))
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)
    query(pipeline.session, pipeline.settings, "DELETE FROM transactions WHERE id = 'still-7'")
    stop = threading.Event()

    def write() -> None:
        dynamodb = pipeline.session.client("dynamodb")
        for number in itertools.count():
            key = {"id": {"S": f"busy-{number % 30}"}, "at": {"N": "1"}}
            if number % 7:
                pipeline.write({**key, "active": {"BOOL": bool(number % 2)}, "status": {"S": str(number)}})
            else:
                dynamodb.delete_item(TableName=pipeline.contract.source_table, Key=key)
            if stop.wait(0.02):
                return

    writer = threading.Thread(target=write)
    writer.start()
    touched = 0
    try:
        for _ in range(4):
            began = datetime.now(UTC)
            report = reconcile(*parts)
            assert began <= report.compared_at <= datetime.now(UTC)
            assert report.compared_at.isoformat(timespec="seconds") in report.summary
            still = report.df[report.df["id"].str.startswith("still-")]
            assert still[["id", "problem", "cause"]].to_numpy().tolist() == [["still-7", "missing", EDITED]]
            assert set(report.df["cause"]) <= {EDITED, PENDING, NOT_LOGGED}
            assert (report.df["cause"] == EDITED).sum() == 1
            touched += report.in_flight + len(report.df) - 1
            layers.refresh(*parts)
    finally:
        stop.set()
        writer.join()
    assert touched > 0, "nothing was written meanwhile"
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)
    assert reconcile(*parts).df["id"].tolist() == ["still-7"]


def test_a_value_that_no_column_can_hold_is_a_difference(story: Any) -> None:
    pipeline = story.pipeline
    columns = tuple(replace(c, type="long") if c.name == "day" else c for c in pipeline.contract.columns)
    report = reconcile(pipeline.session, pipeline.settings, replace(pipeline.contract, columns=columns))
    assert report.stale == 39
    assert set(report.df["column"]) == {"day"}
    assert report.df["dynamodb"].iloc[0] == '{"S":"2026-01-31"}'
    assert report.df["iceberg"].iloc[0] == "2026-01-31"


def test_a_source_that_does_not_exist(story: Any) -> None:
    pipeline = story.pipeline
    with pytest.raises(NotFoundError, match="'nothing-here'"):
        reconcile(
            pipeline.session, pipeline.settings, replace(pipeline.contract, source_table="nothing-here")
        )
