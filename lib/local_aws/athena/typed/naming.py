"""The names of a query's columns as Athena gives them: `_col0` where there is none."""

from __future__ import annotations

from sqlglot import exp


def output_names(tree: exp.Expr) -> list[str | None] | None:
    """Names of the result's columns, and names for those without in every sub-query.

    Args:
        tree: The query; its unnamed columns get their name here.

    Returns:
        A name for each column, or None where a star leaves that to the engine.
    """
    for select in tree.find_all(exp.Select):
        if not isinstance(select.parent, (exp.In, exp.Exists)):
            name_columns(select)
    outer = tree
    while isinstance(outer, (exp.SetOperation, exp.Subquery)):
        outer = outer.this
    if isinstance(outer, exp.Values):
        return [f"_col{i}" for i in range(len(outer.expressions[0].expressions))]
    if not isinstance(outer, exp.Select) or any(e.is_star for e in outer.expressions):
        return None
    return [e.alias_or_name for e in outer.expressions]


def name_columns(select: exp.Select) -> None:
    """Gives `_colN` to what has no name; a scalar sub-query's column needs none."""
    for i, expression in enumerate(select.expressions):
        if isinstance(expression, (exp.Alias, exp.Column, exp.Dot, exp.Star)) or expression.is_star:
            continue
        select.expressions[i] = exp.alias_(expression.copy(), f"_col{i}", quoted=True)
        select.set("expressions", select.expressions)
