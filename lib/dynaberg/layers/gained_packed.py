"""Gained columns of the rows whose `unmapped` is packed: SQL cannot unpack it, so they are filled from here.

The few rows are read and unpacked in memory. Their values go into a staging table, whose types are exact and
whose values may be larger than a statement, and from there by one MERGE into the current table. The MERGE
touches a row only if it still holds the change that was read, so a refresh that runs meanwhile loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from dynaberg import catalog
from dynaberg.functions.packing import PACKED
from dynaberg.functions.statements.builds import STAGING
from dynaberg.layers.gained import fill_gained, gained_more
from dynaberg.layers.packed import unpack_column
from dynaberg.sql import commit

if TYPE_CHECKING:
    import boto3
    import pyarrow as pa
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_PACKED_END = PACKED[:-1] + chr(ord(PACKED[-1]) + 1)
# An unpacked row may have megabytes: so many are in memory at once, and so much is written at once.
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 64, 64 * 2**20
# Athena stops a statement after 30 minutes, so nobody is at work on an older staging table.
_ABANDONED_SECONDS = 3_600
_MERGE = """\
MERGE INTO "{table}" AS t
USING "{staging}" AS s
ON {same} AND t.unmapped >= '{first}' AND t.unmapped < '{end}'
WHEN MATCHED THEN UPDATE SET {sets}"""


@dataclass(frozen=True)
class PackedRows:
    """The rows of a current table to look at, and the columns to fill.

    Attributes:
        contract: The table contract.
        gained: The columns that were added to the contract after the change log's first rows.
        changed_since: Earliest `changed_at` of the rows; None for all of them.
    """

    contract: Contract
    gained: Sequence[str]
    changed_since: datetime | None = None

    @property
    def identity(self) -> list[str]:
        """The columns that tell a row and its change."""
        return [*self.contract.key, "changed_at", "sequence_number"]


def fill_packed(session: boto3.Session, settings: Settings, wanted: PackedRows) -> int:
    """Fill the gained columns of rows whose `unmapped` is packed; running it again changes nothing.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        wanted: The rows and the columns.

    Returns:
        The bytes that Athena scanned; 0 if there was nothing to fill.
    """
    if not wanted.gained:
        return 0
    iceberg = catalog.open_catalog(session, settings)
    table = catalog.load_table(iceberg, settings, wanted.contract.table)
    staging: Table | None = None
    try:
        for rows in _filled_rows(table, wanted):
            staging = staging or _create_staging(session, settings, table, wanted)
            # Field ids are the staging table's own.
            staging.append(rows.cast(staging.schema().as_arrow()))
        if staging is None:
            return 0
        return commit(session, settings, _merge(wanted, staging.name()[-1])).bytes_scanned
    finally:
        if staging is not None:
            catalog.drop_table(session, settings, staging.name()[-1])


def _filled_rows(table: Table, wanted: PackedRows) -> Iterator[pa.Table]:
    """Rows with a value that their table lacks, with the columns of the staging table."""
    import pyarrow as pa

    found: list[pa.Table] = []
    for batch in _packed_rows(table, wanted):
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            before = unpack_column(pa.Table.from_batches([batch.slice(start, _ROWS_AT_ONCE)]), "unmapped")
            after = fill_gained(before, wanted.contract, wanted.gained)
            found.append(after.filter(gained_more(before, after, wanted.gained)).drop_columns(["unmapped"]))
            if sum(rows.nbytes for rows in found) > _BYTES_AT_ONCE:
                yield pa.concat_tables(found)
                found = []
    if any(rows.num_rows for rows in found):
        yield pa.concat_tables(found)


def _packed_rows(table: Table, wanted: PackedRows) -> Iterator[pa.RecordBatch]:
    """The rows whose `unmapped` is packed; bounds in the metadata rule out most files."""
    condition = f"unmapped >= '{PACKED}' and unmapped < '{_PACKED_END}'"
    if wanted.changed_since is not None:
        since = wanted.changed_since.astimezone(UTC).isoformat(timespec="microseconds")
        condition += f" and changed_at >= '{since}'"
    names = (*wanted.identity, *wanted.gained, "unmapped")
    yield from table.scan(row_filter=condition, selected_fields=names).to_arrow_batch_reader()


def _create_staging(session: boto3.Session, settings: Settings, table: Table, wanted: PackedRows) -> Table:
    """A staging table of its own; what killed refreshes left is removed."""
    iceberg, prefix = catalog.open_catalog(session, settings), f"{wanted.contract.table}{STAGING}"
    for name in catalog.table_names(iceberg, settings):
        if name.startswith(prefix):
            left = catalog.load_table(iceberg, settings, name)
            if time.time() - left.metadata.last_updated_ms / 1000 > _ABANDONED_SECONDS:
                catalog.drop_table(session, settings, name)
    schema = table.schema().select(*wanted.identity, *wanted.gained)
    return iceberg.create_table((settings.namespace, f"{prefix}{uuid4().hex[:8]}"), schema)


def _merge(wanted: PackedRows, staging: str) -> str:
    return _MERGE.format(
        table=wanted.contract.table,
        staging=staging,
        same=" AND ".join(f't."{name}" = s."{name}"' for name in wanted.identity),
        first=PACKED,
        end=_PACKED_END,
        sets=", ".join(f'"{name}" = coalesce(t."{name}", s."{name}")' for name in wanted.gained),
    )
