"""Columns that a contract gained, filled in the change log for the changes before it.

A refresh fills the current table. The change log has a row for every change, and Athena would write each of
them again for a column; here only the files that have a value in `unmapped` are written again, some in each
snapshot, so an interrupted call has lost nothing and the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from dynaberg import catalog
from dynaberg.layers import fill_gained, gained_columns, gained_more, unpack_column
from dynaberg.upkeep.rewriting import rewrite

if TYPE_CHECKING:
    import boto3
    import pyarrow as pa
    from pyiceberg.table import FileScanTask, Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_FILES = 64


def fill_log(session: boto3.Session, settings: Settings, contract: Contract) -> int:
    """Fill the columns that a contract gained in the rows of its change log, from `unmapped`.

    What `unmapped` holds stays there, as in the current table. A column with a mask is left to
    `.masks.apply()`. It may run while changes arrive and while others query.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract, as it is deployed.

    Returns:
        How many rows got a value that they did not have.

    Raises:
        NotReadyError: Other commits came first at every attempt; the rows so far are filled.
    """
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    return fill_rows(log, contract)


def fill_rows(log: Table, contract: Contract) -> int:
    """As `fill_log`, for a native pyiceberg table."""
    gained = gained_columns(log, contract)
    settled: set[str] = set()
    count = 0
    while found := dict(islice(_lacking(log, contract, gained, settled), _FILES)):
        rewrite(log, lambda found=found: found, _filling(contract, gained))  # type: ignore[misc]
        count += sum(found.values())
    return count


def count_unfilled(session: boto3.Session, settings: Settings, contract: Contract) -> tuple[int, int]:
    """How many rows of a change log `fill_log` would fill, and in how many files.

    Args:
        session: Open boto3 session.
        settings: Names of the table bucket and the namespace.
        contract: The table contract.
    """
    log = catalog.load_table(catalog.open_catalog(session, settings), settings, contract.log_name)
    found = dict(_lacking(log, contract, gained_columns(log, contract), set()))
    return sum(found.values()), len(found)


def _lacking(
    log: Table, contract: Contract, gained: Sequence[str], settled: set[str]
) -> Iterator[tuple[str, int]]:
    """Files with rows that lack a value, and how many; those without are added to `settled`."""
    for task in log.scan(selected_fields=(*gained, "unmapped")).plan_files() if gained else ():
        path = task.file.file_path
        if path not in settled:
            rows = _read(log, task, gained) if _has_unmapped(log, task) else None
            lacking = _count_gained(rows, contract, gained) if rows is not None else 0
            if lacking:
                yield path, lacking
            else:
                settled.add(path)


def _has_unmapped(log: Table, task: FileScanTask) -> bool:
    """Whether a file has a value in `unmapped`, by its statistics; true if they do not say."""
    field_id = log.schema().find_field("unmapped").field_id
    return (task.file.null_value_counts or {}).get(field_id) != task.file.record_count


def _read(log: Table, task: FileScanTask, gained: Sequence[str]) -> pa.Table:
    from pyiceberg.expressions import AlwaysTrue
    from pyiceberg.io.pyarrow import ArrowScan

    schema = log.schema().select(*gained, "unmapped")
    return ArrowScan(log.metadata, log.io, schema, AlwaysTrue()).to_table([task])


def _count_gained(rows: pa.Table, contract: Contract, gained: Sequence[str]) -> int:
    """In how many rows a column that is NULL has a value in `unmapped`."""
    import pyarrow.compute as pc

    return int(pc.sum(gained_more(rows, _filling(contract, gained)(rows), gained)).as_py() or 0)


def _filling(contract: Contract, gained: Sequence[str]) -> Callable[[pa.Table], pa.Table]:
    """What becomes of a file's rows."""

    def fill(rows: pa.Table) -> pa.Table:
        filled = fill_gained(unpack_column(rows, "unmapped"), contract, gained)
        place = rows.column_names.index("unmapped")
        return filled.set_column(place, rows.schema.field(place), rows["unmapped"])

    return fill
