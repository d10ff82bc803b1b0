"""Tables of S3 Tables made by CloudFormation: ministack reads `IcebergSchema` only.

`IcebergSchemaV2`, partitioning, sort order, properties and the maintenance settings are added here, to the
records that ministack holds (`seams.cloudformation` says why there).

Source: AWS CloudFormation, "AWS::S3Tables::Table".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from local_aws.s3tables.api import create_request
from local_aws.s3tables.tables import UNWRITTEN, TableName
from local_aws.seams import s3
from local_aws.wire import bucket_and_key

Properties = Mapping[str, Any]


def described_create(create: Callable[..., Any]) -> Callable[..., Any]:
    """A create handler that takes all of a table's description, and gives it a place of its own."""

    @functools.wraps(create)
    def described(logical_id: str, properties: Properties, stack_name: str) -> Any:
        location = table_name(properties).new_location()
        metadata = table_metadata(properties, location)
        physical_id, attributes = create(logical_id, properties, stack_name)
        held = record_of(properties)
        held["_iceberg_metadata"] = metadata or held["_iceberg_metadata"] | {"location": location}
        held["warehouseLocation"], held["metadataLocation"] = location, f"{location}{UNWRITTEN}"
        keep_maintenance(properties)
        return physical_id, attributes | {"WarehouseLocation": location}

    return described


def maintained_update(update: Callable[..., Any]) -> Callable[..., Any]:
    """An update handler for tables of S3 Tables that takes changed maintenance settings."""

    @functools.wraps(update)
    def maintained(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Any:
        updated = update(physical_id, old, new, stack_name)
        keep_maintenance(new)
        return updated

    return maintained


def emptied_delete(delete: Callable[..., Any]) -> Callable[..., Any]:
    """A delete handler after which the table's files are gone too, as on AWS."""

    @functools.wraps(delete)
    def emptied(physical_id: str, properties: Properties) -> None:
        location = record_of(properties)["metadataLocation"].partition("/metadata/")[0]
        delete(physical_id, properties)
        bucket, prefix = bucket_and_key(location)
        s3.delete_objects_below(bucket, f"{prefix}/")

    return emptied


def table_metadata(properties: Properties, location: str) -> Any:
    """The first metadata of a table, from its `IcebergMetadata`; None where it has none."""
    from local_aws.s3tables.metadata import create_metadata, dump_metadata

    given = properties.get("IcebergMetadata")
    if not given:
        return None
    schema, nested = given.get("IcebergSchema") or {}, given.get("IcebergSchemaV2") or {}
    spec, order = given.get("IcebergPartitionSpec") or {}, given.get("IcebergSortOrder") or {}
    columns = iceberg_spelling(nested.get("SchemaV2FieldList") or schema.get("SchemaFieldList"))
    description = {
        "schema": {"fields": columns, "identifier-field-ids": nested.get("IdentifierFieldIds", [])},
        "partitionSpec": {"fields": iceberg_spelling(spec.get("Fields"))},
        "writeOrder": {"order-id": order.get("OrderId", 1), "fields": iceberg_spelling(order["Fields"])}
        if order
        else None,
        "properties": given.get("TableProperties"),
    }
    return orjson.loads(dump_metadata(create_metadata(create_request(description), location)))


def iceberg_spelling(fields: Sequence[Properties] | None) -> list[dict[str, Any]]:
    """Fields spelled as Iceberg does, `source-id`, and not as CloudFormation does, `SourceId`."""
    return [
        {re.sub(r"(?<!^)(?=[A-Z])", "-", key).lower(): value for key, value in f.items()}
        for f in fields or ()
    ]


def keep_maintenance(properties: Properties) -> None:
    """Give a table the maintenance settings of its template."""
    kept = record_of(properties).setdefault("_maintenance", {})
    for name, kind in (
        ("Compaction", "icebergCompaction"),
        ("SnapshotManagement", "icebergSnapshotManagement"),
    ):
        settings = dict(properties.get(name) or {})
        if settings:
            status = settings.pop("Status", "enabled")
            spelled = {key[0].lower() + key[1:]: int(value) for key, value in settings.items()}
            kept[kind] = {"status": status, "settings": {kind: spelled}}


def table_name(properties: Properties) -> TableName:
    """The full name of a table, from its properties."""
    return TableName(*(properties.get(name, "") for name in ("TableBucketARN", "Namespace", "TableName")))


def record_of(properties: Properties) -> dict[str, Any]:
    """The record that ministack holds of a table."""
    name = table_name(properties)
    return s3.held_table(name.bucket_arn, name.namespace, name.name)


AROUND_TABLES = {"create": described_create, "update": maintained_update, "delete": emptied_delete}
