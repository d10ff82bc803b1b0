"""Catalogs, databases and tables as the API lists them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables.catalog import Catalogs
from local_aws.athena.tables.engine import CATALOG_PREFIX
from local_aws.athena.tables.iceberg_types import athena_type
from local_aws.wire import AwsError

Payload = Mapping[str, Any]


def page(name: str, items: Sequence[Any], payload: Payload) -> dict[str, Any]:
    """Some of a list, by `MaxResults` and `NextToken`."""
    start, count = int(payload.get("NextToken") or 0), int(payload.get("MaxResults") or 50)
    answer: dict[str, Any] = {name: list(items[start : start + count])}
    if start + count < len(items):
        answer["NextToken"] = str(start + count)
    return answer


def answer(operation: str, catalogs: Catalogs, payload: Payload) -> Payload | None:
    """A catalog operation; None where the request names the Glue catalog."""
    catalog = str(payload.get("CatalogName") or payload.get("Name") or "").lower()
    if not catalog.startswith(CATALOG_PREFIX):
        return None
    try:
        return OPERATIONS[operation](catalogs, catalog, payload)
    except QueryError as error:
        raise AwsError("MetadataException", error.message) from error


def get_data_catalog(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    """`GetDataCatalog`."""
    catalogs.databases(catalog)
    return {"DataCatalog": {"Name": catalog, "Type": "GLUE", "Parameters": {}, "Status": "CREATE_COMPLETE"}}


def list_databases(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    """`ListDatabases`."""
    found = [{"Name": name, "Parameters": {}} for name in catalogs.databases(catalog)]
    return page("DatabaseList", found, payload)


def get_database(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    """`GetDatabase`."""
    name = str(payload.get("DatabaseName")).lower()
    if name not in catalogs.databases(catalog):
        raise AwsError("MetadataException", f"Database {name} not found")
    return {"Database": {"Name": name, "Parameters": {}}}


def list_table_metadata(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    """`ListTableMetadata`."""
    database, pattern = str(payload.get("DatabaseName")).lower(), payload.get("Expression")
    tables = [t for t in catalogs.tables(catalog, database) if not pattern or matches(pattern, t)]
    found = page("TableMetadataList", tables, payload)
    listed = [table_json(catalogs.load(catalog, database, t)) for t in found["TableMetadataList"]]
    return found | {"TableMetadataList": listed}


def matches(pattern: str, name: str) -> bool:
    """Whether a table's name matches `Expression`, a regular expression of Java's."""
    return re.fullmatch(pattern.replace("*", ".*") if "." not in pattern else pattern, name) is not None


def get_table_metadata(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    """`GetTableMetadata`."""
    database, name = str(payload.get("DatabaseName")).lower(), str(payload.get("TableName")).lower()
    return {"TableMetadata": table_json(catalogs.load(catalog, database, name))}


def table_json(table: Table) -> dict[str, Any]:
    """`TableMetadata` of an Iceberg table."""
    columns = [
        {"Name": f.name, "Type": athena_type(f.field_type)} | ({"Comment": f.doc} if f.doc else {})
        for f in table.schema().fields
    ]
    identity = {f.source_id for f in table.spec().fields if isinstance(f.transform, IdentityTransform)}
    names = {f.name for f in table.schema().fields if f.field_id in identity}
    updated = table.metadata.last_updated_ms / 1000
    return {
        "Name": table.name()[-1],
        "CreateTime": updated,
        "LastAccessTime": time.time(),
        "TableType": "EXTERNAL_TABLE",
        "Columns": columns,
        "PartitionKeys": [c for c in columns if c["Name"] in names],
        "Parameters": {
            "table_type": "ICEBERG",
            "location": table.location(),
            "metadata_location": table.metadata_location,
            **table.properties,
        },
    }


OPERATIONS: Mapping[str, Callable[[Catalogs, str, Payload], Payload]] = {
    "GetDataCatalog": get_data_catalog,
    "ListDatabases": list_databases,
    "GetDatabase": get_database,
    "ListTableMetadata": list_table_metadata,
    "GetTableMetadata": get_table_metadata,
}
