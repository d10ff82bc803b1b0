"""DuckDB: one in-memory database in the gateway's process, a cursor for each query, all in threads.

Its extensions come from the pinned wheels; nothing is downloaded. The table buckets are attached as catalogs
under Athena's own names, `s3tablescatalog/<bucket>`, through the Iceberg REST catalog of the local AWS.
"""

from __future__ import annotations

import importlib
import importlib.resources
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from local_aws.athena.dialect import definitions, literal
from local_aws.athena.tables.object_files import ObjectFiles, address_macro
from local_aws.s3tables import bucket_arn
from local_aws.seams import s3
from local_aws.wire import ENGINE_HEADER

CATALOG_PREFIX = "s3tablescatalog/"
EXTENSIONS = ("avro", "httpfs", "iceberg")
MEMORY_LIMIT = "512MB"
THREADS = 2


class Engine:
    """The database and what is attached to it.

    Args:
        folder: Where extensions, spilled data and results are kept.
        endpoint: The local AWS, `http://127.0.0.1:4566`.
        region: Its region.
    """

    def __init__(self, folder: Path, endpoint: str, region: str) -> None:
        self.scratch = folder / "scratch"
        self._folder, self._endpoint, self._region = folder, endpoint, region
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._attached: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own for one query; the first call opens the database."""
        cursor = self.open().cursor()
        try:
            cursor.execute("SET enable_profiling = 'no_output'; SET profiling_coverage = 'ALL'")
            yield cursor
        finally:
            cursor.close()

    def open(self) -> duckdb.DuckDBPyConnection:
        """The database; the first call makes it."""
        with self._lock:
            if self._connection is None:
                self._connection = self._open()
            return self._connection

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._attached.clear()

    def is_attached(self, catalog: str) -> bool:
        """Whether a catalog is one of the database's."""
        return catalog in self._attached

    def attach(self, catalog: str) -> None:
        """Makes a table bucket that exists a catalog of the database, `s3tablescatalog/<bucket>`, once."""
        arn = bucket_arn(catalog.removeprefix(CATALOG_PREFIX), self._region)
        connection = self.open()
        with self._lock:
            if catalog not in self._attached:
                connection.execute(
                    f"ATTACH '{arn}' AS \"{catalog}\" (TYPE ICEBERG, "
                    f"ENDPOINT '{self._endpoint}/iceberg', AUTHORIZATION_TYPE 'none')"
                )
                self._attached.add(catalog)

    def _open(self) -> duckdb.DuckDBPyConnection:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        connection = duckdb.connect(":memory:")
        # Before httpfs, which reads s3:// too: the first one to come gets it.
        connection.register_filesystem(ObjectFiles(self._endpoint, self._region, self.scratch))
        settings = {
            "extension_directory": str(self._folder / "extensions"),
            "temp_directory": str(self.scratch / "spilled"),
            "memory_limit": MEMORY_LIMIT,
            "threads": THREADS,
            # Memory that a query leaves goes back at once, not with the next one.
            "allocator_background_threads": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_persistent_secrets": False,
            "python_enable_replacements": False,
            "enable_external_file_cache": False,
            "prefetch_all_parquet_files": True,
            "TimeZone": "UTC",
        }
        for key, value in settings.items():
            connection.execute(f"SET GLOBAL {key} = {setting(value)}")
        for name in EXTENSIONS:
            load_extension(connection, name)
        connection.execute(
            f"CREATE SECRET tables (TYPE HTTP, SCOPE '{self._endpoint}/iceberg', "
            f"EXTRA_HTTP_HEADERS MAP {{'{ENGINE_HEADER}': 'duckdb'}})"
        )
        for definition in (*definitions(), address_macro()):
            connection.execute(definition)
        self._lock_up(connection)
        return connection

    def _lock_up(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Blocks all other files and hosts, even if a statement or a table's metadata names them."""
        folders = (str(self.scratch), str(s3.objects_folder()), "s3://", bucket_arn("", self._region))
        connection.execute(
            f"SET GLOBAL allowed_directories = [{', '.join(map(literal, folders))}]; "
            "SET GLOBAL enable_external_access = false; "
            "SET GLOBAL allowed_configs = ['enable_profiling', 'profiling_coverage']; "
            "SET GLOBAL lock_configuration = true"
        )


def setting(value: object) -> str:
    """A setting's value as SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else literal(str(value))


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Installs and loads an extension from its wheel."""
    package = Path(str(importlib.resources.files(importlib.import_module(f"duckdb_extension_{name}"))))
    file = next(package.glob(f"extensions/*/{name}.duckdb_extension"))
    connection.execute(f"INSTALL '{file}'; LOAD {name}")


def bytes_read(cursor: duckdb.DuckDBPyConnection) -> int:
    """What the last statement of a cursor read from files."""
    try:
        profile = json.loads(cursor.get_profiling_information(format="json"))
    except (duckdb.Error, ValueError):
        return 0
    return int(profile.get("total_bytes_read") or 0)
