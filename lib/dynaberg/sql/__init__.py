"""Athena through PyAthena: statements with bound parameters, exact types, helpful error messages.

Public: `query`, its result, and `commit` for statements that change a table; for statements of our own
`read_columns`, nested columns one by one by `selected` and `revive`, and long arrays by `array_of`; and
`tables_read` and `column_names`, which name the tables and the columns of a SELECT.
"""

from dynaberg.sql.nested import array_of, quote, revive, selected
from dynaberg.sql.query import commit, query
from dynaberg.sql.reading import read_columns
from dynaberg.sql.result import QueryResult
from dynaberg.sql.sources import column_names, tables_read

__all__ = [
    "QueryResult",
    "array_of",
    "column_names",
    "commit",
    "query",
    "quote",
    "read_columns",
    "revive",
    "selected",
    "tables_read",
]
