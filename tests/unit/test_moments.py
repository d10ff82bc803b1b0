"""What every call says of a moment that is none, before it does anything else."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pandas as pd
import pytest

import dynaberg
from dynaberg import delivery, past, plots, source, upkeep
from dynaberg.errors import SettingsError, require_moment

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOTHING: Any = None
EMPTY = pd.DataFrame({"a": []})
# Nothing that they get is looked at before the moment.
CALLS: dict[tuple[str, str], Callable[..., Any]] = {
    ("freshness", "since"): partial(delivery.freshness, *[NOTHING] * 3),
    ("wait_for_delivery", "since"): partial(delivery.wait_for_delivery, *[NOTHING] * 3),
    ("replay_stream", "since"): partial(delivery.replay_stream, *[NOTHING] * 3),
    ("replay_stream", "until"): partial(delivery.replay_stream, *[NOTHING] * 3),
    ("state_as_of", "when"): partial(past.state_as_of, *[NOTHING] * 3),
    ("plot_two_clocks", "when"): partial(plots.plot_two_clocks, EMPTY, EMPTY, by="a"),
    ("plot_delivery", "began"): partial(plots.plot_delivery, EMPTY, EMPTY),
    ("plot_delivery", "ended"): partial(plots.plot_delivery, EMPTY, EMPTY),
    ("generate_traffic", "now"): partial(source.generate_traffic, NOTHING, "source", changes=1),
    ("preview_maintenance", "at"): partial(upkeep.preview_maintenance, *[NOTHING] * 3),
    ("preview_retention", "at"): partial(upkeep.preview_retention, NOTHING, min_snapshots=1, max_age_hours=1),
}  # fmt: skip
# They get moments that are known to be some from the calls above.
INNER = {("delivered_ids", "since"), ("read_changes", "since"), ("read_changes", "until")}


def moments_of_rooms() -> Iterator[tuple[str, str]]:
    """Each function that a room hands out, with each parameter that must be a moment."""
    for found in pkgutil.iter_modules(dynaberg.__path__, "dynaberg."):
        if not found.ispkg or found.name in ("dynaberg.functions", "dynaberg.workbench"):
            continue
        room = importlib.import_module(found.name)
        for name in room.__all__:
            if inspect.isfunction(function := getattr(room, name)):
                for parameter, kind in function.__annotations__.items():
                    if parameter != "return" and re.search(r"\bdatetime\b", str(kind)):
                        yield name, parameter


def test_no_call_is_left_out() -> None:
    assert set(moments_of_rooms()) - INNER == set(CALLS)


@pytest.mark.parametrize(("name", "parameter"), CALLS)
@pytest.mark.parametrize("wrong", [NOON.replace(tzinfo=None), "2026-01-31", 1.5, pd.NaT], ids=repr)
def test_what_is_no_moment_is_refused_at_once(name: str, parameter: str, wrong: Any) -> None:
    with pytest.raises(SettingsError, match=r"no time zone|must be") as caught:
        CALLS[name, parameter](**{parameter: wrong})
    assert "datetime.now(timezone.utc)" in caught.value.hint


@pytest.mark.parametrize("when", [NOON, pd.Timestamp(NOON)])
def test_a_moment_is_taken_as_it_is(when: datetime) -> None:
    assert require_moment(when) is when
