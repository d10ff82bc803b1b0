"""Reconcile finds nothing where nothing differs, and names every missing, extra and stale key."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from dynaberg import reconcile as reconciling
from dynaberg.contract import Contract
from dynaberg.errors import NotFoundError
from dynaberg.reconcile import ReconcileReport, reconcile

NESTED = {"ratio", "tags", "prices", "place"}


def plain(story: Any) -> Contract:
    """The contract without the columns that have no canonical text."""
    contract: Contract = story.pipeline.contract
    return replace(contract, columns=tuple(c for c in contract.columns if c.name not in NESTED))


def tampered(
    story: Any, name: str, rows: list[dict[str, Any]], contract: Contract | None = None
) -> ReconcileReport:
    """Compare the source with a table of other rows."""
    pipeline = story.pipeline
    table = pipeline.load("transactions")
    copy = table.catalog.create_table((pipeline.settings.namespace, name), table.schema())
    copy.append(pa.Table.from_pylist(rows, schema=table.schema().as_arrow()))
    contract = replace(contract or pipeline.contract, table=name)
    return reconcile(pipeline.session, pipeline.settings, contract)


def test_every_type_matches(story: Any) -> None:
    pipeline = story.pipeline
    report = reconcile(pipeline.session, pipeline.settings, pipeline.contract)
    assert report.matches, report.df.to_string()
    assert (report.items, report.rows) == (39, 39)
    assert (report.missing, report.extra, report.stale) == (0, 0, 0)
    assert "card" not in report.columns, "a masked column cannot be compared"
    assert len(report.columns) == len(pipeline.contract.columns) - 1
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
        ("item-05", 5, "missing", None, None, None),
        ("item-06", 6, "stale", "amount", Decimal("6.10"), Decimal("6.11")),
        ("item-06", 6, "stale", "active", True, None),
        (
            "item-07",
            7,
            "stale",
            "prices",
            {"a": Decimal("2.00"), "b": Decimal("0.10")},
            {"a": Decimal("2.00"), "b": Decimal("0.11")},
        ),
        ("item-99", 6, "extra", None, None, None),
    ]
    assert "1 missing, 1 extra, 2 stale" in repr(report)
    assert "<td>item-07</td>" in report._repr_html_()


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


def test_what_changes_meanwhile_is_in_flight_and_not_lost(
    make_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline("flight")
    pipeline.write(*({"id": {"S": id_}, "at": {"N": "1"}} for id_ in "abc"))
    scan = reconciling.scan_items

    def scan_then_write(*given: Any) -> Any:
        items = scan(*given)
        pipeline.write({"id": {"S": "b"}, "at": {"N": "1"}, "status": {"S": "new"}})
        return items

    monkeypatch.setattr(reconciling, "scan_items", scan_then_write)
    report = reconcile(pipeline.session, pipeline.settings, pipeline.contract)
    assert report.df["id"].tolist() == ["a", "c"], "nothing has been refreshed yet"
    assert (report.missing, report.in_flight) == (2, 1)
    assert "1 more changed meanwhile" in report.summary


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
