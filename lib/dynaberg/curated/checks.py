"""Checks of a curated table's content: what a SQL file promises, as queries that count what breaks it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dynaberg.errors import BuildError
from dynaberg.functions.statements.builds import quoted

_ROWS = re.compile(r"rows\s*(<=|>=|<>|!=|=|<|>)\s*(\d+)")
_CALL = re.compile(r"(unique|not_null|accepted)\s*\((.*)\)", re.DOTALL)
_COLUMN = re.compile(r'\s*("(?:[^"]|"")+"|[A-Za-z_]\w*)\s*(?:,|$)')
_QUERY = re.compile(r"(SELECT|WITH)\b", re.IGNORECASE)
_HINT = "Write rows > 0, unique(a, b), not_null(a), accepted(a, 'x', 'y'), or a SELECT that must find no row."


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        text: As the file has it.
        broken: A SELECT of the rows that break it, from `{new}`.
    """

    text: str
    broken: str

    def on(self, source: str) -> str:
        """The SELECT of what breaks the check.

        Args:
            source: What follows FROM: the content to check.
        """
        return self.broken.replace("{new}", source)


def read_check(text: str, table: str) -> Check:
    """Read a check.

    Args:
        text: What follows `-- check:`.
        table: Name of the curated table, by which a free query reads the new content.

    Raises:
        BuildError: It is none of the known forms.

    Example:
        >>> read_check("not_null(status)", "by_status").on('"by_status"')
        'SELECT * FROM "by_status" WHERE "status" IS NULL'
    """
    if match := _ROWS.fullmatch(text):
        counted = "SELECT n FROM (SELECT count(*) AS n FROM {new})"
        return Check(text, f"{counted} WHERE NOT n {match[1]} {match[2]}")
    if match := _CALL.fullmatch(text):
        columns, rest = _columns(match[2], most=1 if match[1] == "accepted" else 100)
        if columns and (rest != "" if match[1] == "accepted" else not rest):
            return Check(text, _FORMS[match[1]](columns, rest))
    elif _QUERY.match(text):
        query = text.rstrip().rstrip(";")
        return Check(text, f'WITH "{table}" AS (SELECT * FROM {{new}}) SELECT * FROM (\n{query}\n)')  # noqa: S608
    raise BuildError(f"{table}.sql has the check {text!r}, which cannot be read.", hint=_HINT)


def _columns(text: str, *, most: int) -> tuple[list[str], str]:
    """The columns at the start of an argument list, in quotation marks, and what follows them."""
    columns: list[str] = []
    at = 0
    while len(columns) < most and (match := _COLUMN.match(text, at)):
        columns.append(quoted(match[1].strip('"').replace('""', '"')))
        at = match.end()
    return columns, text[at:].strip()


def _unique(columns: Sequence[str], _: str) -> str:
    listed = ", ".join(columns)
    return f"SELECT {listed}, count(*) AS n FROM {{new}} GROUP BY {listed} HAVING count(*) > 1"  # noqa: S608


def _not_null(columns: Sequence[str], _: str) -> str:
    return f"SELECT * FROM {{new}} WHERE {' OR '.join(f'{column} IS NULL' for column in columns)}"  # noqa: S608


def _accepted(columns: Sequence[str], values: str) -> str:
    column = columns[0]
    odd = f"{column} NOT IN ({values})"
    return f"SELECT {column}, count(*) AS n FROM {{new}} WHERE {odd} GROUP BY {column}"  # noqa: S608


_FORMS = {"unique": _unique, "not_null": _not_null, "accepted": _accepted}
