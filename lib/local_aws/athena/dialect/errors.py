"""A failed query in Athena's words, no matter what refused it."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from local_aws.athena.dialect.dialect import UNKNOWN_TYPE
from local_aws.athena.dialect.functions import FUNCTIONS
from local_aws.athena.dialect.types import outside, text_name

USER_ERROR, SYSTEM_ERROR = 2, 1


class QueryError(Exception):
    """A query that fails, as `StateChangeReason` says it.

    Args:
        code: Athena's error code, such as `COLUMN_NOT_FOUND`.
        message: What happened.
        node: The place in the statement, for `line 1:15`.
    """

    def __init__(self, code: str, message: str, node: exp.Expr | None = None) -> None:
        place = position(node)
        self.code, self.message = code, f"{place}{message}"
        super().__init__(f"{code}: {self.message}")

    def as_json(self) -> dict[str, Any]:
        """The `AthenaError` of a query execution."""
        category = SYSTEM_ERROR if self.code == "GENERIC_INTERNAL_ERROR" else USER_ERROR
        return {"ErrorCategory": category, "ErrorType": 1301, "Retryable": False, "ErrorMessage": str(self)}


class StatementError(QueryError):
    """A statement that Athena's parser refuses; `StartQueryExecution` itself fails."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__("SYNTAX_ERROR", f"line {line}:{column}: {message}")


class QueryCancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """The query was stopped."""


def position(node: exp.Expr | None) -> str:
    """`line 1:15: ` for a node whose identifiers have a position."""
    place = None if node is None else place_of(node)
    return f"line {place[0]}:{place[1]}: " if place else ""


def place_of(node: exp.Expr) -> tuple[int, int] | None:
    """Line and column where a node starts, by the first of its identifiers."""
    metas = (part.meta for part in node.walk() if "line" in part.meta)
    first = min(metas, key=lambda meta: meta["start"], default=None)
    return (first["line"], first["col"] - (first["end"] - first["start"])) if first else None


PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r"DIVISION_BY_ZERO", "DIVISION_BY_ZERO", "Division by zero"),
    (r"INVALID_CAST (.*) TO (\w+)' to INT", "INVALID_CAST_ARGUMENT", "Cannot cast '{0}' to {1}"),
    (r"KEY_NOT_PRESENT (.*)' to", "INVALID_FUNCTION_ARGUMENT", "Key not present in map: {0}"),
    (
        r"SUBSCRIPT (.*)' to",
        "INVALID_FUNCTION_ARGUMENT",
        "Array subscript must be less than or equal to array length: {0}",
    ),
    (r"Could not convert string '(.*)' to (\w+)", "INVALID_CAST_ARGUMENT", "Cannot cast '{0}' to {1}"),
    (
        r"invalid (?:date|timestamp) field format: \"([^\"]*)\"",
        "INVALID_CAST_ARGUMENT",
        "Value cannot be cast to a date or timestamp: {0}",
    ),
    (
        r"(timestamp|date) field value out of range: \"([^\"]*)\"",
        "INVALID_CAST_ARGUMENT",
        "Value cannot be cast to {0}: {1}",
    ),
    (
        r"Could not parse string \"([^\"]*)\" according to format specifier \"([^\"]*)\"",
        "INVALID_FUNCTION_ARGUMENT",
        'Invalid format: "{0}"',
    ),
    (
        r"The object (s3://.*) is not in S3",
        "ICEBERG_CANNOT_OPEN_SPLIT",
        "Error opening Iceberg split {0}: not in S3",
    ),
    (
        r"invalid perl operator: (\S+)",
        "NOT_SUPPORTED",
        "Regular expressions with {0} are not supported locally",
    ),
    (
        r"Macro trino_(\w+?)(?:__\d)?\(\) does not support the supplied arguments",
        "FUNCTION_NOT_FOUND",
        "Unexpected parameters for function {0}",
    ),
    (r"Malformed JSON", "INVALID_FUNCTION_ARGUMENT", "Cannot convert value to JSON"),
    (
        r"(?:Out of Range|out of range|Overflow|overflow)",
        "NUMERIC_VALUE_OUT_OF_RANGE",
        "Value is out of range",
    ),
    (
        r"More than one row returned by a subquery",
        "SUBQUERY_MULTIPLE_ROWS",
        "Scalar sub-query has returned multiple rows",
    ),
    (
        r"column \"?([^\" ]+)\"? must appear in the GROUP BY",
        "EXPRESSION_NOT_AGGREGATE",
        "'{0}' must be an aggregate expression or appear in GROUP BY clause",
    ),
    (r"Ambiguous reference to column name \"([^\"]+)\"", "AMBIGUOUS_NAME", "Column '{0}' is ambiguous"),
    (
        r"NOT NULL constraint failed: ([\w.]+)",
        "CONSTRAINT_VIOLATION",
        "NULL value not allowed for NOT NULL column: {0}",
    ),
    (r"Cannot (?:compare|mix) values|Cannot combine types", "TYPE_MISMATCH", "{text}"),
    (r"(?:Unimplemented type for cast|Unimplemented cast)", "TYPE_MISMATCH", "{text}"),
    (r"Out of Memory", "EXCEEDED_LOCAL_MEMORY_LIMIT", "Query exceeded the memory limit of the local engine"),
    (
        r"(?:TransactionContext|Failed to commit|CommitFailed|Conflict)",
        "ICEBERG_COMMIT_ERROR",
        "Failed to commit Iceberg update to table: {text}",
    ),
)


def find_name(tree: exp.Expr | None, kind: type[exp.Expr], name: str) -> exp.Expr | None:
    """The first node of a kind that carries a name, to say where it stands."""
    if tree is None:
        return None
    return next((node for node in tree.find_all(kind) if node.name.lower() == name.lower()), None)


def from_duckdb(
    error: Exception, tree: exp.Expr | None = None, catalog: str = "", database: str = ""
) -> QueryError:
    """What DuckDB refused, in Athena's words.

    Args:
        error: DuckDB's exception.
        tree: The statement as it was written, for the position.
        catalog: The catalog of unqualified names.
        database: The database of unqualified names.
    """
    text = str(error)
    first_line = text.partition("\n")[0]
    if found := re.search(r"Table with name \"?([^\"]+?)\"? does not exist", text):
        node = find_name(tree, exp.Table, found[1])
        return QueryError(
            "TABLE_NOT_FOUND", f"Table '{table_text(node, catalog, database, found[1])}' does not exist", node
        )
    if found := re.search(r"(?:Referenced|does not have a) column (?:named )?\"([^\"]+)\"", text):
        node = find_name(tree, exp.Column, found[1])
        name = ".".join(part.name for part in node.parts) if isinstance(node, exp.Column) else found[1]
        return QueryError("COLUMN_NOT_FOUND", f"Column '{name}' cannot be resolved", node)
    if found := re.search(r"Referenced table \"([^\"]+)\" not found", text):
        node = (
            next((c for c in tree.find_all(exp.Column) if c.table.lower() == found[1].lower()), None)
            if tree
            else None
        )
        column = node.sql() if node is not None else found[1]
        return QueryError("COLUMN_NOT_FOUND", f"Column '{column}' cannot be resolved", node)
    if (found := CALLED.search(text)) and found[1] == UNKNOWN_TYPE:
        return QueryError("NOT_SUPPORTED", "The local Athena does not know the type of a value", tree)
    if found:
        return unknown_call(found[1], found[2], tree)
    for pattern, code, message in PATTERNS:
        if found := re.search(pattern, text):
            return QueryError(code, message.format(*found.groups(), text=first_line.partition(": ")[2]))
    kind = "TYPE_MISMATCH" if text.startswith("Binder Error") else "GENERIC_INTERNAL_ERROR"
    return QueryError(kind, first_line.partition(": ")[2] or first_line)


CALLED = re.compile(r"(?:argument types '|function call \")(\S+?)\((.*?)\)['\"]")
LITERALS = {"STRING_LITERAL": "VARCHAR", "INTEGER_LITERAL": "INTEGER"}


def unknown_call(called: str, arguments: str, tree: exp.Expr | None) -> QueryError:
    """A function or operator that is not for the types given, under Athena's name of it."""
    kinds = ", ".join(text_name(LITERALS.get(kind.strip(), kind.strip())) for kind in outside(arguments))
    if not called.isidentifier():
        operator = "LIKE" if called == "~~" else called
        return QueryError("TYPE_MISMATCH", f"Cannot apply operator: {kinds.replace(',', f' {operator}', 1)}")
    names = [f.name for f in FUNCTIONS.values() if called in (f.target, f.target.removeprefix("trino_"))]
    written = [*names, called]
    node = next((found for name in written if (found := find_name(tree, exp.Anonymous, name))), None)
    name = node.name.lower() if node is not None else written[0]
    return QueryError("FUNCTION_NOT_FOUND", f"Unexpected parameters ({kinds}) for function {name}", node)


def table_text(node: exp.Expr | None, catalog: str, database: str, name: str) -> str:
    """`catalog.database.table` as Athena's messages write it."""
    if not isinstance(node, exp.Table):
        return name
    return f"{node.catalog or catalog}.{node.db or database}.{node.name}".lower()
