"""The part of the translation that needs types: DuckDB itself is asked for them.

What decimal division, text of decimals, averages, subscripts and comparisons mean depends on the types of the
operands. For every SELECT, innermost first, DuckDB describes the operands in the scope of that SELECT; a type
that cannot be known (a lambda's variable) leaves the expression as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

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
from local_aws.athena.typed.decimals import (
    SUMMED,
    apply_arithmetic,
    average,
    cast,
    decimal_operation,
)
from local_aws.athena.typed.scopes import Describe, operand_types, selects, visible_ctes
from local_aws.athena.typed.texts import JSON, Look, text_of
from local_aws.athena.typed.type_checks import (
    COMPARISONS,
    CONDITIONS,
    apply_case,
    apply_comparison,
    apply_condition,
    apply_in,
    case_results,
    check_columns_match,
    condition_operands,
    refuse_hidden_order,
    refuse_text,
    unexpected_parameters,
)

Node = exp.Expr


def rewrite_typed(tree: Node, describe: Describe) -> None:
    """Rewrites in place what depends on types.

    Args:
        tree: A tree that `translate.rewrite` made, tables qualified.
        describe: The column types of a query, by DuckDB's names.
    """
    for values in tree.find_all(exp.Values):
        rewrite_scope(values, exp.Select(with_=visible_ctes(values)), describe)
    for select in selects(tree):
        refuse_hidden_order(select)
        rewrite_scope(select, select, describe)
    for operation in tree.find_all(exp.SetOperation):
        check_columns_match(operation, describe)


def rewrite_scope(root: Node, select: exp.Select, describe: Describe) -> None:
    """Rewrites the typed expressions of one SELECT or VALUES, whose columns are those of a SELECT."""
    for level in levels(root):
        operands = [operand for node in level for operand in OPERANDS[type(node)](node)]
        types = iter(operand_types(select, operands, describe))
        for node in level:
            count = len(OPERANDS[type(node)](node))
            RULES[type(node)](node, [next(types) for _ in range(count)])


def levels(root: Node) -> Iterator[list[Node]]:
    """The typed expressions of a SELECT or VALUES, without those of what is inside; innermost first."""
    by_height: dict[int, list[Node]] = {}

    def visit(node: Node, floor: int = 0) -> int:
        if isinstance(node, SCOPES) and node is not root:
            return floor
        later = typed_later(node)
        earlier = [child for child in node.iter_expressions() if all(child is not one for one in later)]
        height = max((visit(child, floor) for child in earlier), default=floor)
        height = max((visit(child, height) for child in later), default=height)
        if type(node) in RULES and OPERANDS[type(node)](node):
            height += 1
            by_height.setdefault(height, []).append(node)
        return height

    visit(root)
    yield from (by_height[height] for height in sorted(by_height))


def typed_later(node: Node) -> list[Node]:
    """What must wait for its neighbors: a lambda for its array, an aggregate for what stands around it."""
    if isinstance(node, (exp.Window, exp.Filter)):
        return [node.this]
    return [child for child in node.expressions if isinstance(child, exp.Lambda)]


SCOPES = (exp.Select, exp.Values, exp.Unnest)


def in_operands(node: Node) -> list[Node]:
    """The value and what it is compared with; of many literals, one of each kind is enough."""
    kinds: dict[tuple[bool, bool], Node] = {}
    others = []
    for value in node.expressions:
        if isinstance(value, exp.Literal):
            kinds.setdefault((value.is_string, value.is_int), value)
        else:
            others.append(value)
    return [node.this, *kinds.values(), *others]


def both(node: Node) -> list[Node]:
    """The operands of a binary operator."""
    return [node.this, node.expression]


def apply_subscript(node: Node, types: Sequence[str | None]) -> None:
    """A missing key or index is an error, not NULL; and a text or JSON has neither."""
    if not isinstance(node, exp.Bracket) or types[0] is None:
        return
    prefix = "[]" if types[0].endswith("]") else types[0].partition("(")[0]
    if name := SUBSCRIPTS.get(prefix):
        node.replace(call(name, node.this.copy(), node.expressions[0].copy()))
    else:
        index = text_name(types[1]) if types[1] else "this"
        raise QueryError("TYPE_MISMATCH", f"Cannot use {index} for subscript of {text_name(types[0])}", node)


SUBSCRIPTS = {"[]": "trino_subscript", "MAP": "trino_map_subscript", "STRUCT": "struct_extract_at"}


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


def apply_cast(node: Node, types: Sequence[str | None]) -> None:
    """A double becomes the decimal that its shortest text is, as in Java."""
    if types[0] in ("FLOAT", "DOUBLE"):
        node.set("this", exp.cast(node.this.copy(), "VARCHAR"))


def cast_operands(node: Node) -> list[Node]:
    """What is cast to a decimal."""
    is_decimal_cast = isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DECIMAL
    return [node.this] if is_decimal_cast else []


def is_decimal(kind: str | None) -> bool:
    """Whether a type is a decimal by its name."""
    return kind is not None and kind.startswith("DECIMAL")


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


VARIANTS = {f.target: f.variants for f in (*MACROS, *FUNCTIONS.values()) if f.depends_on_types}
POSITIONS: Mapping[str, Sequence[int]] = {
    "trino_plus": (0, 1),
    "trino_minus": (0, 1),
    "concat_ws": (1,),
    "date_sub": (1, 2),
    **dict.fromkeys(("coalesce", "greatest", "least"), range(100)),
}


def apply_concat_ws(node: Node, types: Sequence[str | None]) -> None:
    """`concat_ws(separator, array)`."""
    if types[0] and types[0].endswith("]"):
        node.set("this", "array_to_string")
        node.set("expressions", [node.expressions[1].copy(), node.expressions[0].copy()])


CONCAT = (
    "Unexpected parameters ({given}) for function concat. Expected: concat(char(x), char(y)), "
    "concat(array(E), E), concat(E, array(E)), concat(array(E)), concat(varchar), concat(varbinary)"
)


def apply_concat(node: Node, types: Sequence[str | None]) -> None:
    """An element joins an array."""
    arrays = [bool(t and t.endswith("]")) for t in types]
    joins = {(True, False): "list_append", (False, True): "list_prepend"}.get((arrays[0], arrays[1]))
    if joins:
        if types[arrays.index(False)]:
            node.replace(call(joins, node.this.copy(), node.expression.copy()))
    elif arrays == [False, False]:
        for kind in types:
            if kind and family(kind) not in ("text", "BLOB", "NULL", '"NULL"'):
                given = ", ".join(text_name(t) for t in types if t)
                raise QueryError("FUNCTION_NOT_FOUND", CONCAT.format(given=given), node)


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


ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
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
RULES: Mapping[type[Node], Callable[[Node, Sequence[str | None]], None]] = {
    **dict.fromkeys(ARITHMETIC, apply_arithmetic),
    exp.Bracket: apply_subscript,
    exp.Anonymous: apply_call,
    exp.Neg: keep_decimal,
    exp.In: apply_in,
    exp.Between: apply_in,
    exp.Case: apply_case,
    exp.If: apply_condition,
    exp.DPipe: apply_concat,
    **dict.fromkeys((exp.Cast, exp.TryCast), apply_cast),
    **dict.fromkeys(COMPARISONS, apply_comparison),
    **dict.fromkeys(CONDITIONS, apply_condition),
}
OPERANDS: Mapping[type[Node], Callable[[Node], list[Node]]] = {
    **dict.fromkeys(ARITHMETIC, both),
    exp.Neg: lambda node: [node.this],
    exp.Bracket: lambda node: [node.this, node.expressions[0]],
    exp.Case: case_results,
    exp.If: condition_operands,
    exp.DPipe: both,
    **dict.fromkeys((exp.Cast, exp.TryCast), cast_operands),
    exp.Anonymous: call_operands,
    exp.In: in_operands,
    exp.Between: lambda node: [node.this, node.args["low"], node.args["high"]],
    **dict.fromkeys(COMPARISONS, both),
    **dict.fromkeys(CONDITIONS, condition_operands),
}
