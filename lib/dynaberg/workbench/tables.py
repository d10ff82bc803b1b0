"""Every table of a project at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import deploy
from dynaberg.catalog import live_records, load_table
from dynaberg.errors import NotFoundError

if TYPE_CHECKING:
    from dynaberg.contracts import Contract, ProjectContracts
    from dynaberg.workbench.connection import Connection

COLUMNS = [
    *("table", "source_table", "state", "stream_type"),
    *("rows", "log_rows", "delivered_at", "refreshed_at"),
]
NOT_DEPLOYED, SOURCE_ONLY, DEPLOYED = "not deployed", "source only", "deployed"
UNUSABLE = "contract cannot be used"


def list_tables(connection: Connection, project: ProjectContracts) -> pd.DataFrame:
    """One row for each table with a contract, as `Workbench.tables` describes it.

    Args:
        connection: The project.
        project: Its contracts.
    """
    rows = [_row(connection, contract) for contract in project.contracts]
    rows += [(each.name, each.source_table, UNUSABLE, "", *(None,) * 4) for each in project.broken]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    for name in ("delivered_at", "refreshed_at"):
        frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True)
    return frame.astype({"rows": "Int64", "log_rows": "Int64"})


def _row(connection: Connection, contract: Contract) -> tuple[Any, ...]:
    session = connection.session
    settings = deploy.of_source(session, connection.settings, contract)
    state, stream_type = NOT_DEPLOYED, ""
    if deploy.exists(session, settings, "foundation"):
        found = deploy.outputs(session, settings, "foundation")
        # While nothing of its own is there, a table stands for the first source.
        if found["SourceTableName"] == contract.source_table:
            is_deployed = deploy.exists(session, settings, "delivery")
            state, stream_type = DEPLOYED if is_deployed else SOURCE_ONLY, found["StreamType"]
    (rows, refreshed), (log_rows, delivered) = (
        _measure(connection, name) for name in (contract.table, contract.log_name)
    )
    if contract.is_rest:
        return contract.log_name, contract.source_table, state, stream_type, None, log_rows, delivered, None
    return contract.table, contract.source_table, state, stream_type, rows, log_rows, delivered, refreshed


def _measure(connection: Connection, name: str) -> Iterator[int | None]:
    """The rows of an Iceberg table and the time of its latest snapshot; None if there are none."""
    try:
        table = load_table(connection.catalog, connection.settings, name)
    except NotFoundError:
        return iter((None, None))
    snapshot = table.current_snapshot()
    if snapshot is None:
        return iter((0, None))
    return iter((live_records(table, [snapshot])[snapshot.snapshot_id], snapshot.timestamp_ms))
