"""`"t$snapshots"` and its like, with the columns of Trino's Iceberg connector, and information_schema.

Trino's documentation, "Iceberg connector", "Metadata tables".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table
from sqlglot import exp

from local_aws.athena.dialect import QueryError
from local_aws.athena.tables.catalog import Catalogs
from local_aws.athena.tables.iceberg_types import athena_type

TEXT_MAP = pa.map_(pa.string(), pa.string())
MOMENT = pa.timestamp("ms", tz="UTC")
COUNTS = pa.map_(pa.int32(), pa.int64())
BOUNDS = pa.map_(pa.int32(), pa.string())

SNAPSHOTS = {
    "committed_at": MOMENT,
    "snapshot_id": pa.int64(),
    "parent_id": pa.int64(),
    "operation": pa.string(),
    "manifest_list": pa.string(),
    "summary": TEXT_MAP,
}
HISTORY = {
    "made_current_at": MOMENT,
    "snapshot_id": pa.int64(),
    "parent_id": pa.int64(),
    "is_current_ancestor": pa.bool_(),
}
REFS = {
    "name": pa.string(),
    "type": pa.string(),
    "snapshot_id": pa.int64(),
    "max_reference_age_in_ms": pa.int64(),
    "min_snapshots_to_keep": pa.int32(),
    "max_snapshot_age_in_ms": pa.int64(),
}
FILES = {
    "content": pa.int32(),
    "file_path": pa.string(),
    "file_format": pa.string(),
    "spec_id": pa.int32(),
    "record_count": pa.int64(),
    "file_size_in_bytes": pa.int64(),
    "column_sizes": COUNTS,
    "value_counts": COUNTS,
    "null_value_counts": COUNTS,
    "nan_value_counts": COUNTS,
    "lower_bounds": BOUNDS,
    "upper_bounds": BOUNDS,
    "key_metadata": pa.binary(),
    "split_offsets": pa.list_(pa.int64()),
    "equality_ids": pa.list_(pa.int32()),
    "sort_order_id": pa.int32(),
}
SUMMARIES = pa.list_(
    pa.struct(
        {
            "contains_null": pa.bool_(),
            "contains_nan": pa.bool_(),
            "lower_bound": pa.string(),
            "upper_bound": pa.string(),
        }
    )
)
MANIFESTS = {
    "path": pa.string(),
    "length": pa.int64(),
    "partition_spec_id": pa.int32(),
    "added_snapshot_id": pa.int64(),
    "added_data_files_count": pa.int32(),
    "added_rows_count": pa.int64(),
    "existing_data_files_count": pa.int32(),
    "existing_rows_count": pa.int64(),
    "deleted_data_files_count": pa.int32(),
    "deleted_rows_count": pa.int64(),
    "partition_summaries": SUMMARIES,
}
TABLES = dict.fromkeys(("table_catalog", "table_schema", "table_name", "table_type"), pa.string())
COLUMNS = {
    "table_catalog": pa.string(),
    "table_schema": pa.string(),
    "table_name": pa.string(),
    "column_name": pa.string(),
    "ordinal_position": pa.int64(),
    "column_default": pa.string(),
    "is_nullable": pa.string(),
    "data_type": pa.string(),
}


def rows_of(table: Table, kind: str, node: exp.Expr | None = None) -> pa.Table:
    """A metadata table."""
    if kind not in KINDS:
        raise QueryError("TABLE_NOT_FOUND", f"Table '{'.'.join(table.name())}${kind}' does not exist", node)
    return KINDS[kind](table)


def typed(rows: list[dict[str, object]], fields: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows under a schema."""
    return pa.Table.from_pylist(rows, schema=pa.schema(list(fields.items())))


def snapshots(table: Table) -> pa.Table:
    """`$snapshots`, oldest first."""
    return table.inspect.snapshots().cast(pa.schema(SNAPSHOTS)).sort_by("committed_at")


def history(table: Table) -> pa.Table:
    """`$history`: which snapshot became current when."""
    return table.inspect.history().cast(pa.schema(HISTORY))


def refs(table: Table) -> pa.Table:
    """`$refs`: branches and tags."""
    return table.inspect.refs().cast(pa.schema(REFS))


def files(table: Table) -> pa.Table:
    """`$files` of the current snapshot, bounds as text."""
    source = table.inspect.files()
    fields = {field.field_id: field.name for field in table.schema().fields}
    rows = []
    for file in source.to_pylist():
        metrics = file.get("readable_metrics") or {}
        row = {name: file.get(name) for name in FILES}
        for bound in ("lower_bound", "upper_bound"):
            values = ((i, (metrics.get(name) or {}).get(bound)) for i, name in fields.items())
            row[f"{bound}s"] = [(i, str(value)) for i, value in values if value is not None]
        rows.append(row)
    return typed(rows, FILES)


def manifests(table: Table) -> pa.Table:
    """`$manifests` of the current snapshot."""
    snapshot = table.current_snapshot()
    listed = snapshot.manifests(table.io) if snapshot else []
    counts = {m.manifest_path: m for m in listed}
    rows = []
    for manifest in table.inspect.manifests().to_pylist():
        entry = counts[manifest["path"]]
        row = {name: manifest.get(name) for name in MANIFESTS}
        row |= {
            "added_data_files_count": entry.added_files_count,
            "existing_data_files_count": entry.existing_files_count,
            "deleted_data_files_count": entry.deleted_files_count,
            "added_rows_count": entry.added_rows_count,
            "existing_rows_count": entry.existing_rows_count,
            "deleted_rows_count": entry.deleted_rows_count,
        }
        rows.append(row)
    return typed(rows, MANIFESTS)


def partitions(table: Table) -> pa.Table:
    """`$partitions`: rows, files and bytes of each."""
    if table.current_snapshot() is None:
        return typed([], dict.fromkeys(("record_count", "file_count", "total_size"), pa.int64()))
    source = table.inspect.partitions()
    wanted = {
        "partition": "partition",
        "record_count": "record_count",
        "file_count": "file_count",
        "total_data_file_size_in_bytes": "total_size",
    }
    columns = {new: source.column(old) for old, new in wanted.items() if old in source.column_names}
    for name in ("record_count", "file_count", "total_size"):
        columns[name] = pc.cast(columns[name], pa.int64())
    return pa.table(columns)


KINDS: Mapping[str, Callable[[Table], pa.Table]] = {
    "snapshots": snapshots,
    "history": history,
    "refs": refs,
    "files": files,
    "manifests": manifests,
    "partitions": partitions,
}


def information_schema(catalogs: Catalogs, catalog: str, view: str, node: exp.Expr) -> pa.Table:
    """`information_schema` of a table bucket: schemata, tables and columns."""
    catalog = catalog.lower()
    if view == "schemata":
        return pa.Table.from_pylist(
            [
                {"catalog_name": catalog, "schema_name": name}
                for name in [*catalogs.databases(catalog), "information_schema"]
            ]
        )
    names = [
        (database, table)
        for database in catalogs.databases(catalog)
        for table in catalogs.tables(catalog, database)
    ]
    if view == "tables":
        tables = [dict(zip(TABLES, (catalog, *name, "BASE TABLE"), strict=True)) for name in names]
        return typed(tables, TABLES)
    if view == "columns":
        rows: list[dict[str, object]] = [
            {
                "table_catalog": catalog,
                "table_schema": database,
                "table_name": name,
                "column_name": field.name,
                "ordinal_position": position,
                "column_default": None,
                "is_nullable": "NO" if field.required else "YES",
                "data_type": athena_type(field.field_type, for_query=True),
            }
            for database, name in names
            for position, field in enumerate(catalogs.load(catalog, database, name).schema().fields, 1)
        ]
        return typed(rows, COLUMNS)
    raise QueryError("TABLE_NOT_FOUND", f"Table '{catalog}.information_schema.{view}' does not exist", node)
