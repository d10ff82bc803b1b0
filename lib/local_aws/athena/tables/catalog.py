"""The Iceberg catalogs of the table buckets, through pyiceberg; called in worker threads only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import quote

import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError, RESTError
from pyiceberg.table import Table
from sqlglot import exp

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables.engine import CATALOG_PREFIX
from local_aws.s3tables import IcebergTables, TableName, bucket_arn
from local_aws.wire import signature

ANSWER_SECONDS = 30


class Catalogs:
    """Catalogs by Athena's names, `s3tablescatalog/<bucket>`.

    Args:
        tables: Where the tables are kept.
        endpoint: The local AWS.
        region: Its region.
        loop: Where `tables` is used.
    """

    def __init__(
        self, tables: IcebergTables, endpoint: str, region: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._tables, self._endpoint, self._region, self._loop = tables, endpoint, region, loop
        self._open: dict[str, RestCatalog] = {}

    def get(self, catalog: str) -> RestCatalog:
        """The catalog of a table bucket.

        Raises:
            QueryError: CATALOG_NOT_FOUND.
        """
        bucket = catalog.removeprefix(CATALOG_PREFIX)
        if bucket == catalog:
            raise QueryError("CATALOG_NOT_FOUND", f"Catalog '{catalog}' not found")
        if catalog not in self._open:
            properties: dict[str, Any] = {
                "type": "rest",
                "uri": f"{self._endpoint}/iceberg",
                "warehouse": bucket_arn(bucket, self._region),
                "s3.endpoint": self._endpoint,
                "s3.access-key-id": "test",
                "s3.secret-access-key": "test",
                "s3.region": self._region,
            }
            try:
                loaded = load_catalog(catalog, **properties)
            except (RESTError, NoSuchNamespaceError) as error:
                raise QueryError("CATALOG_NOT_FOUND", f"Catalog '{catalog}' not found") from error
            assert isinstance(loaded, RestCatalog)  # noqa: S101 - says the type to mypy
            self._open[catalog] = loaded
        return self._open[catalog]

    def check(self, catalog: str) -> None:
        """Makes sure that a table bucket exists.

        Raises:
            QueryError: CATALOG_NOT_FOUND.
        """
        arn = quote(bucket_arn(catalog.removeprefix(CATALOG_PREFIX), self._region), safe="")
        headers = {"Authorization": signature("s3tables", self._region)}
        if not requests.get(f"{self._endpoint}/buckets/{arn}", headers=headers, timeout=30).ok:
            self._open.pop(catalog, None)
            raise QueryError("CATALOG_NOT_FOUND", f"Catalog '{catalog}' not found")

    def load(self, catalog: str, database: str, table: str, node: exp.Expr | None = None) -> Table:
        """A table as it is now.

        Raises:
            QueryError: TABLE_NOT_FOUND.
        """
        try:
            found: Table = self.get(catalog).load_table((database, table))
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            name = f"{catalog}.{database}.{table}"
            raise QueryError("TABLE_NOT_FOUND", f"Table '{name}' does not exist", node) from error
        return found

    def metadata_location(self, catalog: str, database: str, table: str) -> str:
        """Where a table's metadata is, which moves with every change; empty where there is no table."""
        name = self._full_name(catalog, database, table)
        found = asyncio.run_coroutine_threadsafe(self._tables.find(name), self._loop).result(ANSWER_SECONDS)
        return found.location if found else ""

    def glue_table(self, database: str, table: str) -> dict[str, Any] | None:
        """A table of the account's own Glue catalog; None where there is none."""
        headers = {"X-Amz-Target": "AWSGlue.GetTable", "Authorization": signature("glue", self._region)}
        named = {"DatabaseName": database, "Name": table}
        answer = requests.post(self._endpoint, headers=headers, json=named, timeout=ANSWER_SECONDS)
        return answer.json()["Table"] if answer.ok else None

    def written_by(
        self, catalog: str, database: str, table: str, query_id: str
    ) -> AbstractContextManager[None]:
        """Notes which query writes a table, for as long as it does."""
        return self._tables.written_by(self._full_name(catalog, database, table), query_id)

    def _full_name(self, catalog: str, database: str, table: str) -> TableName:
        return TableName(bucket_arn(catalog.removeprefix(CATALOG_PREFIX), self._region), database, table)

    def databases(self, catalog: str) -> list[str]:
        """The namespaces of a table bucket."""
        self.check(catalog)
        return sorted(".".join(name) for name in self.get(catalog).list_namespaces())

    def tables(self, catalog: str, database: str) -> list[str]:
        """The tables of a namespace.

        Raises:
            QueryError: SCHEMA_NOT_FOUND.
        """
        try:
            return sorted(name[-1] for name in self.get(catalog).list_tables(database))
        except NoSuchNamespaceError as error:
            raise QueryError("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist") from error


@contextmanager
def committing(table: Table) -> Iterator[None]:
    """Makes Athena's error of a conflict with another commit."""
    try:
        yield
    except CommitFailedException as error:
        name = ".".join((table.catalog.name, *table.name()))
        raise QueryError(
            "ICEBERG_COMMIT_ERROR", f"Failed to commit Iceberg update to table: {name}"
        ) from error
