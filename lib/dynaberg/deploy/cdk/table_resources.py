"""The Iceberg tables as CloudFormation resources, for people who deploy with the CDK.

CloudFormation can create a table but never change its schema ("AWS::S3Tables::Table", on `IcebergMetadata`).
New columns of a contract are therefore added by `dynaberg tables`, as everywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynaberg.contracts import Contract
from dynaberg.deploy import log_id

if TYPE_CHECKING:
    from pyiceberg.partitioning import PartitionSpec
    from pyiceberg.schema import Schema

Resource = dict[str, Any]


def table_resources(contract: Contract, *, table_bucket_arn: str, namespace: str) -> dict[str, Resource]:
    """The change log and the current table of a contract, and those of the other tables of its source.

    Deleting the stack keeps them and their rows.

    Args:
        contract: The table contract.
        table_bucket_arn: The table bucket, as an ARN or as a CloudFormation import.
        namespace: Namespace of the table bucket.

    Returns:
        Resources of a template by logical id: `ChangeLog` and `CurrentTable`; of further tables of the source
        with something that distinguishes them behind.
    """
    found: dict[str, Resource] = {}
    for each in contract.of_source:
        own = _of_table(each, table_bucket_arn, namespace)
        suffix = log_id(each.log_name) if found else ""
        found |= {f"{name}{suffix}": resource for name, resource in own.items()}
    return found


def _of_table(contract: Contract, table_bucket_arn: str, namespace: str) -> dict[str, Resource]:
    """The two tables of a contract; what no contract claims has a change log alone."""
    place = {"TableBucketARN": table_bucket_arn, "Namespace": namespace, "OpenTableFormat": "ICEBERG"}
    metadata = _metadata(contract.log_schema(), contract.log_partition_spec())
    log = {"ChangeLog": _resource(place | {"TableName": contract.log_name, "IcebergMetadata": metadata})}
    if contract.is_rest:
        return log
    metadata = _metadata(contract.current_schema())
    current = _resource(place | {"TableName": contract.table, "IcebergMetadata": metadata})
    return log | {"CurrentTable": current}


def _resource(properties: dict[str, Any]) -> Resource:
    return {
        "Type": "AWS::S3Tables::Table",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": properties,
    }


def _metadata(schema: Schema, spec: PartitionSpec | None = None) -> dict[str, Any]:
    fields = [
        {"Id": field["id"], "Name": field["name"], "Type": field["type"], "Required": field["required"]}
        for field in schema.model_dump(mode="json")["fields"]
    ]
    found: dict[str, Any] = {"SchemaV2FieldType": "struct", "SchemaV2FieldList": fields}
    if schema.identifier_field_ids:
        found["IdentifierFieldIds"] = list(schema.identifier_field_ids)
    partitions = [
        {"SourceId": f.source_id, "FieldId": f.field_id, "Name": f.name, "Transform": str(f.transform)}
        for f in (spec.fields if spec else ())
    ]
    layout = {"IcebergPartitionSpec": {"Fields": partitions}} if partitions else {}
    return {"IcebergSchemaV2": found, **layout}
