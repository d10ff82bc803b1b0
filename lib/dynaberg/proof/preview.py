"""What a reconciliation would read, and what that costs, before it reads anything."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dynaberg import catalog, prices
from dynaberg.source import source_size

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

# "Read consistency" and "Capacity unit consumption": a consistent read takes one unit for each 4 KB.
_BYTES_PER_READ_UNIT = 4096
COLUMNS = ["what", "counted", "items", "bytes", "read_units", "athena_usd"]


def preview_reconcile(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """What `reconcile` would read of the whole table.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.

    Returns:
        One row each for the DynamoDB table, the current table and the change log: what, counted (the source
        of the numbers), items, bytes, read_units (DynamoDB's, for consistent reads), athena_usd (Decimal, at
        list price, if every byte is scanned).

    Raises:
        NotFoundError: The DynamoDB table, the current table or the change log does not exist.

    Example:
        >>> preview_reconcile(session, settings, contract)[["what", "bytes", "read_units"]]
    """
    import pandas as pd

    iceberg = catalog.open_catalog(session, settings)
    source = source_size(session, contract.source_table)
    units = -(-source.bytes // _BYTES_PER_READ_UNIT)
    rows: list[tuple[str, str, int, int, int, Decimal]] = [
        (
            contract.source_table,
            "by DynamoDB, about every six hours",
            source.items,
            source.bytes,
            units,
            Decimal(0),
        )
    ]
    for name in (contract.table, contract.log_name):
        records, size = _size(catalog.load_table(iceberg, settings, name))
        rows.append((name, "from the current snapshot", records, size, 0, prices.query_usd(size)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _size(table: Table) -> tuple[int, int]:
    """Records and bytes of a table, by the summary of its current snapshot."""
    snapshot = table.current_snapshot()
    summary = snapshot.summary if snapshot else None
    if summary is None:
        return 0, 0
    return int(summary["total-records"] or 0), int(summary["total-files-size"] or 0)
