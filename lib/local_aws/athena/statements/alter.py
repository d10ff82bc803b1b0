"""ALTER TABLE on Iceberg tables (Athena's user guide, "Evolve Iceberg table schema")."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from pyiceberg import exceptions as iceberg_errors
from pyiceberg.table import Table

from local_aws.athena.dialect import QueryError, StatementError
from local_aws.athena.statements.ddl import NAME, column_field, matched, read_properties, table_name
from local_aws.athena.statements.queries import Outcome
from local_aws.athena.tables import Context, iceberg_type, split_outside


def run_alter_table(context: Context, sql: str) -> Outcome:
    """ALTER TABLE, each kind by its row in the table."""
    found = matched(rf"ALTER\s+TABLE\s+({NAME})\s+(.*)", sql)
    name = table_name(context, found[1])
    for pattern, change in ALTERATIONS:
        if parts := re.fullmatch(pattern, found[2].strip(), re.IGNORECASE | re.DOTALL):
            table = context.catalogs.load(name.catalog, name.database, name.table)
            try:
                change(table, parts)
            except ValueError as error:
                raise QueryError(
                    "INVALID_TABLE_PROPERTY" if "TBLPROPERTIES" in pattern else "COLUMN_NOT_FOUND", str(error)
                ) from error
            except iceberg_errors.ValidationError as error:
                raise QueryError("NOT_SUPPORTED", str(error)) from error
            return Outcome()
    raise StatementError(
        f"mismatched input '{found[2].split()[0]}'. Expecting: 'ADD', 'CHANGE', 'DROP', 'SET', 'UNSET'"
    )


def add_columns(table: Table, parts: re.Match[str]) -> None:
    """`ADD COLUMNS (name type, …)`."""
    with table.update_schema() as update:
        for text in split_outside(parts[1], ","):
            field = column_field(text, itertools.count(10_000))
            update.add_column(field.name, field.field_type, field.doc)


def change_column(table: Table, parts: re.Match[str]) -> None:
    """`CHANGE [COLUMN] old new type`: a wider type, another name."""
    old, new = parts[1].lower(), parts[2].lower()
    kind = iceberg_type(
        re.sub(r"\s+COMMENT\s+'.*'$", "", parts[3], flags=re.IGNORECASE), itertools.count(10_000)
    )
    with table.update_schema() as update:
        if table.schema().find_field(old).field_type != kind:
            update.update_column(old, field_type=kind)
        if old != new:
            update.rename_column(old, new)


def rename_column(table: Table, parts: re.Match[str]) -> None:
    """`RENAME COLUMN old TO new`."""
    with table.update_schema() as update:
        update.rename_column(parts[1].lower(), parts[2].lower())


def drop_column(table: Table, parts: re.Match[str]) -> None:
    """`DROP COLUMN name`."""
    with table.update_schema() as update:
        update.delete_column(parts[1].lower())


def set_properties(table: Table, parts: re.Match[str]) -> None:
    """`SET TBLPROPERTIES (…)`."""
    with table.transaction() as change:
        change.set_properties(read_properties(parts[1]))


def unset_properties(table: Table, parts: re.Match[str]) -> None:
    """`UNSET TBLPROPERTIES (…)`."""
    with table.transaction() as change:
        change.remove_properties(*re.findall(r"'([^']+)'", parts[1]))


WORD = r"[`\"]?(\w+)[`\"]?"
ALTERATIONS: tuple[tuple[str, Callable[[Table, re.Match[str]], None]], ...] = (
    (r"ADD\s+COLUMNS?\s*\((.*)\)", add_columns),
    (rf"CHANGE\s+(?:COLUMN\s+)?{WORD}\s+{WORD}\s+(.+)", change_column),
    (rf"RENAME\s+COLUMN\s+{WORD}\s+TO\s+{WORD}", rename_column),
    (rf"DROP\s+COLUMN\s+{WORD}", drop_column),
    (r"SET\s+TBLPROPERTIES\s*\((.*)\)", set_properties),
    (r"UNSET\s+TBLPROPERTIES\s*\((.*)\)", unset_properties),
)
