"""What kind of statement it is, its parameters, and what AWS refuses on S3 Tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from local_aws.athena.dialect.dialect import AthenaSql
from local_aws.athena.dialect.errors import QueryError, StatementError
from local_aws.athena.dialect.validate import parse

LEADING_COMMENTS = re.compile(r"^(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)+", re.DOTALL)


@dataclass(frozen=True)
class Kind:
    """A kind of statement.

    Attributes:
        name: `SubstatementType`.
        type: `StatementType`: DML, DDL or UTILITY.
        is_query: Whether it is read by Athena's query parser.
    """

    name: str
    type: str
    is_query: bool = False


KINDS = (
    (r"WITH|SELECT|VALUES|TABLE|\(", Kind("SELECT", "DML", True)),
    (r"INSERT", Kind("INSERT", "DML", True)),
    (r"UPDATE", Kind("UPDATE", "DML", True)),
    (r"DELETE", Kind("DELETE", "DML", True)),
    (r"MERGE", Kind("MERGE", "DML", True)),
    (r"UNLOAD", Kind("UNLOAD", "DML")),
    (
        r"CREATE\s+TABLE\b.*?\bAS(?:\s|--[^\n]*\n|/\*.*?\*/)*\(?\s*(?:SELECT|WITH|VALUES|TABLE)\b",
        Kind("CREATE_TABLE_AS_SELECT", "DDL"),
    ),
    (r"CREATE\s+(?:EXTERNAL\s+)?TABLE", Kind("CREATE_TABLE", "DDL")),
    (r"CREATE\s+(?:DATABASE|SCHEMA)", Kind("CREATE_DATABASE", "DDL")),
    (r"DROP\s+TABLE", Kind("DROP_TABLE", "DDL")),
    (r"DROP\s+(?:DATABASE|SCHEMA)", Kind("DROP_DATABASE", "DDL")),
    (r"ALTER\s+TABLE", Kind("ALTER_TABLE", "DDL")),
    (r"SHOW", Kind("SHOW", "UTILITY")),
    (r"DESC(?:RIBE)?", Kind("DESCRIBE_TABLE", "UTILITY")),
    (r"EXPLAIN", Kind("EXPLAIN", "UTILITY")),
    (r"PREPARE", Kind("PREPARE", "UTILITY")),
    (r"DEALLOCATE", Kind("DEALLOCATE", "UTILITY")),
    (r"EXECUTE", Kind("EXECUTE", "DML")),
)

REFUSED = (
    (r"CREATE\s+(?:OR\s+REPLACE\s+)?VIEW", "CREATE VIEW"),
    (r"DROP\s+VIEW", "DROP VIEW"),
    (r"OPTIMIZE", "OPTIMIZE"),
    (r"VACUUM", "VACUUM"),
    (r"ALTER\s+TABLE\s+\S+\s+RENAME\s+TO", "ALTER TABLE RENAME"),
    (r"ALTER\s+(?:DATABASE|SCHEMA)", "ALTER DATABASE"),
    (r"MSCK\s+REPAIR", "MSCK REPAIR TABLE"),
)


def without_comments(sql: str) -> str:
    """A statement from its first word on, without the semicolon."""
    return LEADING_COMMENTS.sub("", sql).rstrip().rstrip(";").rstrip()


def kind_of(sql: str) -> Kind:
    """The kind of a statement.

    Raises:
        QueryError: NOT_SUPPORTED, for what AWS refuses on S3 Tables.
        StatementError: For what is no statement.
    """
    text = without_comments(sql)
    for pattern, name in REFUSED:
        if re.match(pattern + r"\b", text, re.IGNORECASE):
            raise QueryError("NOT_SUPPORTED", f"{name} is not supported for S3 Tables")
    for pattern, kind in KINDS:
        if re.match(pattern + r"(?:\b|(?<=\())", text, re.IGNORECASE | re.DOTALL):
            return kind
    word = text.split()[0] if text else "<EOF>"
    if not text:
        raise StatementError(f"mismatched input '{word}'")
    place = sql.find(text)
    line, column = sql[:place].count("\n") + 1, place - sql.rfind("\n", 0, place)
    raise StatementError(
        f"mismatched input '{word}'. Expecting: 'ALTER', 'CREATE', 'DELETE', 'DESCRIBE', 'DROP', 'EXECUTE', "
        "'EXPLAIN', 'INSERT', 'MERGE', 'PREPARE', 'SELECT', 'SHOW', 'UNLOAD', 'UPDATE', 'VALUES', 'WITH'",
        line,
        column,
    )


def read(sql: str, parameters: Sequence[str]) -> exp.Expr:
    """A query or DML statement with its parameters in place.

    Args:
        sql: The statement; each `?` takes the next parameter.
        parameters: Literals of SQL.

    Raises:
        QueryError: INVALID_PARAMETER_USAGE, for a wrong number of parameters.
    """
    tree = parse(sql.rstrip().rstrip(";"))
    places = sorted(tree.find_all(exp.Placeholder), key=lambda place: place.meta["start"])
    if len(places) != len(parameters):
        raise QueryError(
            "INVALID_PARAMETER_USAGE",
            f"Incorrect number of parameters: expected {len(places)} but found {len(parameters)}",
        )
    for place, text in zip(places, parameters, strict=True):
        place.replace(parameter(text))
    return tree


def parameter(text: str) -> exp.Expr:
    """One of `ExecutionParameters`: a literal; other words are taken as text, as Athena does."""
    try:
        value = sqlglot.parse_one(text, dialect=AthenaSql)
    except SqlglotError:
        return exp.Literal.string(text)
    if value.find(exp.Column, exp.Query, exp.Anonymous):
        return exp.Literal.string(text)
    return value
