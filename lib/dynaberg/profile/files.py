"""Profiles of files and partitions, from a table's metadata alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dynaberg.catalog import deleted_in

if TYPE_CHECKING:
    import pandas as pd
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

_CONTENTS = ("data", "position deletes", "equality deletes")


def profile_files(table: Table) -> pd.DataFrame:
    """The files of a table's current snapshot, from its manifests; no data file is read.

    Args:
        table: Native pyiceberg table.

    Returns:
        One row per file: file_path, content (`data`, `position deletes`, `equality deletes`), partition
        (such as `received_at_day=2026-01-31`, empty if the table has none), records, bytes, deletes_rows
        (whether a delete file still deletes rows; a compaction can leave some behind that do not).

    Example:
        >>> profile_files(wb.table("transactions").current)["bytes"].describe()
    """
    import pandas as pd

    files = list(_files(table))
    data = {None, *(file.file_path for file, content, _ in files if content == _CONTENTS[0])}
    rows = [(file.file_path, content, partition, file.record_count, file.file_size_in_bytes,
             content != _CONTENTS[0] and deleted_in(file) in data)
            for file, content, partition in files]  # fmt: skip
    frame = pd.DataFrame(
        rows, columns=["file_path", "content", "partition", "records", "bytes", "deletes_rows"]
    )
    return frame.astype({"records": "int64", "bytes": "int64", "deletes_rows": "bool"})


def profile_partitions(table: Table) -> pd.DataFrame:
    """The partitions of a table's current snapshot, from its manifests; no data file is read.

    Args:
        table: Native pyiceberg table.

    Returns:
        One row per partition: partition, files, delete_files, records (of the data files), bytes.

    Example:
        >>> profile_partitions(wb.iceberg_table("transactions_changes").current)
    """
    files = profile_files(table)
    is_data = files["content"] == "data"
    counted = files.assign(
        files=is_data.astype("int64"),
        delete_files=(~is_data).astype("int64"),
        records=files["records"].where(is_data, 0),
    )
    sums = counted.groupby("partition", sort=True)[["files", "delete_files", "records", "bytes"]].sum()
    return sums.reset_index()


def _files(table: Table) -> Iterator[tuple[DataFile, str, str]]:
    snapshot = table.current_snapshot()
    specs, schema = table.specs(), table.schema()
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        spec = specs[manifest.partition_spec_id]
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            file = entry.data_file
            partition = spec.partition_to_path(file.partition, schema) if spec.fields else ""
            yield file, _CONTENTS[file.content.value], partition
