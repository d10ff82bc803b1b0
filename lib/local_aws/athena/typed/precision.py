"""How many digits of a second a timestamp has and which zone it shows: the statement says, no DuckDB type.

A column of an Iceberg table has six digits, the current time and parsed text three, a literal those that it
is written with (Trino, "Data types"). Athena's results show at least three.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from local_aws.athena.typed.scopes import named_cte, outermost
from local_aws.athena.typed.texts import Look

Node = exp.Expr
T = exp.DataType.Type

MILLISECONDS = {
    "now",
    "from_unixtime",
    "date_parse",
    "parse_datetime",
    "from_iso8601_timestamp",
    "current_timestamp",
}
TIMES = (T.TIMESTAMP, T.TIMESTAMPTZ, T.TIME)
TEXTS = (T.VARCHAR, T.TEXT, T.CHAR)
WRITTEN = (*TEXTS, T.JSON)


def annotate(tree: Node) -> None:
    """Notes how many digits a CAST AS VARCHAR has to write, and what `typeof` cannot see in DuckDB's type."""
    for cast in tree.find_all(exp.Cast, exp.TryCast):
        if cast.to.this in WRITTEN:
            select = cast.find_ancestor(exp.Select)
            cast.meta["digits"] = digits(cast.this, select)
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() == "typeof" and len(call.expressions) == 1:
            argument, select = call.expressions[0], call.find_ancestor(exp.Select)
            call.meta["digits"] = digits(argument, select)
            call.meta["text"] = text_type(argument, select)


def text_type(node: Node, select: exp.Select | None) -> str | None:
    """`varchar(3)` of a text whose length is written, `varchar` of one without; None where neither shows."""
    if isinstance(node, exp.Literal) and node.is_string:
        return f"varchar({len(node.name)})"
    if isinstance(node, exp.Cast) and node.to.this in TEXTS:
        return node.to.sql(dialect="trino").lower()
    sources = [select.args.get("from_"), *(select.args.get("joins") or [])] if select else []
    tables = [s.this for s in sources if s is not None]
    of_tables = all(isinstance(table, exp.Table) and common_table(table) is None for table in tables)
    return "varchar" if isinstance(node, exp.Column) and tables and of_tables else None


def outer_select(tree: Node) -> exp.Select | None:
    """The SELECT that names the columns of a result."""
    node = outermost(tree)
    return node if isinstance(node, exp.Select) else None


def look_of(tree: Node, position: int, name: str) -> Look:
    """How a column of the result is written."""
    select = outer_select(tree)
    if select is None:
        return Look()
    if any(e.is_star for e in select.expressions):
        expression: Node = exp.column(name)
    else:
        expression = select.expressions[position].unalias()
    shown = 6 if digits(expression, select) > 3 else 3
    zone = expression.args["zone"] if isinstance(expression, exp.AtTimeZone) else None
    if isinstance(expression, exp.Anonymous) and expression.name.lower() == "at_timezone":
        zone = expression.expressions[1]
    if isinstance(zone, exp.Literal):
        return Look(shown, zone.name, "timestamp with time zone")
    if isinstance(expression, exp.Interval) and str(expression.args.get("unit")).upper() in ("YEAR", "MONTH"):
        return Look(shown, "", "interval year to month")
    return Look(shown)


def digits(node: Node, select: exp.Select | None) -> int:
    """Digits of a second of an expression's value."""
    if isinstance(node, exp.Cast) and node.to.this in TIMES:
        if node.to.expressions:
            return int(node.to.expressions[0].name)
        # sqlglot gives a written timestamp its precision; a cast without one has milliseconds.
        is_time = node.to.this == T.TIME and isinstance(node.this, exp.Literal)
        return literal_digits(node.this.name) if is_time else 3
    if isinstance(node, exp.Column):
        found = list(column_digits(node, select))
        return max(found, default=6)
    if isinstance(node, (exp.CurrentTimestamp, exp.Localtimestamp)):
        return 3
    if isinstance(node, exp.Identifier):
        return variable_digits(node, select)
    if isinstance(node, exp.Anonymous) and node.name.lower() in MILLISECONDS:
        return 3
    if isinstance(node, exp.Subquery):
        inner = outer_select(node)
        return digits(inner.expressions[0].unalias(), inner) if inner else 3
    return max((digits(child, select) for child in node.iter_expressions()), default=0)


def variable_digits(node: exp.Identifier, select: exp.Select | None) -> int:
    """Digits of a lambda's variable: those of the arrays that the lambda is for."""
    function = node.find_ancestor(exp.Lambda)
    while function is not None and node.name not in [p.name for p in function.expressions]:
        function = function.find_ancestor(exp.Lambda)
    if function is None or function.parent is None:
        return 0
    sources = [a for a in function.parent.expressions if not isinstance(a, exp.Lambda)]
    return max((digits(source, select) for source in sources), default=0)


def literal_digits(text: str) -> int:
    """Digits behind the point of a written timestamp."""
    found = re.search(r":\d+\.(\d+)", text)
    return len(found[1]) if found else 0


def column_digits(column: exp.Column, select: exp.Select | None) -> Iterator[int]:
    """What the sources of a SELECT say of a column."""
    if select is None:
        return
    sources = [select.args.get("from_"), *(select.args.get("joins") or [])]
    named = [s.this for s in sources if s is not None]
    if column.table:
        named = [s for s in named if s.alias_or_name.lower() == column.table.lower()]
    for source in named:
        yield from source_digits(column.name, source)


def source_digits(name: str, source: Node) -> Iterator[int]:
    """What one source says of a column by its name."""
    if isinstance(source, exp.Table):
        inner = common_table(source)
        if inner is None:
            yield 3 if "$" in source.name else 6
            return
    elif isinstance(source, exp.Subquery):
        inner = outer_select(source)
    else:
        yield max(
            (
                digits(child, None)
                for child in source.iter_expressions()
                if not isinstance(child, exp.TableAlias)
            ),
            default=3,
        )
        return
    if inner is None:
        yield 3
        return
    for expression in inner.expressions:
        if expression.alias_or_name.lower() == name.lower():
            yield digits(expression.unalias(), inner)
        elif expression.is_star:
            yield from column_digits(exp.column(name), inner)


def common_table(table: exp.Table) -> exp.Select | None:
    """The query of the WITH clause that a name means, unless it is recursive."""
    cte = named_cte(table)
    clause = cte.parent if cte is not None else None
    return None if cte is None or clause is None or clause.args.get("recursive") else outer_select(cte.this)
