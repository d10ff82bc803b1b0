"""What DuckDB's or sqlglot's grammar accepts and Athena's does not, as far as neighboring words show.

Source: Trino documentation, "SELECT", "Data types", "Date and time functions and operators", and its grammar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise

from sqlglot.tokenizer_core import Token, TokenType

from local_aws.athena.dialect.dialect import AthenaSql
from local_aws.athena.dialect.errors import QueryError, StatementError

T = TokenType

BEFORE_SUBSCRIPT = {T.ARRAY, T.VAR, T.IDENTIFIER, T.R_PAREN, T.R_BRACKET}
NO_COLUMN = ("SELECT", "WHERE", "AND", "OR", "IN", "ON", "BY", "THEN", "ELSE", "WHEN", "VALUES", "AS", "NOT")
LIMITS = (T.NUMBER, T.PLACEHOLDER, T.ALL)
# After the one none of the others.
NOT_AFTER: Mapping[str, Sequence[str]] = {
    "IS": ("TRUE", "FALSE", "UNKNOWN"),
    "IS NOT": ("TRUE", "FALSE", "UNKNOWN"),
    "LIKE": ("ANY", "ALL", "SOME"),
    "BETWEEN": ("SYMMETRIC", "ASYMMETRIC"),
    "BY": ("NAME",),
    **dict.fromkeys(("ASOF", "SEMI", "ANTI", "POSITIONAL"), ("JOIN",)),
}
SECOND_WORDS = {word for words in NOT_AFTER.values() for word in words}
INTERVAL_FIELDS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
EXTRACT_FIELDS = (
    *INTERVAL_FIELDS, "QUARTER", "WEEK", "DAY_OF_MONTH", "DAY_OF_WEEK", "DOW", "DAY_OF_YEAR", "DOY",
    "YEAR_OF_WEEK", "YOW", "TIMEZONE_HOUR", "TIMEZONE_MINUTE",
)  # fmt: skip
TYPES = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "REAL", "DOUBLE", "DOUBLE PRECISION",
    "DECIMAL", "NUMERIC", "VARCHAR", "CHAR", "VARBINARY", "JSON", "DATE", "TIME", "TIMESTAMP", "ARRAY", "MAP",
    "ROW", "UUID", "IPADDRESS", "HYPERLOGLOG", "P4HYPERLOGLOG", "SETDIGEST", "QDIGEST", "TDIGEST", "UNKNOWN",
)  # fmt: skip
# The last words of types of several: `timestamp with time zone`, `interval day to second`.
LAST_WORDS = ("ZONE", "PRECISION", "SECOND", "MONTH")


def refuse_words(sql: str) -> None:
    """Refuses what neighboring words give away."""
    tokens = AthenaSql().tokenize(sql)
    for place, token in enumerate(tokens):
        before, after = tokens[max(place - 2, 0) : place], tokens[place + 1 : place + 4]
        if is_out_of_place(token, before):
            raise mismatched(token)
        check_limit(token, after)
        check_interval(token, after)
        check_extract(token, after)
        if token.text.upper() in ("CAST", "TRY_CAST"):
            check_type(token, islice(tokens, place + 1, None))


def mismatched(token: Token) -> StatementError:
    """A word that Athena does not expect where it stands."""
    return StatementError(f"mismatched input '{token.text}'", *position(token))


def position(token: Token) -> tuple[int, int]:
    """Line and column where a word starts."""
    return token.line, token.col - len(token.text) + 1


def is_out_of_place(token: Token, before: Sequence[Token]) -> bool:
    """Whether a word does not follow those before it: `[1, 2]`, `{'a': 1}`, FROM without SELECT, IS TRUE."""
    last = before[-1] if before else None
    kind, last_kind = token.token_type, last.token_type if last else None
    return (
        (kind == T.L_BRACKET and last_kind not in BEFORE_SUBSCRIPT and not may_be_column(last))
        or kind == T.L_BRACE
        or (kind == T.FROM and last_kind in (None, T.L_PAREN))
        or (token.text.upper() in SECOND_WORDS and is_word(token) and is_refused(token, before))
    )


def is_refused(token: Token, before: Sequence[Token]) -> bool:
    """Whether Athena does not expect a word after the one or two before it."""
    texts = [earlier.text.upper() for earlier in before]
    refused = (*NOT_AFTER.get(" ".join(texts), ()), *NOT_AFTER.get(" ".join(texts[-1:]), ()))
    return token.text.upper() in refused


def is_word(token: Token) -> bool:
    """Whether a token is written without quotes, and no number."""
    return token.token_type not in (T.STRING, T.IDENTIFIER) and token.text[:1].isalpha()


def may_be_column(token: Token | None) -> bool:
    """Whether a word may name a column that a subscript follows."""
    return token is not None and token.text.isidentifier() and token.text.upper() not in NO_COLUMN


def check_limit(token: Token, after: Sequence[Token]) -> None:
    """OFFSET stands before LIMIT."""
    kinds = [t.token_type for t in after[:2]]
    if token.token_type == T.LIMIT and kinds[1:] == [T.OFFSET] and kinds[0] in LIMITS:
        raise mismatched(after[1])


def check_interval(token: Token, after: Sequence[Token]) -> None:
    """An interval's unit stands behind its text: `INTERVAL '1' DAY`."""
    rest = [t for t in after if t.token_type not in (T.DASH, T.PLUS)]
    if token.token_type != T.INTERVAL or not rest or rest[0].token_type != T.STRING:
        return
    if len(rest) == 1:
        raise StatementError("mismatched input '<EOF>'", rest[0].line, rest[0].col + 1)
    if rest[1].text.upper() not in INTERVAL_FIELDS:
        raise mismatched(rest[1])


def check_extract(token: Token, after: Sequence[Token]) -> None:
    """The fields of a moment that Trino knows."""
    kinds = [t.token_type for t in after]
    is_extract = token.text.upper() == "EXTRACT" and kinds[:1] == [T.L_PAREN] and kinds[2:] == [T.FROM]
    if is_extract and after[1].text.upper() not in EXTRACT_FIELDS:
        raise StatementError(f"Invalid EXTRACT field: {after[1].text}", *position(token))


def check_type(cast: Token, rest: Iterable[Token]) -> None:
    """The type of a cast: DDL's `string` and DuckDB's own names are none in a query."""
    for word, following in type_words(rest):
        # In a row a name stands before each type.
        is_type = following.token_type in (T.L_PAREN, T.R_PAREN, T.COMMA)
        if is_type and word.text.upper() not in (*TYPES, *LAST_WORDS):
            line, column = position(cast)
            raise QueryError("TYPE_NOT_FOUND", f"line {line}:{column}: Unknown type: {word.text.lower()}")


def type_words(rest: Iterable[Token]) -> Iterator[tuple[Token, Token]]:
    """The words of the type in `(… AS type)`, each with what follows it."""
    depth, is_within = 0, False
    for token, following in pairwise(rest):
        depth += (token.token_type == T.L_PAREN) - (token.token_type == T.R_PAREN)
        if depth == 0:
            return
        if depth == 1 and token.token_type == T.ALIAS:
            is_within = True
        elif is_within and is_word(token):
            yield token, following
