"""Reference tables: data that is not in the change log, loaded from a CSV file, to join with."""

from __future__ import annotations

import csv
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynaberg import catalog
from dynaberg.contracts import Column, check_keys, read_columns, read_document, to_schema
from dynaberg.errors import ContractError, NotFoundError, SettingsError

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import Table

    from dynaberg.settings import Settings

# Table properties: the CSV file that a table was made from, and the digest of its content.
_FILE, _DIGEST = "dynaberg.reference-file", "dynaberg.reference-sha256"


@dataclass(frozen=True)
class Reference:
    """The description of a reference table: its file, its key and its columns.

    Attributes:
        table: Name of the Iceberg table.
        file: The CSV file, with a header.
        key: Columns that identify a row.
        columns: Columns of the file and of the table, none of them nested.
    """

    table: str
    file: Path
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> Schema:
        """The table's Iceberg schema, with the key as identifier fields."""
        types = {column.name: column.parsed_type for column in self.columns}
        return to_schema(types, required=self.key, identifiers=self.key)

    @property
    def digest(self) -> str:
        """SHA-256 of the file and the schema: the same digest means the same table."""
        described = repr([(column.name, column.type) for column in self.columns] + list(self.key))
        return hashlib.sha256(described.encode() + self.file.read_bytes()).hexdigest()


def load_reference(session: boto3.Session, settings: Settings, name: str) -> pd.DataFrame:
    """Load a CSV file into the table bucket, as an Iceberg table with the types in its YAML file.

    `data/references/<name>.yaml` names the file, the key and the columns, like a table contract. The whole
    content is replaced in one commit; if the file has not changed, nothing is done. A clean-up removes the
    table with the others.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace, and the project's folder.
        name: Name of the table and of its YAML file under `data/references/`.

    Returns:
        One row: table, action (`created`, `replaced`, `unchanged`), rows, snapshot_id, seconds.

    Raises:
        NotFoundError: There is no such YAML or CSV file.
        ContractError: The YAML cannot be used, or the CSV file does not fit it; the table is unchanged.
        SettingsError: A table of that name exists that is not a reference table.

    Example:
        >>> load_reference(session, settings, "merchants")
    """
    import pandas as pd

    started = time.monotonic()
    reference = read_reference(settings, name)
    rows = read_rows(reference)
    table = _open_table(session, settings, reference)
    action = "created" if table.current_snapshot() is None else "replaced"
    if table.properties.get(_DIGEST) == reference.digest:
        action = "unchanged"
    else:
        _replace(table, reference, rows)
    snapshot = table.current_snapshot()
    row = {
        "table": name,
        "action": action,
        "rows": len(rows),
        "snapshot_id": snapshot.snapshot_id if snapshot else None,
        "seconds": round(time.monotonic() - started, 3),
    }
    return pd.DataFrame([row]).astype({"snapshot_id": "Int64"})


def read_reference(settings: Settings, name: str) -> Reference:
    """Read `data/references/<name>.yaml`.

    Args:
        settings: The project's folder.
        name: Name of the reference table.

    Raises:
        NotFoundError: There is no such file; the message names those that exist.
        ContractError: A key is missing or unknown, or a name or a type cannot be used.
    """
    folder = Path(settings.root, "data")

    def read(document: Any) -> Reference:
        check_keys(document, "The reference", required=("file", "key", "columns"))
        columns = tuple(read_columns(document["columns"]))
        reference = Reference(name, folder / str(document["file"]), tuple(document["key"]), columns)
        _check(reference)
        return reference

    reference = read_document(folder / "references" / f"{name}.yaml", "reference", read)
    if not reference.file.is_file():
        existing = [file.name for file in folder.glob("*.csv")]
        raise NotFoundError.among("CSV file", reference.file.name, existing, hint=f"Put it into {folder}.")
    return reference


def _check(reference: Reference) -> None:
    names = [column.name for column in reference.columns]
    for column in reference.columns:
        if isinstance(column.parsed_type, dict) and "decimal" not in column.parsed_type:
            msg = f"Column {column.name!r} is a {column.type}, which a CSV file cannot hold."
            raise ContractError(msg, hint="Write its parts as separate columns.")
    missing = [name for name in reference.key if name not in names]
    if missing or not reference.key or len(set(names)) < len(names):
        msg = f"The key is {', '.join(reference.key) or 'empty'}, the columns are {', '.join(names)}."
        raise ContractError(msg, hint="Name each column once, and in `key` those that identify a row.")


def read_rows(reference: Reference) -> pa.Table:
    """Read the CSV file of a reference table, every value with the type of its column; an empty one is NULL.

    Args:
        reference: From `read_reference`.

    Raises:
        ContractError: The file has other columns, a value does not fit its type, or a key is missing or
            occurs twice.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    _check_header(reference)
    types = pa.schema([pa.field(f.name, f.type) for f in reference.schema.as_arrow()])
    convert = arrow_csv.ConvertOptions(
        column_types=types,
        include_columns=types.names,
        null_values=[""],
        strings_can_be_null=True,
        true_values=["true"],
        false_values=["false"],
        timestamp_parsers=[arrow_csv.ISO8601],
    )
    # One thread: only then does an error say in which row it occurred.
    read = arrow_csv.ReadOptions(use_threads=False)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    try:
        rows = arrow_csv.read_csv(reference.file, read, parse, convert)
    except pa.ArrowInvalid as error:
        msg = f"{reference.file.name} does not fit its columns: {error}."
        raise ContractError(msg, hint="Correct the value, or the type in the YAML file.") from error
    _check_rows(reference, rows)
    return pa.Table.from_arrays(rows.columns, schema=reference.schema.as_arrow())


def _check_header(reference: Reference) -> None:
    with reference.file.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    names = [column.name for column in reference.columns]
    if sorted(header) != sorted(names):
        msg = f"{reference.file.name} has the columns {', '.join(header) or 'none'}, not {', '.join(names)}."
        raise ContractError(msg, hint="The first line must name each column of the YAML file once.")


def _check_rows(reference: Reference, rows: pa.Table) -> None:
    """Reject keys that do not identify rows uniquely."""
    import pyarrow.compute as pc

    counted = rows.group_by(list(reference.key)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1)).drop_columns("count_all")
    without = [name for name in reference.key if rows[name].null_count]
    if without or len(twice):
        found = f"no value in {', '.join(without)}" if without else f"twice the key {twice.to_pylist()[0]}"
        msg = f"{reference.file.name} has {found}, so its key does not identify rows uniquely."
        raise ContractError(msg, hint="Correct the file, or name more columns in `key`.")


def _open_table(session: boto3.Session, settings: Settings, reference: Reference) -> Table:
    """The table of a reference, created if it does not exist; a table that is something else is rejected."""
    name = reference.table
    iceberg = catalog.open_catalog(session, settings)
    exists = name in catalog.table_names(iceberg, settings)
    table = catalog.load_table(iceberg, settings, name) if exists else None
    reserved = name in (settings.table_name, settings.log_name)
    if reserved or (table is not None and _FILE not in table.properties):
        msg = f"Table {name!r} is not made from a reference. Nothing was changed."
        raise SettingsError(msg, hint="Give the reference another name: rename its YAML file.")
    properties = {_FILE: reference.file.name}
    return table or iceberg.create_table((settings.namespace, name), reference.schema, properties=properties)


def _replace(table: Table, reference: Reference, rows: pa.Table) -> None:
    """Replace the columns and rows of a table with those of the file, in one commit."""
    from pyiceberg.exceptions import ValidationError

    try:
        with table.transaction() as transaction:
            with transaction.update_schema() as update:
                update.union_by_name(reference.schema)
            if table.current_snapshot() is None:
                transaction.append(rows)
            else:
                transaction.overwrite(rows)
            transaction.set_properties({_FILE: reference.file.name, _DIGEST: reference.digest})
    except (ValidationError, ValueError) as error:
        msg = f"Table {reference.table!r} cannot accept the columns of its reference file: {error}."
        raise ContractError(
            msg, hint="Give a column that changed its type another name, or drop the table."
        ) from error
