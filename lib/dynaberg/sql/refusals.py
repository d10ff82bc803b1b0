"""Athena's error messages, with the place in the statement and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.errors import QueryError

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings

_WRAPPING = re.compile(r"^An error occurred \(\w+\) when calling the \w+ operation(?: \([^)]*\))?: ")
_POSITION = re.compile(r"\bline (\d+):(\d+)")
_QUOTED = re.compile(r"'([^']*)'")

Names = Callable[[], Iterable[str]]

_MOST_BYTES = 262_144


def check_length(statement: str) -> None:
    """Refuse a statement that Athena would not take, before it is sent.

    Source: Amazon Athena User Guide, "Service Quotas": a query string has at most 262,144 bytes.

    Args:
        statement: The statement as it is sent.

    Raises:
        QueryError: It is too long.
    """
    length = len(statement.encode())
    if length > _MOST_BYTES:
        msg = f"The statement has {length:,} bytes; Athena takes at most {_MOST_BYTES:,}."
        raise QueryError(msg, hint="Ask in several statements: fewer columns, or fewer values, at a time.")


def explain(session: boto3.Session, settings: Settings, statement: str, error: Exception) -> QueryError:
    """The error that says where a statement failed and what to do.

    Args:
        session: Open boto3 session; names of tables and columns are looked up with it.
        settings: Names of the table bucket and the namespace.
        statement: The statement as it was sent.
        error: What PyAthena raised.
    """
    message = _WRAPPING.sub("", str(error)).strip()
    place = _show_place(statement, message)
    hint = _hint(session, settings, statement, message)
    return QueryError(f"Athena refused the statement: {message}{place}", hint=hint)


def _show_place(statement: str, message: str) -> str:
    match = _POSITION.search(message)
    lines = statement.splitlines()
    if not match or not 1 <= int(match[1]) <= len(lines):
        return ""
    line, column = int(match[1]), int(match[2])
    margin = f"{line:>4} | "
    return f"\n{margin}{lines[line - 1]}\n{' ' * (len(margin) + column - 1)}^"


def _hint(session: boto3.Session, settings: Settings, statement: str, message: str) -> str:
    tables = _tables(session, settings)

    def columns() -> set[str]:
        named = [name for name in tables if re.search(rf"\b{re.escape(name)}\b", statement)]
        return {column for name in named for column in _columns(session, settings, name)}

    if re.search(r"TABLE_NOT_FOUND|Table .* does not exist|table .* not found", message, re.IGNORECASE):
        return _nearest("table", message, tables, "Create the Iceberg tables with wb.deploy_firehose().")
    if re.search(r"COLUMN_NOT_FOUND|Column .* cannot be resolved", message):
        fallback = "Put names in double quotation marks, text in single ones."
        return _nearest("column", message, columns(), fallback)
    return next((hint for pattern, hint in _HINTS.items() if re.search(pattern, message)), "")


def _nearest(kind: str, message: str, existing: Iterable[str], fallback: str) -> str:
    names = sorted(existing)
    wanted = [part.rpartition(".")[2].strip('"') for part in _QUOTED.findall(message)]
    near = [match for name in wanted for match in get_close_matches(name.lower(), names, n=1)]
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"The {kind}s are: {', '.join(names)}." if names else fallback


def _tables(session: boto3.Session, settings: Settings) -> list[str]:
    try:
        return catalog.table_names(catalog.open_catalog(session, settings), settings)
    except Exception:  # noqa: BLE001 - a hint must not hide what Athena said, whatever the caller may not see
        return []


def _columns(session: boto3.Session, settings: Settings, table: str) -> list[str]:
    loaded = catalog.load_table(catalog.open_catalog(session, settings), settings, table)
    return [field.name for field in loaded.schema().fields]


_HINTS = {
    r"Unsupported Hive type: timestamp": (
        "A table that Athena creates cannot hold moments with a time zone; where a column is one, write "
        "CAST(changed_at AT TIME ZONE 'UTC' AS timestamp(6)) AS changed_at."
    ),
    r"mismatched input|SYNTAX_ERROR|extraneous input|no viable alternative|ParsingException": (
        "Athena speaks Trino SQL: text in single quotation marks, names in double ones, one statement."
    ),
    r"FUNCTION_NOT_FOUND|Function .* not registered": (
        "Athena's functions are Trino's: trino.io/docs/current/functions.html."
    ),
    r"TYPE_NOT_FOUND|Unknown type": "In a query, write varchar and real; string and float are for DDL.",
    r"DIVISION_BY_ZERO|Division by zero": "Divide by nullif(x, 0) to get NULL instead.",
    r"TYPE_MISMATCH|Cannot apply operator|Unexpected parameters": "Cast one side with CAST(x AS …).",
    r"INVALID_CAST_ARGUMENT|Cannot cast": "TRY_CAST gives NULL where a cast fails.",
    r"EXPRESSION_NOT_AGGREGATE|must be an aggregate": "Add the column to GROUP BY, or aggregate it.",
    r"COMMIT_CONFLICT|ICEBERG_COMMIT_ERROR": "Another writer committed first; run the statement again.",
    r"WorkGroup .*not found": "Create the workgroup with wb.enable_cdc() (01_enable_cdc).",
}
