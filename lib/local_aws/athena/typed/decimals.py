"""Division and remainder: whole numbers stay whole, decimals exact (Trino, "Decimal functions")."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from local_aws.athena.dialect import WHOLE_DIGITS, DecimalType, DuckSql, call, decimal_type, to_duckdb

Node = exp.Expr


def apply_division(node: Node, types: Sequence[str | None]) -> None:
    """Whole numbers divide to whole numbers, decimals to decimals, by zero is an error."""
    name = "trino_divide" if isinstance(node, exp.Div) else "trino_modulo"
    operands = [
        exp.Paren(this=node.this) if isinstance(node.this, exp.Binary) else node.this,
        node.expression,
    ]
    left, right = (decimal_type(t) for t in types)
    if left and right and any(t and t.startswith("DECIMAL") for t in types):
        node.replace(decimal_operation(node, operands, left, right))
        return
    if left and right:
        divisor = call("trino_nonzero", operands[1].copy())
        operation = exp.IntDiv if isinstance(node, exp.Div) else exp.Mod
        result = operation(this=operands[0].copy(), expression=divisor)
        wider = max((t or "" for t in types), key=lambda t: WHOLE_DIGITS.get(t, 0))
        node.replace(exp.cast(result, "BIGINT" if wider == "HUGEINT" else wider))
        return
    if None not in types:
        node.replace(
            exp.Paren(this=exp.Div(this=operands[0].copy(), expression=node.expression.copy()))
            if isinstance(node, exp.Div)
            else exp.Paren(this=node.copy())
        )
        return
    node.replace(call(name, *(operand.copy() for operand in operands)))


def decimal_operation(node: Node, operands: Sequence[Node], left: DecimalType, right: DecimalType) -> Node:
    """Decimal division and remainder (Trino, "Decimal functions and operators")."""
    if isinstance(node, exp.Mod):
        divisor = call("trino_nonzero", operands[1].copy())
        return exp.Paren(this=exp.Mod(this=operands[0].copy(), expression=divisor))
    scale = max(left.scale, right.scale)
    precision = min(38, left.precision + right.scale + max(right.scale - left.scale, 0))
    power = 10 ** (scale - left.scale + right.scale)
    numerator = f"{unscaled(operands[0], left)} * CAST({power} AS HUGEINT)"
    return quotient(numerator, unscaled(operands[1], right), DecimalType(max(precision, scale), scale))


def average(aggregate: Node, kind: DecimalType) -> Node:
    """The average of decimals is a decimal of the same type: the exact sum by the count."""
    total, count = renamed(aggregate, "sum"), renamed(aggregate, "count")
    return quotient(unscaled(total, DecimalType(38, kind.scale)), f"nullif({to_duckdb(count)}, 0)", kind)


def renamed(aggregate: Node, name: str) -> Node:
    """Another aggregate of the same rows."""
    copied = aggregate.copy()
    innermost = copied
    while isinstance(innermost, (exp.Filter, exp.Window)):
        innermost = innermost.this
    innermost.set("this", name)
    return copied


def quotient(numerator: str, divisor: str, kind: DecimalType) -> Node:
    """A decimal from whole numbers: one divided by the other, in smallest units of the result."""
    scale = kind.scale
    step = f"CAST('{10**-scale:.{scale}f}' AS DECIMAL({max(scale, 1)}, {scale}))"
    whole = f"CAST(trino_decimal_divide({numerator}, {divisor}) AS DECIMAL({38 - scale}, 0))"
    text = f"CAST({whole} * {step} AS DECIMAL({kind.precision}, {scale}))"
    return sqlglot.parse_one(text, dialect=DuckSql)


def unscaled(operand: Node, kind: DecimalType) -> str:
    """A decimal as a whole number of its smallest units."""
    text = to_duckdb(operand)
    if kind.scale == 0:
        return f"CAST({text} AS HUGEINT)"
    if kind.precision + kind.scale + 1 <= 38:
        exact = f"CAST({text} AS DECIMAL({kind.precision}, {kind.scale}))"
        return f"CAST({exact} * CAST({10**kind.scale} AS DECIMAL({kind.scale + 1}, 0)) AS HUGEINT)"
    return f"CAST(replace(CAST({text} AS VARCHAR), '.', '') AS HUGEINT)"
