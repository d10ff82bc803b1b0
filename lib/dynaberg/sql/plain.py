"""Recognises a plain SELECT: from one table of the namespace, without joins, groups and set operations.

What such a statement selects by `*` or by a bare name is a column of that table, and can be nothing else.
Whatever is not recognised is no plain SELECT; nothing here changes or refuses a statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<skipped>\s+ | --[^\n]* | /\*.*?\*/) | (?P<text>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*" | [A-Za-z_]\w*) | (?P<number>\d+) | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_BEHIND = {"WHERE", "ORDER", "LIMIT", "OFFSET", "FETCH"}
_ELSEWHERE = {"UNION", "INTERSECT", "EXCEPT", "GROUP", "HAVING", "WINDOW", "JOIN", "FROM", "SELECT"}


@dataclass(frozen=True)
class Plain:
    """A plain SELECT.

    Attributes:
        items: What it selects: columns of the table, `*` for all of them, nothing for an expression.
        table: The table, without quotation marks.
        alias: The table's name within the statement.
        version: The snapshot that FOR VERSION AS OF names, if any.
        end: Where the select list ends in the statement.
    """

    items: tuple[str, ...]
    table: str
    alias: str
    version: int | None
    end: int


@dataclass(frozen=True)
class Token:
    """A word, a number, a text or a sign of a statement, and how many parentheses it is inside of."""

    text: str
    kind: str
    at: int
    depth: int

    @property
    def word(self) -> str:
        """A keyword, if it is not in quotation marks."""
        return self.text.upper() if self.kind == "name" and not self.text.startswith('"') else ""

    @property
    def name(self) -> str:
        """The identifier as Athena compares it."""
        bare = self.text[1:-1].replace('""', '"') if self.text.startswith('"') else self.text
        return bare.lower() if self.kind == "name" else ""


def plain_select(statement: str, namespace: str) -> Plain | None:
    """A statement's parts if it is a plain SELECT of bare columns, else None.

    Args:
        statement: One statement.
        namespace: Where a table without a qualifier is.

    Example:
        >>> plain_select("SELECT id, tags FROM orders LIMIT 5", "analytics").items
        ('id', 'tags')
    """
    first = next(tokens(statement), None)
    if first is None or first.word != "SELECT":
        return None
    words = list(tokens(statement))
    outer = [place for place, token in enumerate(words) if token.depth == 0 and token.word == "FROM"]
    if not outer or words[1].word in ("DISTINCT", "ALL"):
        return None
    listed, rest = words[1 : outer[0]], words[outer[0] + 1 :]
    items = tuple(_items(listed))
    stars = sum(token.text == "*" and not token.depth for token in listed)
    # `t.*` and `place.*` are columns of unknown number.
    if not any(items) or stars > 1 or stars != items.count("*"):
        return None
    source = _source(rest[:-1] if rest and rest[-1].text == ";" else rest, namespace)
    if source is None:
        return None
    table, alias, version, behind = source
    if behind and behind[0].word not in _BEHIND:
        return None
    if any(token.depth == 0 and token.word in _ELSEWHERE for token in behind):
        return None
    return Plain(items, table, alias, version, words[outer[0]].at)


def tokens(statement: str) -> Iterator[Token]:
    """The words and signs of a statement, without its comments.

    Args:
        statement: One statement.
    """
    depth = 0
    for match in _TOKEN.finditer(statement):
        kind = match.lastgroup or ""
        if kind == "skipped":
            continue
        depth -= match[0] in (")", "]")
        yield Token(match[0], kind, match.start(), depth)
        depth += match[0] in ("(", "[")


def _items(listed: Sequence[Token]) -> Iterator[str]:
    """The items of a select list; one that is no bare column is an expression."""
    commas = [place for place, token in enumerate(listed) if token.text == "," and not token.depth]
    start = 0
    for place in [*commas, len(listed)]:
        item, start = listed[start:place], place + 1
        aliased = [token.kind for token in item[1:]] == ["name"] or (
            len(item) == 3 and item[1].word == "AS" and item[2].kind == "name"
        )
        if len(item) == 1 and item[0].text == "*":
            yield "*"
        else:
            yield item[0].name if len(item) == 1 or aliased else ""


def _source(rest: Sequence[Token], namespace: str) -> tuple[str, str, int | None, Sequence[Token]] | None:
    """The one table behind FROM, its alias, its version, and what follows."""
    parts: list[str] = []
    place = 0
    while place < len(rest) and rest[place].kind == "name":
        parts.append(rest[place].name)
        place += 1
        if place == len(rest) or rest[place].text != ".":
            break
        place += 1
    if len(parts) not in (1, 2) or parts[:-1] not in ([], [namespace.lower()]) or "$" in parts[-1]:
        return None
    version = None
    if place < len(rest) and rest[place].word == "FOR":
        words = [token.word for token in rest[place + 1 : place + 4]]
        if words != ["VERSION", "AS", "OF"] or [token.kind for token in rest[place + 4 : place + 5]] != [
            "number"
        ]:
            return None
        version = int(rest[place + 4].text)
        place += 5
    if place < len(rest) and rest[place].word == "AS":
        place += 1
    alias = parts[-1]
    if place < len(rest) and rest[place].kind == "name" and rest[place].word not in _BEHIND | _ELSEWHERE:
        alias = rest[place].name
        place += 1
    return parts[-1], alias, version, rest[place:]
