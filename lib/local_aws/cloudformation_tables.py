"""Tables of S3 Tables made by CloudFormation: ministack reads `IcebergSchema` only.

`IcebergSchemaV2`, partitioning, sort order, properties and the maintenance settings are added here, to the
records that ministack holds (`cloudformation_gaps` says why there, and tests it).

Source: AWS CloudFormation, "AWS::S3Tables::Table".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from local_aws.s3tables import create_request

Properties = Mapping[str, Any]


def described_create(create: Callable[..., Any]) -> Callable[..., Any]:
    """A create handler for tables of S3 Tables that takes all of their description."""

    @functools.wraps(create)
    def described(logical_id: str, properties: Properties, stack_name: str) -> Any:
        metadata = table_metadata(properties)
        created = create(logical_id, properties, stack_name)
        if metadata:
            held_table(properties)["_iceberg_metadata"] = metadata
        keep_maintenance(properties)
        return created

    return described


def maintained_update(update: Callable[..., Any]) -> Callable[..., Any]:
    """An update handler for tables of S3 Tables that takes changed maintenance settings."""

    @functools.wraps(update)
    def maintained(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Any:
        updated = update(physical_id, old, new, stack_name)
        keep_maintenance(new)
        return updated

    return maintained


def table_metadata(properties: Properties) -> Any:
    """The first metadata of a table, from its `IcebergMetadata`; None where it has none."""
    from local_aws.iceberg_metadata import create_metadata, dump_metadata

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
    bucket = properties.get("TableBucketARN", "").rpartition("/")[2]
    location = f"s3://{bucket}/{properties.get('Namespace')}/{properties.get('TableName')}"
    return orjson.loads(dump_metadata(create_metadata(create_request(description), location)))


def iceberg_spelling(fields: Sequence[Properties] | None) -> list[dict[str, Any]]:
    """Fields spelled as Iceberg does, `source-id`, and not as CloudFormation does, `SourceId`."""
    return [
        {re.sub(r"(?<!^)(?=[A-Z])", "-", key).lower(): value for key, value in f.items()}
        for f in fields or ()
    ]


def keep_maintenance(properties: Properties) -> None:
    """Give a table the maintenance settings of its template."""
    kept = held_table(properties).setdefault("_maintenance", {})
    for name, kind in (
        ("Compaction", "icebergCompaction"),
        ("SnapshotManagement", "icebergSnapshotManagement"),
    ):
        settings = dict(properties.get(name) or {})
        if settings:
            status = settings.pop("Status", "enabled")
            spelled = {key[0].lower() + key[1:]: int(value) for key, value in settings.items()}
            kept[kind] = {"status": status, "settings": {kind: spelled}}


def held_table(properties: Properties) -> dict[str, Any]:
    """The record that ministack holds of a table of S3 Tables."""
    from ministack.services import s3tables

    names = (properties.get(name, "") for name in ("TableBucketARN", "Namespace", "TableName"))
    record: dict[str, Any] = s3tables._tables[s3tables._table_key(*names)]
    return record
