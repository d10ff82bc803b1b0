"""All rows of a table replaced by others, in one commit.

DuckDB would keep the old files, and write a position delete for each of their rows. Trino drops files of
which no row is left. So DuckDB writes the new rows into a file, and the commit that exchanges files is made
here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.typedef import Record
from pyiceberg.types import IcebergType, ListType, MapType, NestedField, StructType

from local_aws.athena.dialect import literal, quoted
from local_aws.athena.tables import Context, committing
from local_aws.s3tables.replacement import commit_overwrite
from local_aws.s3tables.snapshots import data_file
from local_aws.wire import QUERY_PROPERTY


def is_possible(table: Table) -> bool:
    """Whether a table has no partitions, and no columns without NULL: those are left to DuckDB."""
    return table.spec().is_unpartitioned() and not any(f.required for f in table.schema().fields)


def write(context: Context, table: Table, kinds: Sequence[str], rows: str) -> None:
    """Replaces all rows of a table, as it was read, by those of a query with all its columns."""
    fields = table.schema().fields
    columns = [f"c{i}" for i in range(len(fields))]
    cast = (f"CAST({c} AS {k}) AS {quoted(f.name)}" for c, k, f in zip(columns, kinds, fields, strict=True))
    path = table.location_provider().new_data_location(f"{uuid.uuid4()}.parquet")
    select = f"SELECT {', '.join(cast)} FROM ({rows}) AS new ({', '.join(columns)})"  # noqa: S608
    options = f"FORMAT parquet, FIELD_IDS {field_ids(fields)}"
    context.cursor.execute(f"COPY ({select}) TO {literal(path)} ({options})")
    with committing(table):
        commit_overwrite(table, [described(table, path)], {QUERY_PROPERTY: context.query_id})


def field_ids(fields: Iterable[NestedField]) -> str:
    """The ids of columns, and of what is in them, as DuckDB writes them into a file."""
    return "{" + ", ".join(f"{literal(f.name)}: {ids_of(f.field_id, f.field_type)}" for f in fields) + "}"


def ids_of(field_id: int, kind: IcebergType) -> str:
    """The id of a column, with those of what is in it."""
    inner: dict[str, tuple[int, IcebergType]] = {}
    if isinstance(kind, StructType):
        inner = {f.name: (f.field_id, f.field_type) for f in kind.fields}
    elif isinstance(kind, ListType):
        inner = {"element": (kind.element_id, kind.element_type)}
    elif isinstance(kind, MapType):
        inner = {"key": (kind.key_id, kind.key_type), "value": (kind.value_id, kind.value_type)}
    if not inner:
        return str(field_id)
    parts = [f"__duckdb_field_id: {field_id}", *(f"{literal(n)}: {ids_of(*i)}" for n, i in inner.items())]
    return "{" + ", ".join(parts) + "}"


def described(table: Table, path: str) -> DataFile:
    """What a manifest says of a file."""
    file, schema = table.io.new_input(path), table.schema()
    with file.open() as stream:
        found = pq.read_metadata(stream)
    statistics = data_file_statistics_from_parquet_metadata(
        found, compute_statistics_plan(schema, table.properties), parquet_path_to_id_mapping(schema)
    )
    return data_file(path, len(file), Record(), table.spec().spec_id, statistics)
