"""The part of the translation that needs types: DuckDB itself is asked for them.

From outside: the checks and rewrites of a query whose tables are known, and the names of its columns.
"""

from local_aws.athena.typed.aliases import refuse_aliases
from local_aws.athena.typed.naming import output_names
from local_aws.athena.typed.precision import Look
from local_aws.athena.typed.scopes import only_nulls

__all__ = ["Look", "naming", "only_nulls", "output_names", "precision", "refuse_aliases", "typed", "unnest"]
