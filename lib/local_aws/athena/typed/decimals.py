"""Arithmetic of whole numbers, which stay whole, and of decimals, which are exact.

The types of results are Trino's ("Decimal functions and operators"). DuckDB has them too, unless operands of
up to 18 digits make a result of more, and its type of two operands never loses whole digits for a scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import sqlglot
from sqlglot import exp

from local_aws.athena.dialect import (
    UNKNOWN_TYPE,
    WHOLE_DIGITS,
    DecimalType,
    DuckSql,
    QueryError,
    call,
    decimal_type,
    to_duckdb,
)

Node = exp.Expr
WIDEST = 38
"""Digits of the widest decimal."""
NARROW = 18
"""Digits that DuckDB keeps in 64 bits, and does not exceed by itself."""
SUMMED = 28
"""Digits of decimals whose sum, however many they are, DuckDB's 128 bits hold."""


def sum_type(left: DecimalType, right: DecimalType) -> DecimalType:
    """The type of a sum or a difference."""
    common = common_type([left, right])
    return DecimalType(min(WIDEST, common.precision + 1), common.scale)


def product_type(left: DecimalType, right: DecimalType) -> DecimalType:
    """The type of a product."""
    return DecimalType(min(WIDEST, left.precision + right.precision), left.scale + right.scale)


def quotient_type(left: DecimalType, right: DecimalType) -> DecimalType:
    """The type of a quotient."""
    more = right.scale + max(right.scale - left.scale, 0)
    return DecimalType(min(WIDEST, left.precision + more), max(left.scale, right.scale))


def remainder_type(left: DecimalType, right: DecimalType) -> DecimalType:
    """The type of a remainder."""
    scale = max(left.scale, right.scale)
    whole = min(left.precision - left.scale, right.precision - right.scale)
    return DecimalType(min(WIDEST, whole + scale), scale)


RESULTS: Mapping[type[Node], Callable[[DecimalType, DecimalType], DecimalType]] = {
    exp.Add: sum_type,
    exp.Sub: sum_type,
    exp.Mul: product_type,
    exp.Div: quotient_type,
    exp.Mod: remainder_type,
}


def common_type(kinds: Sequence[DecimalType]) -> DecimalType:
    """The type that holds several; its digits may be more than there are."""
    scale = max(kind.scale for kind in kinds)
    return DecimalType(max(kind.precision - kind.scale for kind in kinds) + scale, scale)


def in_common(operands: Sequence[Node], types: Sequence[str | None]) -> None:
    """Casts decimals to one type, in place, where DuckDB would cut their fractions to keep whole digits."""
    kinds = [kind for kind in map(decimal_type, types) if kind]
    if len(kinds) == len(types) > 1 and (wanted := common_type(kinds)).precision > WIDEST:
        for operand in operands:
            operand.replace(cast(operand, DecimalType(WIDEST, wanted.scale)))


def cast(node: Node, kind: DecimalType) -> Node:
    """A cast to a decimal; sqlglot's own leaves one out that is of a decimal already."""
    return exp.Cast(this=node.copy(), to=exp.DataType.build(f"DECIMAL({kind.precision}, {kind.scale})"))


def apply_arithmetic(node: Node, types: Sequence[str | None]) -> None:
    """An operator, by the types of its operands."""
    left, right = map(decimal_type, types)
    if left and right and any(kind and kind.startswith("DECIMAL") for kind in types):
        node.replace(decimal_operation(node, left, right))
    elif isinstance(node, (exp.Div, exp.Mod)):
        divide(node, types, is_whole=bool(left and right))


def divide(node: Node, types: Sequence[str | None], *, is_whole: bool) -> None:
    """Whole numbers divide to whole numbers, by zero is an error."""
    left, right = operands_of(node)
    if is_whole:
        operation = exp.IntDiv if isinstance(node, exp.Div) else exp.Mod
        result = operation(this=left, expression=call("trino_nonzero", right))
        wider = max((t or "" for t in types), key=lambda t: WHOLE_DIGITS.get(t, 0))
        node.replace(exp.cast(result, "BIGINT" if wider == "HUGEINT" else wider))
    elif None in types:
        node.replace(call(UNKNOWN_TYPE, left, right))
    else:
        node.replace(exp.Paren(this=type(node)(this=left, expression=node.expression.copy())))


def operands_of(node: Node) -> tuple[Node, Node]:
    """The operands of an operator, each to stand alone."""
    left = exp.Paren(this=node.this.copy()) if isinstance(node.this, exp.Binary) else node.this.copy()
    return left, node.expression.copy()


def decimal_operation(node: Node, left: DecimalType, right: DecimalType) -> Node:
    """An operator on decimals, exact."""
    kind = RESULTS[type(node)](left, right)
    if kind.scale > WIDEST:
        message = f"DECIMAL scale must be in range [0, precision ({WIDEST})]: {kind.scale}"
        raise QueryError("INVALID_FUNCTION_ARGUMENT", message, node)
    first, second = operands_of(node)
    if isinstance(node, exp.Div):
        return quotient(to_units(first, left), to_units(second, right), left, right, kind)
    if isinstance(node, exp.Mod):
        return remainder(first, second, left, right)
    if kind.precision > NARROW >= max(left.precision, right.precision):
        first = cast(first, DecimalType(NARROW + 1, left.scale))
    # Of a NULL, DuckDB would make an integer.
    return cast(exp.Paren(this=type(node)(this=first, expression=second)), kind)


def quotient(numerator: str, divisor: str, left: DecimalType, right: DecimalType, kind: DecimalType) -> Node:
    """A decimal from whole numbers: one divided by the other, in smallest units of the result."""
    more = kind.scale - left.scale + right.scale
    if left.precision + more <= WIDEST:
        return from_units(f"trino_decimal_divide({numerator} * {whole(10**more)}, {divisor})", kind)
    return from_units(f"trino_long_divide({numerator}, {divisor}, {more})", kind)


def remainder(first: Node, second: Node, left: DecimalType, right: DecimalType) -> Node:
    """The remainder of a decimal division."""
    kind = remainder_type(left, right)
    if common_type([left, right]).precision <= WIDEST:
        divided = exp.Mod(this=first, expression=call("trino_nonzero_decimal", second))
        return cast(exp.Paren(this=divided), kind)
    more = kind.scale - left.scale, kind.scale - right.scale
    units = f"{to_units(first, left)}, {to_units(second, right)}, {more[0]}, {more[1]}"
    return from_units(f"trino_long_modulo({units})", kind)


def average(aggregate: Node, kind: DecimalType) -> Node:
    """The average of decimals is a decimal of the same type: the exact sum by the count."""
    count = to_duckdb(renamed(aggregate, "count"))
    distinct = aggregate.find(exp.Distinct)
    if kind.precision <= SUMMED or distinct is not None:
        total = to_units(renamed(aggregate, "sum"), DecimalType(WIDEST, kind.scale))
        return from_units(f"trino_decimal_divide({total}, nullif({count}, 0))", kind)
    # Of more digits than a sum can have: the digits in front, and the last nineteen.
    front, back = (renamed(aggregate, "sum", f"{{0}} {sign} {whole(10**19)}", kind) for sign in ("//", "%"))
    return from_units(f"trino_average({to_duckdb(front)}, {to_duckdb(back)}, nullif({count}, 0))", kind)


def renamed(aggregate: Node, name: str, template: str = "", kind: DecimalType | None = None) -> Node:
    """Another aggregate of the same rows, or of what a template makes of their units."""
    copied = aggregate.copy()
    innermost = copied
    while isinstance(innermost, (exp.Filter, exp.Window)):
        innermost = innermost.this
    innermost.set("this", name)
    if kind is not None:
        units = to_units(innermost.expressions[0], kind)
        innermost.set("expressions", [sqlglot.parse_one(template.format(units), dialect=DuckSql)])
    return copied


def whole(number: int) -> str:
    """A whole number of 128 bits."""
    return f"CAST({number} AS HUGEINT)"


def to_units(operand: Node, kind: DecimalType) -> str:
    """A decimal as a whole number of its smallest units."""
    text = to_duckdb(operand)
    if kind.scale == 0:
        return f"CAST({text} AS HUGEINT)"
    precision = max(kind.precision, NARROW + 1)
    exact = f"CAST({text} AS DECIMAL({precision}, {kind.scale}))"
    if precision + kind.scale + 1 <= WIDEST:
        return f"CAST({exact} * CAST({10**kind.scale} AS DECIMAL({kind.scale + 1}, 0)) AS HUGEINT)"
    return f"CAST(replace(CAST({exact} AS VARCHAR), '.', '') AS HUGEINT)"


def from_units(units: str, kind: DecimalType) -> Node:
    """A decimal from a whole number of its smallest units."""
    text = f"CAST({units} AS DECIMAL({kind.precision}, 0))"
    if kind.scale and kind.precision + kind.scale <= WIDEST:
        step = f"CAST('0.{'1':0>{kind.scale}}' AS DECIMAL({kind.scale}, {kind.scale}))"
        text = f"{text} * {step}"
    elif kind.scale:
        text = f"trino_decimal_text({text}, {kind.scale})"
    return sqlglot.parse_one(
        f"CAST({text} AS DECIMAL({max(kind.precision, kind.scale)}, {kind.scale}))", dialect=DuckSql
    )
