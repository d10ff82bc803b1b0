"""Who judged what the local Athena answers: a real Trino, by what it once answered, or nobody."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

from tests.trino import golden
from tests.trino.server import VERSION

DOCUMENTATION, NOBODY = "documentation", "nobody"
TRINO = f"Trino {VERSION}"
# How a statement of each row begins, or what is in it; `make trino` replays the last ones each time.
_SHAPES: Mapping[str, str] = {
    "SELECT, WITH": r"UNNEST|OVER \(",
    "FOR TIMESTAMP": r"FOR (TIMESTAMP|VERSION) AS OF",
    '"t$snapshots"': r"\$(snapshots|history|files|manifests|partitions|refs)\b",
    '"$path"': r"\$path|information_schema",
    "EXPLAIN": r"^\s*EXPLAIN",
    "PREPARE": r"^\s*(PREPARE|EXECUTE)|\?",
    "SHOW": r"^\s*(SHOW|DESCRIBE)",
}
_REPLAYED: Mapping[str, str] = {
    "INSERT INTO": f"{TRINO}: the library's MERGE",
    "CREATE TABLE": f"{TRINO}: the library's CREATE TABLE AS",
}


def judge_of_function(name: str) -> str:
    """Who judged a function, and in how many of its cases Trino answers otherwise."""
    called, differing = _called()
    if not called[name]:
        return DOCUMENTATION
    return _cases(called[name]) + (f", {differing[name]} otherwise" if differing[name] else "")


def judge_of_statement(row: str) -> str:
    """Who judged a kind of statement."""
    if told := next((told for start, told in _REPLAYED.items() if row.startswith(start)), ""):
        return told
    shape = next((shape for start, shape in _SHAPES.items() if row.startswith(start)), "")
    count = sum(bool(re.search(shape, sql, re.IGNORECASE)) for sql in _answered()) if shape else 0
    return _cases(count) if count else DOCUMENTATION


def _cases(count: int) -> str:
    return f"{TRINO}: {count} {'case' if count == 1 else 'cases'}"


@cache
def _answered() -> tuple[str, ...]:
    """The statements that Trino has answered."""
    return tuple(one["sql"] for path in (golden.EXPRESSIONS, golden.CORPUS) for one in golden.read(path))


@cache
def _called() -> tuple[Counter[str], Counter[str]]:
    """How many statements call each function, and how many of these are answered otherwise here."""
    differences = golden.known() | golden.known("corpus")
    called = Counter(name for sql in _answered() for name in _functions(sql))
    return called, Counter(name for sql in differences for name in _functions(sql))


def _functions(sql: str) -> Iterator[str]:
    yield from {name.lower() for name in re.findall(r"\b(\w+)\s*\(", sql)}
