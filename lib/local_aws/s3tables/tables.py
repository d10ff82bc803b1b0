"""Where the tables of a table bucket are kept: their records in S3 Tables, their files in S3.

Both are ministack's, reached through their public APIs in this process. The metadata of each table's
current location stays parsed in memory, so that a load costs one look at the table's record.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from local_aws.seams import s3
from local_aws.wire import (
    ACCOUNT,
    IcebergError,
    Request,
    Response,
    Upstream,
    bucket_and_key,
    signed,
    succeeded,
)

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

# What ministack writes as the location of a table that was never committed to. No such file exists.
UNWRITTEN = "/metadata/v0.metadata.json"
ARN = r"(?P<bucket>arn:aws[\w-]*:s3tables:[^:/]+:\d{12}:bucket/[^/]+)"
"""The ARN of a table bucket within a path, and below that of a table."""
TABLE = rf"{ARN}/(?P<namespace>[^/]+)/(?P<table>[^/]+)"


@dataclass(frozen=True, order=True)
class TableName:
    """A table's full name.

    Attributes:
        bucket_arn: ARN of the table bucket.
        namespace: Namespace.
        name: Table.
    """

    bucket_arn: str
    namespace: str
    name: str

    @property
    def bucket(self) -> str:
        """Name of the table bucket."""
        return self.bucket_arn.rpartition("/")[2]

    @property
    def path(self) -> str:
        """Its path in the API of S3 Tables."""
        return f"/tables/{quote(self.bucket_arn, safe='')}/{self.namespace}/{self.name}"

    def new_location(self) -> str:
        """A place for the files of a new table of this name, never used before."""
        return f"s3://{self.bucket}/{self.namespace}/{self.name}-{uuid.uuid4().hex[:8]}"

    def owns(self, location: str) -> bool:
        """Whether a location is one of this table's."""
        return location.startswith(f"s3://{self.bucket}/{self.namespace}/{self.name}-")

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}"


@dataclass(frozen=True)
class StoredTable:
    """A table's current metadata.

    Attributes:
        location: Location of the metadata file.
        metadata: What it holds, parsed.
        text: What it holds, as it is stored.
    """

    location: str
    metadata: TableMetadata
    text: bytes


class IcebergTables:
    """The tables of all table buckets.

    Args:
        upstream: ministack.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._current: dict[TableName, StoredTable] = {}
        self._first_write = asyncio.Lock()
        self._locks: dict[TableName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._queries: dict[TableName, str] = {}

    @asynccontextmanager
    async def locked(self, tables: Iterable[TableName]) -> AsyncIterator[None]:
        """Keep all others from changing some tables."""
        async with AsyncExitStack() as stack:
            for table in sorted(set(tables)):
                await stack.enter_async_context(self._locks[table])
            yield

    @contextmanager
    def written_by(self, table: TableName, query_id: str) -> Iterator[None]:
        """Note which of Athena's queries writes a table; there is one at a time."""
        self._queries[table] = query_id
        try:
            yield
        finally:
            self._queries.pop(table, None)

    def query_writing(self, table: TableName) -> str | None:
        """The id of Athena's query that writes a table now."""
        return self._queries.get(table)

    async def find(self, table: TableName) -> StoredTable | None:
        """A table's current metadata, or None where there is no such table."""
        location = await self._location(table)
        if location is not None and location.endswith(UNWRITTEN):
            location = await self._write_first(table)
        if location is None:
            self._current.pop(table, None)
            return None
        known = self._current.get(table)
        if known is None or known.location != location:
            known = self._current[table] = parse_stored(location, await self.read_object(location))
        return known

    async def create(self, table: TableName, stored: StoredTable) -> dict[str, Any]:
        """Record a new table whose metadata file is written; the answer of CreateTable."""
        path = f"/tables/{quote(table.bucket_arn, safe='')}/{table.namespace}"
        body = orjson.dumps({"name": table.name, "format": "ICEBERG"})
        answer: dict[str, Any] = succeeded(await self._s3tables("PUT", path, table.bucket_arn, body=body))
        await self.point_to(table, stored)
        return answer

    async def point_to(self, table: TableName, stored: StoredTable) -> None:
        """Make a written metadata file the table's current one."""
        path = f"{table.path}/metadata-location"
        body = orjson.dumps({"metadataLocation": stored.location, "versionToken": "any"})
        succeeded(await self._s3tables("PUT", path, table.bucket_arn, body=body))
        self._current[table] = stored

    async def drop(self, table: TableName) -> bool:
        """Delete a table with all its files; False where there is none."""
        stored = await self.find(table)
        if stored is None:
            return False
        succeeded(await self._s3tables("DELETE", table.path, table.bucket_arn))
        self._current.pop(table, None)
        bucket, prefix = bucket_and_key(stored.metadata.location)
        if bucket == table.bucket and prefix:
            s3.delete_objects_below(bucket, f"{prefix}/")
        return True

    async def rename(self, source: TableName, target: TableName) -> Response:
        """Rename a table within its table bucket; its files stay where they are."""
        body = orjson.dumps({"newNamespaceName": target.namespace, "newName": target.name})
        self._current.pop(source, None)
        return await self._s3tables("PUT", f"{source.path}/rename", source.bucket_arn, body=body)

    async def namespace_exists(self, bucket_arn: str, namespace: str) -> bool:
        """Whether a table bucket has a namespace."""
        path = f"/namespaces/{quote(bucket_arn, safe='')}/{namespace}"
        return (await self._s3tables("GET", path, bucket_arn)).status == 200

    async def drop_namespace(self, bucket_arn: str, namespace: str) -> None:
        """Delete a namespace."""
        path = f"/namespaces/{quote(bucket_arn, safe='')}/{namespace}"
        succeeded(await self._s3tables("DELETE", path, bucket_arn))

    async def namespaces(self, bucket_arn: str) -> list[str]:
        """The namespaces of a table bucket; none where there is no such bucket."""
        response = await self._s3tables("GET", f"/namespaces/{quote(bucket_arn, safe='')}", bucket_arn)
        return (
            []
            if response.status == 404
            else [item["namespace"][0] for item in succeeded(response)["namespaces"]]
        )

    async def names(self, bucket_arn: str, namespace: str) -> list[str]:
        """The tables of a namespace."""
        return [record["name"] for record in await self.records(bucket_arn, namespace)]

    async def records(self, bucket_arn: str, namespace: str) -> list[dict[str, Any]]:
        """What ListTables says of the tables of a namespace."""
        path, query = f"/tables/{quote(bucket_arn, safe='')}", {"namespace": namespace}
        answer = succeeded(await self._s3tables("GET", path, bucket_arn, query=query))
        return list(answer["tables"])

    async def record(self, table: TableName) -> Response:
        """The answer of GetTable."""
        query = {"tableBucketARN": table.bucket_arn, "namespace": table.namespace, "name": table.name}
        return await self._s3tables("GET", "/get-table", table.bucket_arn, query=query)

    async def read_object(self, location: str) -> bytes:
        """The object at an `s3://` address.

        Raises:
            IcebergError: It is not there.
        """
        response = await self._upstream(s3_request("GET", location))
        if response.status != 200:
            raise IcebergError(500, "ServiceFailureException", f"{location} is not in S3: {response.status}.")
        return response.body

    async def write_object(self, location: str, body: bytes) -> None:
        """Write an object at an `s3://` address."""
        response = await self._upstream(s3_request("PUT", location, body))
        if response.status != 200:
            raise IcebergError(
                500, "ServiceFailureException", f"S3 did not take {location}: {response.status}."
            )

    async def delete_object(self, location: str) -> None:
        """Delete the object at an `s3://` address."""
        await self._upstream(s3_request("DELETE", location))

    async def _location(self, table: TableName) -> str | None:
        response = await self.record(table)
        return None if response.status == 404 else str(succeeded(response)["metadataLocation"])

    async def _write_first(self, table: TableName) -> str | None:
        """Write the first metadata file of a table that CloudFormation made; ministack holds the metadata."""
        from local_aws.s3tables.metadata import parse_metadata

        async with self._first_write:
            location = await self._location(table)
            if location is None or not location.endswith(UNWRITTEN):
                return location
            bucket = quote(table.bucket_arn, safe="")
            path = f"/iceberg/v1/{bucket}/namespaces/{table.namespace}/tables/{table.name}"
            answer = succeeded(await self._s3tables("GET", path, table.bucket_arn))
            stored = version_after(None, parse_metadata(orjson.dumps(answer["metadata"])))
            await self.write_object(stored.location, stored.text)
            await self.point_to(table, stored)
        return stored.location

    async def _s3tables(
        self, method: str, path: str, bucket_arn: str, query: dict[str, str] | None = None, body: bytes = b""
    ) -> Response:
        region = bucket_arn.split(":")[3]
        return await self._upstream(signed("s3tables", region, method, path, query=query, body=body))


def is_name(name: str) -> bool:
    """Whether S3 Tables takes a name for a namespace or a table ("Table bucket, … naming rules")."""
    return re.fullmatch(r"[a-z0-9][a-z0-9_]{0,254}", name) is not None


def bucket_arn(bucket: str, region: str, account: str = ACCOUNT) -> str:
    """The ARN of a table bucket."""
    return f"arn:aws:s3tables:{region}:{account}:bucket/{bucket}"


def version_after(location: str | None, metadata: TableMetadata) -> StoredTable:
    """Metadata as the table's next version, after the metadata file at a location; None before the first."""
    from local_aws.s3tables.metadata import dump_metadata, next_metadata_location

    return StoredTable(next_metadata_location(metadata.location, location), metadata, dump_metadata(metadata))


def parse_stored(location: str, text: bytes) -> StoredTable:
    """The table that a metadata file describes."""
    from local_aws.s3tables.metadata import parse_metadata

    return StoredTable(location, parse_metadata(text), text)


def s3_request(method: str, location: str, body: bytes = b"") -> Request:
    """A request for the object at an `s3://` address."""
    match = re.fullmatch(r"s3a?://([^/]+)(/.*)?", location, flags=re.DOTALL)
    if match is None:
        raise IcebergError(400, "BadRequestException", f"{location!r} is not an s3:// location.")
    path = f"/{match[1]}{match[2] or ''}"
    return signed("s3", "us-east-1", method, path, raw_path=quote(path), body=body)
