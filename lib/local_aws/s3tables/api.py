"""S3 Tables where ministack is more lenient, or does less, than AWS.

What AWS refuses is refused (names, a namespace that is not there, deleting what is not empty), a table's
data goes with it, and CreateTable keeps partition spec, sort order and properties.

Source: Amazon S3 API Reference, "S3 Tables"; User Guide, "Table bucket, namespace, and table naming rules".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from local_aws.s3tables.tables import ARN, TABLE, IcebergTables, TableName, is_name, version_after
from local_aws.wire import AtRest, AwsError, Parts, Request, Response, Routes, json_response

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_RESERVED_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo", "aws")
_RESERVED_SUFFIXES = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")


class S3Tables(AtRest):
    """The stricter part of the S3 Tables API (a `Service`).

    Args:
        tables: The tables, shared with the Iceberg REST catalog.
    """

    def __init__(self, tables: IcebergTables) -> None:
        self._tables = tables
        self._routes = Routes(
            (
                ("PUT", "/buckets", self._create_table_bucket),
                ("DELETE", f"/buckets/{ARN}", self._delete_table_bucket),
                ("PUT", f"/namespaces/{ARN}", self._create_namespace),
                ("DELETE", rf"/namespaces/{ARN}/(?P<namespace>[^/]+)", self._delete_namespace),
                ("PUT", rf"/tables/{ARN}/(?P<namespace>[^/]+)", self._create_table),
                ("DELETE", f"/tables/{TABLE}", self._delete_table),
                ("GET", "/get-table", self._get_table),
            )
        )

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this may be a call that ministack takes too lightly."""
        return self._routes.find(method, path) is not None

    async def handle(self, request: Request) -> Response | None:
        """Refuse what AWS refuses; None where ministack may answer."""
        if "/s3/aws4_request" in request.headers.get("authorization", ""):
            return None  # an S3 bucket that is called `buckets`
        found = self._routes.find(request.method, request.path)
        return await found[0](request, found[1]) if found else None

    async def _create_table_bucket(self, request: Request, parts: Parts) -> Response | None:
        name = str(request.json().get("name", ""))
        reserved = name.startswith(_RESERVED_PREFIXES) or name.endswith(_RESERVED_SUFFIXES)
        if reserved or not _BUCKET_NAME.fullmatch(name):
            raise AwsError("BadRequestException", "The specified bucket name is not valid.")
        return None

    async def _delete_table_bucket(self, request: Request, parts: Parts) -> Response | None:
        if await self._tables.namespaces(parts["bucket"]):
            raise AwsError("ConflictException", "The bucket that you tried to delete is not empty.", 409)
        return None

    async def _create_namespace(self, request: Request, parts: Parts) -> Response | None:
        given = request.json().get("namespace") or [""]
        if len(given) != 1 or not is_name(given[0]) or given[0].startswith("aws"):
            raise AwsError("BadRequestException", "The specified namespace name is not valid.")
        return None

    async def _delete_namespace(self, request: Request, parts: Parts) -> Response | None:
        if await self._tables.names(parts["bucket"], parts["namespace"]):
            message = "The namespace that you tried to delete is not empty."
            raise AwsError("ConflictException", message, 409)
        return None

    async def _create_table(self, request: Request, parts: Parts) -> Response | None:
        payload = request.json()
        table = TableName(parts["bucket"], parts["namespace"], str(payload.get("name", "")))
        if not is_name(table.name):
            raise AwsError("BadRequestException", "The specified table name is not valid.")
        if not await self._tables.namespace_exists(table.bucket_arn, table.namespace):
            raise AwsError("NotFoundException", "The specified namespace does not exist.", 404)
        description = (payload.get("metadata") or {}).get("iceberg") or {}
        return json_response(await self._create_described(table, description))

    async def _create_described(self, table: TableName, description: Mapping[str, Any]) -> dict[str, Any]:
        from local_aws.s3tables.metadata import create_metadata

        async with self._tables.locked([table]):
            if await self._tables.find(table):
                message = "A table with an identical name already exists in the namespace."
                raise AwsError("ConflictException", message, 409)
            try:
                made = create_request(description)
                metadata = await asyncio.to_thread(create_metadata, made, table.new_location())
            except AwsError as error:
                message = f"The specified metadata is not valid: {error.message}"
                raise AwsError("BadRequestException", message) from error
            stored = version_after(None, metadata)
            await self._tables.write_object(stored.location, stored.text)
            return await self._tables.create(table, stored)

    async def _delete_table(self, request: Request, parts: Parts) -> Response | None:
        table = TableName(parts["bucket"], parts["namespace"], parts["table"])
        async with self._tables.locked([table]):
            if not await self._tables.drop(table):
                raise AwsError("NotFoundException", "The specified table does not exist.", 404)
        return Response(204)

    async def _get_table(self, request: Request, parts: Parts) -> Response | None:
        query = request.query
        if "tableArn" in query:
            table = await self._named_by(query["tableArn"])
        else:
            table = TableName(*(query.get(name, "") for name in ("tableBucketARN", "namespace", "name")))
        stored = await self._tables.find(table)
        if stored is None:
            raise AwsError("NotFoundException", "The specified table does not exist.", 404)
        answer = (await self._tables.record(table)).json()
        return json_response(answer | {"warehouseLocation": stored.metadata.location})

    async def _named_by(self, arn: str) -> TableName:
        bucket, _, rest = arn.partition("/table/")
        for namespace in await self._tables.namespaces(bucket) if rest else ():
            for record in await self._tables.records(bucket, namespace):
                if record["tableARN"] == arn:
                    return TableName(bucket, namespace, record["name"])
        raise AwsError("NotFoundException", "The specified table does not exist.", 404)


def create_request(description: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an Iceberg `createTable` request, from the `metadata.iceberg` of a CreateTable call."""
    given = description.get("schemaV2") or description.get("schema") or {}
    columns = enumerate(given.get("fields") or [], start=1)
    schema = {"type": "struct", "schema-id": 0, "identifier-field-ids": given.get("identifier-field-ids", [])}
    spec, order = description.get("partitionSpec"), description.get("writeOrder")
    partitions = enumerate((spec or {}).get("fields") or [], start=1000)
    return {
        "schema": schema
        | {"fields": [{"id": number, "required": False} | column for number, column in columns]},
        "partition-spec": spec and {"fields": [{"field-id": number} | field for number, field in partitions]},
        "write-order": order,
        "properties": description.get("properties"),
    }
