"""Tables of the Glue Data Catalog over plain Parquet: their columns, and days that Athena works out.

Sources: "Partition projection with Amazon Athena", "Set up partition projection" and "Data types in Amazon
Athena", Amazon Athena User Guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws, catalog
from dynaberg.functions.schedule import partition_of

if TYPE_CHECKING:
    import boto3
    from pyiceberg.table import Table
    from pyiceberg.types import IcebergType

    from dynaberg.settings import Settings

_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_FORMAT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquet{}Format"
_SIMPLE = {"int": "int", "long": "bigint", "timestamptz": "timestamp"}


def put_table(
    session: boto3.Session, settings: Settings, log: Table, where: Mapping[str, str], days: Iterable[str]
) -> None:
    """Create the table over the copies of a change log, or bring it up to the columns and days of now.

    Args:
        session: Open boto3 session.
        settings: The namespace and the table bucket.
        log: The change log.
        where: Outputs of the stack with the bucket and the database.
        days: The days that there are files of, such as `2026-11-30`.
    """
    name, database = log.name()[-1], where["ParquetDatabaseName"]
    place = f"s3://{where['ParquetBucketName']}/{name}/"
    created = aws.client(session, "s3tables").get_table(
        tableBucketARN=catalog.table_bucket_arn(session, settings), namespace=settings.namespace, name=name
    )["createdAt"]
    known = [day for day in days if day[:1].isdigit()]
    first = min([str((created - timedelta(days=1)).date()), *known])
    wanted = _table_input(log, place, first)
    glue = aws.client(session, "glue")
    try:
        found = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        glue.create_table(DatabaseName=database, TableInput=wanted)
        return
    columns = found["StorageDescriptor"]["Columns"], found.get("Parameters", {})
    if columns != (wanted["StorageDescriptor"]["Columns"], wanted["Parameters"]):
        glue.update_table(DatabaseName=database, TableInput=wanted)


def _table_input(log: Table, place: str, first: str) -> dict[str, Any]:
    columns = [{"Name": f.name, "Type": hive_type(f.field_type)} for f in log.schema().fields]
    day = partition_of(field.name for field in log.schema().fields)
    return {
        "Name": log.name()[-1],
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": day, "Type": "string"}],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "parquet",
            "projection.enabled": "true",
            f"projection.{day}.type": "date",
            f"projection.{day}.format": "yyyy-MM-dd",
            f"projection.{day}.range": f"{first},NOW+1DAYS",
            "storage.location.template": f"{place}{day}=${{{day}}}/",
        },
        "StorageDescriptor": {
            "Columns": columns,
            "Location": place,
            "InputFormat": _FORMAT.format("Input"),
            "OutputFormat": _FORMAT.format("Output"),
            "SerdeInfo": {"SerializationLibrary": _SERDE},
        },
    }


def hive_type(kind: IcebergType) -> str:
    """How the Glue Data Catalog spells a type of Iceberg.

    Args:
        kind: The type.

    Example:
        >>> hive_type(ListType(1, LongType()))
        'array<bigint>'
    """
    from pyiceberg.types import DecimalType, ListType, MapType, StructType

    match kind:
        case ListType():
            return f"array<{hive_type(kind.element_type)}>"
        case MapType():
            return f"map<{hive_type(kind.key_type)},{hive_type(kind.value_type)}>"
        case StructType():
            members = (f"{field.name}:{hive_type(field.field_type)}" for field in kind.fields)
            return f"struct<{','.join(members)}>"
        case DecimalType():
            return f"decimal({kind.precision},{kind.scale})"
        case _:
            return _SIMPLE.get(str(kind), str(kind))
