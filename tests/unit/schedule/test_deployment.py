"""How often runs begin, as it is written and as EventBridge Scheduler has it."""

from __future__ import annotations

import pytest

from dynaberg.errors import SettingsError
from dynaberg.schedule.deployment import _expression, interval_seconds
from dynaberg.schedule.runs import read_runs
from dynaberg.settings import Settings


@pytest.mark.parametrize(
    ("every", "seconds", "expression"),
    [
        ("1 minute", 60, "rate(1 minute)"),
        ("15 minutes", 900, "rate(15 minutes)"),
        ("1 hour", 3_600, "rate(1 hour)"),
        ("1 day", 86_400, "rate(1 day)"),
        (" 24 hour ", 86_400, "rate(24 hours)"),
    ],
)
def test_intervals(every: str, seconds: int, expression: str) -> None:
    assert (interval_seconds(every), _expression(every)) == (seconds, expression)


@pytest.mark.parametrize("every", ["", "0 minutes", "30 seconds", "2 days", "often", "1.5 hours", "-1 day"])
def test_other_texts_are_refused(every: str) -> None:
    with pytest.raises(SettingsError, match="between 1 minute and 1 day"):
        interval_seconds(every)


@pytest.mark.parametrize("days", [0, -1])
def test_runs_of_no_day_are_refused(days: int) -> None:
    with pytest.raises(SettingsError, match=f"`days` is {days}"):
        read_runs(None, Settings(), days=days)  # type: ignore[arg-type]
