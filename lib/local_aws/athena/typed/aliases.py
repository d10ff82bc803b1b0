"""Names that DuckDB takes from the SELECT list and Athena does not: in WHERE, GROUP BY and HAVING."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import duckdb
from sqlglot import exp

from local_aws.athena.dialect import QueryError, to_duckdb
from local_aws.athena.typed.scopes import scope_of, selects

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
    """What the FROM clauses of a SELECT and of those around it offer; None where that cannot be told."""
    known: set[str] = set()
    scope: Node | None = select
    while scope is not None:
        if isinstance(scope, exp.Select) and scope.args.get("from_"):
            asked = scope_of(scope)
            asked.set("expressions", [exp.Star()])
            try:
                known |= {name.lower() for name in columns_of(to_duckdb(asked))}
            except duckdb.Error:
                return None
        scope = scope.parent
    return known
