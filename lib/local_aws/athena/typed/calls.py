"""Functions and aggregates whose meaning depends on the types of their arguments, each by its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlglot
from sqlglot import exp

from local_aws.athena.dialect import (
    FUNCTIONS,
    MACROS,
    UNKNOWN_TYPE,
    DecimalType,
    DuckSql,
    QueryError,
    call,
    decimal_type,
    family,
    parse_type,
    text_name,
    to_duckdb,
)
from local_aws.athena.typed.decimals import SUMMED, average, cast, decimal_operation
from local_aws.athena.typed.texts import JSON, Look, text_of
from local_aws.athena.typed.type_checks import apply_case, refuse_text, unexpected_parameters

Node = exp.Expr


def apply_call(node: Node, types: Sequence[str | None]) -> None:
    """Functions whose meaning depends on the types of their arguments."""
    name = str(node.this).lower()
    CALL_RULES.get(name, choose_variant)(node, types)


def choose_variant(node: Node, types: Sequence[str | None]) -> None:
    """Names the spelling of a macro that is for these types; without types DuckDB chooses."""
    if None in types:
        return
    variants = [v for v in VARIANTS[str(node.this).lower()] if len(v.types) == len(node.expressions)]
    chosen = next((v for v in variants if v.takes(types)), None)
    if chosen is None:
        raise unexpected_parameters(node, types)
    node.set("this", chosen.name)


def call_operands(node: Node) -> list[Node]:
    """The arguments of a function whose types matter."""
    name = str(node.this).lower()
    if name in VARIANTS and name not in CALL_RULES:
        return list(node.expressions)
    positions = POSITIONS.get(name, (0,)) if name in CALL_RULES else ()
    chosen = [node.expressions[i] for i in positions if i < len(node.expressions)]
    return [c.expressions[0] if isinstance(c, exp.Distinct) else c for c in chosen]


def whole_aggregate(node: Node) -> Node:
    """An aggregate with its FILTER and OVER."""
    parent = node.parent
    is_within = isinstance(parent, (exp.Filter, exp.Window)) and node.arg_key == "this"
    return whole_aggregate(parent) if is_within and parent else node


def apply_average(node: Node, types: Sequence[str | None]) -> None:
    """The average of decimals is a decimal of the same type."""
    target, kind = whole_aggregate(node), decimal_type(types[0])
    if kind is not None and is_decimal(types[0]):
        target.replace(average(target, kind))
    elif types[0] == "FLOAT":
        target.replace(exp.cast(target.copy(), "FLOAT"))


def apply_sum(node: Node, types: Sequence[str | None]) -> None:
    """The sum of whole numbers is a bigint, that of decimals has at most 38 digits."""
    target, kind = whole_aggregate(node), decimal_type(types[0])
    if kind is not None and is_decimal(types[0]):
        # DuckDB sums to a little beyond 38 digits; only an operator looks.
        zero = cast(exp.Literal.number(0), DecimalType(38, kind.scale))
        if kind.precision > SUMMED:
            target.replace(exp.Paren(this=exp.Add(this=target.copy(), expression=zero)))
    elif kind is not None or types[0] == "FLOAT":
        target.replace(exp.cast(target.copy(), "BIGINT" if kind else "FLOAT"))


def apply_percentile(node: Node, types: Sequence[str | None]) -> None:
    """Percentiles are of bigints, reals and doubles; a decimal becomes a double."""
    wanted = "DOUBLE" if is_decimal(types[0]) else "BIGINT" if decimal_type(types[0]) else None
    if wanted:
        node.expressions[0].replace(exp.cast(node.expressions[0].copy(), wanted))


def apply_rounding(node: Node, types: Sequence[str | None]) -> None:
    """What rounding leaves of a decimal's digits."""
    kind = decimal_type(types[0])
    if kind is None or not is_decimal(types[0]):
        return
    name, has_digits = str(node.this).lower(), len(node.expressions) == 2
    front = kind.precision - kind.scale
    if has_digits:
        left = DecimalType(min(kind.precision + (name == "round"), 38), kind.scale)
    elif name == "trunc":
        left = DecimalType(max(front, 1), 0)
    else:
        left = DecimalType(min(front + min(kind.scale, 1), 38), 0)
    node.replace(cast(node, left))


def keep_decimal(node: Node, types: Sequence[str | None]) -> None:
    """What has the type of its operand, which DuckDB forgets of a NULL."""
    if (kind := decimal_type(types[0])) and is_decimal(types[0]):
        node.replace(cast(node, kind))


def apply_text(node: Node, types: Sequence[str | None]) -> None:
    """CAST AS VARCHAR and AS JSON, by the type of the value."""
    is_json = node.this == "trino_json"
    if types[0] is None:
        node.replace(call(UNKNOWN_TYPE, node.expressions[0].copy()))
        return
    kind = parse_type({"TEXT LITERAL": "VARCHAR", "NULL": '"NULL"'}.get(types[0], types[0]))
    value, look = to_duckdb(node.expressions[0]), Look(int(node.expressions[1].name))
    if is_json:
        text = f"CAST({text_of(value, kind, look, JSON)} AS JSON)"
    elif kind.text == "JSON":
        text = f"json_extract_string({value}, '$')"
    elif kind.kind != "plain" or kind.text == "BLOB":
        raise QueryError("TYPE_MISMATCH", f"Cannot cast {text_name(kind.text)} to varchar", node)
    else:
        text = text_of(value, kind, look)
    node.replace(sqlglot.parse_one(text, dialect=DuckSql))


def is_decimal(kind: str | None) -> bool:
    """Whether a type is a decimal by its name."""
    return kind is not None and kind.startswith("DECIMAL")


def apply_concat_ws(node: Node, types: Sequence[str | None]) -> None:
    """`concat_ws(separator, array)`."""
    if types[0] and types[0].endswith("]"):
        node.set("this", "array_to_string")
        node.set("expressions", [node.expressions[1].copy(), node.expressions[0].copy()])


def apply_cardinality(node: Node, types: Sequence[str | None]) -> None:
    """The size of a map."""
    if types[0] and family(types[0]) == "MAP":
        sized = call("cardinality", node.expressions[0].copy())
        node.replace(exp.cast(sized, "BIGINT"))


def apply_reverse(node: Node, types: Sequence[str | None]) -> None:
    """An array backwards."""
    if types[0] and types[0].endswith("]"):
        node.set("this", "list_reverse")


def apply_typeof(node: Node, types: Sequence[str | None]) -> None:
    """The type's name, known before the query runs, with a text's length and the digits of a second."""
    if not types[0]:
        return
    name, text, seconds = text_name(types[0]), node.meta.get("text"), node.meta.get("digits", 3)
    is_nested, has_time = "(" in name and not name.startswith("decimal"), "time" in name
    if ("varchar" in name and text is None) or (has_time and is_nested):
        message = f"typeof: what Athena calls this {name.partition('(')[0]} is not known locally"
        raise QueryError("NOT_SUPPORTED", message, node)
    if has_time:
        first, _, rest = name.partition(" ")
        name = f"{first}({seconds}) {rest}".rstrip()
    node.replace(exp.Literal.string(text if name == "varchar" and text else name))


def apply_interval_sum(node: Node, types: Sequence[str | None]) -> None:
    """What the macros mean, written out where the types are known: DuckDB picks no macro for an aggregate."""
    if None in types:
        return
    kind = exp.Add if node.this == "trino_plus" else exp.Sub
    left, right = (
        exp.Paren(this=o.copy()) if isinstance(o, exp.Binary) else o.copy() for o in node.expressions
    )
    result: Node = exp.Paren(this=kind(this=left, expression=right))
    numbers = [decimal_type(t) for t in types]
    if any(map(is_decimal, types)) and numbers[0] and numbers[1]:
        result = decimal_operation(result.this, numbers[0], numbers[1])
    if {family(t or "") for t in types} in ({"time", "number"}, {"time", "text"}):
        sign = "+" if kind is exp.Add else "-"
        message = f"Cannot apply operator: {text_name(types[0] or '')} {sign} {text_name(types[1] or '')}"
        raise QueryError("TYPE_MISMATCH", message, node)
    if set(types) == {"DATE", "INTERVAL"}:
        result = exp.cast(result, "DATE")
    elif set(types) == {"DATE"}:
        result = call("to_days", exp.cast(result, "INTEGER"))
    node.replace(result)


VARIANTS = {f.target: f.variants for f in (*MACROS, *FUNCTIONS.values()) if f.depends_on_types}
POSITIONS: Mapping[str, Sequence[int]] = {
    "trino_plus": (0, 1),
    "trino_minus": (0, 1),
    "concat_ws": (1,),
    "date_sub": (1, 2),
    **dict.fromkeys(("coalesce", "greatest", "least"), range(100)),
}


CALL_RULES: Mapping[str, Callable[[Node, Sequence[str | None]], None]] = {
    "trino_plus": apply_interval_sum,
    "trino_minus": apply_interval_sum,
    "avg": apply_average,
    "sum": apply_sum,
    "approx_quantile": apply_percentile,
    **dict.fromkeys(("round", "trunc", "ceil", "ceiling", "floor"), apply_rounding),
    "abs": keep_decimal,
    **dict.fromkeys(("coalesce", "greatest", "least"), apply_case),
    "date_sub": refuse_text,
    "trino_from_unixtime": refuse_text,
    "typeof": apply_typeof,
    **dict.fromkeys(("trino_varchar", "trino_json"), apply_text),
    "concat_ws": apply_concat_ws,
    "trino_cardinality": apply_cardinality,
    "reverse": apply_reverse,
}
