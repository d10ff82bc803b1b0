"""Athena through PyAthena: statements with bound parameters, exact types, refusals that teach.

From outside: `query`, what it gives, and `commit` for statements that change a table.
"""

from dynaberg.sql.query import commit, query
from dynaberg.sql.result import QueryResult

__all__ = ["QueryResult", "commit", "query"]
