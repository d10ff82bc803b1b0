"""How many digits of a second a timestamp has and which zone it shows: the statement says, no DuckDB type.

A column of an Iceberg table has six digits, the current time and parsed text three, a literal those that it
is written with (Trino, "Data types"). Athena's results show at least three.
"""

from __future__ import annotations

import re

from sqlglot import exp

from local_aws.athena.typed.origins import branches, column_origins, variable_sources
from local_aws.athena.typed.scopes import named_cte
from local_aws.athena.typed.texts import Look
from local_aws.athena.typed.zones import is_month_interval, write_zones, zone_name, zone_of

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
    """Notes how many digits a text shows, and what `typeof` cannot see in DuckDB's type; writes zones."""
    for cast in tree.find_all(exp.Cast, exp.TryCast):
        if cast.to.this in WRITTEN:
            select = cast.find_ancestor(exp.Select)
            cast.meta["digits"] = digits(cast.this, select)
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() == "to_iso8601" and len(call.expressions) == 1:
            shown = digits(call.expressions[0], call.find_ancestor(exp.Select))
            call.append("expressions", exp.Literal.number(shown))
        if call.name.lower() == "typeof" and len(call.expressions) == 1:
            argument, select = call.expressions[0], call.find_ancestor(exp.Select)
            call.meta["digits"] = digits(argument, select)
            call.meta["text"] = text_type(argument, select)
    write_zones(tree)


def text_type(node: Node, select: exp.Select | None) -> str | None:
    """`varchar(3)` of a text whose length is written, `varchar` of one without; None where neither shows."""
    if isinstance(node, exp.Literal) and node.is_string:
        return f"varchar({len(node.name)})"
    if isinstance(node, exp.Cast) and node.to.this in TEXTS:
        return node.to.sql(dialect="trino").lower()
    sources = [select.args.get("from_"), *(select.args.get("joins") or [])] if select else []
    tables = [s.this for s in sources if s is not None]
    of_tables = all(isinstance(table, exp.Table) and named_cte(table) is None for table in tables)
    return "varchar" if isinstance(node, exp.Column) and tables and of_tables else None


def look_of(tree: Node, position: int, name: str) -> Look:
    """How a column of the result is written."""
    shown, zones, month = 3, [], False
    for select in branches(tree):
        expression = select.expressions[position].unalias() if not select.is_star else exp.column(name)
        shown = max(shown, 6 if digits(expression, select) > 3 else 3)
        zones.append(zone_of(expression, select))
        month = month or is_month_interval(expression)
    return Look(shown, zone_name(zones), "interval year to month" if month else "")


def digits(node: Node, select: exp.Select | None) -> int:
    """Digits of a second of an expression's value."""
    if isinstance(node, exp.Cast) and node.to.this in TIMES:
        if node.to.expressions:
            return int(node.to.expressions[0].name)
        # sqlglot gives a written timestamp its precision; a cast without one has milliseconds.
        is_time = node.to.this == T.TIME and isinstance(node.this, exp.Literal)
        return literal_digits(node.this.name) if is_time else 3
    if isinstance(node, exp.Column):
        return max((origin_digits(*origin) for origin in column_origins(node, select)), default=6)
    if isinstance(node, (exp.CurrentTimestamp, exp.Localtimestamp)):
        return 3
    if isinstance(node, exp.Identifier):
        return max((digits(source, select) for source in variable_sources(node)), default=0)
    if isinstance(node, exp.Anonymous) and node.name.lower() in MILLISECONDS:
        return 3
    if isinstance(node, exp.Subquery):
        return max((digits(inner.expressions[0].unalias(), inner) for inner in branches(node)), default=3)
    return max((digits(child, select) for child in node.iter_expressions()), default=0)


def literal_digits(text: str) -> int:
    """Digits behind the point of a written timestamp."""
    found = re.search(r":\d+\.(\d+)", text)
    return len(found[1]) if found else 0


def origin_digits(node: Node, select: exp.Select | None) -> int:
    """Digits of what a column stands for; those of tables have six."""
    if isinstance(node, exp.Table):
        return 3 if "$" in node.name else 6
    return digits(node, select)
