"""What Athena's parser refuses, and what DuckDB would accept beyond it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType
from trino_sql_validator import validate

from local_aws.athena.dialect import AthenaSql
from local_aws.athena.errors import QueryError

Node = exp.Expr

VERSION = re.compile(r"\bFOR\s+(VERSION|TIMESTAMP)\s+AS\s+OF\b", re.IGNORECASE)


class StatementError(QueryError):
    """A statement that Athena's parser refuses; `StartQueryExecution` itself fails."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__("SYNTAX_ERROR", f"line {line}:{column}: {message}")


BEFORE_VALUES = "SELECT * FROM ("


def parse(sql: str) -> Node:
    """A query or DML statement as Athena reads it.

    Raises:
        StatementError: Where Athena's grammar has no such statement.
    """
    return parsed(sql).copy()


@lru_cache(maxsize=128)
def parsed(sql: str) -> Node:
    """The tree of a statement that is sent again and again; nobody may change it."""
    check_grammar(sql)
    refuse_tokens(sql)
    try:
        tree = sqlglot.parse_one(sql, dialect=AthenaSql)
    except SqlglotError as error:
        problem = getattr(error, "errors", [{}])[0]
        place = problem.get("line") or 1, problem.get("col") or 1
        raise StatementError(f"mismatched input '{problem.get('highlight', '')}'", *place) from error
    for table in tree.find_all(exp.Table):
        start = table.this.meta.get("start")
        if start is not None and sql[start] == "'":
            raise unexpected(table, table.name)
    for node in tree.walk():
        if refused := REFUSED.get(type(node)):
            refused(node)
    return tree


def check_grammar(sql: str) -> None:
    """Asks Trino's grammar.

    Raises:
        StatementError: With what was found and what was expected.
    """
    # The validator wants brackets around the rows of a VALUES that stands alone; Athena does not.
    alone = re.match(r"\s*VALUES\b", sql, re.IGNORECASE) is not None
    text = f"{BEFORE_VALUES}{sql}\n)" if alone else sql
    result = validate(text, dialect="trino", jinja="reject", function_arguments="off")
    if not result.valid and result.error is not None:
        end = sql.count("\n") + 1, len(sql) - sql.rfind("\n")
        line, column = result.error.line or end[0], result.error.column or end[1]
        column -= len(BEFORE_VALUES) if alone and line == 1 and result.error.column else 0
        raise StatementError(grammar_words(result.error.message), line, column)
    if result.statement_count != 1:
        raise StatementError("Only one sql statement is allowed. Got: " + sql.strip())


def grammar_words(message: str) -> str:
    """A parser's message in the words of Athena's."""
    message = message.removeprefix("sql parser error: ")
    if found := re.fullmatch(r"Expected: (.*), found: (.*)", message, re.DOTALL):
        seen = "<EOF>" if found[2] == "EOF" else found[2]
        return f"mismatched input '{seen}'. Expecting: {found[1]}"
    return f"mismatched input: {message}"


BEFORE_SUBSCRIPT = {
    TokenType.ARRAY,
    TokenType.VAR,
    TokenType.IDENTIFIER,
    TokenType.R_PAREN,
    TokenType.R_BRACKET,
}


def refuse_tokens(sql: str) -> None:
    """What DuckDB's grammar has and Athena's has not, as far as two neighboring words tell.

    Raises:
        StatementError: For `[1, 2]`, `{'a': 1}`, FROM without SELECT, a file's name as a table and others.
    """
    tokens = AthenaSql().tokenize(sql)
    refuse_sequences(tokens)
    before: Token | None = None
    for token in tokens:
        kind, last = token.token_type, before.token_type if before else None
        refused = (
            (kind == TokenType.L_BRACKET and last not in BEFORE_SUBSCRIPT and not is_word(before))
            or kind == TokenType.L_BRACE
            or (kind == TokenType.FROM and last in (None, TokenType.L_PAREN))
            or (token.text.upper() == "NAME" and before is not None and before.text.upper() == "BY")
            or (token.text.upper() == "JOIN" and before is not None and before.text.upper() in DUCKDB_JOINS)
        )
        if refused:
            raise StatementError(
                f"mismatched input '{token.text}'", token.line, token.col - len(token.text) + 1
            )
        before = token


INTERVAL_FIELDS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
LIMITS = (TokenType.NUMBER, TokenType.PLACEHOLDER, TokenType.ALL)


def refuse_sequences(tokens: Sequence[Token]) -> None:
    """LIMIT before OFFSET, and an interval whose unit is not behind its text (Trino, "SELECT", "Data types").

    Raises:
        StatementError: At the word that Athena does not expect there.
    """
    for place, token in enumerate(tokens):
        rest = [
            t for t in tokens[place + 1 : place + 4] if t.token_type not in (TokenType.DASH, TokenType.PLUS)
        ]
        kinds = [t.token_type for t in rest]
        wrong: Token | None = None
        if token.token_type == TokenType.LIMIT and kinds[1:2] == [TokenType.OFFSET] and kinds[0] in LIMITS:
            wrong = rest[1]
        elif token.token_type == TokenType.INTERVAL and kinds[:1] == [TokenType.STRING]:
            if not rest[1:2]:
                raise StatementError("mismatched input '<EOF>'", token.line, token.col)
            wrong = rest[1] if rest[1].text.upper() not in INTERVAL_FIELDS else None
        if wrong is not None:
            raise StatementError(
                f"mismatched input '{wrong.text}'", wrong.line, wrong.col - len(wrong.text) + 1
            )


DUCKDB_JOINS = ("ASOF", "SEMI", "ANTI", "POSITIONAL")


def is_word(token: Token | None) -> bool:
    """Whether a token may name a column that a subscript follows."""
    words = ("SELECT", "WHERE", "AND", "OR", "IN", "ON", "BY", "THEN", "ELSE", "WHEN", "VALUES", "AS", "NOT")
    return token is not None and token.text.isidentifier() and token.text.upper() not in words


def unexpected(node: Node, text: str) -> StatementError:
    """Something of DuckDB's that Athena's grammar lacks."""
    places = [n.meta for n in node.walk() if "line" in n.meta]
    first = min(places, key=lambda meta: meta["start"], default=None)
    line, column = (first["line"], first["col"] - (first["end"] - first["start"])) if first else (1, 1)
    return StatementError(f"mismatched input '{text}'", line, column)


def refuse_star_options(node: Node) -> None:
    """`* EXCLUDE (…)`, `* REPLACE (…)`."""
    for option in ("except_", "except", "replace", "rename"):
        if node.args.get(option):
            raise unexpected(node, option.strip("_").upper())


def refuse_select_options(node: Node) -> None:
    """FROM-first, DISTINCT ON, QUALIFY and GROUP BY or ORDER BY ALL."""
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


def refuse_operator(node: Node) -> None:
    """Trino has functions for bits, no operators."""
    raise unexpected(node, {"bitwiseand": "&", "bitwiseor": "|", "bitwisexor": "^"}.get(node.key, "<<"))


EXTRACT_FIELDS = (
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DAY_OF_MONTH", "DAY_OF_WEEK", "DOW", "DAY_OF_YEAR", "DOY",
    "YEAR_OF_WEEK", "YOW", "HOUR", "MINUTE", "SECOND", "TIMEZONE_HOUR", "TIMEZONE_MINUTE",
)  # fmt: skip


def refuse_extract(node: Node) -> None:
    """The fields of a moment that Trino knows ("Date and time functions and operators")."""
    if node.name.upper() not in EXTRACT_FIELDS:
        raise StatementError(f"Invalid EXTRACT field: {node.name.lower()}")


def refuse_slice(node: Node) -> None:
    """`x[1:2]`."""
    raise unexpected(node, ":")


def refuse_similar(node: Node) -> None:
    """`x SIMILAR TO 'pattern'`."""
    raise unexpected(node, "SIMILAR")


BITS = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.BitwiseLeftShift, exp.BitwiseRightShift)
REFUSED: Mapping[type[Node], Callable[[Node], None]] = {
    exp.Star: refuse_star_options,
    exp.Select: refuse_select_options,
    exp.Extract: refuse_extract,
    exp.Slice: refuse_slice,
    exp.SimilarTo: refuse_similar,
    **dict.fromkeys(BITS, refuse_operator),
}
