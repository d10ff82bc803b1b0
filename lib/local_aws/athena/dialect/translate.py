"""A query in Athena's SQL becomes DuckDB's: names, functions, casts, operators.

`rewrite` changes what can be changed without knowing types; `typed.rewrite_typed` does the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

import sqlglot
from sqlglot import exp
from trino_sql_validator import validate

from local_aws.athena.dialect.dialect import DuckSql, call
from local_aws.athena.dialect.errors import QueryError
from local_aws.athena.dialect.formats import joda_to_strftime, mysql_to_strftime, offset_minutes
from local_aws.athena.dialect.functions import FUNCTIONS
from local_aws.athena.dialect.shapes import SHAPES, null_if_any_is, zone_shape
from local_aws.athena.dialect.spellings import Function

Node = exp.Expr
T = exp.DataType.Type

FORMATS: Mapping[str, Callable[[str], str]] = {
    "date_format": mysql_to_strftime,
    "date_parse": mysql_to_strftime,
    "format_datetime": joda_to_strftime,
    "parse_datetime": joda_to_strftime,
}
EXTRACT_FIELDS = {
    "DAY_OF_WEEK": "ISODOW",
    "DOW": "ISODOW",
    "DAY_OF_YEAR": "DOY",
    "YEAR_OF_WEEK": "ISOYEAR",
    "YOW": "ISOYEAR",
    "DAY_OF_MONTH": "DAY",
}
HIDDEN_COLUMN = "filename"
"""DuckDB's name of `"$path"`."""
SHOWS_PATH = "shows_path"
"""Marks the columns that were `"$path"`, for a table may have a column of DuckDB's name."""
WALL_CLOCK = "wall_clock"
"""Marks the AT TIME ZONE that is a wall clock; those of a statement are moments."""
WHOLE_NUMBERS = {T.TINYINT, T.SMALLINT, T.INT, T.BIGINT}
NULL_IF_ANY_IS = {"greatest", "least"}


def rewrite(tree: Node) -> Node:
    """A tree with every function, cast and operator in DuckDB's spelling, as far as types do not matter."""
    for node in reversed(list(tree.walk(bfs=True))):
        change = CHANGES.get(type(node))
        if change is None:
            continue
        changed = change(node)
        if changed is not node:
            if node is tree:
                tree = changed
            else:
                node.replace(changed)
    return tree.transform(without_marks, copy=False)


def change_function(node: exp.Anonymous) -> Node:
    """A function call, by its row in the table; a change takes the arguments by their places."""
    name = str(node.this).lower()
    try:
        return changed_call(name, node)
    except (IndexError, ValueError) as error:
        raise QueryError("FUNCTION_NOT_FOUND", f"Unexpected parameters for function {name}", node) from error


def changed_call(name: str, node: exp.Anonymous) -> Node:
    """A call as DuckDB takes it."""
    if name in INNER:
        return INNER[name](node)
    if change := SHAPES.get(name):
        return change(node)
    function = FUNCTIONS.get(name)
    if function is None:
        if is_athenas(name):
            raise QueryError("NOT_SUPPORTED", f"Function '{name}' is not supported locally", node)
        raise QueryError("FUNCTION_NOT_FOUND", f"Function '{name}' not registered", node)
    if name in FORMATS:
        node.set("expressions", [node.expressions[0], literal_format(node, FORMATS[name])])
    if name in NULL_IF_ANY_IS:
        return null_if_any_is(node)
    if function.is_template:
        return expand_template(function, node)
    node.set("this", function.target)
    return node


def is_athenas(name: str) -> bool:
    """Whether Trino documents a function of this name."""
    return not validate(f"SELECT {name}(1)", function_arguments="off").unknown_functions


def literal_format(node: exp.Anonymous, translate: Callable[[str], str]) -> Node:
    """The pattern of a date function, which must be known before the query runs."""
    pattern = node.expressions[1] if len(node.expressions) > 1 else None
    if not isinstance(pattern, exp.Literal) or not pattern.is_string:
        raise QueryError("NOT_SUPPORTED", f"{node.this}: locally the pattern must be a literal", node)
    return exp.Literal.string(translate(pattern.this))


INNER: Mapping[str, Callable[[exp.Anonymous], Node]] = {
    "agg": lambda node: node,
    "row": lambda node: node,
    "trino_moved": zone_shape,
    "trino_offset": zone_shape,
}
"""What the translation itself writes."""


def expand_template(function: Function, node: exp.Anonymous) -> Node:
    """The template of a function with its arguments."""
    body = template(function.spellings[0]).copy()
    for column in list(body.find_all(exp.Column)):
        if column.name.startswith("__argument_"):
            index = int(column.name.removeprefix("__argument_"))
            if index >= len(node.expressions):
                raise QueryError(
                    "FUNCTION_NOT_FOUND", f"Unexpected parameters for function {function.name}", node
                )
            column.replace(node.expressions[index].copy())
    return body


@cache
def template(spelling: str) -> Node:
    """A template as a tree, with a column for each argument."""
    numbered = re.sub(r"\{(\d)\}", r"__argument_\1", spelling).replace("{none}", "")
    return sqlglot.parse_one(numbered, dialect=DuckSql)


def change_wrapper(node: exp.Filter | exp.Window) -> Node:
    """A FILTER or OVER around a template belongs to the aggregate inside."""
    body = node.this
    marker = next((a for a in body.find_all(exp.Anonymous) if a.this == "AGG"), None)
    if marker is None or marker is body:
        return node
    wrapped = node.copy()
    wrapped.set("this", marker.copy())
    marker.replace(wrapped)
    moved: Node = body.copy()
    return moved


def without_marks(node: Node) -> Node:
    """The tree once every wrapper has found its aggregate."""
    return node.expressions[0] if isinstance(node, exp.Anonymous) and node.this == "AGG" else node


def change_cast(node: exp.Cast) -> Node:
    """A cast with Trino's rounding, truncation and text."""
    to, value = node.to, node.this
    shown = exp.Literal.number(node.meta.get("digits", 6))
    if to.this == T.JSON:
        return call("trino_json", value, shown)
    from_json = is_json(value)
    if from_json and to.this in (T.VARCHAR, T.TEXT):
        return call("json_extract_string", value, exp.Literal.string("$"))
    if to.this in (T.VARCHAR, T.TEXT, T.CHAR):
        return text_cast(node, to)
    if to.this in WHOLE_NUMBERS and not from_json:
        whole = call("trino_whole", value, exp.Literal.string(to.sql(dialect="trino")))
        if isinstance(node, exp.TryCast):
            return call("TRY", exp.Cast(this=whole, to=to))
        node.set("this", whole)
    if to.this == T.DECIMAL and not to.expressions:
        node.set("to", decimal_of(value))
    return truncated_timestamp(node)


def text_cast(node: exp.Cast, to: exp.DataType) -> Node:
    """CAST AS VARCHAR, cut to its length."""
    # Nothing fails to become text.
    text: Node = call("trino_varchar", node.this, exp.Literal.number(node.meta.get("digits", 6)))
    if not to.expressions:
        return text
    length = to.expressions[0].copy()
    cut = call("substr", text.copy(), exp.Literal.number(1), length)
    return call("rpad", cut, length.copy(), exp.Literal.string(" ")) if to.this == T.CHAR else cut


def truncated_timestamp(node: exp.Cast) -> Node:
    """CAST AS TIMESTAMP is of milliseconds; DuckDB's own types with a precision are not used."""
    if node.to.this not in (T.TIMESTAMP, T.TIMESTAMPTZ):
        return node
    digits = int(node.to.expressions[0].name) if node.to.expressions else 3
    node.set("to", exp.DataType(this=node.to.this))
    if digits >= 6 or isinstance(node.this, exp.Literal):
        return node
    unit = "millisecond" if digits else "second"
    return call("date_trunc", exp.Literal.string(unit), node.copy())


def change_literal(node: exp.Literal) -> Node:
    """`0.05` is a decimal(2, 2); DuckDB counts the digit in front."""
    is_fraction = not node.is_string and re.fullmatch(r"0+\.\d+", node.this)
    if not is_fraction or isinstance(node.parent, (exp.TableSample, exp.Cast)):
        return node
    return exp.Cast(this=node.copy(), to=decimal_of(exp.Literal.string(node.this)))


def decimal_of(value: Node) -> exp.DataType:
    """`DECIMAL '1.50'` has the digits it is written with; a bare DECIMAL is decimal(38, 0)."""
    if isinstance(value, exp.Literal) and value.is_string and re.fullmatch(r"[+-]?\d*\.?\d*", value.this):
        whole, _, fraction = value.this.lstrip("+-").partition(".")
        precision = max(len(whole.lstrip("0")) + len(fraction), 1)
        return exp.DataType.build(f"DECIMAL({precision}, {len(fraction)})")
    return exp.DataType.build("DECIMAL(38, 0)")


JSON_CALLS = {
    "json_extract",
    "json_parse",
    "json_array_get",
    "trino_json_parse",
    "trino_json_extract",
    "trino_json_array_get",
    "trino_json",
}


def is_json(node: Node) -> bool:
    """Whether an expression is JSON by its form."""
    return isinstance(node, exp.Anonymous) and str(node.this).lower() in JSON_CALLS


def change_interval_sum(node: exp.Add | exp.Sub) -> Node:
    """A date and an interval make a date."""
    if not (touches_time(node.left) or touches_time(node.right)):
        return node
    name = "trino_plus" if isinstance(node, exp.Add) else "trino_minus"
    return call(name, node.left, node.right)


def touches_time(node: Node) -> bool:
    """Whether an operand contains dates or intervals, or is a column that might be one."""
    if isinstance(node, (exp.Literal, exp.Neg)):
        return False
    return (
        node.find(exp.Interval, exp.CurrentDate, exp.CurrentTimestamp, exp.Cast, exp.Column, exp.Anonymous)
        is not None
    )


def change_column(node: exp.Column) -> Node:
    """Hidden columns."""
    if node.name.lower() == "$path":
        node.set("this", exp.to_identifier(HIDDEN_COLUMN, quoted=True))
        node.meta[SHOWS_PATH] = True
    elif node.name.startswith("$"):
        raise QueryError("COLUMN_NOT_FOUND", f"Column '{node.name}' cannot be resolved", node)
    return node


def change_interval(node: exp.Interval) -> Node:
    """`INTERVAL -'2' DAY`: DuckDB has the sign inside the text."""
    if isinstance(node.this, exp.Neg):
        node.set("this", exp.Literal.string(f"-{node.this.name}"))
    return node


def change_substring(node: exp.Substring) -> Node:
    """Every spelling of SUBSTRING is the function `substr`."""
    arguments = [node.this, node.args.get("start"), node.args.get("length")]
    return change_function(call("substr", *(a for a in arguments if a is not None)))


def change_extract(node: exp.Extract) -> Node:
    """Trino's names of fields."""
    field = EXTRACT_FIELDS.get(node.name.upper())
    if field:
        node.set("this", exp.var(field))
    return node


def change_now(node: exp.CurrentTimestamp) -> Node:
    """The current time has milliseconds."""
    return call("date_trunc", exp.Literal.string("millisecond"), exp.Anonymous(this="now"))


def change_local_now(node: exp.Localtimestamp) -> Node:
    """The current time without zone; the session's zone is UTC."""
    return exp.cast(change_now(exp.CurrentTimestamp()), "TIMESTAMP")


def change_at_time_zone(node: exp.AtTimeZone) -> Node:
    """A moment, which has no zone in DuckDB, or the wall clock in one."""
    moment = exp.Paren(this=exp.Cast(this=node.this, to=exp.DataType.build("TIMESTAMPTZ")))
    if not node.meta.get(WALL_CLOCK):
        return moment
    zone = node.args["zone"]
    minutes = offset_minutes(zone.name) if isinstance(zone, exp.Literal) else None
    if minutes is None:
        node.set("this", moment)
        return node
    clock = exp.AtTimeZone(this=moment, zone=exp.Literal.string("UTC"))
    later = exp.Interval(this=exp.Literal.string(str(minutes)), unit=exp.var("MINUTE"))
    return exp.Paren(this=exp.Add(this=clock, expression=later))


def refuse_session(node: Node) -> Node:
    """Who asks is not known locally."""
    raise QueryError("NOT_SUPPORTED", f"{node.sql()} is not supported locally", node)


def change_if(node: exp.If) -> Node:
    """`if(condition, a, b)` is a CASE."""
    if isinstance(node.parent, exp.Case):
        return node
    branch = exp.If(this=node.this, true=node.args["true"])
    return exp.Case(ifs=[branch], default=node.args.get("false"))


CHANGES: Mapping[type[Node], Callable[..., Node]] = {
    exp.Anonymous: change_function,
    exp.Filter: change_wrapper,
    exp.Window: change_wrapper,
    exp.Literal: change_literal,
    exp.Cast: change_cast,
    exp.TryCast: change_cast,
    exp.Add: change_interval_sum,
    exp.Sub: change_interval_sum,
    exp.Column: change_column,
    exp.Extract: change_extract,
    exp.Interval: change_interval,
    exp.Substring: change_substring,
    exp.If: change_if,
    exp.CurrentTimestamp: change_now,
    exp.Localtimestamp: change_local_now,
    exp.AtTimeZone: change_at_time_zone,
    **dict.fromkeys((exp.CurrentUser, exp.CurrentCatalog, exp.CurrentRole), refuse_session),
}
