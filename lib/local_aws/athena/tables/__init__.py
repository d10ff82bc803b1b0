"""Tables as queries see them: catalogs, names, time travel, metadata tables, files, and the DuckDB engine.

From outside: the engine, the catalogs, and everything that a name in a statement can mean.
"""

from local_aws.athena.tables.catalog import Catalogs, committing
from local_aws.athena.tables.engine import Engine, bytes_read
from local_aws.athena.tables.iceberg_types import athena_type, iceberg_type, split_outside
from local_aws.athena.tables.names import Context, TableName, is_view, resolve
from local_aws.athena.tables.scans import Texts, texts_of
from local_aws.athena.tables.stand_ins import StandIns, TableKey, Tables, keep

__all__ = [
    "Catalogs",
    "Context",
    "Engine",
    "StandIns",
    "TableKey",
    "TableName",
    "Tables",
    "Texts",
    "athena_type",
    "bytes_read",
    "committing",
    "glue",
    "iceberg_type",
    "is_view",
    "keep",
    "metadata",
    "names",
    "resolve",
    "split_outside",
    "texts_of",
]
