"""Names of columns: what Athena calls them, `_col0` where they have none, and which of them it does not see.

DuckDB takes names from the SELECT list in WHERE, GROUP BY and HAVING, too; Athena does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import QueryError, to_duckdb
from local_aws.athena.typed.scopes import outermost, scope_of, selects

Node = exp.Expr
Columns = Callable[[str], list[str]]


def refuse_aliases(tree: Node, columns_of: Columns) -> None:
    """Refuses columns that only an alias of the same SELECT explains.

    Args:
        tree: The query, translated and qualified.
        columns_of: The column names of a query in DuckDB's SQL.

    Raises:
        QueryError: COLUMN_NOT_FOUND.
    """
    for select in selects(tree):
        aliases = {e.alias.lower() for e in select.expressions if isinstance(e, exp.Alias)}
        suspects = [c for c in own_columns(select) if not c.table and c.name.lower() in aliases]
        if not suspects:
            continue
        known = source_columns(select, columns_of)
        if known is None:
            continue
        for column in suspects:
            if column.name.lower() not in known:
                raise QueryError("COLUMN_NOT_FOUND", f"Column '{column.name}' cannot be resolved", column)


def own_columns(select: exp.Select) -> Iterator[exp.Column]:
    """Columns in the clauses of a SELECT where its own aliases are not visible."""
    parts = [*select.expressions, *(select.args.get(key) for key in ("where", "group", "having"))]
    for part in parts:
        if part is None:
            continue
        for column in part.find_all(exp.Column):
            if column.find_ancestor(exp.Select) is select:
                yield column


def source_columns(select: exp.Select, columns_of: Columns) -> set[str] | None:
    """What the FROM clauses of a SELECT and of those around it offer; None where that cannot be known."""
    known: set[str] = set()
    scope: Node | None = select
    while scope is not None:
        if isinstance(scope, exp.Select) and scope.args.get("from_"):
            asked = scope_of(scope)
            asked.set("expressions", [exp.Star()])
            try:
                known |= {name.lower() for name in columns_of(to_duckdb(asked, copy=False))}
            except duckdb.Error:
                return None
        scope = scope.parent
    return known


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
    outer = outermost(tree)
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
