"""S3 Tables: its API where ministack is more lenient, the Iceberg REST catalog, and the tables behind both.

From outside: the services, the tables as others look them up, `snapshots`, which makes one of a table,
`replacement`, which makes one that exchanges files, and `nulls`, which corrects pyiceberg for whoever imports
it.
"""

from local_aws.s3tables.api import S3Tables
from local_aws.s3tables.cloudformation import AROUND_TABLES
from local_aws.s3tables.glue_catalogs import GlueCatalogs
from local_aws.s3tables.rest import IcebergRest
from local_aws.s3tables.tables import ARN, TABLE, IcebergTables, TableName, bucket_arn

__all__ = [
    "ARN",
    "AROUND_TABLES",
    "TABLE",
    "GlueCatalogs",
    "IcebergRest",
    "IcebergTables",
    "S3Tables",
    "TableName",
    "bucket_arn",
    "nulls",
    "replacement",
    "snapshots",
]
