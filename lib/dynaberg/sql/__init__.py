"""Athena through PyAthena: statements with bound parameters, exact types, helpful error messages.

Public: `query`, its result, and `commit` for statements that change a table.
"""

from dynaberg.sql.query import commit, query
from dynaberg.sql.result import QueryResult

__all__ = ["QueryResult", "commit", "query"]
