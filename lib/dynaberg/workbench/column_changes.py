"""Renaming, widening and dropping columns of a table that is being written to, without losing a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dynaberg import curated, delivery, deploy, layers
from dynaberg.contracts import (
    Changes,
    Contract,
    change_contract,
    load_contract,
    project_contracts,
    rewrite_changes,
    with_former,
)
from dynaberg.errors import NotReadyError, SettingsError
from dynaberg.schedule import runs_paused
from dynaberg.workbench.evolution import evolve, file_of, preview_evolve
from dynaberg.workbench.schedule import update_schedule

if TYPE_CHECKING:
    from dynaberg.workbench.connection import Connection, Place

_COLUMNS = ["change", "touches", "name", "effect"]


@dataclass(frozen=True)
class Plan:
    """Changes that were checked against a contract and its file.

    Attributes:
        contract: The contract as it will be.
        changes: All changes, with those that a killed call made in the contract already.
        path: The contract's file.
        text: What will be in it.
    """

    contract: Contract
    changes: Changes
    path: Path
    text: str


def change_columns(
    connection: Connection,
    contract: Contract,
    columns: Sequence[str] | None,
    changes: Changes,
    confirm: str,
) -> tuple[Contract, pd.DataFrame]:
    """Take proposed columns into a contract, or change those that it has, as `Table.evolve` describes it.

    Args:
        connection: The project.
        contract: The table contract.
        columns: Names of proposed columns; None for all of them.
        changes: What to change instead; with it, no columns may be named.
        confirm: The workbench's name, as a confirmation of a drop.

    Returns:
        The new contract, and one row per Iceberg table.

    Raises:
        SettingsError: Both were asked for.
    """
    if not changes:
        return evolve(connection, contract, columns)
    return apply_changes(connection, contract, _plan(connection, contract, columns, changes), confirm)


def preview_columns(
    connection: Connection, contract: Contract, columns: Sequence[str] | None, changes: Changes
) -> pd.DataFrame:
    """What `change_columns` would touch.

    Args:
        connection: The project.
        contract: The table contract.
        columns: As for `change_columns`.
        changes: As for `change_columns`.

    Returns:
        One row per thing that is touched: change, touches, name, effect.

    Raises:
        SettingsError: Both were asked for.
    """
    if not changes:
        rows = preview_evolve(connection, contract, columns)
        return _preview(contract, rows, file_of(connection, contract).name)
    return preview_changes(connection, contract, _plan(connection, contract, columns, changes))


def _plan(
    connection: Connection, contract: Contract, columns: Sequence[str] | None, changes: Changes
) -> Plan:
    if columns:
        msg = "Columns are to be taken in and changed at once."
        raise SettingsError(msg, hint="Call evolve(columns), and then evolve(rename=…).")
    return plan_changes(connection, contract, changes)


def plan_changes(connection: Connection, contract: Contract, changes: Changes) -> Plan:
    """Check what is asked for, before anything is changed.

    Args:
        connection: The project.
        contract: The table contract.
        changes: What to change.

    Raises:
        NotFoundError: There is no such column, or the contract has no file.
        ContractError: Something cannot be changed like this.
    """
    path = file_of(connection, contract)
    place = connection.place_of(contract)
    begun = layers.begun_changes(*place, changes)
    left = Changes(
        {old: new for old, new in changes.rename.items() if old not in begun.rename},
        changes.widen,
        [name for name in changes.drop if name not in begun.drop],
    )
    changed = change_contract(contract, left)
    layers.check_columns(*place, left)
    added = [mask for mask in changed.masks if mask not in contract.masks]
    text = rewrite_changes(path.read_text(encoding="utf-8"), left, added)
    return Plan(changed, changes, path, text)


def preview_changes(connection: Connection, contract: Contract, plan: Plan) -> pd.DataFrame:
    """What the changes touch: tables, values, masks, curated SQL, the contract and the functions.

    Args:
        connection: The project.
        contract: The table contract as it is.
        plan: From `plan_changes`.

    Returns:
        One row per thing that is touched: change, touches, name, effect.
    """
    changes = plan.changes
    asked = [
        *((f"{old} → {new}", old, _RENAMED) for old, new in changes.rename.items()),
        *((f"{name}: {kind}", name, _WIDENED) for name, kind in changes.widen.items()),
        *((f"- {name}", name, _DROPPED) for name in changes.drop),
    ]
    rows = [row for each in asked for row in _rows(connection, contract, *each)]
    return _preview(contract, rows, plan.path.name)


def _preview(contract: Contract, rows: Sequence[tuple[str, str, str, str]], file_name: str) -> pd.DataFrame:
    shared = [
        ("all", "contract", file_name, "rewritten, every comment stays"),
        ("all", "functions", contract.source_table, "deployed again"),
    ]
    return pd.DataFrame([*rows, *(shared if rows else ())], columns=_COLUMNS)


@dataclass(frozen=True)
class _Effects:
    """The effects of a kind of change: on a table, on values, on SQL that names the column or all columns."""

    table: str
    values: str
    named: str
    starred: str


_RENAMED = _Effects(
    "renamed; earlier snapshots keep the former name",
    "",
    "breaks: it names the column",
    "its own column changes its name, too: build it with full=True",
)
_WIDENED = _Effects("wider; earlier snapshots keep the former type", "", "its result may be wider", "wider")
_DROPPED = _Effects(
    "gone; earlier snapshots keep it",
    "arrives in `unmapped` with the next change of an item; backfill() brings in those that do not change",
    "breaks: it names the column",
    "loses the column: build it with full=True",
)


def _rows(
    connection: Connection, contract: Contract, change: str, name: str, effects: _Effects
) -> Iterator[tuple[str, str, str, str]]:
    tables = (contract.log_name, contract.table)
    for table in tables:
        yield change, "table", table, effects.table
    for file, is_named in curated.files_naming(connection.settings, tables, name):
        yield change, "curated SQL", file, effects.named if is_named else effects.starred
    column = next((column for column in contract.columns if column.name == name), None)
    if column is None:
        return
    if column.mask:
        yield change, "mask", column.attribute, f"stays `{column.mask}`"
    others = [c.name for c in contract.columns_by_attribute[column.attribute] if c.name != name]
    if effects is _DROPPED and others:
        text = f"what does not fit {', '.join(others)} goes to the error bucket"
        yield change, "values", column.attribute, text
    elif effects.values and column.mask != "drop":
        yield change, "values", column.attribute, effects.values


def apply_changes(
    connection: Connection, contract: Contract, plan: Plan, confirm: str
) -> tuple[Contract, pd.DataFrame]:
    """Carry out changes; killed at any point, the same call finishes them.

    While a column has two names, or moves to `unmapped`, rows of the former functions are still on their
    way. So the functions first write both names, or `unmapped`; then what is on its way is waited for; and
    only then the tables change.

    Args:
        connection: The project.
        contract: The table contract as it is.
        plan: From `plan_changes`.
        confirm: The workbench's name, if a column is dropped.

    Raises:
        SettingsError: A column is dropped, and the name does not match; nothing was done.
        NotReadyError: Changes are still on their way, or a scheduled run does not end; no table was changed.
    """
    name, changes = connection.settings.name, plan.changes
    if changes.drop and confirm != name:
        msg = f"`confirm` is {confirm!r}, but the name is {name!r}. Nothing was dropped."
        raise SettingsError(msg, hint=f'Drop with confirm="{name}"; preview_evolve() says what that touches.')
    if changes.rename or changes.drop:
        _deploy(connection, with_former(plan.contract, changes))
        _wait(connection, contract)
    # A run of the schedule would name the columns of before.
    with runs_paused(connection.session, connection.settings):
        return _change_tables(connection, contract, plan)


def _change_tables(connection: Connection, contract: Contract, plan: Plan) -> tuple[Contract, pd.DataFrame]:
    """Change the tables, the contract, and what writes and reads them."""
    changes = plan.changes
    stays = replace(changes, drop=())
    done = [layers.change_columns(*_place(connection, plan.contract), stays)]
    plan.path.write_text(plan.text, encoding="utf-8")
    new = replace(load_contract(plan.path), source_table=contract.source_table)
    if connection.contract.table == new.table:
        connection.contract = new
    done.append(layers.change_columns(*_place(connection, new), replace(changes, rename={}, widen={})))
    _deploy(connection, new)
    update_schedule(connection)
    return new, _both(*done)


def _place(connection: Connection, contract: Contract) -> Place:
    """As `Connection.place_of`, for a contract that is not in its file yet."""
    found = project_contracts(connection.settings, contract)
    complete = next(each for each in found if each.table == contract.table)
    return connection.session, deploy.of_source(connection.session, connection.settings, complete), complete


def _deploy(connection: Connection, contract: Contract) -> None:
    session, settings, complete = _place(connection, contract)
    deploy.deploy_firehose(session, settings, complete, **deploy.pace_of(session, settings))


def _wait(connection: Connection, contract: Contract) -> None:
    try:
        delivery.wait_for_delivery(*connection.place_of(contract), progress=False)
    except NotReadyError as error:
        msg = f"The columns stay as they are, because not every change has arrived. {error.message}"
        hint = "See failures(); send them again with replay_errors(), and then call evolve() again."
        raise NotReadyError(msg, hint=hint) from error


def _both(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    done = first.assign(columns_changed=first["columns_changed"] + second["columns_changed"])
    return done.assign(status=["evolved" if each else "unchanged" for each in done["columns_changed"]])
