"""Athena: its API over DuckDB on the Iceberg tables of the local AWS.

Workgroups, named queries and prepared statements are kept by ministack; queries, results and the metadata of
table buckets are answered here. DuckDB, sqlglot and pyiceberg are imported in a thread, once the gateway is
up.
"""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from local_aws.s3tables import IcebergTables
from local_aws.wire import Request, Response, Upstream, json_response

if TYPE_CHECKING:
    from local_aws.athena.api.operations import Operations

WARM_UP_AFTER_SECONDS = 2.0
METADATA = {
    "AmazonAthena": (
        *("GetDataCatalog", "ListDatabases", "GetDatabase"),
        *("ListTableMetadata", "GetTableMetadata"),
    ),
    "AWSGlue": ("DeleteTable", "GetDatabase", "GetDatabases", "GetTable", "GetTables"),
}
QUERIES = (
    "StartQueryExecution",
    "StopQueryExecution",
    "GetQueryExecution",
    "BatchGetQueryExecution",
    "ListQueryExecutions",
    "GetQueryResults",
    "GetQueryRuntimeStatistics",
)


class Athena:
    """The Athena service of the local AWS.

    Args:
        upstream: ministack.
        tables: The tables of all table buckets.
        state_dir: The state folder; DuckDB's files go to `duckdb/` in it.
        endpoint: The local AWS itself, for the catalog and the data files.
    """

    def __init__(self, upstream: Upstream, tables: IcebergTables, state_dir: Path, endpoint: str) -> None:
        self._upstream, self._tables = upstream, tables
        self._folder, self._endpoint = state_dir / "duckdb", endpoint
        self._operations: Operations | None = None
        self._lock = asyncio.Lock()
        self._warming: asyncio.Task[None] | None = None

    def claims(self, method: str, path: str, target: str) -> bool:
        """Queries and metadata, of Glue too; the rest is ministack's."""
        service, _, operation = target.partition(".")
        return operation in METADATA.get(service, ()) or (service == "AmazonAthena" and operation in QUERIES)

    async def handle(self, request: Request) -> Response | None:
        """Answers an operation, or leaves what is of another catalog to ministack."""
        operations = await self._loaded()
        if query := operations.by_name.get(request.operation):
            return json_response(await query(request.json()))
        found = await operations.metadata(request.target, request.json())
        return None if found is None else json_response(found)

    async def start(self) -> None:
        """Imports and opens the database in the background, so that the first query need not wait for it."""
        self._warming = asyncio.create_task(self._warm_up())

    async def _warm_up(self) -> None:
        await asyncio.sleep(WARM_UP_AFTER_SECONDS)
        operations = await self._loaded()
        await asyncio.to_thread(operations.engine.open)

    async def stop(self) -> None:
        """Ends what runs."""
        if self._warming is not None:
            self._warming.cancel()
        if self._operations is not None:
            await self._operations.close()

    async def _loaded(self) -> Operations:
        async with self._lock:
            if self._operations is None:
                self._operations = await asyncio.to_thread(self._load, asyncio.get_running_loop())
            return self._operations

    def _load(self, loop: asyncio.AbstractEventLoop) -> Operations:
        """Imports DuckDB, sqlglot and pyiceberg."""
        from local_aws.athena.api.operations import Operations

        region = os.environ.get("AWS_REGION", "us-east-1")
        operations = Operations(self._upstream, self._tables, self._folder, self._endpoint, region, loop)
        # What was imported stays: collecting garbage in it would stop everything for 80 ms each time.
        gc.freeze()
        return operations
