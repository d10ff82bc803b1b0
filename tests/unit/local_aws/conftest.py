"""An Iceberg catalog in memory, over files in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata


class MemoryCatalog(NoopCatalog):
    """One table, committed to under Iceberg's rules."""

    def __init__(self, folder: Path) -> None:
        super().__init__("test")
        self.folder = folder

    def create(self, schema: Schema, spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC) -> Table:
        self.metadata = new_table_metadata(schema, spec, UNSORTED_SORT_ORDER, str(self.folder), {})
        return self.load_table()

    def load_table(self, identifier: Any = None) -> Table:
        return Table(("ns", "t"), self.metadata, "", PyArrowFileIO(), self)

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        for requirement in requirements:
            requirement.validate(self.metadata)
        self.metadata = update_table_metadata(self.metadata, updates)
        return CommitTableResponse.model_validate({"metadata": self.metadata, "metadata-location": "x"})


@pytest.fixture(scope="session")
def make_catalog() -> Callable[[Path], MemoryCatalog]:
    """Makes the catalog of a folder, for tests that hypothesis repeats."""
    return MemoryCatalog


@pytest.fixture
def memory_catalog(tmp_path: Path) -> MemoryCatalog:
    return MemoryCatalog(tmp_path / "table")
