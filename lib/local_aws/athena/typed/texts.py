"""Values as text, by their types: as Athena's results show them, as CAST AS VARCHAR and as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local_aws.athena.dialect import DuckType, QueryError, decimal_type, literal, text_name, wall_clock

TEXTS = {
    "DOUBLE": "trino_double_text({0})",
    "FLOAT": "trino_double_text({0})",
    "HUGEINT": "CAST(CAST({0} AS BIGINT) AS VARCHAR)",
    "BLOB": "trino_binary_text({0})",
    "TIMESTAMP": "trino_timestamp_text({0}, {digits})",
    **dict.fromkeys(
        ("TIMESTAMP_MS", "TIMESTAMP_S", "TIMESTAMP_NS"),
        "trino_timestamp_text(CAST({0} AS TIMESTAMP), {digits})",
    ),
    "INTERVAL": "trino_interval_text({0})",
    "VARCHAR": "{0}",
}
# Trino's JsonUtil.canCastToJson.
QUOTED_IN_JSON = ("DATE", "TIMESTAMP")
BARE_IN_JSON = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


@dataclass(frozen=True)
class Look:
    """How a value is written.

    Attributes:
        digits: Digits of a second.
        zone: The zone of a timestamp that has one.
        type: The type's name, where DuckDB's type does not say.
    """

    digits: int = 3
    zone: str = "UTC"
    type: str = ""


def plain_text(value: str, kind: str, look: Look) -> str:
    """The SQL that writes a value that is not nested as Athena's result does."""
    digits = decimal_type(kind)
    if digits and digits.precision == digits.scale:
        return f"replace(CAST({value} AS VARCHAR), '.', '0.')"
    if kind == "TIME":
        return f"substr(trino_timestamp_text(DATE '2000-01-01' + {value}, {look.digits}), 12)"
    if kind == "TIMESTAMP WITH TIME ZONE":
        zone = literal(f" {look.zone}")
        return f"(trino_timestamp_text({wall_clock(value, look.zone)}, {look.digits}) || {zone})"
    template = TEXTS.get(kind, "CAST({0} AS VARCHAR)")
    return template.replace("{digits}", str(look.digits)).replace("{0}", value)


def json_text(value: str, kind: str, look: Look) -> str:
    """The SQL that writes a value that is not nested as JSON does."""
    text = plain_text(value, kind, look)
    if kind in ("VARCHAR", "JSON"):
        return f"CAST({'to_json' if kind == 'VARCHAR' else ''}({value}) AS VARCHAR)"
    if kind in BARE_IN_JSON or kind.startswith("DECIMAL"):
        return text
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isfinite({value}) THEN {text} ELSE '\"' || {text} || '\"' END"
    if kind in QUOTED_IN_JSON:
        return f"('\"' || {text} || '\"')"
    if kind == '"NULL"':
        return "CAST(NULL AS VARCHAR)"
    raise QueryError("TYPE_MISMATCH", f"Cannot cast {text_name(kind)} to json")


@dataclass(frozen=True)
class Form:
    """How texts of values are put together.

    Attributes:
        text: The SQL of the text of a value that is not nested.
        comma: Between elements.
        entry: Between a key and its value.
        key: The SQL of a key, from that of its text.
        is_sorted: Whether the entries of a map are ordered by their keys.
    """

    text: Callable[[str, str, Look], str]
    comma: str
    entry: str
    key: Callable[[str], str]
    is_sorted: bool


RESULT = Form(plain_text, ", ", "=", str, is_sorted=False)
JSON = Form(json_text, ",", ":", lambda text: f"CAST(to_json({text}) AS VARCHAR)", is_sorted=True)


def text_of(value: str, kind: DuckType, look: Look, form: Form = RESULT, depth: int = 0) -> str:
    """The SQL that writes a value as text, NULL where it is.

    Args:
        value: SQL of the value.
        kind: Its DuckDB type.
        look: Digits and zone of timestamps.
        form: How texts are put together.
        depth: How many arrays and maps stand around it; names the lambda's variable.
    """
    variable = f"element_{depth}"

    def inner(part: str, child: DuckType) -> str:
        return f"coalesce({text_of(part, child, look, form, depth + 1)}, 'null')"

    children = [child for _, child in kind.children]
    if kind.kind == "list":
        texts = f"list_transform({value}, lambda {variable}: {inner(variable, children[0])})"
        return f"('[' || array_to_string({texts}, {literal(form.comma)}) || ']')"
    if kind.kind == "map":
        key = text_of(f"{variable}.key", children[0], look, RESULT, depth + 1)
        pair = f"{{'k': {key}, 'v': {inner(f'{variable}.value', children[1])}}}"
        pairs = f"list_transform(map_entries({value}), lambda {variable}: {pair})"
        pairs = f"list_sort({pairs})" if form.is_sorted else pairs
        entry = f"{form.key(f'{variable}.k')} || {literal(form.entry)} || {variable}.v"
        texts = f"list_transform({pairs}, lambda {variable}: {entry})"
        return f"('{{' || array_to_string({texts}, {literal(form.comma)}) || '}}')"
    if kind.kind == "struct":
        joined = f" || {literal(form.comma)} || ".join(
            form.key(literal(name or ("" if form is JSON else f"field{i}")))
            + f" || {literal(form.entry)} || "
            + inner(f"struct_extract_at({value}, {i + 1})", child)
            for i, (name, child) in enumerate(kind.children)
        )
        return f"CASE WHEN {value} IS NOT NULL THEN '{{' || {joined} || '}}' END"
    return form.text(value, kind.text, look)
