"""The change log and the current table, created from the contract and extended with its new columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynaberg import aws, catalog
from dynaberg.errors import ContractError

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

LOG_HOURS = 24
"""How long S3 Tables keeps the snapshots of a change log."""


def create_tables(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Create the change log and the current table, or add the contract's new columns.

    Tables that share the source are created, too, and the change log of what none of them claims.

    Nothing is ever dropped, and running it again changes nothing.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.

    Returns:
        One row per table: table, status (`created`, `evolved`, `unchanged`), columns_added, location.

    Raises:
        ContractError: A column's type was changed in a way that Iceberg does not allow.
        NotFoundError: No such table bucket.
    """
    import pandas as pd
    from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC

    tables = {}
    for each in contract.of_source:
        tables[each.log_name] = (each.log_schema(), each.log_partition_spec())
        if not each.is_rest:
            tables[each.table] = (each.current_schema(), UNPARTITIONED_PARTITION_SPEC)
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
            if name == contract.log_name:
                _expire_snapshots(session, settings, name)
        rows.append((name, status, added, table.location()))
    return pd.DataFrame(rows, columns=["table", "status", "columns_added", "location"])


def _expire_snapshots(session: boto3.Session, settings: Settings, name: str) -> None:
    """Keep the snapshots of a change log for a day instead of S3 Tables' five.

    Every commit rewrites the table's metadata with all of its snapshots, and AWS Glue accepts at most 20 MB.
    A refresh also goes on from a snapshot that has expired. Source: AWS Glue Developer Guide, "Limitations
    for the AWS Glue Data Catalog Iceberg REST Catalog APIs".
    """
    aws.client(session, "s3tables").put_table_maintenance_configuration(
        tableBucketARN=catalog.table_bucket_arn(session, settings),
        namespace=settings.namespace,
        name=name,
        type="icebergSnapshotManagement",
        value={
            "status": "enabled",
            "settings": {
                "icebergSnapshotManagement": {"minSnapshotsToKeep": 1, "maxSnapshotAgeHours": LOG_HOURS}
            },
        },
    )


def _add_columns(table: Table, wanted: Schema) -> list[str]:
    """Add the columns of a schema to a table; returns the names of the new ones."""
    from pyiceberg.exceptions import ValidationError

    before = {field.name for field in table.schema().fields}
    try:
        table.update_schema().union_by_name(wanted).commit()
    except (ValidationError, ValueError) as error:
        msg = f"Table {table.name()[-1]!r} cannot accept the contract's columns: {error}."
        hint = (
            "Iceberg only widens int to long and a decimal's precision. Leave the column, and add one of "
            "another name for the same attribute: `name: zip_text, attribute: zip, type: string`."
        )
        raise ContractError(msg, hint=hint) from error
    return [field.name for field in wanted.fields if field.name not in before]
