"""Waiting for the rows of a backfill: they are counted when there can be enough of them, and not before."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from dynaberg.contracts import Column, Contract
from dynaberg.delivery import backfill_arrival
from dynaberg.delivery.backfill_arrival import wait_until_delivered

CONTRACT = Contract("orders", "orders-source", "id", None, (Column("id", "string"),))


def log_of(summary: dict[str, str] | None, number: int) -> Any:
    snapshot = None if summary is None else SimpleNamespace(summary=summary)
    return SimpleNamespace(current_snapshot=lambda: snapshot, metadata_location=f"metadata-{number}")


@pytest.mark.parametrize(
    ("summaries", "counts"),
    [
        ([None, {"total-records": "9"}, {"total-records": "10"}], [10]),
        ([{"total-records": "30"}, {"total-records": "30"}, {"total-records": "40"}], [7, 9, 10]),
        ([{}, {}], [9, 10]),
    ],
)
def test_nothing_is_counted_while_the_log_is_too_short(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    summaries: list[dict[str, str] | None],
    counts: list[int],
) -> None:
    logs, left = iter([log_of(summary, n) for n, summary in enumerate(summaries)]), list(counts)
    monkeypatch.setattr(backfill_arrival, "_PAUSE_PER_COUNT", 0)
    monkeypatch.setattr(backfill_arrival.catalog, "open_catalog", lambda *_: None)
    monkeypatch.setattr(backfill_arrival.catalog, "load_table", lambda *_: next(logs))
    counted = lambda *_, **__: SimpleNamespace(df=pd.DataFrame({"n": [left.pop(0)]}))  # noqa: E731
    monkeypatch.setattr(backfill_arrival, "query", counted)
    arguments: Any = (None, None, CONTRACT)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    wait = {"moment": moment, "wanted": 10, "timeout": 600, "meanwhile": lambda: None}
    wait_until_delivered(*arguments, **wait, progress=True)
    assert left == []
    assert next(logs, None) is None
    assert "10/10" in capsys.readouterr().err.splitlines()[-1]
