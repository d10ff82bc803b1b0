"""What changed between two snapshots, planned from the manifests: files in both are not read."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from dynaberg.errors import NotFoundError, SettingsError
from dynaberg.layers import unpack_rows
from dynaberg.past.differences import compare, to_long_form
from dynaberg.past.snapshots import Moment, resolve_snapshot

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.io.pyarrow import ArrowScan
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import FileScanTask, Table

    from dynaberg.contracts import Contract

_LENGTH_BYTES, _MUCH_GB = 4, 1


def changes_between(
    table: Table, a: Moment, b: Moment, *, key: Sequence[str] = (), contract: Contract | None = None
) -> pd.DataFrame:
    """What changed in a table from one snapshot to another, value by value.

    Data files that are in both snapshots with the same deletes are not read; of a file with additional
    deletes, only the rows that these delete are compared. A compaction between the two has replaced files,
    though: what it has rewritten is read on both sides, and a warning says so if that is more than 1 GB. The
    columns are those of the table today.

    Args:
        table: Native pyiceberg table.
        a: Timezone-aware moment or snapshot id to compare from.
        b: Timezone-aware moment or snapshot id to compare to; if earlier than `a`, the result is the reverse.
        key: Columns that identify a row; by default the table's identifier fields.
        contract: The contract of the table, if it has one: packed values are then unpacked.

    Returns:
        One row per differing value: the key columns, change (`added`, `removed`, `changed`), column, before,
        after. A row that was added or removed has a line for each column that has a value.

    Raises:
        SettingsError: A moment without a time zone, or a table without a key.
        NotFoundError: There is no such snapshot, or no such key column.

    Example:
        >>> changes_between(table, snaps.snapshot_id.iloc[0], snaps.snapshot_id.iloc[-1])
    """
    first, second = resolve_snapshot(table, a), resolve_snapshot(table, b)
    key = _key(table, key)
    before = {task.file.file_path: task for task in table.scan(snapshot_id=first.snapshot_id).plan_files()}
    after = {task.file.file_path: task for task in table.scan(snapshot_id=second.snapshot_id).plan_files()}
    _warn_of_size(table, before, after)
    deletes = _Deletes(table)
    removed = _rows_only_in(table, before, after, deletes)
    added = _rows_only_in(table, after, before, deletes)
    if contract is not None and "unmapped" in added.column_names:
        removed, added = unpack_rows(removed, contract), unpack_rows(added, contract)
    return to_long_form(compare(removed, added, key), key, [field.name for field in table.schema().fields])


def _warn_of_size(table: Table, before: dict[str, FileScanTask], after: dict[str, FileScanTask]) -> None:
    """Say how much will be read, if it is much: the files that only one of the snapshots has."""
    tasks = before | after
    size_gb = sum(tasks[path].file.file_size_in_bytes for path in before.keys() ^ after.keys()) / 10**9
    if size_gb > _MUCH_GB:
        warnings.warn(
            f"The snapshots of {table.name()[-1]!r} share few files, as after a compaction, so that "
            f"{size_gb:,.1f} GB are read into this machine. In SQL, Athena compares them where they are: "
            f"SELECT … FOR VERSION AS OF … EXCEPT SELECT … FOR VERSION AS OF ….",
            stacklevel=3,
        )


def _key(table: Table, given: Sequence[str]) -> tuple[str, ...]:
    name, columns = table.name()[-1], [field.name for field in table.schema().fields]
    identifiers = table.schema().identifier_field_names()  # a set, whose order is chance
    key = tuple(given) or tuple(column for column in columns if column in identifiers)
    if not key:
        msg = f"Table {name!r} has no identifier fields, so its rows cannot be matched."
        raise SettingsError(msg, hint=f"Name the columns that identify a row: key=({columns[0]!r}, …).")
    for column in key:
        if column not in columns:
            raise NotFoundError.among("column", column, columns)
    return key


def _rows_only_in(
    table: Table, here: dict[str, FileScanTask], there: dict[str, FileScanTask], deletes: _Deletes
) -> pa.Table:
    """Rows of the files that are only here, and rows that are deleted only there."""
    import pyarrow as pa

    whole = [task for path, task in here.items() if path not in there]
    hit = {
        path: _positions_deleted(there[path], task, deletes) for path, task in here.items() if path in there
    }
    touched = [(here[path], positions) for path, positions in hit.items() if len(positions)]
    with ThreadPoolExecutor() as threads:
        parts = threads.map(lambda pair: _read_at(table, *pair), touched)
        return pa.concat_tables([_read(table, whole), *parts], promote_options="permissive")


def _positions_deleted(there: FileScanTask, here: FileScanTask, deletes: _Deletes) -> np.ndarray[Any, Any]:
    """Positions in a data file that are deleted there, and not here."""
    import numpy as np

    theirs = {file.file_path: file for file in there.delete_files}
    ours = {file.file_path: file for file in here.delete_files}
    if theirs.keys() == ours.keys():
        return np.array([], dtype=np.int64)
    path = here.file.file_path
    return np.setdiff1d(deletes.of(theirs.values(), path), deletes.of(ours.values(), path))


class _Deletes:
    """The position delete files of a table (Iceberg spec, "Position Delete Files"), each read once."""

    def __init__(self, table: Table) -> None:
        self._io = table.io
        self._read = cache(self._read_file)

    def of(self, files: Iterable[DataFile], data_path: str) -> np.ndarray[Any, Any]:
        """Positions of a data file that delete files name."""
        import numpy as np
        import pyarrow.compute as pc

        positions = [np.array([], dtype=np.int64)]
        for file in files:
            deletes = self._read(file.file_path)
            hits = deletes.filter(pc.equal(deletes.column("file_path"), data_path))
            positions.append(hits.column("pos").to_numpy())
        return np.concatenate(positions)

    def _read_file(self, path: str) -> pa.Table:
        from pyarrow import parquet

        with self._io.new_input(path).open() as stream:
            return parquet.read_table(stream, columns=["file_path", "pos"])


def _read(table: Table, tasks: list[FileScanTask]) -> pa.Table:
    """Live rows of whole files, with the columns of the current schema."""
    return _scan(table).to_table(tasks)


def _scan(table: Table, *, dictionary_columns: tuple[str, ...] = ()) -> ArrowScan:
    """A scan that returns the columns of the current schema, whatever the files have."""
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    # pyiceberg 0.11, which SageMaker's images have, reads no dictionaries: slower, with the same rows.
    able = "dictionary_columns" in inspect.signature(ArrowScan).parameters
    options: dict[str, Any] = {"dictionary_columns": dictionary_columns} if able else {}
    return ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue(), **options)


def _read_at(table: Table, task: FileScanTask, positions: np.ndarray[Any, Any]) -> pa.Table:
    """Rows of one file by position, regardless of deletes."""
    import numpy as np
    import pyarrow as pa
    from pyiceberg.table import FileScanTask

    found, begin = [], 0
    scan = _scan(table, dictionary_columns=_repetitive_columns(table, task.file.file_path))
    for batch in scan.to_record_batches([FileScanTask(task.file)]):
        first, last = np.searchsorted(positions, (begin, begin + len(batch)))
        if last > first:
            found.append(_decoded(batch.take(pa.array(positions[first:last] - begin))))
        begin += len(batch)
    return pa.concat_tables(found)


def _repetitive_columns(table: Table, path: str) -> tuple[str, ...]:
    """Columns of a file, none nested, whose pages refer to texts by their position in a dictionary.

    Their size shows it: a text within its page takes four bytes for its length alone (Parquet format,
    "Plain"). Read as dictionaries, they take a third of the time if only some rows are needed in the end.
    """
    from pyarrow import parquet

    with table.io.new_input(path).open() as stream:
        footer = parquet.read_metadata(stream)
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    columns = [[group.column(index) for group in groups] for index in range(footer.num_columns)]
    return tuple(
        parts[0].path_in_schema
        for parts in columns
        if parts
        and parts[0].physical_type == "BYTE_ARRAY"
        and "." not in parts[0].path_in_schema
        and sum(part.total_uncompressed_size for part in parts) < _LENGTH_BYTES * footer.num_rows
    )


def _decoded(batch: pa.RecordBatch) -> pa.Table:
    """The same rows, with plain columns instead of dictionaries."""
    import pyarrow as pa

    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.table(columns, names=batch.schema.names)


def _tells_news(record: logging.LogRecord) -> bool:
    """Whether a message of pyiceberg is about something else than the dictionaries requested here."""
    return not str(record.msg).startswith("Iceberg does not have a dictionary type")


logging.getLogger("pyiceberg.io.pyarrow").addFilter(_tells_news)
