"""`format`: Java's directives as printf's, each argument in the type that its directive takes."""

from __future__ import annotations

import re

from sqlglot import exp

from local_aws.athena.dialect.errors import QueryError

DIRECTIVE = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


def format_call(node: exp.Anonymous) -> exp.Expr:
    """A call of `format` in DuckDB's spelling.

    Raises:
        QueryError: NOT_SUPPORTED, for a pattern that is no literal or a directive of dates.
    """
    pattern, *values = node.expressions
    if not isinstance(pattern, exp.Literal):
        raise QueryError("NOT_SUPPORTED", "format: locally the pattern must be a literal", node)
    arguments: list[exp.Expr] = []

    def directive(found: re.Match[str]) -> str:
        place, flags, width, precision, letter = found.groups()
        if letter in "%n":
            return "%%" if letter == "%" else "\n"
        index = int(place) - 1 if place else len(arguments)
        if index >= len(values):
            raise QueryError("INVALID_FUNCTION_ARGUMENT", f"Format specifier '{found[0]}'", node)
        arguments.append(argument(values[index].copy(), letter, precision, node))
        dotted = f".{precision}" if precision else ""
        return f"%{flags}{width or ''}{dotted}{'s' if letter in 'sSbB' else letter}"

    text = DIRECTIVE.sub(directive, pattern.name)
    return exp.Anonymous(this="printf", expressions=[exp.Literal.string(text), *arguments])


def argument(value: exp.Expr, letter: str, precision: str | None, node: exp.Anonymous) -> exp.Expr:
    """An argument as its directive takes it; decimals round half up as Java does."""
    if letter in "dxXo":
        return exp.cast(value, "BIGINT")
    if letter in "feEg":
        number = exp.cast(value, "DOUBLE")
        if letter != "f":
            return number
        return exp.Anonymous(this="round", expressions=[number, exp.Literal.number(int(precision or 6))])
    if letter in "sSbB":
        text = exp.Anonymous(this="trino_varchar", expressions=[value, exp.Literal.number(6)])
        return exp.Anonymous(this="upper", expressions=[text]) if letter in "SB" else text
    raise QueryError("NOT_SUPPORTED", f"format: directive %{letter} is not supported locally", node)
