"""Patterns of dates: MySQL's and Joda's as strftime's."""

from __future__ import annotations

import re

from local_aws.athena.dialect.errors import QueryError

MYSQL = {
    "a": "%a",
    "b": "%b",
    "c": "%-m",
    "d": "%d",
    "e": "%-d",
    "f": "%f",
    "H": "%H",
    "h": "%I",
    "I": "%I",
    "i": "%M",
    "j": "%j",
    "k": "%-H",
    "l": "%-I",
    "M": "%B",
    "m": "%m",
    "p": "%p",
    "r": "%I:%M:%S %p",
    "S": "%S",
    "s": "%S",
    "T": "%H:%M:%S",
    "v": "%V",
    "W": "%A",
    "x": "%G",
    "Y": "%Y",
    "y": "%y",
    "%": "%%",
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
    pieces = re.findall(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+", pattern)
    text = "".join(m[0] for m in re.finditer(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+", pattern))
    if not pieces or text != pattern:
        raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Invalid format: {pattern}")
    return "".join(
        joda_piece(m[0]) for m in re.finditer(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+", pattern)
    )


def joda_piece(piece: str) -> str:
    """One run of a letter, a quoted text, or anything else."""
    if piece.startswith("'"):
        return "'" if piece == "''" else piece[1:-1].replace("''", "'").replace("%", "%%")
    if not piece[0].isalpha():
        return piece.replace("%", "%%")
    if piece not in JODA:
        raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Invalid format: '{piece}' is not supported locally")
    return JODA[piece]
