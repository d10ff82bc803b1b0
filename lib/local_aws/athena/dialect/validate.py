"""What Athena's parser refuses, and what DuckDB would accept beyond it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from trino_sql_validator import validate

from local_aws.athena.dialect.dialect import AthenaSql
from local_aws.athena.dialect.errors import StatementError, place_of
from local_aws.athena.dialect.words import refuse_words

Node = exp.Expr

BEFORE_VALUES = "SELECT * FROM ("
# The validator's own limit, of which Trino knows nothing: the statement was not validated to its end.
NOT_VALIDATED = "maximum SQL statement complexity exceeded"


def parse(sql: str) -> Node:
    """A query or DML statement as Athena reads it."""
    return parsed(sql).copy()


@lru_cache(maxsize=128)
def parsed(sql: str) -> Node:
    """The tree of a statement that is sent repeatedly; it must not be changed."""
    check_grammar(sql)
    refuse_words(sql)
    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect=AthenaSql) if tree is not None]
    except SqlglotError as error:
        problem = getattr(error, "errors", [{}])[0]
        place = problem.get("line") or 1, problem.get("col") or 1
        raise StatementError(f"mismatched input '{problem.get('highlight', '')}'", *place) from error
    if len(trees) != 1:
        raise too_many(sql)
    tree = trees[0]
    for table in tree.find_all(exp.Table):
        start = table.this.meta.get("start")
        if start is not None and sql[start] == "'":
            raise unexpected(table, table.name)
    for node in tree.walk():
        if refused := REFUSED.get(type(node)):
            refused(node)
        if sign := REFUSED_SIGNS.get(type(node)):
            raise unexpected(node, sign)
    return tree


def check_grammar(sql: str) -> None:
    """Asks Trino's grammar."""
    # The validator wants brackets around the rows of a VALUES that stands alone; Athena does not.
    alone = re.match(r"\s*VALUES\b", sql, re.IGNORECASE) is not None
    text = f"{BEFORE_VALUES}{sql}\n)" if alone else sql
    result = validate(text, dialect="trino", jinja="reject", function_arguments="off")
    if result.error is not None and NOT_VALIDATED in result.error.message:
        return
    if not result.valid and result.error is not None:
        end = sql.count("\n") + 1, len(sql) - sql.rfind("\n")
        line, column = result.error.line or end[0], result.error.column or end[1]
        column -= len(BEFORE_VALUES) if alone and line == 1 and result.error.column else 0
        raise StatementError(grammar_words(result.error.message), line, column)
    if result.statement_count != 1:
        raise too_many(sql)


def too_many(sql: str) -> StatementError:
    """More than one statement, or none."""
    return StatementError("Only one sql statement is allowed. Got: " + sql.strip())


def grammar_words(message: str) -> str:
    """A parser's message as Athena's parser would write it."""
    message = message.removeprefix("sql parser error: ")
    if found := re.fullmatch(r"Expected: (.*), found: (.*)", message, re.DOTALL):
        seen = "<EOF>" if found[2] == "EOF" else found[2]
        return f"mismatched input '{seen}'. Expecting: {found[1]}"
    return f"mismatched input: {message}"


def unexpected(node: Node, text: str) -> StatementError:
    """Something of DuckDB's that Athena's grammar lacks."""
    return StatementError(f"mismatched input '{text}'", *(place_of(node) or (1, 1)))


def refuse_star_options(node: Node) -> None:
    """`* EXCLUDE (…)`, `* REPLACE (…)`."""
    for option in ("except_", "except", "replace", "rename"):
        if node.args.get(option):
            raise unexpected(node, option.strip("_").upper())


def refuse_select_options(node: Node) -> None:
    """FROM-first, DISTINCT ON, QUALIFY, FOR UPDATE and GROUP BY or ORDER BY ALL."""
    if node.args.get("locks"):
        raise unexpected(node, "FOR")
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on"):
        raise unexpected(distinct, "ON")
    if node.args.get("qualify"):
        raise unexpected(node.args["qualify"], "QUALIFY")
    order = node.args.get("order")
    for term in order.expressions if order else []:
        if (
            isinstance(term.this, exp.Column)
            and term.name.upper() == "ALL"
            and not term.this.args["this"].quoted
        ):
            raise unexpected(term, "ALL")


REFUSED: Mapping[type[Node], Callable[[Node], None]] = {
    exp.Star: refuse_star_options,
    exp.Select: refuse_select_options,
}
# Trino has functions for bits, no operators.
REFUSED_SIGNS: Mapping[type[Node], str] = {
    exp.Slice: ":",
    exp.SimilarTo: "SIMILAR",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "^",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: "<<",
}
