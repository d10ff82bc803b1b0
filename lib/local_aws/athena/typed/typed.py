"""The part of the translation that needs types: DuckDB itself is asked for them.

What decimal division, text of decimals, averages, subscripts and comparisons mean depends on the types of the
operands. For every SELECT, innermost first, DuckDB describes the operands in the scope of that SELECT; a type
that cannot be known (a lambda's variable) leaves the expression as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from sqlglot import exp

from local_aws.athena.dialect import QueryError, call, family, text_name
from local_aws.athena.typed.calls import apply_call, call_operands, keep_decimal
from local_aws.athena.typed.decimals import apply_arithmetic
from local_aws.athena.typed.scopes import Describe, operand_types, selects, visible_ctes
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
)

Node = exp.Expr


def rewrite_typed(tree: Node, describe: Describe) -> None:
    """Rewrites in place what depends on types."""
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


def apply_cast(node: Node, types: Sequence[str | None]) -> None:
    """A double becomes the decimal that its shortest text is, as in Java."""
    if types[0] in ("FLOAT", "DOUBLE"):
        node.set("this", exp.cast(node.this.copy(), "VARCHAR"))


def cast_operands(node: Node) -> list[Node]:
    """What is cast to a decimal."""
    is_decimal_cast = isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DECIMAL
    return [node.this] if is_decimal_cast else []


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


ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)
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
