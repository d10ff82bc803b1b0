"""The scope of a SELECT: what DuckDB says of expressions and columns in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import to_duckdb

Node = exp.Expr
Describe = Callable[[str], list[str]]
AGGREGATES = (
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "count_if",
    "arg_max_null",
    "arg_min_null",
    "any_value",
    "approx_quantile",
    "list",
    "string_agg",
)


def selects(node: Node) -> Iterator[exp.Select]:
    """Every SELECT, each after those it reads from."""
    for key in sorted(node.args, key=lambda k: SCOPE_ORDER.get(k, 9)):
        value = node.args[key]
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, exp.Expr):
                yield from selects(child)
    if isinstance(node, exp.Select):
        yield node


SCOPE_ORDER = {"with_": 0, "from_": 1, "joins": 2, "laterals": 3}


def operand_types(select: exp.Select, operands: Sequence[Node], describe: Describe) -> list[str | None]:
    """The types of expressions in the scope of a SELECT; what stands there twice is asked for once."""
    asked = [bound(operand) for operand in operands]
    known: dict[Node, str | None] = {operand: literal_type(operand) for operand in asked}
    unknown = [operand for operand, kind in known.items() if kind is None]
    for has_aggregate in (False, True):
        group = [node for node in unknown if contains_aggregate(node) is has_aggregate]
        known.update(zip(group, described(select, group, describe), strict=True))
    return [known[operand] for operand in asked]


def bound(node: Node) -> Node:
    """An expression without the variables of the lambdas around it: each is an element of its array."""
    around: list[exp.Lambda] = []
    outer = node.parent
    while outer is not None and not isinstance(outer, exp.Select):
        around += [outer] if isinstance(outer, exp.Lambda) else []
        outer = outer.parent
    variables: dict[str, Node] = {}
    for function in reversed(around):
        called = function.parent
        if called is None:
            continue
        source, *others = [argument for argument in called.expressions if argument is not function]
        array = exp.Paren(this=substituted(source, variables))
        values: list[Node] = [exp.Bracket(this=array, expressions=[exp.Literal.number(1)])]
        if called.name == "list_reduce":
            values.insert(0, exp.Paren(this=substituted(others[0], variables)))
        else:
            values.append(exp.cast(exp.Literal.number(1), "BIGINT"))
        variables |= zip((p.name.lower() for p in function.expressions), values, strict=False)
    return substituted(node, variables) if variables else node


def substituted(node: Node, variables: Mapping[str, Node]) -> Node:
    """A copy of an expression with values for the variables of lambdas."""
    copied = exp.Paren(this=node.copy())
    for column in list(copied.find_all(exp.Column)):
        # What was written as text and read again has columns for variables, and tables for their members.
        first, *members = column.parts
        value: Node | None = variables.get(first.name.lower())
        if value is not None and not is_shadowed(column, first.name):
            for member in members:
                value = exp.Dot(this=value.copy(), expression=member.copy())
            column.replace(value.copy())
    for name in list(copied.find_all(exp.Identifier)):
        value = variables.get(name.name.lower())
        is_declared = isinstance(name.parent, exp.Lambda) and name.arg_key == "expressions"
        is_name = isinstance(name.parent, (exp.Column, exp.Alias, exp.TableAlias, exp.Table))
        is_member = isinstance(name.parent, exp.Dot) and name.arg_key == "expression"
        if value is not None and not (is_declared or is_name or is_member or is_shadowed(name, name.name)):
            name.replace(value.copy())
    inner: Node = copied.this
    return inner


def is_shadowed(node: Node, name: str) -> bool:
    """Whether a lambda around a node, within the same expression, has a variable of a name."""
    function = node.find_ancestor(exp.Lambda)
    while function is not None and name not in [parameter.name for parameter in function.expressions]:
        function = function.find_ancestor(exp.Lambda)
    return function is not None


def literal_type(node: Node) -> str | None:
    """The type of a plain literal."""
    if isinstance(node, exp.Null):
        return "NULL"
    if not isinstance(node, exp.Literal):
        return None
    if node.is_string:
        return "TEXT LITERAL"
    if node.name.isdigit():
        return "INTEGER" if int(node.name) < 2**31 else "BIGINT"
    if "e" in node.name.lower():
        return "DOUBLE"
    whole, _, fraction = node.name.partition(".")
    return f"DECIMAL({max(len(whole.lstrip('0')) + len(fraction), 1)},{len(fraction)})"


def contains_aggregate(node: Node) -> bool:
    """Whether an expression has an aggregate outside a window."""
    return any(
        str(a.this).lower() in AGGREGATES and not isinstance(a.parent, exp.Window)
        for a in node.find_all(exp.Anonymous)
    )


def described(select: exp.Select, nodes: Sequence[Node], describe: Describe) -> list[str | None]:
    """The types of some expressions, one by one where they cannot be described together."""
    if not nodes:
        return []
    try:
        return list(types_in(scope_of(select), nodes, describe))
    except duckdb.Error:
        return [one_type(select, node, describe) for node in nodes]


def types_in(scope: exp.Select, nodes: Sequence[Node], describe: Describe) -> list[str]:
    """The types of expressions in a scope, which is changed."""
    scope.set("expressions", [exp.alias_(node.copy(), f"c{i}") for i, node in enumerate(nodes)])
    return describe(to_duckdb(scope, copy=False))


def one_type(select: exp.Select, node: Node, describe: Describe) -> str | None:
    """The type of one expression, with the columns of the SELECTs around it where it needs them, or None."""
    scope = scope_of(select)
    outer = select.parent_select
    while True:
        try:
            return types_in(scope.copy(), [node], describe)[0]
        except duckdb.Error:
            if outer is None:
                return None
        widen(scope, outer, select)
        outer = outer.parent_select


def widen(scope: exp.Select, outer: exp.Select, inner: exp.Select) -> None:
    """Adds what an outer SELECT reads from, up to where the inner one stands, to a scope."""
    sources = [outer.args.get("from_"), *(outer.args.get("joins") or [])]
    for source in sources:
        if source is None or any(part is inner for part in source.walk()):
            return
        if scope.args.get("from_"):
            scope.append("joins", exp.Join(this=source.this.copy(), kind="CROSS"))
        else:
            scope.set("from_", exp.From(this=source.this.copy()))


def scope_of(select: exp.Select) -> exp.Select:
    """The WITH and FROM clauses of a SELECT, with nothing selected."""
    scope = exp.Select(with_=visible_ctes(select))
    scope.set("from_", select.args["from_"].copy() if select.args.get("from_") else None)
    scope.set("joins", [join.copy() for join in select.args.get("joins") or []])
    scope.set("laterals", [lateral.copy() for lateral in select.args.get("laterals") or []])
    return scope


def visible_ctes(select: Node) -> exp.With | None:
    """The WITH clauses around a SELECT."""
    found: list[exp.CTE] = []
    recursive = False
    node: Node | None = select
    inner: Node | None = None
    while node is not None:
        clause = node.args.get("with_")
        if clause is not None and clause is not inner:
            found = [cte.copy() for cte in clause.expressions] + found
            recursive = recursive or bool(clause.args.get("recursive"))
        if isinstance(node, exp.With):
            before = []
            for cte in node.expressions:
                if cte is inner:
                    break
                before.append(cte.copy())
            found = before + found
        inner, node = (node if isinstance(node, (exp.CTE, exp.With)) else inner), node.parent
    return exp.With(expressions=found, recursive=recursive) if found else None


def outermost(tree: Node) -> Node:
    """The SELECT that names the columns of a query: the first one of a set operation."""
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    return tree


def named_cte(table: exp.Table) -> exp.CTE | None:
    """The WITH query that a name means: not itself, nor a later one, unless the clause is recursive."""
    scope: Node | None = None if table.db else table
    around: Node | None = None
    while scope is not None:
        clause = scope.args.get("with_") or exp.With()
        for cte in clause.expressions:
            if cte is around and not clause.args.get("recursive"):
                break
            if cte.alias.lower() == table.name.lower():
                found: exp.CTE = cte
                return found
        around = scope if isinstance(scope, exp.CTE) else around
        scope = scope.parent
    return None


def only_nulls(query: Node) -> list[int]:
    """Columns of a query that are NULL by its words; DuckDB says that they are integers."""
    while isinstance(query, (exp.Subquery, exp.Paren)):
        query = query.this
    if isinstance(query, exp.Values):
        rows = [row.expressions for row in query.expressions]
    elif isinstance(query, exp.Select):
        rows = [query.expressions]
    else:
        return []
    columns = enumerate(zip(*rows, strict=False))
    return [i for i, column in columns if all(isinstance(value.unalias(), exp.Null) for value in column)]
