"""The Glue Data Catalog's view of the table buckets, which dbt and other tools read beside Athena's own.

Only what names a catalog below `s3tablescatalog` is answered here; the rest is ministack's.
Source: AWS Glue Web API Reference, "GetDatabase", "GetDatabases", "GetTable", "GetTables", "DeleteTable".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables.catalog import Catalogs
from local_aws.athena.tables.engine import CATALOG_PREFIX
from local_aws.athena.tables.metadata import Payload, matches, page, table_json
from local_aws.wire import ACCOUNT, AwsError


def answer(operation: str, catalogs: Catalogs, payload: Payload) -> Payload | None:
    """A Glue operation on the catalog of a table bucket; None where the request names another.

    Raises:
        AwsError: EntityNotFoundException, for what is not there.
    """
    catalog = str(payload.get("CatalogId") or "").removeprefix(f"{ACCOUNT}:").lower()
    if not catalog.startswith(CATALOG_PREFIX):
        return None
    try:
        return OPERATIONS[operation](catalogs, catalog, payload)
    except QueryError as error:
        raise AwsError("EntityNotFoundException", error.message) from error


def _databases(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    found = [_database_json(catalog, name) for name in catalogs.databases(catalog)]
    return page("DatabaseList", found, payload)


def _database(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    return {"Database": _database_json(catalog, _known(catalogs, catalog, payload["Name"]))}


def _tables(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    database, pattern = _known(catalogs, catalog, payload["DatabaseName"]), payload.get("Expression")
    names = [name for name in catalogs.tables(catalog, database) if not pattern or matches(pattern, name)]
    found = page("TableList", names, payload)
    return found | {"TableList": [_table_json(catalogs, catalog, database, n) for n in found["TableList"]]}


def _table(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    database, name = str(payload["DatabaseName"]).lower(), str(payload["Name"]).lower()
    return {"Table": _table_json(catalogs, catalog, database, name)}


def _delete(catalogs: Catalogs, catalog: str, payload: Payload) -> Payload:
    table = catalogs.load(catalog, str(payload["DatabaseName"]).lower(), str(payload["Name"]).lower())
    catalogs.get(catalog).purge_table(table.name())
    return {}


def _known(catalogs: Catalogs, catalog: str, name: str) -> str:
    if name.lower() not in catalogs.databases(catalog):
        raise QueryError("SCHEMA_NOT_FOUND", f"Database {name} not found.")
    return name.lower()


def _database_json(catalog: str, name: str) -> dict[str, Any]:
    return {"Name": name, "CatalogId": f"{ACCOUNT}:{catalog}", "Parameters": {}}


def _table_json(catalogs: Catalogs, catalog: str, database: str, name: str) -> dict[str, Any]:
    """An Iceberg table: its partitions are columns like others, so Glue lists no partition keys."""
    known = table_json(catalogs.load(catalog, database, name))
    return {
        "Name": known["Name"],
        "DatabaseName": database,
        "CatalogId": f"{ACCOUNT}:{catalog}",
        "CreateTime": known["CreateTime"],
        "UpdateTime": known["CreateTime"],
        "TableType": "customer",
        "StorageDescriptor": {"Columns": known["Columns"], "Location": known["Parameters"]["location"]},
        "PartitionKeys": [],
        "Parameters": {
            "table_type": known["Parameters"]["table_type"],
            "metadata_location": known["Parameters"]["metadata_location"],
        },
    }


OPERATIONS: Mapping[str, Callable[[Catalogs, str, Payload], Payload]] = {
    "DeleteTable": _delete,
    "GetDatabase": _database,
    "GetDatabases": _databases,
    "GetTable": _table,
    "GetTables": _tables,
}
