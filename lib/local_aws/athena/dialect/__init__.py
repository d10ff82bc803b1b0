"""Athena's SQL and DuckDB's: what Athena's parser takes, how a function, a cast, an operator is spelled.

From outside: parsing, the translation that needs no types, types and their names, and Athena's errors.
"""

from local_aws.athena.dialect.dialect import UNKNOWN_TYPE, DuckSql, call, literal, quoted, to_duckdb
from local_aws.athena.dialect.errors import QueryCancelled, QueryError, StatementError, from_duckdb
from local_aws.athena.dialect.formats import offset_minutes, wall_clock
from local_aws.athena.dialect.functions import FUNCTIONS, definitions
from local_aws.athena.dialect.macros import MACROS
from local_aws.athena.dialect.statements import kind_of, read, without_comments
from local_aws.athena.dialect.translate import HIDDEN_COLUMN, SHOWS_PATH, WALL_CLOCK, rewrite
from local_aws.athena.dialect.types import (
    WHOLE_DIGITS,
    DecimalType,
    DuckType,
    coerces,
    column_info,
    decimal_type,
    family,
    outside,
    parse_type,
    text_name,
)

__all__ = [
    "FUNCTIONS",
    "HIDDEN_COLUMN",
    "MACROS",
    "SHOWS_PATH",
    "UNKNOWN_TYPE",
    "WALL_CLOCK",
    "WHOLE_DIGITS",
    "DecimalType",
    "DuckSql",
    "DuckType",
    "QueryCancelled",
    "QueryError",
    "StatementError",
    "call",
    "coerces",
    "column_info",
    "decimal_type",
    "definitions",
    "family",
    "from_duckdb",
    "kind_of",
    "literal",
    "offset_minutes",
    "outside",
    "parse_type",
    "quoted",
    "read",
    "rewrite",
    "text_name",
    "to_duckdb",
    "wall_clock",
    "without_comments",
]
