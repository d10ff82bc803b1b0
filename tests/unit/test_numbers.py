"""What a workbench says of a number that is none, or is out of bounds, before it does anything."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dynaberg import delivery, erasure, proof, schedule, source, upkeep
from dynaberg.deploy.parameters import Pace
from dynaberg.errors import SettingsError, require_seconds, require_whole
from dynaberg.workbench.backfill import Ending
from dynaberg.workbench.iceberg_table import IcebergTable
from dynaberg.workbench.schedule import Schedule
from dynaberg.workbench.table import Table
from dynaberg.workbench.workbench import Workbench

NOTHING: Any = None
WRONG = ["many", float("nan"), True, b"1", -1, np.array([1]), pd.NA]
NO_WHOLE = [1.5, 10**30]
SECONDS = {"timeout", "settle_seconds", "read_units_per_second"}
# Any seed makes changes.
ANY = {("generate_traffic", "seed")}


def call(function: Callable[..., Any], *more: Any, count: int = 3) -> Callable[..., Any]:
    """A call without a session, settings and a contract: none of them is looked at before the number."""
    return partial(function, *[NOTHING] * count, *more)


def check(**ending: Any) -> None:
    Ending(**ending).check()


CALLS: dict[str, Callable[..., Any]] = {
    "infer_contract": call(source.infer_contract, "source", count=2),
    "infer_contracts": call(source.infer_contracts, "source", count=2),
    "deploy_firehose": Pace,
    "generate_traffic": call(source.generate_traffic, "source", count=1),
    "estimate_cost": lambda **given: upkeep.estimate_cost(**{"changes_per_day": 1} | given),
    "wait_for_delivery": call(delivery.wait_for_delivery),
    "preview_backfill": check,
    "backfill": lambda **given: (check if "read_units_per_second" not in given else READ)(**given),
    "wait_for_failures": lambda **given: FAIL(**{"changes": 1} | given),
    "runs": call(schedule.read_runs, count=2),
    "reconcile": call(proof.reconcile),
    "preview_retention": call(erasure.preview_retention),
    "apply_retention": call(partial(erasure.apply_retention, confirm="")),
    "preview_maintenance": call(upkeep.preview_maintenance),
    "maintain": call(upkeep.maintain),
    "compaction_saving": partial(upkeep.compaction_saving, pd.DataFrame()),
    "start": call(schedule.deploy_schedule, "1 hour"),
}
READ, FAIL = call(delivery.backfill), call(delivery.wait_for_failures)


def numbers() -> Iterator[tuple[str, str]]:
    """Each method of the public surface, with each parameter that is a number."""
    for surface in (Workbench, Table, IcebergTable, Schedule):
        for name, method in vars(surface).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                for parameter, kind in method.__annotations__.items():
                    if re.search(r"\b(int|float)\b", str(kind)) and (name, parameter) not in ANY:
                        yield name, parameter


@pytest.mark.parametrize(("name", "parameter"), [*numbers()])
def test_a_number_that_cannot_be_used_is_refused_at_once(name: str, parameter: str) -> None:
    for wrong in [*WRONG, *([] if parameter in SECONDS else NO_WHOLE)]:
        with pytest.raises(SettingsError, match=f"`{parameter}` is ") as caught:
            CALLS[name](**{parameter: wrong})
        assert caught.value.hint


@pytest.mark.parametrize("number", [100, 1e2, np.int64(100), np.float64(100)])
def test_a_whole_number_may_be_written_in_any_way(number: Any) -> None:
    found = require_whole("days", number, least=1, most=100, hint="")
    assert (found, type(found)) == (100, int)


@pytest.mark.parametrize("seconds", [0, 0.5, np.float32(0.5), float("inf")])
def test_seconds_may_be_fractions_or_infinite(seconds: Any) -> None:
    assert require_seconds("timeout", seconds) == seconds


def test_a_month_of_numbers_that_are_written_as_floats_is_priced_like_any() -> None:
    assert upkeep.estimate_cost(1e6, 1e3).equals(upkeep.estimate_cost(1_000_000, 1_000))  # type: ignore[arg-type]
