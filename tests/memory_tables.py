"""The tables of a contract in memory, without data: for tests of their schemas and properties."""

from __future__ import annotations

from typing import Any

from pyiceberg.catalog.noop import NoopCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import update_table_metadata

from dynaberg.contracts import Contract


class MemoryTables(NoopCatalog):
    """A catalog of the tables of a contract, whose commits may fail."""

    def __init__(self, contract: Contract, properties: dict[str, str]) -> None:
        super().__init__("memory")
        self.conflicts = self.commits = 0
        self.tables: dict[str, Table] = {}
        schemas = {contract.log_name: contract.log_schema(), contract.table: contract.current_schema()}
        for name, schema in schemas.items():
            metadata = new_table_metadata(
                schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "s3://b/t", properties
            )
            self.tables[name] = Table(("n", name), metadata, "s3://b/m", PyArrowFileIO(), self)

    def load_table(self, identifier: Any) -> Table:
        """The table of a name."""
        return self.tables[identifier[-1]]

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> CommitTableResponse:
        self.commits += 1
        if self.conflicts:
            self.conflicts -= 1
            raise CommitFailedException("Another commit came in between.")
        for requirement in requirements:
            requirement.validate(table.metadata)
        metadata = update_table_metadata(table.metadata, updates)
        return CommitTableResponse.model_validate({"metadata": metadata, "metadata-location": "s3://b/m"})

    def ids(self, name: str) -> dict[str, int]:
        return {field.name: field.field_id for field in self.tables[name].schema().fields}
