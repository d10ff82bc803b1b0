"""Patterns: of dates, MySQL's and Joda's as strftime's; and of `format`, Java's directives as printf's."""

from __future__ import annotations

import re

from sqlglot import exp

from local_aws.athena.dialect.dialect import call, literal
from local_aws.athena.dialect.errors import QueryError

DIRECTIVE = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")
JODA_PIECE = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+")
MYSQL = {letter: f"%{letter}" for letter in "abdfHIjmpSyY%"} | {
    "c": "%-m",
    "e": "%-d",
    "h": "%I",
    "i": "%M",
    "k": "%-H",
    "l": "%-I",
    "M": "%B",
    "r": "%I:%M:%S %p",
    "s": "%S",
    "T": "%H:%M:%S",
    "v": "%V",
    "W": "%A",
    "x": "%G",
}
JODA = {
    "yyyy": "%Y",
    "YYYY": "%Y",
    "y": "%Y",
    "yy": "%y",
    "xxxx": "%G",
    "MMMM": "%B",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "DDD": "%j",
    "D": "%-j",
    "EEEE": "%A",
    "EEE": "%a",
    "E": "%a",
    "e": "%u",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "SSS": "%g",
    "SSSSSS": "%f",
    "a": "%p",
    "ww": "%V",
    "Z": "%z",
    "ZZ": "%z",
    "ZZZ": "%Z",
    "z": "%Z",
}


def mysql_to_strftime(pattern: str) -> str:
    """A pattern of `date_format` and `date_parse` (Trino, "MySQL date functions")."""

    def letter(found: re.Match[str]) -> str:
        if found[1] not in MYSQL:
            raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Date format not supported: %{found[1]}")
        return MYSQL[found[1]]

    return re.sub(r"%(.)", letter, pattern)


def joda_to_strftime(pattern: str) -> str:
    """A pattern of `format_datetime` and `parse_datetime` (Trino, "Java date functions")."""
    pieces = [found[0] for found in JODA_PIECE.finditer(pattern)]
    if not pieces or "".join(pieces) != pattern:
        raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Invalid format: {pattern}")
    return "".join(joda_piece(piece) for piece in pieces)


def joda_piece(piece: str) -> str:
    """One run of a letter, a quoted text, or anything else."""
    if piece.startswith("'"):
        return "'" if piece == "''" else piece[1:-1].replace("''", "'").replace("%", "%%")
    if not piece[0].isalpha():
        return piece.replace("%", "%%")
    if piece not in JODA:
        raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Invalid format: '{piece}' is not supported locally")
    return JODA[piece]


def offset_minutes(zone: str) -> int | None:
    """The minutes of `+02:00`; None for the name of a zone."""
    found = re.fullmatch(r"([+-])(\d\d?)(?::?(\d\d))?", zone)
    return int(f"{found[1]}{int(found[2]) * 60 + int(found[3] or 0)}") if found else None


def wall_clock(moment: str, zone: str) -> str:
    """The SQL of the wall clock of a moment; DuckDB knows no offsets as zones."""
    minutes = offset_minutes(zone)
    if minutes is None:
        return f"({moment}) AT TIME ZONE {literal(zone)}"
    return f"(({moment}) AT TIME ZONE 'UTC' + INTERVAL '{minutes}' MINUTE)"


def format_call(node: exp.Anonymous) -> exp.Expr:
    """A call of `format` in DuckDB's spelling."""
    pattern, *values = node.expressions
    if not isinstance(pattern, exp.Literal):
        raise QueryError("NOT_SUPPORTED", "format: locally the pattern must be a literal", node)
    arguments: list[exp.Expr] = []

    def directive(found: re.Match[str]) -> str:
        place, flags, width, precision, letter = found.groups()
        if letter in "%n":
            return "%%" if letter == "%" else "\n"
        index = int(place) - 1 if place else len(arguments)
        if index >= len(values):
            raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Format specifier '{found[0]}'", node)
        arguments.append(argument(values[index].copy(), letter, precision, node))
        dotted = f".{precision}" if precision else ""
        return f"%{flags}{width or ''}{dotted}{'s' if letter in 'sSbB' else letter}"

    text = DIRECTIVE.sub(directive, pattern.name)
    return call("printf", exp.Literal.string(text), *arguments)


def argument(value: exp.Expr, letter: str, precision: str | None, node: exp.Anonymous) -> exp.Expr:
    """An argument as its directive takes it; decimals round half up as Java does."""
    if letter in "dxXo":
        return exp.cast(value, "BIGINT")
    if letter in "feEg":
        number = exp.cast(value, "DOUBLE")
        if letter != "f":
            return number
        return call("round", number, exp.Literal.number(int(precision or 6)))
    if letter in "sSbB":
        text = call("trino_varchar", value, exp.Literal.number(6))
        return call("upper", text) if letter in "SB" else text
    raise QueryError("NOT_SUPPORTED", f"format: directive %{letter} is not supported locally", node)
