"""The part of the translation that needs types: DuckDB itself is asked for them.

From outside: the checks and rewrites of a query whose tables are known, and the names of its columns.
"""

from local_aws.athena.typed.naming import output_names, refuse_aliases
from local_aws.athena.typed.scopes import named_cte, only_nulls
from local_aws.athena.typed.texts import Look, text_of

__all__ = [
    "Look",
    "named_cte",
    "only_nulls",
    "output_names",
    "precision",
    "refuse_aliases",
    "text_of",
    "typed",
    "unnest",
]
