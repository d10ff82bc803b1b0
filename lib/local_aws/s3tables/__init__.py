"""S3 Tables: its API where ministack is more lenient, the Iceberg REST catalog, and the tables behind both.

From outside: the services, the tables as others look them up, and the errors of the catalog.
"""

from local_aws.s3tables.api import S3Tables
from local_aws.s3tables.cloudformation import AROUND_TABLES
from local_aws.s3tables.errors import IcebergError
from local_aws.s3tables.glue_catalogs import GlueCatalogs
from local_aws.s3tables.rest import IcebergRest
from local_aws.s3tables.tables import IcebergTables, TableName, succeeded

__all__ = [
    "AROUND_TABLES",
    "GlueCatalogs",
    "IcebergError",
    "IcebergRest",
    "IcebergTables",
    "S3Tables",
    "TableName",
    "succeeded",
]
