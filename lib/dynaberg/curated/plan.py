"""What a build would do: which curated tables have changed inputs or SQL, and what depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.curated.files import CuratedFile, build_of, read_files
from dynaberg.curated.order import build_order
from dynaberg.curated.state import TableState, load_states
from dynaberg.functions.statements.builds import STAGING, Build, reason

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.catalog import Catalog

    from dynaberg.settings import Settings


@dataclass(frozen=True)
class Step:
    """What happens to one curated table.

    Attributes:
        file: Its SQL file.
        depth: 1 if it reads no other curated table.
        why: Why it is built; empty if it is up to date.
        whole: Whether the whole content is built, although the file may be incremental.
    """

    file: CuratedFile
    depth: int
    why: str
    whole: bool = True


@dataclass(frozen=True)
class Plan:
    """The steps of a build in their order, and what is known about every table that takes part.

    Attributes:
        steps: The curated tables, inputs first.
        states: The tables that exist: curated ones, their inputs and staging tables.
        existing: Names of all tables of the namespace.
    """

    steps: tuple[Step, ...]
    states: Mapping[str, TableState]
    existing: tuple[str, ...]


def make_plan(iceberg: Catalog, settings: Settings, *, full: bool = False) -> Plan:
    """Plan the build of all curated tables. Each table is loaded once, and nothing is queried.

    Args:
        iceberg: The catalog.
        settings: The project's folder and the namespace.
        full: Build everything, and everything whole.

    Raises:
        BuildError: A header cannot be read, or files read each other in a circle.
        NotFoundError: A file reads a table that does not exist.
    """
    files = read_files(settings)
    existing = catalog.table_names(iceberg, settings)
    depths = build_order(files, [name for name in existing if STAGING not in name])
    taking_part = {*files, *(name for file in files.values() for name in file.inputs)}
    staged = [name for name in existing if name.partition(STAGING)[0] in files and STAGING in name]
    states = load_states(iceberg, settings, [*(n for n in existing if n in taking_part), *staged])
    steps: dict[str, Step] = {}
    for name, depth in depths.items():
        steps[name] = _step(files[name], depth, states, steps, full)
    return Plan(tuple(steps.values()), states, tuple(existing))


def _step(
    file: CuratedFile,
    depth: int,
    states: Mapping[str, TableState],
    steps: Mapping[str, Step],
    full: bool,
) -> Step:
    state = states.get(file.name)
    built = state.built if state else None
    if full and built is not None:
        return Step(file, depth, "asked for")
    above = [name for name in file.inputs if name in steps and steps[name].why]
    contents = {name: states[name].content for name in file.inputs if name not in above}
    masked = state.masked if state else ""
    exists = state is not None
    why, whole = reason(build_of(file), built, contents, exists=exists, masked=masked, above=above)
    return Step(file, depth, why, whole)


def builds_in_order(session: boto3.Session, settings: Settings) -> list[Build]:
    """What the statements of all curated tables are made from, inputs first.

    Args:
        session: Open boto3 session.
        settings: The project's folder and the namespace.

    Raises:
        BuildError: A header cannot be read, or files read each other in a circle.
        NotFoundError: A file reads a table that does not exist.
    """
    files = read_files(settings)
    existing = catalog.table_names(catalog.open_catalog(session, settings), settings)
    depths = build_order(files, [name for name in existing if STAGING not in name])
    return [build_of(files[name]) for name in depths]


def preview_build(iceberg: Catalog, settings: Settings, *, full: bool = False) -> pd.DataFrame:
    """What a build would do, without doing it.

    Args:
        iceberg: The catalog.
        settings: The project's folder and the namespace.
        full: As for `build_all`.

    Returns:
        One row per curated table in the order of the build: table, depth, inputs, action (`build`, `merge`,
        `none`), why, rows, built_at (UTC), outcome (of the last build, empty before the first), checks.
    """
    import pandas as pd

    plan = make_plan(iceberg, settings, full=full)
    rows = [_described(step, plan.states) for step in plan.steps]
    frame = pd.DataFrame(rows, columns=[*_COLUMNS])
    return frame.astype(
        {"rows": "int64", "depth": "int64", "checks": "int64", "built_at": "datetime64[us, UTC]"}
    )


_COLUMNS = ("table", "depth", "inputs", "action", "why", "rows", "built_at", "outcome", "checks")


def _described(step: Step, states: Mapping[str, TableState]) -> tuple[object, ...]:
    state = states.get(step.file.name)
    action = "none" if not step.why else "build" if step.whole else "merge"
    inputs = [*step.file.inputs, *step.file.elsewhere]
    return (
        *(step.file.name, step.depth, inputs, action, step.why, state.rows if state else 0),
        *(state.changed_at if state else None, last_outcome(step.file.name, states), len(step.file.checks)),
    )


def last_outcome(name: str, states: Mapping[str, TableState]) -> str:
    """How the last build of a curated table ended: `replaced`, `failed: …`; empty before the first."""
    state = states.get(name)
    known = [state] if state else [s for n, s in states.items() if n.startswith(name + STAGING)]
    failed = max((s.failed for s in known if s.failed), key=lambda each: each.at, default=None)
    if failed:
        return f"failed: {failed.why}"
    return state.built.outcome if state and state.built else ""
