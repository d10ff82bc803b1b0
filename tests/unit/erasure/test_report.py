"""The report says when everything is gone, or that no setting removes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from dynaberg.erasure.report import COLUMNS, ForgetReport, joined

SOON, LATER = datetime(2030, 1, 1, tzinfo=UTC), datetime(2030, 2, 1, tzinfo=UTC)
FORGOTTEN = datetime(2026, 1, 1, tzinfo=UTC)


def report(*rows: tuple[Any, ...], forgotten_at: datetime | None = FORGOTTEN) -> ForgetReport:
    frame = pd.DataFrame([(*row, "note") for row in rows], columns=COLUMNS)
    frame["until"] = pd.to_datetime(frame["until"], utc=True)
    return ForgetReport(frame, pd.DataFrame({"table": []}), 1, forgotten_at, lambda: report(*rows[:1]))


LOG = ("orders_changes", "change log", 3, 3, 0, None)
OLD = ("orders_changes: older snapshots", "snapshots", 2, 0, 2, SOON)
STREAM = ("change stream", "stream", 2, 0, 2, LATER)
KEPT = ("orders: older snapshots", "snapshots", 2, 0, 2, None)


@pytest.mark.parametrize(
    ("rows", "gone_at", "words"),
    [
        ((LOG, OLD, STREAM), LATER, "2 places hold them: orders_changes: older snapshots, change stream"),
        ((LOG, OLD, KEPT), None, "and no setting removes all of it"),
    ],
)
def test_it_says_until_when(rows: tuple[Any, ...], gone_at: datetime | None, words: str) -> None:
    found = report(*rows)
    assert found.gone_at == gone_at
    assert not found.is_gone
    assert words in found.summary
    assert "orders_changes" in found._repr_html_()


def test_nothing_left_is_gone_now() -> None:
    found = report(LOG)
    assert found.is_gone
    assert found.gone_at is not None
    assert found.gone_at <= datetime.now(UTC)
    assert repr(found) == "ForgetReport(Forgotten: 1 item. No place that was looked at holds them.)"
    assert report(LOG, forgotten_at=None).summary.startswith("Found: 1 item.")


def test_what_is_nowhere_was_not_found() -> None:
    found = report((LOG[0], LOG[1], 0, 0, 0, *LOG[5:]), forgotten_at=None)
    assert found.summary == "Looked for 1 item: no place that was looked at holds any."


def test_reports_of_several_tables_are_one() -> None:
    both = joined([report(LOG, STREAM), report(OLD, STREAM)])
    assert both.df["place"].tolist() == ["orders_changes", "change stream", OLD[0]]
    assert both.items == 2
    assert both.check().df["place"].tolist() == ["orders_changes", OLD[0]]
