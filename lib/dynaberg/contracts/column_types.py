"""The types of columns: parsed from the contract's spelling, and turned into Iceberg's."""

from __future__ import annotations

import re
from difflib import get_close_matches
from itertools import count
from typing import TYPE_CHECKING, Any

from dynaberg.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyiceberg.types import IcebergType

# JSON: "long", {"decimal": [12, 2]}, {"list": T}, {"map": T} or {"struct": {name: T, …}}. A member that takes
# an attribute of another name is {"attribute": [attribute, T]} in place of T.
ParsedType = str | dict[str, Any]

SIMPLE_TYPES = ("string", "int", "long", "double", "boolean", "date", "timestamptz", "binary", "json")
_SPELLINGS = (*SIMPLE_TYPES, "decimal(p,s)", "list<T>", "map<string,T>", "struct<name: T, …>")
_OTHER_DIALECTS = {
    "bigint": "long",
    "bool": "boolean",
    "bytes": "binary",
    "decimal": "decimal(12,2)",
    "float": "double",
    "integer": "int",
    "number": "decimal(38,10)",
    "text": "string",
    "timestamp": "timestamptz",
    "varchar": "string",
}
_MEMBER = re.compile(
    r"""\s*(?P<name>[a-z_][a-z0-9_]*)
    (?:\s+from\s+(?:"(?P<quoted>[^"]+)"|(?P<attribute>[^\s":<>(),]+)))?
    \s*:\s*(?P<type>.+)""",
    re.DOTALL | re.VERBOSE,
)


def parse_type(text: Any, *, where: str) -> ParsedType:
    """Parse a type.

    Args:
        text: The type in Iceberg's spelling, such as `map<string,decimal(12,2)>`, or `json`.
        where: What has the type, for the error message.

    Raises:
        ContractError: No such type.

    Example:
        >>> parse_type("list<decimal(12,2)>", where="Column 'amounts'")
        {'list': {'decimal': [12, 2]}}
    """
    spelled = str(text).strip()
    if spelled in SIMPLE_TYPES:
        return spelled
    if match := re.fullmatch(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)", spelled):
        return _parse_decimal(int(match[1]), int(match[2]), spelled, where)
    if match := re.fullmatch(r"(list|map|struct)\s*<(.*)>", spelled, re.DOTALL):
        return _parse_nested(match[1], match[2], spelled, where)
    word = re.split(r"\W", spelled)[0]
    near = [_OTHER_DIALECTS[word]] if word in _OTHER_DIALECTS else get_close_matches(spelled, _SPELLINGS, n=1)
    msg = f"{where} has the type {spelled!r}, which is unknown. Types: {', '.join(_SPELLINGS)}."
    raise ContractError(msg, hint=f"Did you mean {near[0]!r}?" if near else "Use one of them.")


def _parse_decimal(precision: int, scale: int, spelled: str, where: str) -> ParsedType:
    if not (1 <= precision <= 38 and scale <= precision):
        msg = f"{where} has the type {spelled!r}, which is not a valid decimal."
        raise ContractError(msg, hint="Precision is 1 to 38, and scale at most the precision.")
    return {"decimal": [precision, scale]}


def _parse_nested(kind: str, inner: str, spelled: str, where: str) -> ParsedType:
    parts = list(_split(inner))
    if kind == "list" and len(parts) == 1:
        return {"list": parse_type(parts[0], where=where)}
    if kind == "map" and len(parts) == 2 and parts[0].strip() == "string":
        return {"map": parse_type(parts[1], where=where)}
    members = [match for part in parts if (match := _MEMBER.fullmatch(part))]
    attributes = {match["quoted"] or match["attribute"] or match["name"] for match in members}
    if kind == "struct" and len({m["name"] for m in members}) == len(attributes) == len(parts):
        return {"struct": {match["name"]: _parse_member(match, where) for match in members}}
    msg = f"{where} has the type {spelled!r}, which cannot be read."
    raise ContractError(
        msg,
        hint="Write list<T>, map<string,T> or struct<name: T, …> with lower-case names, each once. "
        "A member may take an attribute of another name: struct<postal_code from postalCode: string>.",
    )


def _parse_member(match: re.Match[str], where: str) -> ParsedType:
    parsed, attribute = parse_type(match["type"], where=where), match["quoted"] or match["attribute"]
    return parsed if attribute in (None, match["name"]) else {"attribute": [attribute, parsed]}


def member_of(name: str, parsed: ParsedType) -> tuple[str, ParsedType]:
    """The attribute that a member of a struct takes, and its type.

    Example:
        >>> member_of("postal_code", {"attribute": ["postalCode", "string"]})
        ('postalCode', 'string')
    """
    match parsed:
        case {"attribute": [str(attribute), inner]}:
            return attribute, inner
        case _:
            return name, parsed


def _split(inner: str) -> Iterator[str]:
    """The parts between the commas outside brackets and quotation marks."""
    depth, start, quoted = 0, 0, False
    for position, character in enumerate(inner):
        quoted ^= character == '"'
        depth += 0 if quoted else (character in "<(") - (character in ">)")
        if character == "," and depth == 0 and not quoted:
            yield inner[start:position]
            start = position + 1
    yield inner[start:]


def to_iceberg_type(parsed: ParsedType) -> IcebergType:
    """The Iceberg type of a parsed one; nested fields get ids that are unique within it."""
    return _to_iceberg(parsed, count(1_000))


def _to_iceberg(parsed: ParsedType, ids: Iterator[int]) -> IcebergType:
    from pyiceberg.types import DecimalType, ListType, MapType, NestedField, StringType, StructType

    match parsed:
        case {"decimal": [precision, scale]}:
            return DecimalType(precision, scale)
        case {"list": element}:
            return ListType(next(ids), _to_iceberg(element, ids), element_required=False)
        case {"map": value}:
            return MapType(next(ids), StringType(), next(ids), _to_iceberg(value, ids), value_required=False)
        case {"struct": dict(members)}:
            fields = ((n, _to_iceberg(member_of(n, member)[1], ids)) for n, member in members.items())
            return StructType(
                *(NestedField(next(ids), name, member, required=False) for name, member in fields)
            )
        case _:
            return _simple_iceberg_types()[str(parsed)]


def _simple_iceberg_types() -> dict[str, IcebergType]:
    from pyiceberg import types

    return {
        "string": types.StringType(),
        "int": types.IntegerType(),
        "long": types.LongType(),
        "double": types.DoubleType(),
        "boolean": types.BooleanType(),
        "date": types.DateType(),
        "timestamptz": types.TimestamptzType(),
        "binary": types.BinaryType(),
        "json": types.StringType(),
    }
