"""Columns of known types, read by a statement of this library's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.sql.nested import reviver, selected
from dynaberg.sql.parameters import bind
from dynaberg.sql.query import run

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.types import NestedField

    from dynaberg.settings import Settings


def read_columns(
    session: boto3.Session,
    settings: Settings,
    fields: Sequence[NestedField],
    source: str,
    params: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Read columns, nested ones as lists and dicts of exact values.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        fields: The columns, of an Iceberg schema; names may repeat.
        source: What follows FROM. Its name may not be that of a struct: `place.city` would be its column.
        params: A value for each question mark.

    Raises:
        QueryError: Athena refused the statement, or a value is not what its type says.

    Example:
        >>> read_columns(session, settings, table.schema().fields, '"orders" AS rows_of_table')
    """
    import pandas as pd

    names = ", ".join(selected(field.name, field.field_type) for field in fields)
    statement, literals = bind(f"SELECT {names} FROM {source}", params)  # noqa: S608
    found = run(session, settings, statement, literals).df
    series = [
        found.iloc[:, place]
        if field.field_type.is_primitive
        else pd.Series([*map(reviver(field.field_type), found.iloc[:, place])], found.index, dtype=object)
        for place, field in enumerate(fields)
    ]
    frame: pd.DataFrame = pd.concat(series, axis=1)
    frame.columns = found.columns
    return frame
