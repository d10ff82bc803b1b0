"""Taking into a contract what its table does not know yet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dynaberg import deploy, layers
from dynaberg.contracts import Contract, load_contract, rewrite
from dynaberg.errors import ContractError, NotFoundError
from dynaberg.workbench.schedule import update_schedule

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.workbench.connection import Connection


def evolve(
    connection: Connection, contract: Contract, columns: Sequence[str] | None
) -> tuple[Contract, pd.DataFrame]:
    """Rewrite a contract's file with proposed columns, extend its tables, and deploy its functions.

    Args:
        connection: The project.
        contract: The table contract.
        columns: Names of proposed columns; None for all.

    Returns:
        The new contract, and one row per Iceberg table, as `layers.create_tables` returns them.
    """
    path = file_of(connection, contract)
    drift = layers.find_drift(*connection.place_of(contract))
    proposed = layers.proposals(contract, drift.contract)
    for name in columns or ():
        if name not in proposed:
            hint = "drift_report() shows what is proposed."
            raise NotFoundError.among("proposed column", name, list(proposed), hint=hint)
    chosen = [proposed[name] for name in (proposed if columns is None else columns)]
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
    deploy.deploy_firehose(session, settings, complete, **deploy.pace_of(session, settings))
    update_schedule(connection)
    return new, done


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
