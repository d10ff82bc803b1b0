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

MOMENT = pa.timestamp("ms", tz="UTC")
KINDS_OF_TRINO = {pa.timestamp("ms"): MOMENT, pa.int8(): pa.int32()}
BOUNDS = pa.map_(pa.int32(), pa.string())
TABLES = dict.fromkeys(("table_catalog", "table_schema", "table_name", "table_type"), pa.string())
COLUMNS = dict.fromkeys(
    (*tuple(TABLES)[:3], "column_name", "ordinal_position", "column_default", "is_nullable", "data_type"),
    pa.string(),
) | {"ordinal_position": pa.int64()}


def rows_of(table: Table, kind: str, node: exp.Expr | None = None) -> pa.Table:
    """A metadata table."""
    if kind not in KINDS:
        raise QueryError("TABLE_NOT_FOUND", f"Table '{'.'.join(table.name())}${kind}' does not exist", node)
    return KINDS[kind](table)


def typed(rows: list[dict[str, object]], fields: Mapping[str, pa.DataType]) -> pa.Table:
    """Rows under a schema."""
    return pa.Table.from_pylist(rows, schema=pa.schema(list(fields.items())))


def as_trino_has_it(rows: pa.Table) -> pa.Table:
    """The columns of one of pyiceberg's tables in the types of Trino's."""
    fields = (
        (f.name, f.type.value_type if pa.types.is_dictionary(f.type) else KINDS_OF_TRINO.get(f.type, f.type))
        for f in rows.schema
    )
    return rows.cast(pa.schema(fields))


def snapshots(table: Table) -> pa.Table:
    """`$snapshots`, oldest first."""
    return as_trino_has_it(table.inspect.snapshots()).sort_by("committed_at")


def history(table: Table) -> pa.Table:
    """`$history`: which snapshot became current when."""
    return as_trino_has_it(table.inspect.history())


def refs(table: Table) -> pa.Table:
    """`$refs`: branches and tags."""
    return as_trino_has_it(table.inspect.refs())


def files(table: Table) -> pa.Table:
    """`$files` of the current snapshot, bounds as text."""
    source = table.inspect.files()
    metrics = [metric or {} for metric in source["readable_metrics"].to_pylist()]
    rows = as_trino_has_it(source.drop_columns(["partition", "readable_metrics"]))
    fields = {field.field_id: field.name for field in table.schema().fields}
    for bound in ("lower_bound", "upper_bound"):
        values = [[(i, (of.get(name) or {}).get(bound)) for i, name in fields.items()] for of in metrics]
        texts = [[(i, str(value)) for i, value in pairs if value is not None] for pairs in values]
        place = rows.column_names.index(f"{bound}s")
        rows = rows.set_column(place, f"{bound}s", pa.array(texts, BOUNDS))
    return rows


def manifests(table: Table) -> pa.Table:
    """`$manifests` of the current snapshot."""
    snapshot, source = table.current_snapshot(), as_trino_has_it(table.inspect.manifests())
    known = {m.manifest_path: m for m in (snapshot.manifests(table.io) if snapshot else ())}
    listed = [known[path] for path in source["path"].to_pylist()]
    names = ("path", "length", "partition_spec_id", "added_snapshot_id")
    columns: dict[str, pa.Array] = {name: source[name] for name in names}
    for kind in ("added", "existing", "deleted"):
        counts = ("data_files_count", "files_count", pa.int32()), ("rows_count", "rows_count", pa.int64())
        for name, attribute, type_ in counts:
            found = [getattr(manifest, f"{kind}_{attribute}") for manifest in listed]
            columns[f"{kind}_{name}"] = pa.array(found, type_)
    return pa.table(columns | {"partition_summaries": source["partition_summaries"]})


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
            dict(
                zip(
                    COLUMNS,
                    (
                        *(catalog, database, name, field.name, position, None),
                        "NO" if field.required else "YES",
                        athena_type(field.field_type, for_query=True),
                    ),
                    strict=True,
                )
            )
            for database, name in names
            for position, field in enumerate(catalogs.load(catalog, database, name).schema().fields, 1)
        ]
        return typed(rows, COLUMNS)
    raise QueryError("TABLE_NOT_FOUND", f"Table '{catalog}.information_schema.{view}' does not exist", node)
