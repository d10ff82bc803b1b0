"""Taking into a contract what its table does not know yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dynaberg import curated, delivery, deploy, layers, upkeep
from dynaberg.contracts import Contract, load_contract, rewrite
from dynaberg.errors import ContractError, NotFoundError, NotReadyError
from dynaberg.workbench.schedule import update_schedule

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.contracts import Column
    from dynaberg.workbench.connection import Connection

_ARRIVAL_SECONDS = 5
"""How long rows may take beyond Firehose's buffer, once and once more."""


def evolve(
    connection: Connection, contract: Contract, columns: Sequence[str] | None
) -> tuple[Contract, pd.DataFrame]:
    """Rewrite a contract's file with proposed columns, extend its tables, and deploy its functions.

    Args:
        connection: The project.
        contract: The table contract.
        columns: Names of proposed columns; None for all.

    Returns:
        The new contract, and one row per Iceberg table, as `layers.create_tables` returns them, with
        rows_filled.
    """
    path = file_of(connection, contract)
    drift = layers.find_drift(*connection.place_of(contract))
    chosen = _chosen(contract, drift, columns)
    known = {column.name for column in contract.columns}
    before = path.read_text(encoding="utf-8")
    after = rewrite(
        before,
        [column for column in chosen if column.name not in known],
        {column.name: column.type for column in chosen if column.name in known},
        drift.text,
    )
    if after != before:
        path.write_text(after, encoding="utf-8")
    try:
        new = replace(load_contract(path), source_table=contract.source_table)
        if connection.contract.table == new.table:
            connection.contract = new
        place = connection.place_of(new)
        done = layers.create_tables(*place)
    except ContractError:
        path.write_text(before, encoding="utf-8")
        if connection.contract.table == contract.table:
            connection.contract = contract
        raise
    session, settings, complete = place
    pace = deploy.pace_of(session, settings)
    deploy.deploy_firehose(session, settings, complete, **pace)
    update_schedule(connection)
    # What the former functions converted; changes that failed never arrive.
    with suppress(NotReadyError):
        seconds = 2 * pace["buffer_seconds"] + _ARRIVAL_SECONDS
        delivery.wait_for_delivery(*place, timeout=seconds, progress=False)
    filled = {new.log_name: upkeep.fill_log(*place)}
    return new, done.assign(rows_filled=[filled.get(name, 0) for name in done["table"]])


def preview_evolve(
    connection: Connection, contract: Contract, columns: Sequence[str] | None
) -> list[tuple[str, str, str, str]]:
    """What `evolve` with the same columns would touch, besides the contract's file and the functions.

    Args:
        connection: The project.
        contract: The table contract.
        columns: As for `evolve`.

    Returns:
        What is changed, what that touches, its name, and the effect.
    """
    place = connection.place_of(contract)
    drift = layers.find_drift(*place)
    known = {column.name for column in contract.columns}
    counts = drift.df[drift.df["found"] == layers.NO_COLUMN].set_index("attribute")["changes"].to_dict()
    rows = []
    for column in _chosen(contract, drift, columns):
        if column.name in known:
            effects = [(f"{column.name}: {column.type}", *effect) for effect in _widened(contract)]
        else:
            added = _added(contract, column, counts.get(column.attribute, 0))
            effects = [(f"+ {column.name}: {column.type}", *effect) for effect in added]
        rows += effects
        for file, _ in curated.files_naming(connection.settings, _tables(contract), column.name):
            rows.append(
                (effects[0][0], "curated SQL", file, "may have other columns: build it with full=True")
            )
    count, files = upkeep.count_unfilled(*place)
    if count:
        text = f"{count:,} rows in {files:,} files are filled from `unmapped`"
        rows.append(("earlier columns", "values", contract.log_name, text))
    return rows


def _widened(contract: Contract) -> Iterator[tuple[str, str, str]]:
    for name in _tables(contract):
        yield "table", name, "wider; earlier snapshots keep the former type"


def _added(contract: Contract, column: Column, changes: int) -> Iterator[tuple[str, str, str]]:
    yield "table", contract.log_name, "added"
    yield "table", contract.table, "added; the next refresh fills it"
    if changes:
        yield "values", contract.log_name, f"{changes:,} rows are filled from `unmapped`"
    for mask in contract.masks:
        if mask.path[0] == column.attribute:
            yield "mask", str(mask), "stays"


def _tables(contract: Contract) -> tuple[str, str]:
    return contract.log_name, contract.table


def _chosen(contract: Contract, drift: layers.Drift, columns: Sequence[str] | None) -> list[Column]:
    """The proposed columns that are asked for."""
    proposed = layers.proposals(contract, drift.contract)
    for name in columns or ():
        if name not in proposed:
            hint = "drift_report() shows what is proposed."
            raise NotFoundError.among("proposed column", name, list(proposed), hint=hint)
    return [proposed[name] for name in (proposed if columns is None else columns)]


def file_of(connection: Connection, contract: Contract) -> Path:
    """The file in `data/tables` that has a contract.

    Raises:
        NotFoundError: There is none.
    """
    folder = connection.settings.root / "data" / "tables"
    for path in sorted(folder.glob("*.yaml")):
        # One that cannot be read is another table's, or this one's before it was broken.
        with suppress(ContractError):
            if load_contract(path).table == contract.table:
                return path
    msg = f"No file in {folder} has the contract of the table {contract.table!r}."
    raise NotFoundError(msg, hint="Move it there, or add the columns to it by hand.")
