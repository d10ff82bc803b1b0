"""Change log → current table, and the reference tables next to it; curated tables have a room of their own.

Public: creating the tables, the refresh, what a contract does not know yet, and how much of the change log
is merged.
"""

from dynaberg.functions.statements.merges import MERGED_SEQUENCE_NUMBER, MERGED_SNAPSHOT, NO_SEQUENCE_NUMBER
from dynaberg.functions.statements.reach import CLOCKS_DIFFER
from dynaberg.layers.column_changes import begun_changes, change_columns, check_columns
from dynaberg.layers.gained import fill_gained, gained_columns, gained_more, listed_at, names_at
from dynaberg.layers.latest import (
    HISTORY_BEGINS,
    REPAIR_PREFIX,
    latest_changes,
    latest_rows,
    sort_changes,
)
from dynaberg.layers.log_progress import Unmerged, unmerged_changes
from dynaberg.layers.packed import count_packed, unpack_column, unpack_frame, unpack_rows
from dynaberg.layers.raw_parquet import (
    check_parquet,
    follow_parquet,
    parquet_address,
    parquet_rows,
    put_parquet_tables,
    write_parquet,
)
from dynaberg.layers.references import load_reference
from dynaberg.layers.refresh import merge_of, refresh
from dynaberg.layers.schema_drift import NO_COLUMN, Drift, find_drift, proposals
from dynaberg.layers.tables import MASKS_APPLIED, create_tables, describe_masks

__all__ = [
    "CLOCKS_DIFFER",
    "HISTORY_BEGINS",
    "MASKS_APPLIED",
    "MERGED_SEQUENCE_NUMBER",
    "MERGED_SNAPSHOT",
    "NO_COLUMN",
    "NO_SEQUENCE_NUMBER",
    "REPAIR_PREFIX",
    "Drift",
    "Unmerged",
    "begun_changes",
    "change_columns",
    "check_columns",
    "check_parquet",
    "count_packed",
    "create_tables",
    "describe_masks",
    "fill_gained",
    "find_drift",
    "follow_parquet",
    "gained_columns",
    "gained_more",
    "latest_changes",
    "latest_rows",
    "listed_at",
    "load_reference",
    "merge_of",
    "names_at",
    "parquet_address",
    "parquet_rows",
    "proposals",
    "put_parquet_tables",
    "refresh",
    "sort_changes",
    "unmerged_changes",
    "unpack_column",
    "unpack_frame",
    "unpack_rows",
    "write_parquet",
]
