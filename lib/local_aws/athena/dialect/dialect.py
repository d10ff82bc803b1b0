"""The two SQL dialects: Athena's as it is read here, DuckDB's as it is written.

Reading leaves every function call as it was written (`exp.Anonymous`), so that `functions.FUNCTIONS` alone
decides what a name means; sqlglot's own translation of functions is not used.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.trino import Trino
from sqlglot.generators.duckdb import DuckDBGenerator
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokenizer_core import TokenType


def numbered(parser: TrinoParser) -> exp.Placeholder:
    """A `?` with its place in the text: a tree does not keep the order in which parameters are written."""
    place = exp.Placeholder()
    place.meta["start"] = parser._prev.start
    return place


UNKNOWN_TYPE = "version"
"""Takes no argument, so a call with values of unknown types fails, because of them or because of this."""
SPECIAL_CALLS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "POSITION", "SUBSTRING", "LISTAGG")


class AthenaSql(Trino):
    """Athena's DML, function calls and subscripts kept as they are written."""

    INDEX_OFFSET = 0

    class Parser(TrinoParser):
        """Knows only the calls with a grammar of their own."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parser for name, parser in TrinoParser.FUNCTION_PARSERS.items() if name in SPECIAL_CALLS
        }
        PLACEHOLDER_PARSERS: ClassVar[dict[Any, Any]] = {
            **TrinoParser.PLACEHOLDER_PARSERS,
            TokenType.PLACEHOLDER: numbered,
        }


def at_version(generator: DuckDBGenerator, node: exp.Version) -> str:
    """`AT (VERSION => 123)`: DuckDB's time travel."""
    return f"AT (VERSION => {generator.sql(node, 'expression')})"


def ignore_nulls(generator: DuckDBGenerator, node: exp.IgnoreNulls) -> str:
    """`lag(x, 1 IGNORE NULLS)`: DuckDB puts it inside the brackets."""
    return generator.sql(node, "this").removesuffix(")") + " IGNORE NULLS)"


class DuckSql(DuckDB):
    """DuckDB's SQL; templates are read with their calls as they are written, too."""

    INDEX_OFFSET = 0

    class Parser(DuckDBParser):
        """Knows only the calls with a grammar of their own."""

        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            name: parser for name, parser in DuckDBParser.FUNCTION_PARSERS.items() if name in SPECIAL_CALLS
        }

    class Generator(DuckDBGenerator):
        """Writes `AT (VERSION => …)` and `lag(x IGNORE NULLS)`."""

        TRANSFORMS: ClassVar[dict[Any, Any]] = {
            **DuckDBGenerator.TRANSFORMS,
            exp.Version: at_version,
            exp.IgnoreNulls: ignore_nulls,
        }


def call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    """A call of one of DuckDB's functions, or of a macro."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def quoted(name: str) -> str:
    """A name as a delimited identifier, and a value as a field of CSV."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL's literal."""
    return "'" + text.replace("'", "''") + "'"


def to_duckdb(tree: exp.Expr, *, copy: bool = True) -> str:
    """A tree as DuckDB's SQL, which changes it without a copy.

    Every name is in quotes, for DuckDB reserves words that Athena does not.
    """
    return tree.sql(dialect=DuckSql, normalize_functions=False, identify=True, copy=copy)
