"""The change log and the current table, created from the contract and extended with its new columns."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

from dynaberg import aws, catalog
from dynaberg.errors import ContractError
from dynaberg.layers.column_changes import check_renamed
from dynaberg.masks import mask_key_version

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

LOG_HOURS = 24
"""How long S3 Tables keeps the snapshots of a change log."""
MASKS_APPLIED = "dynaberg.masks"
"""Table property: the masks that all of its rows have, and the version of their key, as `masks_text`."""


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
        tables[each.log_name] = (each, each.log_schema(), each.log_partition_spec())
        if not each.is_rest:
            tables[each.table] = (each, each.current_schema(), UNPARTITIONED_PARTITION_SPEC)
    iceberg = catalog.open_catalog(session, settings)
    existing = catalog.table_names(iceberg, settings)
    version = mask_key_version(session, settings)
    rows = []
    for name, (each, schema, spec) in tables.items():
        if name in existing:
            table = catalog.load_table(iceberg, settings, name)
            check_renamed(table, [field.name for field in schema.fields])
            added = _add_columns(table, schema)
            status = "evolved" if added else "unchanged"
            _check_masks(table, each, version)
        else:
            table = iceberg.create_table((settings.namespace, name), schema, partition_spec=spec)
            _note_masks(table, each, version)
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
    from pyiceberg.schema import Schema

    before = {field.name for field in table.schema().fields}
    # A column that is there is described as masked once its rows are: `describe_masks`.
    undescribed = [f.model_copy(update={"doc": None}) if f.name in before else f for f in wanted.fields]
    wanted = Schema(*undescribed, identifier_field_ids=wanted.identifier_field_ids)
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


def masks_text(contract: Contract, version: int) -> str:
    """The masks of a contract, and the version of their key, as a table property has them."""
    given = [*((column.attribute, column.mask) for column in contract.columns if column.mask)]
    given += [(str(mask), mask.mask) for mask in contract.masks]
    return json.dumps({"masks": dict(sorted(given)), "key": version})


def describe_masks(table: Table, contract: Contract, version: int) -> None:
    """Note that all rows of a table are masked: as a property, and in the descriptions of the columns.

    Args:
        table: Native pyiceberg table.
        contract: The table contract.
        version: The version of the key of the masks.
    """
    wanted = contract.mask_descriptions(version)
    with table.update_schema() as update:
        for field in table.schema().fields:
            if field.name in wanted and field.doc != wanted[field.name]:
                update.update_column(field.name, doc=wanted[field.name])
    _note_masks(table, contract, version)


def _note_masks(table: Table, contract: Contract, version: int) -> None:
    noted = masks_text(contract, version)
    if table.properties.get(MASKS_APPLIED) != noted and _masks_in(noted):
        catalog.set_properties(table, {MASKS_APPLIED: noted})


def _check_masks(table: Table, contract: Contract, version: int) -> None:
    """Warn about rows from before a mask; a table without rows has none."""
    if table.current_snapshot() is None:
        describe_masks(table, contract, version)
        return
    applied, wanted = _masks_in(table.properties.get(MASKS_APPLIED)), _masks_in(masks_text(contract, version))
    missing = [path for path, mask in wanted.items() if applied.get(path) != mask]
    if missing:
        name = contract.siblings[0].table if contract.is_rest else contract.table
        hint = f'Hint: wb.table("{name}").masks.preview(), then .masks.apply(confirm=…).'
        warnings.warn(
            f"{table.name()[-1]!r} has rows from before the mask of {', '.join(missing)}; they may be plain, "
            f"or hashed without a key. {hint}",
            stacklevel=3,
        )


def _masks_in(text: str | None) -> dict[str, Any]:
    return dict(json.loads(text)["masks"]) if text else {}
