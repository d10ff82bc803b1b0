"""Parameters of Athena SQL: found in the statement, written as the literals that Athena binds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from dynaberg.errors import QueryError

# Strings, quoted identifiers and comments come first, so that a colon or a question mark in them is text.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | (?P<name>:[A-Za-z_]\w*) | (?P<place>\?)""",
    re.DOTALL | re.VERBOSE,
)
# Athena API Reference, StartQueryExecution: an execution parameter has at most 1,024 characters.
_MOST_BYTES = 1_024
_AWARE_HINT = "Give it a time zone: datetime(…, tzinfo=timezone.utc), or datetime.now(timezone.utc)."


def bind(sql: str, params: Mapping[str, Any] | Sequence[Any] | None) -> tuple[str, list[str]]:
    """The statement with `?` placeholders, and one literal for each.

    Athena binds the literals (`ExecutionParameters` of StartQueryExecution). Only a literal that is too long
    for that takes the place of its `?`: it is a literal either way. Source: Amazon Athena User Guide, "Use
    parameterized queries".

    Args:
        sql: One statement; `:name` stands for a parameter of a mapping, `?` for one of a sequence.
        params: The values by name or by position, or None.

    Returns:
        The statement as Athena accepts it, and the literals in the order of its question marks.

    Raises:
        QueryError: A placeholder without a value, a value without a placeholder, a type without a literal.

    Example:
        >>> bind("SELECT * FROM t WHERE id = :id", {"id": "O'Hara"})
        ("SELECT * FROM t WHERE id = ?", ["'O''Hara'"])
    """
    given: Any = sql
    if not isinstance(given, str):
        msg = f"The statement is {given!r}, a {type(given).__name__}; it must be text."
        raise QueryError(msg, hint='Write "SELECT …".')
    if isinstance(params, str) or not isinstance(params, Mapping | Sequence | None):
        msg = f"`params` is {params!r}, but values by name or by position are expected."
        raise QueryError(msg, hint='Write {"id": …} for `:id`, or […] for `?`.')
    if isinstance(params, Mapping):
        return _write_long(*_bind_names(sql, params))
    return _write_long(*_bind_places(sql, params or ()))


def _write_long(statement: str, literals: list[str]) -> tuple[str, list[str]]:
    """The statement with the literals that Athena does not bind, and the others."""
    if all(len(each.encode()) <= _MOST_BYTES for each in literals):
        return statement, literals
    left = iter(literals)
    bound: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if not match["place"]:
            return match[0]
        written = next(left)
        if len(written.encode()) > _MOST_BYTES:
            return written
        bound.append(written)
        return "?"

    return _TOKEN.sub(replace, statement), bound


def _bind_names(sql: str, params: Mapping[str, Any]) -> tuple[str, list[str]]:
    names: list[str] = []

    def replace(match: re.Match[str]) -> str:
        if not match["name"]:
            return match[0]
        names.append(match["name"][1:])
        return "?"

    if any(match["place"] for match in _TOKEN.finditer(sql)):
        msg = "The statement has a question mark as a placeholder, but the values have names."
        raise QueryError(msg, hint="Write :name for each value, or pass the values as a list.")
    rewritten = _TOKEN.sub(replace, sql)
    for name in names:
        if name not in params:
            near = get_close_matches(name, params, n=1)
            msg = f"The statement has the placeholder :{name}, but there is no value of that name."
            raise QueryError(msg, hint=f"Did you mean :{near[0]}?" if near else f'Add {{"{name}": …}}.')
    for name in params.keys() - set(names):
        msg = f"There is a value for {name!r}, but the statement has no :{name}."
        raise QueryError(msg, hint="Write the placeholder without quotation marks, or remove the value.")
    return rewritten, [literal(params[name]) for name in names]


def _bind_places(sql: str, params: Sequence[Any]) -> tuple[str, list[str]]:
    tokens = list(_TOKEN.finditer(sql))
    named = [match["name"] for match in tokens if match["name"]]
    if named:
        name = named[0][1:]
        msg = f"The statement has the placeholder :{name}, but there is no value of that name."
        raise QueryError(msg, hint=f'Pass the values by name: {{"{name}": …}}.')
    places = sum(1 for match in tokens if match["place"])
    if places != len(params):
        msg = f"The statement has {places} question marks, but {len(params)} values were given."
        raise QueryError(msg, hint="Pass one value for each, in the same order.")
    return sql, [literal(value) for value in params]


def literal(value: Any) -> str:
    """A value as an Athena literal.

    Args:
        value: str, bool, int, Decimal, float, date, timezone-aware datetime, bytes or None.

    Raises:
        QueryError: A naive datetime, or a type that has no literal.
    """
    if value is None:
        return "NULL"
    # bool before int and datetime before date: the latter are their base classes.
    for kind, write in _LITERALS.items():
        if isinstance(value, kind):
            return write(value)
    if hasattr(value, "item") and value.item() is not value:
        return literal(value.item())
    msg = f"{value!r} is a {type(value).__name__}, which Athena cannot bind as a parameter."
    raise QueryError(msg, hint="Bind a str, bool, int, Decimal, float, date, aware datetime, bytes or None.")


def _moment(value: datetime) -> str:
    if value.utcoffset() is None:
        msg = f"{value.isoformat()} has no time zone, so the moment is ambiguous."
        raise QueryError(msg, hint=_AWARE_HINT)
    # Only a Timestamp of pandas has them.
    beyond: int = getattr(value, "nanosecond", 0)
    nanoseconds = f"{beyond:03d}" if beyond else ""
    try:
        clock = value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    except OverflowError:
        msg = f"{value.isoformat()} is not within the years 1 to 9999 in UTC."
        raise QueryError(
            msg, hint="Bind a moment that is a day further from the end of the calendar."
        ) from None
    return f"TIMESTAMP '{clock}{nanoseconds} UTC'"


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        msg = f"{value} is not a number that a decimal can hold."
        raise QueryError(msg, hint="Bind None, or float('nan') for a double column.")
    return f"DECIMAL '{value:f}'"


def _double(value: float) -> str:
    names = {"nan": "nan()", "inf": "infinity()", "-inf": "-infinity()"}
    return names.get(repr(float(value)), f"DOUBLE '{float(value)!r}'")


_LITERALS: dict[type, Callable[[Any], str]] = {
    str: lambda value: "'" + value.replace("'", "''") + "'",
    bool: lambda value: str(value).lower(),
    int: str,
    Decimal: _decimal,
    float: _double,
    datetime: _moment,
    date: lambda value: f"DATE '{value.isoformat()}'",
    bytes: lambda value: f"X'{value.hex()}'",
}
