"""The Iceberg REST catalog of S3 Tables: every route of a table is answered here.

ministack's own keeps no snapshot log, cannot drop or expire, and takes the table name `transactions`
for a multi-table commit. What it stores well stays with it: the records of buckets, namespaces and tables,
and the objects. Routes of namespaces pass on to it.

Source: Apache Iceberg, "REST Catalog API"; Amazon S3, "Accessing tables using the Amazon S3 Tables
Iceberg REST endpoint".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from local_aws.s3tables.tables import (
    IcebergTables,
    StoredTable,
    TableName,
    bucket_arn,
    is_name,
    version_after,
)
from local_aws.wire import (
    ENGINE_HEADER,
    MINIMAL,
    QUERY_PROPERTY,
    AtRest,
    AwsError,
    IcebergError,
    Parts,
    Request,
    Response,
    Routes,
    json_response,
    succeeded,
)

if TYPE_CHECKING:
    from pyiceberg.table import CommitTableRequest
    from pyiceberg.table.metadata import TableMetadata

_PREFIX = (
    r"/iceberg/v1/(?P<bucket>arn:aws[\w-]*:s3tables:[^:/]+:\d{12}:bucket/[^/]+|\d{12}:s3tablescatalog/[^/]+)"
)
_NAMESPACE = r"/namespaces/(?P<namespace>[^/]+)"
_TABLES = rf"{_NAMESPACE}/tables"


class IcebergRest(AtRest):
    """The table routes of the Iceberg REST catalog.

    Args:
        tables: The tables.
        region: AWS Region of catalogs that are named `<account>:s3tablescatalog/<bucket>`.
        endpoint: Where clients reach S3.
    """

    def __init__(self, tables: IcebergTables, region: str, endpoint: str) -> None:
        self._tables = tables
        self._region, self._endpoint = region, endpoint
        table = rf"{_TABLES}/(?P<table>[^/]+)"
        routes = (
            ("POST", "/namespaces", self._create_namespace),
            ("HEAD", _NAMESPACE, self._namespace_exists),
            ("DELETE", _NAMESPACE, self._drop_namespace),
            ("GET", _TABLES, self._list),
            ("POST", _TABLES, self._create),
            ("GET", table, self._load),
            ("HEAD", table, self._exists),
            ("POST", table, self._commit),
            ("DELETE", table, self._drop),
            ("POST", rf"{table}/metrics", self._take_metrics),
            ("POST", "/transactions/commit", self._commit_transaction),
            ("POST", "/tables/rename", self._rename),
        )
        self._routes = Routes((method, f"{_PREFIX}{path}/?", handle) for method, path, handle in routes)

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this is a route of a table."""
        return path.startswith("/iceberg/v1/") and self._routes.find(method, path) is not None

    async def handle(self, request: Request) -> Response | None:
        """Answer a table route."""
        found = self._routes.find(request.method, request.path)
        if found is None:
            return None
        handle, parts = found
        try:
            return await handle(request, {**parts, "bucket": named_bucket(parts["bucket"], self._region)})
        except IcebergError:
            raise
        except AwsError as error:
            raise IcebergError(error.status, error.code, error.message) from error

    async def _create_namespace(self, request: Request, parts: Parts) -> None:
        levels = request.json().get("namespace") or [""]
        if len(levels) != 1:
            raise IcebergError(400, "BadRequestException", "S3 Tables has namespaces of one level only.")
        check_name("namespace", levels[0])

    async def _namespace_exists(self, request: Request, parts: Parts) -> Response:
        return Response(
            204 if await self._tables.namespace_exists(parts["bucket"], parts["namespace"]) else 404
        )

    async def _drop_namespace(self, request: Request, parts: Parts) -> Response:
        bucket, namespace = parts["bucket"], parts["namespace"]
        await self._require_namespace(bucket, namespace)
        if await self._tables.names(bucket, namespace):
            raise IcebergError(409, "NamespaceNotEmptyException", f"Namespace is not empty: {namespace}")
        await self._tables.drop_namespace(bucket, namespace)
        return Response(204)

    async def _list(self, request: Request, parts: Parts) -> Response:
        await self._require_namespace(parts["bucket"], parts["namespace"])
        names = await self._tables.names(parts["bucket"], parts["namespace"])
        found = [{"namespace": [parts["namespace"]], "name": name} for name in names]
        return json_response({"identifiers": found}, headers={"content-type": "application/json"})

    async def _create(self, request: Request, parts: Parts) -> Response:
        from local_aws.s3tables.metadata import create_metadata

        payload = request.json()
        table = TableName(parts["bucket"], parts["namespace"], str(payload.get("name", "")))
        check_name("table", table.name)
        await self._require_namespace(table.bucket_arn, table.namespace)
        async with self._tables.locked([table]):
            if await self._tables.find(table):
                raise IcebergError(409, "AlreadyExistsException", f"Table already exists: {table}")
            metadata = await asyncio.to_thread(create_metadata, payload, table.new_location())
            stored = version_after(None, metadata)
            if payload.get("stage-create"):
                return self._table_response(stored, staged=True)
            await self._tables.write_object(stored.location, stored.text)
            await self._tables.create(table, stored)
        return self._table_response(stored)

    async def _load(self, request: Request, parts: Parts) -> Response:
        table = table_name(parts)
        stored = await self._tables.find(table)
        if stored is None:
            raise no_such_table(table)
        return self._table_response(stored)

    async def _exists(self, request: Request, parts: Parts) -> Response:
        return Response(204 if await self._tables.find(table_name(parts)) else 404)

    async def _commit(self, request: Request, parts: Parts) -> Response:
        table = table_name(parts)
        changes = await self._prepared({table: request.json()}, request)
        stored = (await self._commit_all(changes))[table]
        return self._table_response(stored, minimal=request.headers.get("prefer") == MINIMAL)

    async def _commit_transaction(self, request: Request, parts: Parts) -> Response:
        changes: dict[TableName, Any] = {}
        for change in request.json().get("table-changes", []):
            table = named_table(parts["bucket"], change.get("identifier"))
            if table in changes:
                raise IcebergError(400, "BadRequestException", f"Table {table} is in the transaction twice.")
            changes[table] = change
        await self._commit_all(await self._prepared(changes, request))
        return Response(204)

    async def _prepared(self, changes: Mapping[TableName, Any], request: Request) -> Mapping[TableName, Any]:
        """Changes as they came; Athena's name its query in each snapshot, whose bounds of text are valid."""
        for table, change in changes.items() if ENGINE_HEADER in request.headers else ():
            query_id, stored = self._tables.query_writing(table), await self._tables.find(table)
            for update in change.get("updates", []):
                if update.get("action") != "add-snapshot":
                    continue
                if query_id:
                    update["snapshot"].setdefault("summary", {})[QUERY_PROPERTY] = query_id
                if stored:
                    await self._make_bounds_valid(stored.metadata, update["snapshot"])
        return changes

    async def _make_bounds_valid(self, metadata: TableMetadata, described: Any) -> None:
        from pyiceberg.table.snapshots import Snapshot

        from local_aws.s3tables.bounds import new_manifests, valid_files

        snapshot = Snapshot.model_validate(described)
        files = {snapshot.manifest_list: await self._tables.read_object(snapshot.manifest_list)}
        for manifest in new_manifests(files[snapshot.manifest_list], snapshot):
            files[manifest.manifest_path] = await self._tables.read_object(manifest.manifest_path)
        for location, content in (await asyncio.to_thread(valid_files, files, metadata, snapshot)).items():
            await self._tables.write_object(location, content)

    async def _commit_all(self, changes: Mapping[TableName, Any]) -> dict[TableName, StoredTable]:
        """Commit to some tables, all or none: every change is checked before the first is stored."""
        async with self._tables.locked(changes):
            bases = {table: await self._tables.find(table) for table in changes}
            made = {
                t: await asyncio.to_thread(apply_change, t, bases[t], change) for t, change in changes.items()
            }
            for stored, _ in made.values():
                await self._tables.write_object(stored.location, stored.text)
            for table, (stored, outdated) in made.items():
                await (self._tables.point_to if bases[table] else self._tables.create)(table, stored)
                for location in outdated:
                    await self._tables.delete_object(location)
        return {table: stored for table, (stored, _) in made.items()}

    async def _drop(self, request: Request, parts: Parts) -> Response:
        if request.query.get("purgeRequested", "").lower() != "true":
            message = "S3 Tables drops a table only together with its data: set purgeRequested to true."
            raise IcebergError(400, "BadRequestException", message)
        table = table_name(parts)
        async with self._tables.locked([table]):
            if not await self._tables.drop(table):
                raise no_such_table(table)
        return Response(204)

    async def _rename(self, request: Request, parts: Parts) -> Response:
        payload = request.json()
        source, target = (named_table(parts["bucket"], payload.get(key)) for key in ("source", "destination"))
        check_name("table", target.name)
        await self._require_namespace(target.bucket_arn, target.namespace)
        async with self._tables.locked([source, target]):
            if await self._tables.find(source) is None:
                raise no_such_table(source)
            if await self._tables.find(target) is not None:
                raise IcebergError(409, "AlreadyExistsException", f"Table already exists: {target}")
            succeeded(await self._tables.rename(source, target))
        return Response(204)

    async def _take_metrics(self, request: Request, parts: Parts) -> Response:
        return Response(204)

    async def _require_namespace(self, bucket: str, namespace: str) -> None:
        if not await self._tables.namespace_exists(bucket, namespace):
            raise IcebergError(404, "NoSuchNamespaceException", f"Namespace does not exist: {namespace}")

    def _table_response(
        self, stored: StoredTable, *, staged: bool = False, minimal: bool = False
    ) -> Response:
        config = {
            "s3.endpoint": self._endpoint,
            "s3.access-key-id": "test",
            "s3.secret-access-key": "test",
            "s3.path-style-access": "true",
            "s3.region": self._region,
            "client.region": self._region,
        }
        head: dict[str, Any] = {"config": config}
        if not staged:
            head["metadata-location"] = stored.location
        # The metadata is long and stored as JSON already, so it is spliced in, not parsed and written again.
        text = recent_text(stored) if minimal else stored.text
        body = orjson.dumps(head)[:-1] + b',"metadata":' + text + b"}"
        return Response(200, body, {"content-type": "application/json"})


def apply_change(
    table: TableName, base: StoredTable | None, change: Any
) -> tuple[StoredTable, Iterable[str]]:
    """The table after a change, and the metadata files that it leaves behind to delete."""
    from local_aws.s3tables.metadata import apply_commit, outdated_files, parse_commit

    identifier = {"namespace": [table.namespace], "name": table.name}
    commit = parse_commit(change | {"identifier": identifier})
    if base is None and not any(requirement.type == "assert-create" for requirement in commit.requirements):
        raise no_such_table(table)
    before, location = (base.metadata, base.location) if base else (None, None)
    metadata = apply_commit(commit, before, location, table_location(table, commit))
    return version_after(location, metadata), outdated_files(before, metadata)


def recent_text(stored: StoredTable) -> bytes:
    """A table's metadata without its history, as JSON."""
    from local_aws.s3tables.metadata import dump_metadata, without_history

    return dump_metadata(without_history(stored.metadata))


def table_location(table: TableName, commit: CommitTableRequest) -> str:
    """Where a table that a commit creates has its files: where it was staged, or where the bucket puts it."""
    proposed = (update.location for update in commit.updates if update.action == "set-location")
    return next((location for location in proposed if table.owns(location)), table.new_location())


def named_bucket(prefix: str, region: str) -> str:
    """The ARN of the table bucket that a route's prefix names."""
    if prefix.startswith("arn:"):
        return prefix
    account, _, bucket = prefix.partition(":s3tablescatalog/")
    return bucket_arn(bucket, region, account)


def table_name(parts: Parts) -> TableName:
    """The table that a route names."""
    return TableName(parts["bucket"], parts["namespace"], parts["table"])


def named_table(bucket: str, identifier: Any) -> TableName:
    """The table that an identifier in a body names."""
    try:
        return TableName(bucket, ".".join(identifier["namespace"]), identifier["name"])
    except (KeyError, TypeError) as error:
        raise IcebergError(
            400, "BadRequestException", f"{identifier!r} does not identify a table."
        ) from error


def check_name(kind: str, name: str) -> None:
    """Refuse a name that S3 Tables refuses."""
    if not is_name(name):
        message = f"The {kind} name {name!r} is not valid: lower-case letters, digits and underscores."
        raise IcebergError(400, "BadRequestException", message)


def no_such_table(table: TableName) -> IcebergError:
    """The error for a table that does not exist."""
    return IcebergError(404, "NoSuchTableException", f"Table does not exist: {table}")
