"""The tables that a statement reads, found by its words: behind FROM and JOIN, without names of its own.

Nothing is guessed: what stands behind FROM and is neither a name nor a known form is refused, so that no
table is overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dynaberg.errors import QueryError
from dynaberg.sql.plain import Token, tokens

# What may stand behind FROM and is no table, the last three in parentheses.
_NO_TABLE = {"UNNEST", "LATERAL", "SELECT", "WITH", "VALUES"}
# What stands before a `*` that is all columns, besides a comma and a point.
_BEFORE_STAR = {"SELECT", "DISTINCT", "ALL"}
# What ends a list of tables that are separated by commas.
_ENDS = {"WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FETCH", "WINDOW"}
_ENDS |= {"UNION", "INTERSECT", "EXCEPT", "SELECT"}


@dataclass
class _Level:
    """What is known inside one pair of parentheses.

    Attributes:
        own: Names that a WITH gave to its queries.
        defines: The name that belongs to the query in these parentheses, once they are closed.
        selects: Whether a SELECT was read, so that FROM names tables.
        listing: Whether a comma is followed by another table.
        naming: Whether WITH names queries here.
        recursive: Whether such a query may read itself.
    """

    own: set[str] = field(default_factory=set)
    defines: str = ""
    selects: bool = False
    listing: bool = False
    naming: bool = False
    recursive: bool = False


def tables_read(statement: str) -> list[str]:
    """The tables that a SELECT reads, in lower case, each once, with what qualifies them: `other.orders`.

    Args:
        statement: A SELECT, with or without WITH.

    Raises:
        QueryError: It is no SELECT, or something behind FROM or JOIN is not understood.

    Example:
        >>> tables_read("WITH a AS (SELECT * FROM orders) SELECT * FROM a JOIN merchants USING (id)")
        ['orders', 'merchants']
    """
    words = [*tokens(statement)]
    first = next((token.word for token in words if token.text != "("), "")
    if first not in ("SELECT", "WITH"):
        msg = f"It begins with {statement.strip()[:40]!r}, and is no SELECT."
        raise QueryError(msg, hint="Write one SELECT; WITH may stand before it.")
    return list(dict.fromkeys(_walk(words)))


def column_names(statement: str) -> set[str]:
    """Every name in a statement that may be a column, in lower case, and `*` if it selects all of a table.

    Args:
        statement: A SELECT.

    Example:
        >>> sorted(column_names("SELECT o.Total, count(*) FROM orders AS o"))
        ['as', 'count', 'from', 'o', 'orders', 'select', 'total']
    """
    words = [*tokens(statement)]
    names = {token.name for token in words if token.kind == "name"}
    stars = (words[n - 1] for n, token in enumerate(words) if n and token.text == "*")
    is_all = any(
        before.word in ("SELECT", "DISTINCT", "ALL") or before.text in (",", ".") for before in stars
    )
    return names | ({"*"} if is_all else set())


def _walk(words: Sequence[Token]) -> Iterator[str]:
    levels = [_Level()]
    for place, token in enumerate(words):
        level = levels[-1]
        if token.text == "(":
            inner = _Level(defines=_defined(words, place, level))
            if level.recursive and inner.defines:
                level.own.add(inner.defines)
            levels.append(inner)
        elif token.text == ")" and len(levels) > 1:
            levels[-2].own |= {levels.pop().defines} - {""}
        elif _expects_table(words, place, level):
            level.listing = True
            yield from _table(words, place + 1, levels)
        elif token.word in _ENDS:
            level.listing = level.naming = False
            level.selects |= token.word == "SELECT"
        elif token.word in ("WITH", "RECURSIVE"):
            level.naming = True
            level.recursive |= token.word == "RECURSIVE"


def _defined(words: Sequence[Token], place: int, level: _Level) -> str:
    """The name that WITH gives to the query whose parenthesis opens here: `name AS (`, `name (a) AS (`."""
    if not level.naming or place < 2 or words[place - 1].word != "AS":
        return ""
    at = place - 2
    if words[at].text == ")":
        depth = words[at].depth
        at = next(n for n in range(at - 1, -1, -1) if words[n].text == "(" and words[n].depth == depth) - 1
    return words[at].name


def _expects_table(words: Sequence[Token], place: int, level: _Level) -> bool:
    """Whether a table follows; `extract(day FROM x)` and `IS DISTINCT FROM x` name none."""
    token = words[place]
    if token.word == "JOIN":
        return True
    if token.text == ",":
        return level.listing
    before = [words[n].word for n in (place - 2, place - 1) if n >= 0]
    distinct = before[-1:] == ["DISTINCT"] and before[0] in ("IS", "NOT")
    return token.word == "FROM" and level.selects and not distinct


def _table(words: Sequence[Token], place: int, levels: Sequence[_Level]) -> Iterator[str]:
    while place < len(words) and words[place].text == "(":
        place += 1
    token = words[place] if place < len(words) else None
    if token is not None and token.word in _NO_TABLE:
        return
    if token is None or token.kind != "name" or token.word == "TABLE":
        found = repr(token.text) if token else "Nothing"
        msg = f"{found} follows {words[place - 1].text!r}, where a table was expected."
        hint = "Name the tables that it reads in the header: `-- inputs: orders, merchants`."
        raise QueryError(msg, hint=hint)
    parts = [token.name]
    while place + 2 < len(words) and words[place + 1].text == ".":
        place += 2
        parts.append(words[place].name)
    # "orders$snapshots" is read from the table orders.
    parts[-1] = parts[-1].partition("$")[0]
    own = {name for level in levels for name in level.own}
    if len(parts) > 1 or parts[0] not in own:
        yield ".".join(parts)
