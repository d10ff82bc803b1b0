"""The change log and the current table, created from the contract and given the columns it gains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import ContractError

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings


def create_tables(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Create the change log and the current table, or add the columns that the contract has gained.

    Nothing is ever dropped, and running it again changes nothing.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.

    Returns:
        One row per table: table, status (`created`, `evolved`, `unchanged`), columns_added, location.

    Raises:
        ContractError: A column changed its type in a way that Iceberg does not allow.
        NotFoundError: No such table bucket.
    """
    import pandas as pd
    from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC

    tables = {
        contract.log_name: (contract.log_schema(), contract.log_partition_spec()),
        contract.table: (contract.current_schema(), UNPARTITIONED_PARTITION_SPEC),
    }
    iceberg = catalog.open_catalog(session, settings)
    existing = catalog.table_names(iceberg, settings)
    rows = []
    for name, (schema, spec) in tables.items():
        if name in existing:
            table = catalog.load_table(iceberg, settings, name)
            added = _add_columns(table, schema)
            status = "evolved" if added else "unchanged"
        else:
            table = iceberg.create_table((settings.namespace, name), schema, partition_spec=spec)
            added, status = [], "created"
        rows.append((name, status, added, table.location()))
    return pd.DataFrame(rows, columns=["table", "status", "columns_added", "location"])


def _add_columns(table: Table, wanted: Schema) -> list[str]:
    """Bring a table's columns up to a schema; returns the names of the new ones."""
    from pyiceberg.exceptions import ValidationError

    before = {field.name for field in table.schema().fields}
    try:
        table.update_schema().union_by_name(wanted).commit()
    except (ValidationError, ValueError) as error:
        msg = f"Table {table.name()[-1]!r} cannot take the contract's columns: {error}."
        hint = "Iceberg widens int to long and a decimal's precision only; give the column a new name."
        raise ContractError(msg, hint=hint) from error
    return [field.name for field in wanted.fields if field.name not in before]
