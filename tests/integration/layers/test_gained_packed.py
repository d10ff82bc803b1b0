"""Columns that a contract gains are filled for the rows whose `unmapped` is packed, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynaberg import catalog, layers, past
from dynaberg.contracts import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.errors import QueryError
from dynaberg.functions.packing import is_packed
from dynaberg.layers import gained_packed
from dynaberg.proof.reconcile import reconcile
from dynaberg.sql import query

BEFORE = Contract("transactions", "packed-source", "id", None, (Column("id", "string"),))
# What makes the row too large for Firehose, and is larger than a statement of Athena.
BULK = '"' * 390_000
GAINED: dict[str, tuple[Column, dict[str, Any], Any]] = {
    "bulk": (Column("bulk", "string"), {"S": BULK}, BULK),
    "coupon": (Column("coupon", "string"), {"S": "it's"}, "it's"),
    "Total Amount": (
        Column("total", "decimal(38,2)", attribute="Total Amount"),
        {"N": "9" * 36 + ".9"},
        Decimal("9" * 36 + ".90"),
    ),
    "seen": (
        Column("seen", "timestamptz"),
        {"S": "2026-01-31T12:00:00.000001+02:00"},
        datetime(2026, 1, 31, 10, 0, 0, 1, tzinfo=UTC),
    ),
    "raw": (Column("raw", "binary"), {"B": b"\x00\xff"}, b"\x00\xff"),
    "anything": (Column("anything", "json"), {"M": {"a": {"NS": ["1"]}}}, '{"M":{"a":{"NS":["1"]}}}'),
    "words": (Column("words", "list<string>"), {"SS": ["x", "y"]}, ["x", "y"]),
    "prices": (Column("prices", "map<string,long>"), {"M": {"a=b": {"N": "7"}}}, [("a=b", 7)]),
    "place": (
        Column("place", "struct<city: string, zip: long>"),
        {"M": {"city": {"S": "Bern"}}},
        {"city": "Bern", "zip": None},
    ),
    "narrow": (Column("narrow", "decimal(3,1)"), {"N": "1234.5"}, None),
    "card": (Column("card", "string", mask="last4"), {"S": "4111111111111111"}, None),
    "pin": (Column("pin", "string", mask="drop"), {"S": "0000"}, None),
}
COLUMNS = {column.name: value for column, _, value in GAINED.values()}
AFTER = replace(BEFORE, columns=(*BEFORE.columns, *(column for column, *_ in GAINED.values())))
EXACT = replace(AFTER, columns=tuple(column for column in AFTER.columns if column.name != "narrow"))
PACKED = {name: attribute for name, (_, attribute, _) in GAINED.items()}


@pytest.fixture(scope="module")
def gaining(make_pipeline: Callable[..., Any]) -> Any:
    """A row that is packed and one that is not, merged before the contract has columns for them."""
    made = make_pipeline("packed", BEFORE)
    made.write({"id": {"S": "before"}, **PACKED}, {"id": {"S": "plain"}, "coupon": {"S": "one"}})
    wait_for_delivery(made.session, made.settings, BEFORE, progress=False)
    layers.refresh(made.session, made.settings, BEFORE)
    return made


def rows_of(pipeline: Any) -> dict[str, dict[str, Any]]:
    rows = pipeline.load("transactions").scan().to_arrow().to_pylist()
    return {row["id"]: row for row in rows}


def values(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COLUMNS}


def test_a_killed_refresh_is_made_good_by_the_next(gaining: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = (gaining.session, gaining.settings, AFTER)
    layers.create_tables(*parts)

    def killed(*_: Any) -> None:
        raise QueryError("The notebook was closed.")

    with monkeypatch.context() as patched:
        patched.setattr(gained_packed, "commit", killed)
        # A process that is killed removes nothing.
        patched.setattr(catalog, "drop_table", lambda *_: None)
        with pytest.raises(QueryError, match="closed"):
            layers.refresh(*parts)
    assert len(staging_tables(gaining)) == 1
    assert rows_of(gaining)["before"]["coupon"] is None
    monkeypatch.setattr(gained_packed, "_ABANDONED_SECONDS", -1)
    layers.refresh(*parts)
    assert staging_tables(gaining) == []
    rows = rows_of(gaining)
    assert is_packed(rows["before"]["unmapped"])
    assert values(rows["before"]) == COLUMNS
    assert rows["plain"]["coupon"] == "one"


def staging_tables(pipeline: Any) -> list[str]:
    tables = pipeline.session.client("s3tables")
    (bucket,) = (
        each["arn"]
        for each in tables.list_table_buckets()["tableBuckets"]
        if each["name"] == pipeline.settings.table_bucket_name
    )
    found = tables.list_tables(tableBucketARN=bucket, namespace=pipeline.settings.namespace)["tables"]
    return [each["name"] for each in found if "__staging_" in each["name"]]


def test_a_packed_row_by_older_functions_and_a_late_one_are_filled(gaining: Any) -> None:
    parts = (gaining.session, gaining.settings, AFTER)
    gaining.write({"id": {"S": "after"}, **PACKED}, {"id": {"S": "small"}, "coupon": {"S": "two"}})
    wait_for_delivery(*parts, progress=False)
    assert layers.refresh(*parts)["action"].item() == "incremental"
    rows = rows_of(gaining)
    assert values(rows["after"]) == COLUMNS
    assert rows["small"]["coupon"] == "two"

    log = gaining.load(AFTER.log_name).scan().to_arrow().to_pylist()
    (packed,) = (row for row in log if row["id"] == "before")
    late = {"id": "late", "change_id": "late", "operation": "INSERT", "unmapped": packed["unmapped"]}
    long_ago = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1_000_000)
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    times = {"changed_at": long_ago, "received_at": now, "sequence_number": "1".zfill(40)}
    gaining.send([late | times])
    layers.refresh(*parts)
    assert values(rows_of(gaining)["late"]) == COLUMNS
    assert layers.refresh(*parts)["rows_written"].item() == 0
    # It is in no DynamoDB table.
    gone = {"operation": "REMOVE", "change_id": "gone", "sequence_number": "2".zfill(40)}
    gaining.send([late | times | gone])
    layers.refresh(*parts)


def test_every_way_shows_what_dynamodb_holds(gaining: Any) -> None:
    parts = (gaining.session, gaining.settings, EXACT)
    report = reconcile(*parts)
    assert report.matches, report.df.to_string()
    sql = "SELECT count(*) FROM transactions WHERE total > 1 AND place.city = 'Bern' AND length(bulk) = ?"
    assert query(*parts[:2], sql, [len(BULK)]).df.iloc[0, 0] == 2
    state = past.state_as_of(*parts, datetime.now(UTC)).set_index("id")
    for name, value in COLUMNS.items():
        if name not in ("narrow", "prices", "card", "pin"):
            found = state.loc["before", name]
            assert (found if found == found else None) == value, name
    assert json.loads(str(state.loc["before", "unmapped"]))["card"] == PACKED["card"]
