"""Athena: its API over DuckDB on the Iceberg tables of the local AWS.

From outside: the service, which loads the rest with the first call. The rooms inside, from the bottom up:
`dialect` and `typed` translate SQL, `tables` says what names mean, `statements` runs, `api` answers.
"""

from local_aws.athena.service import Athena

__all__ = ["Athena"]
