"""Columns of the change log and the current table: renamed by field id, widened, and dropped.

Snapshots from before stay readable with the columns and the names that they had.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.contracts import Changes, to_iceberg_type, to_schema
from dynaberg.errors import ContractError
from dynaberg.functions.statements.merges import MERGED_COLUMNS

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.table import Table
    from pyiceberg.table.update.schema import UpdateSchema
    from pyiceberg.types import IcebergType

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

RENAMED = "dynaberg.renamed-columns"
"""A table property: the new names of renamed columns by their former ones, none for those that are gone."""
GONE = ""
UNPACKED_COLUMNS = "dynaberg.unpacked-columns"
"""A property of the current table: columns that were filled for rows whose `unmapped` is packed, too."""
COLUMN_LISTS = (MERGED_COLUMNS, UNPACKED_COLUMNS)
"""Table properties of the current table that list columns by name."""
_ATTEMPTS, _PAUSE_SECONDS = 5, 0.1


def change_columns(
    session: boto3.Session, settings: Settings, contract: Contract, changes: Changes
) -> pd.DataFrame:
    """Change the columns of a contract's tables; what a killed call has done is not done again.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The changed contract.
        changes: What was changed.

    Returns:
        One row per table: table, status (`evolved`, `unchanged`), columns_changed, location.
    """
    import pandas as pd

    iceberg = catalog.open_catalog(session, settings)
    rows = []
    for name in (contract.log_name, contract.table):
        table = catalog.load_table(iceberg, settings, name)
        done = _change(table, contract, changes)
        rows.append((name, "evolved" if done else "unchanged", done, table.location()))
    return pd.DataFrame(rows, columns=["table", "status", "columns_changed", "location"])


def check_columns(session: boto3.Session, settings: Settings, contract: Contract, changes: Changes) -> None:
    """Refuse names that the tables have for columns that the contract does not know.

    Raises:
        ContractError: Both the former and the new name of a column are in a table.
    """
    iceberg = catalog.open_catalog(session, settings)
    for name in (contract.log_name, contract.table):
        present = _names(catalog.load_table(iceberg, settings, name))
        for old, new in changes.rename.items():
            if {old, new} <= present:
                msg = f"The column {old!r} cannot be renamed: the table {name!r} already has a {new!r}."
                raise ContractError(msg, hint="Choose another name: that one was in an earlier contract.")


def begun_changes(
    session: boto3.Session, settings: Settings, contract: Contract, changes: Changes
) -> Changes:
    """The part of some changes that the contract has already, because a call before was killed.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.
        changes: What is asked for.
    """
    names = {column.name for column in contract.columns}
    if not changes or {*changes.rename, *changes.drop} <= names:
        return Changes()
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    noted = renamed_columns(log)
    here = {o: n for o, n in changes.rename.items() if o not in names and n in names and noted.get(o) == n}
    own = {field.name for field in contract.log_schema().fields}
    left = {*_names(log), *(name for name, new in noted.items() if new == GONE)} - own
    return Changes(rename=here, drop=[name for name in changes.drop if name in left])


def renamed_columns(table: Table) -> dict[str, str]:
    """The new names of a table's columns by their former names; `GONE` for those that were dropped."""
    return dict(json.loads(table.properties.get(RENAMED, "{}")))


def check_renamed(table: Table, wanted: Iterable[str]) -> None:
    """Refuse to go on between the steps of a renaming: the contract would get its former column anew.

    Args:
        table: The change log or the current table.
        wanted: Names of the contract's columns.

    Raises:
        ContractError: A column was renamed in the table, but not yet in the contract.
    """
    names, present = set(wanted), _names(table)
    for old, new in renamed_columns(table).items():
        if old in names and old not in present and new in present and new not in names:
            msg = f"In {table.name()[-1]!r} the column {old!r} is {new!r} now, but not yet in the contract."
            raise ContractError(msg, hint=f'Finish it: table.evolve(rename={{"{old}": "{new}"}}).')


def _names(table: Table) -> set[str]:
    return {field.name for field in table.schema().fields}


def _change(table: Table, contract: Contract, changes: Changes) -> list[str]:
    """Change one table in one commit, again if another one comes in between; returns what was changed."""
    from pyiceberg.exceptions import CommitFailedException

    for attempt in range(_ATTEMPTS):
        done, steps = _steps(table, contract, changes)
        if not done:
            return []
        try:
            with table.transaction() as transaction:
                with transaction.update_schema(allow_incompatible_changes=True) as update:
                    for step in steps:
                        step(update)
                transaction.set_properties(_properties(table, changes))
        except CommitFailedException:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE_SECONDS * 2**attempt)
            table.refresh()
        else:
            return done
    raise AssertionError


def _steps(
    table: Table, contract: Contract, changes: Changes
) -> tuple[list[str], list[Callable[[UpdateSchema], object]]]:
    """What is still to be done in a table, in words and as steps of one update."""
    types = {field.name: field.field_type for field in table.schema().fields}
    done: list[str] = []
    steps: list[Callable[[UpdateSchema], object]] = []
    wider = {}
    for name in changes.widen:
        parsed = contract.column(name).parsed_type
        if _plain(name, to_iceberg_type(parsed)) != _plain(name, types[name]):
            wider[name] = parsed
            done.append(f"{name}: {contract.column(name).type}")
    if wider:
        schema = to_schema(wider, required=())
        steps.append(lambda update: update.union_by_name(schema))
    for old, new in changes.rename.items():
        if old in types:
            done.append(f"{old} → {new}")
            steps.append(lambda update, old=old, new=new: update.rename_column(old, new))  # type: ignore[misc]
    for name in changes.drop:
        if name in types:
            done.append(f"- {name}")
            steps.append(lambda update, name=name: update.delete_column(name))  # type: ignore[misc]
    return done, steps


def _plain(name: str, kind: IcebergType) -> pa.Schema:
    """A column's type without the ids of fields, to compare it."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    from pyiceberg.schema import Schema
    from pyiceberg.types import NestedField

    return schema_to_pyarrow(Schema(NestedField(1, name, kind, required=False)), include_field_ids=False)


def _properties(table: Table, changes: Changes) -> dict[str, str]:
    """The properties that name columns, after the changes."""
    new_names = {**changes.rename, **dict.fromkeys(changes.drop, GONE)}
    noted = {old: new for old, new in renamed_columns(table).items() if old not in changes.rename.values()}
    properties = {RENAMED: json.dumps({**noted, **new_names})} if new_names else {}
    for name in COLUMN_LISTS:
        if name in table.properties:
            listed = _renamed(json.loads(table.properties[name]), changes.rename)
            properties[name] = json.dumps([column for column in listed if column not in changes.drop])
    return properties


def _renamed(names: Iterable[str], new_names: Mapping[str, str]) -> list[str]:
    return [new_names.get(name, name) for name in names]
