"""Whatever types its key has, an item is found again: by reconcile, by repair and in its history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynaberg import layers, past
from dynaberg.contracts.contract import Column, Contract
from dynaberg.delivery.waiting import wait_for_delivery
from dynaberg.proof.comparison import EDITED
from dynaberg.proof.reconcile import reconcile
from dynaberg.proof.repair import repair
from dynaberg.sql.query import query

pytestmark = pytest.mark.thorough

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
# The local engine of Athena cuts a file's bounds of texts at 16 bytes: in the middle of a letter here.
LONG, ODD = f"{'A' * 15}é and more", f"{'A' * 15}ê"
JAPANESE, QUOTED = "日本語のとても長い題名です", "a, b=[c]'\"\n"

# The types of a partition and a sort key; three keys as DynamoDB has them, and as the columns do.
KEYS: dict[str, tuple[tuple[str, str], list[tuple[Any, Any]], list[tuple[Any, Any]]]] = {
    "moments": (
        ("string", "timestamptz"),
        [
            ({"S": "d"}, {"S": "2026-01-31T12:00:00Z"}),
            ({"S": "d"}, {"S": "2026-01-31T12:00:00.000001Z"}),
            ({"S": "d"}, {"S": "9999-12-31T23:59:59.999999Z"}),
        ],
        [("d", NOON), ("d", NOON.replace(microsecond=1)), ("d", datetime.max.replace(tzinfo=UTC))],
    ),
    "days": (
        ("binary", "date"),
        [
            ({"B": b"\x00\xff"}, {"S": "0001-01-01"}),
            ({"B": b"\x00\xff"}, {"S": "2026-01-31"}),
            ({"B": b"\x00\xfe"}, {"S": "2026-01-31"}),
        ],
        [(b"\x00\xff", date.min), (b"\x00\xff", date(2026, 1, 31)), (b"\x00\xfe", date(2026, 1, 31))],
    ),
    "numbers": (
        ("decimal(38,2)", "long"),
        [
            ({"N": "9" * 36 + ".99"}, {"N": str(2**63 - 1)}),
            ({"N": "1.5"}, {"N": str(-(2**63))}),
            ({"N": "1.5"}, {"N": "0"}),
        ],
        [(Decimal("9" * 36 + ".99"), 2**63 - 1), (Decimal("1.50"), -(2**63)), (Decimal("1.50"), 0)],
    ),
    "letters": (
        ("string", "string"),
        [({"S": LONG}, {"S": JAPANESE}), ({"S": LONG}, {"S": QUOTED}), ({"S": ODD}, {"S": QUOTED})],
        [(LONG, JAPANESE), (LONG, QUOTED), (ODD, QUOTED)],
    ),
}


@pytest.mark.parametrize("name", KEYS)
def test_what_was_edited_by_hand_is_found_and_repaired(make_pipeline: Callable[..., Any], name: str) -> None:
    """The first item stays as it is, the row of the second is deleted, that of the third changed."""
    types, attributes, values = KEYS[name]
    # Attributes are called as JavaScript and single-table designs do.
    columns = (
        Column("pk", types[0], attribute="PK"),
        Column("sk", types[1], attribute="SK"),
        Column("reading", "long", attribute="theReading"),
    )
    contract = Contract("transactions", f"{name}-source", "pk", "sk", columns)
    pipeline = make_pipeline(name, contract)
    parts = (pipeline.session, pipeline.settings, contract)
    for number, (pk, sk) in enumerate(attributes):
        pipeline.write({"PK": pk, "SK": sk, "theReading": {"N": str(number)}})
    wait_for_delivery(*parts, progress=False)
    layers.refresh(*parts)

    def rows() -> dict[tuple[Any, Any], int]:
        table = pipeline.load("transactions").scan().to_arrow().to_pylist()
        return {(row["pk"], row["sk"]): row["reading"] for row in table}

    expected = dict(zip(values, range(3), strict=True))
    assert rows() == expected
    assert reconcile(*parts).matches

    query(*parts[:2], "DELETE FROM transactions WHERE reading = 1")
    query(*parts[:2], "UPDATE transactions SET reading = 99 WHERE reading = 2")
    report = reconcile(*parts)
    assert (report.missing, report.extra, report.stale, report.in_flight) == (1, 0, 1, 0), report.summary
    found = {(row.pk, row.sk): (row.problem, row.cause) for row in report.df.itertuples()}
    assert found == {values[1]: ("missing", EDITED), values[2]: ("stale", EDITED)}
    repair(*parts, report, confirm=name)
    assert rows() == expected
    assert reconcile(*parts).matches
    for key, reading in expected.items():
        history = past.item_history(*parts, dict(zip(contract.key, key, strict=True)))
        changes = history[history["attribute"] == "reading"]
        assert changes[["operation", "after"]].to_numpy().tolist() == [["INSERT", reading]]
