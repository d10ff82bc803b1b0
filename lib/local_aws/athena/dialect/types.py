"""DuckDB's types by Athena's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

PLAIN = {
    "BOOLEAN": "boolean",
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "bigint",
    "UBIGINT": "bigint",
    "UINTEGER": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double",
    "VARCHAR": "varchar",
    "BLOB": "varbinary",
    "DATE": "date",
    "TIME": "time",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP_MS": "timestamp",
    "TIMESTAMP_S": "timestamp",
    "TIMESTAMP_NS": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "INTERVAL": "interval day to second",
    "UUID": "uuid",
    "JSON": "json",
    '"NULL"': "unknown",
    "NULL": "unknown",
}
PRECISION = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "real": 17,
    "double": 17,
    "varchar": 2147483647,
    "varbinary": 1073741824,
    "timestamp": 3,
    "timestamp with time zone": 3,
}
WHOLE_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 19}
FAMILIES = {
    **dict.fromkeys(
        (
            "TINYINT",
            "SMALLINT",
            "INTEGER",
            "BIGINT",
            "HUGEINT",
            "UBIGINT",
            "UINTEGER",
            "UTINYINT",
            "FLOAT",
            "DOUBLE",
            "DECIMAL",
        ),
        "number",
    ),
    **dict.fromkeys(
        ("DATE", "TIMESTAMP", "TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"),
        "time",
    ),
    **dict.fromkeys(("VARCHAR", "TEXT LITERAL"), "text"),
}


@dataclass(frozen=True)
class DuckType:
    """One of DuckDB's types, read from its text.

    Attributes:
        kind: `list`, `map`, `struct` or `plain`.
        text: DuckDB's text of it.
        children: Name and type of each field of a struct; element, or key and value, without names.
    """

    kind: str
    text: str
    children: tuple[tuple[str, DuckType], ...] = ()


def parse_type(text: str) -> DuckType:
    """Reads a type as DESCRIBE writes it; duckdb.sqltype does not read structs without names."""
    text = text.strip()
    if text.endswith("]"):
        return DuckType("list", text, (("", parse_type(text[: text.rindex("[")])),))
    head, _, rest = text.partition("(")
    if head == "MAP":
        return DuckType("map", text, tuple(("", parse_type(part)) for part in outside(rest[:-1])))
    if head == "STRUCT":
        return DuckType("struct", text, tuple(struct_field(part.strip()) for part in outside(rest[:-1])))
    return DuckType("plain", text)


def outside(text: str, separator: str = ",", opening: str = "([", closing: str = ")]") -> list[str]:
    """The parts between separators outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in opening) - (letter in closing)
        if letter == separator and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def struct_field(text: str) -> tuple[str, DuckType]:
    """A field of a struct: name and type, or the type alone."""
    if found := re.match(r'"((?:[^"]|"")*)"\s+(.*)', text):
        return found[1].replace('""', '"'), parse_type(found[2])
    base = re.sub(r"(\[\d*\])+$", "", text)
    if base in PLAIN or base.startswith(("STRUCT(", "MAP(", "DECIMAL(", "ENUM(")):
        return "", parse_type(text)
    name, _, kind = text.partition(" ")
    return name, parse_type(kind)


class DecimalType(NamedTuple):
    """A decimal's digits in all, and behind the point."""

    precision: int
    scale: int


def decimal_type(name: str | None) -> DecimalType | None:
    """The decimal that an operand becomes in decimal arithmetic, or None where it does not."""
    if name is None:
        return None
    if found := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name):
        return DecimalType(int(found[1]), int(found[2]))
    return DecimalType(WHOLE_DIGITS[name], 0) if name in WHOLE_DIGITS else None


def family(name: str) -> str:
    """What a type may be compared with."""
    plain = name.partition("(")[0]
    if name.endswith("]"):
        return "array"
    return FAMILIES.get(plain, plain)


WIDER = {
    "TINYINT": ("SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"),
    "SMALLINT": ("INTEGER", "BIGINT", "FLOAT", "DOUBLE"),
    "INTEGER": ("BIGINT", "FLOAT", "DOUBLE"),
    "BIGINT": ("FLOAT", "DOUBLE"),
    "HUGEINT": ("BIGINT", "FLOAT", "DOUBLE"),
    "FLOAT": ("DOUBLE",),
    "DATE": ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    "TIMESTAMP": ("TIMESTAMP WITH TIME ZONE",),
    "TEXT LITERAL": ("VARCHAR",),
    "JSON": ("VARCHAR",),
}


def coerces(given: str, wanted: str) -> bool:
    """Whether a value of one type may be stored in a column of another without a cast."""
    if given == wanted or given in ("NULL", '"NULL"'):
        return True
    from_decimal, to_decimal = decimal_type(given), decimal_type(wanted)
    if given.startswith("DECIMAL") and wanted in ("FLOAT", "DOUBLE"):
        return True
    if from_decimal and to_decimal and wanted.startswith("DECIMAL"):
        whole_digits = (to_decimal.precision - to_decimal.scale) - (
            from_decimal.precision - from_decimal.scale
        )
        return whole_digits >= 0 and to_decimal.scale >= from_decimal.scale
    if wanted in WIDER.get(given, ()):
        return True
    nested = ("array", "MAP", "STRUCT")
    return family(given) == family(wanted) and family(wanted) in nested


def text_name(name: str) -> str:
    """A type as messages and `typeof` write it."""
    if name == "TEXT LITERAL":
        return "varchar"
    if found := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", name):
        return f"decimal({found[1]},{found[2]})"
    kind = parse_type(name)
    children = [text_name(child.text) for _, child in kind.children]
    if kind.kind == "list":
        return f"array({children[0]})"
    if kind.kind == "map":
        return f"map({children[0]}, {children[1]})"
    if kind.kind == "struct":
        names = [field for field, _ in kind.children]
        return f"row({', '.join(f'{n} {c}'.strip() for n, c in zip(names, children, strict=True))})"
    return PLAIN.get(name, name.lower())


def column_type(name: str) -> str:
    """The type of a result column, as `ColumnInfo` names it."""
    if name.endswith("]"):
        return "array"
    for prefix, kind in (("DECIMAL", "decimal"), ("MAP", "map"), ("STRUCT", "row"), ("ENUM", "varchar")):
        if name.startswith(prefix):
            return kind
    return PLAIN.get(name, "varchar")


def column_info(column: str, name: str, shown: str = "") -> Mapping[str, Any]:
    """`ColumnInfo` of a result column.

    Args:
        column: The column's name.
        name: DuckDB's type.
        shown: Athena's type, where DuckDB's does not say.
    """
    kind = shown or column_type(name)
    digits = decimal_type(name) if kind == "decimal" else None
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": column,
        "Label": column,
        "Type": kind,
        "Precision": digits.precision if digits else PRECISION.get(kind, 0),
        "Scale": digits.scale if digits else 3 if kind.startswith("timestamp") else 0,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind == "varchar",
    }
