"""What Athena refuses for its types, where DuckDB would convert silently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from local_aws.athena.dialect import QueryError, decimal_type, family, text_name, to_duckdb
from local_aws.athena.typed.decimals import WIDEST, common_type, in_common
from local_aws.athena.typed.scopes import Describe, only_nulls, visible_ctes

Node = exp.Expr

COMPARISONS: Mapping[type[Node], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
CLAUSES: Mapping[type[Node], str] = {
    exp.Where: "WHERE clause",
    exp.Having: "HAVING clause",
    exp.If: "CASE WHEN clause",
}
CONDITIONS = (exp.Where, exp.Having, exp.Not, exp.And, exp.Or)


def refuse_hidden_order(select: exp.Select) -> None:
    """SELECT DISTINCT is ordered by what it selects."""
    order = select.args.get("order")
    if not select.args.get("distinct") or order is None or any(e.is_star for e in select.expressions):
        return
    names = {e.alias_or_name.lower() for e in select.expressions}
    written = {e.unalias().sql().lower() for e in select.expressions}
    for term in order.expressions:
        key = term.this
        visible = isinstance(key, exp.Literal) or key.sql().lower() in written or key.name.lower() in names
        if not visible:
            message = "For SELECT DISTINCT, ORDER BY expressions must appear in select list"
            raise QueryError("EXPRESSION_NOT_IN_DISTINCT", message, key)


def check_columns_match(operation: exp.SetOperation, describe: Describe) -> None:
    """The columns of both sides of UNION, INTERSECT and EXCEPT are alike."""
    if recursive_name(operation):
        return
    sides = []
    for side in (operation.this, operation.expression):
        asked = exp.Select(expressions=[exp.Star()], from_=exp.From(this=exp.Subquery(this=side.copy())))
        asked.set("with_", visible_ctes(operation))
        kinds = describe(to_duckdb(asked, copy=False))
        for null in only_nulls(side):
            kinds[null] = "NULL"
        sides.append(kinds)
    for position, (left, right) in enumerate(zip(*sides, strict=False), 1):
        if "NULL" not in (left, right) and family(left) != family(right):
            word = operation.key.upper()
            given = f"{text_name(left)}, {text_name(right)}"
            message = f"column {position} in {word} query has incompatible types: {given}"
            raise QueryError("TYPE_MISMATCH", message, operation)
        decimals = [kind for kind in map(decimal_type, (left, right)) if kind]
        if len(decimals) == 2 and common_type(decimals).precision > WIDEST:
            message = (
                f"The local Athena cannot unite {text_name(left)} and {text_name(right)}; cast one of them"
            )
            raise QueryError("NOT_SUPPORTED", message, operation)


def recursive_name(operation: exp.SetOperation) -> bool:
    """Whether an operation defines a recursive query, whose types are those of its first part."""
    clause = operation.find_ancestor(exp.With)
    return clause is not None and bool(clause.args.get("recursive"))


def apply_comparison(node: Node, types: Sequence[str | None]) -> None:
    """Only like may be compared with like."""
    refuse_unlike(node, types[0], types[1], COMPARISONS[type(node)])
    in_common([node.this, node.expression], types)


def apply_in(node: Node, types: Sequence[str | None]) -> None:
    """IN and BETWEEN compare each value."""
    for other in types[1:]:
        refuse_unlike(node, types[0], other, "=" if isinstance(node, exp.In) else "BETWEEN")
    others = node.expressions if isinstance(node, exp.In) else [node.args["low"], node.args["high"]]
    if len(others) == len(types) - 1:
        in_common([node.this, *others], types)


def refuse_unlike(node: Node, left: str | None, right: str | None, operator: str) -> None:
    """DuckDB would convert silently; Athena refuses."""
    if left is None or right is None or "NULL" in (left, right) or family(left) == family(right):
        return
    message = f"Cannot apply operator: {text_name(left)} {operator} {text_name(right)}"
    raise QueryError("TYPE_MISMATCH", message, node)


def apply_case(node: Node, types: Sequence[str | None]) -> None:
    """All results of a CASE are of one kind."""
    known = [t for t in types if t and t not in ("NULL", '"NULL"')]
    for other in known[1:]:
        if family(other) != family(known[0]):
            message = (
                "All CASE results must be the same type or coercible to a common type. "
                f"Cannot find common type between {text_name(known[0])} and {text_name(other)}"
            )
            raise QueryError("TYPE_MISMATCH", message, node)
    in_common(case_results(node), types)


def case_results(node: Node) -> list[Node]:
    """The results of a CASE, or the arguments of coalesce."""
    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    if isinstance(node, exp.If):
        return [part for part in (node.args["true"], node.args.get("false")) if part is not None]
    return [*(branch.args["true"] for branch in node.args["ifs"]), *filter(None, [node.args.get("default")])]


def refuse_text(node: Node, types: Sequence[str | None]) -> None:
    """Functions of moments and numbers take no text, though DuckDB would read it."""
    if any(t and family(t) == "text" for t in types):
        raise unexpected_parameters(node, types)


def condition_operands(node: Node) -> list[Node]:
    """What must be a boolean here and is not one by its form."""
    conditions = [node.this, node.expression] if isinstance(node, exp.Connector) else [node.this]
    if isinstance(node.parent, exp.Case) and node.parent.this is not None:
        return []
    plain = (exp.Column, exp.Literal, exp.Cast, exp.Binary, exp.Anonymous)
    made_of_conditions = (exp.Connector, exp.Predicate)
    return [c for c in conditions if isinstance(c, plain) and not isinstance(c, made_of_conditions)]


def apply_condition(node: Node, types: Sequence[str | None]) -> None:
    """A condition is a boolean, not a number."""
    for kind in types:
        if kind and kind not in ("BOOLEAN", "NULL"):
            clause = CLAUSES.get(type(node), "Logical expression term")
            message = f"{clause} must evaluate to a boolean: actual type {text_name(kind)}"
            raise QueryError("TYPE_MISMATCH", message, node)


def unexpected_parameters(node: Node, types: Sequence[str | None]) -> QueryError:
    """A function that is not for these types."""
    given = ", ".join(text_name(t) for t in types if t)
    name = str(node.this).removeprefix("trino_")
    return QueryError("FUNCTION_NOT_FOUND", f"Unexpected parameters ({given}) for function {name}", node)
