"""Profiles: the columns of a table by one Athena statement, its files and partitions from metadata alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.contract import LOG_COLUMNS
from dynaberg.query import query
from dynaberg.snapshots import Moment, resolve_snapshot

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.types import NestedField

    from dynaberg.settings import Settings

_QUANTILES = {"approx_p25": 0.25, "approx_p50": 0.5, "approx_p75": 0.75}
_METRICS = ("nulls", "approx_distinct", "min", *_QUANTILES, "max", "mean")
_INTEGERS, _FLOATS = ("int", "long"), ("float", "double")
# Columns of these types may have frequent values; those by which rows are told apart have none.
_FREQUENT, _UNIQUE = ("string", "boolean", "int", "date"), ("sequence_number", *LOG_COLUMNS)
_CONTENTS = ("data", "position deletes", "equality deletes")


def profile_columns(
    session: boto3.Session, settings: Settings, table: Table, *, snapshot: Moment | None = None
) -> pd.DataFrame:
    """Profile the columns of a table by one Athena statement.

    Rows, nulls, min, max, mean and the most frequent values are exact. What is approximate says so in its
    name: distinct counts are within 2.3 % (standard error), quantiles come from a sketch. Nested and binary
    columns have rows and nulls only.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        table: Native pyiceberg table.
        snapshot: Timezone-aware moment or snapshot id to profile; by default the table as it is.

    Returns:
        One row per column: column, type, rows, nulls, approx_distinct, min, approx_p25, approx_p50,
        approx_p75, max, mean, top: the five most frequent values as a list of (value as text, count); empty
        for keys, moments and numbers with fractions.

    Raises:
        NotFoundError: There is no such snapshot.

    Example:
        >>> profile_columns(session, settings, table)[["column", "nulls", "approx_distinct"]]
    """
    import pandas as pd

    fields = table.schema().fields
    version = ""
    if snapshot is not None:
        chosen = resolve_snapshot(table, snapshot)
        version = f" FOR VERSION AS OF {chosen.snapshot_id}"
        fields = table.schemas()[chosen.schema_id or 0].fields
    source = f'"{table.name()[-1]}"{version}'
    found = query(session, settings, _statement(fields, source, table.schema().identifier_field_names())).df
    values: Any = found.astype(object).iloc[0].to_dict()
    top = _read_top(values.get("top"))
    frame = pd.DataFrame(
        [_profile(i, field, values) | {"top": top.get(i, [])} for i, field in enumerate(fields)], dtype=object
    )
    return frame.astype({"rows": "Int64", "nulls": "Int64", "approx_distinct": "Int64"})


def _statement(fields: Sequence[NestedField], source: str, keys: set[str]) -> str:
    unique = {*keys, *_UNIQUE}
    frequent = {
        index: _quote(field.name)
        for index, field in enumerate(fields)
        if str(field.field_type) in _FREQUENT and field.name not in unique
    }
    aggregates = [part for index, field in enumerate(fields) for part in _aggregates(index, field)]
    if frequent:
        aggregates.append('(SELECT json_format(CAST(array_agg(line) AS json)) FROM top) AS "top"')
    counted = _COUNTED.format(
        places=" ".join(f"WHEN {name} IS NOT NULL THEN '{index}'" for index, name in frequent.items()),
        values=", ".join(f"CAST({name} AS varchar)" for name in [*frequent.values(), "NULL"]),
        sets=", ".join(f"({name})" for name in frequent.values()),
        source=source,
    )
    selected = ",\n  ".join(['count(*) AS "rows"', *aggregates])
    return f"{counted if frequent else ''}SELECT\n  {selected}\nFROM {source}"


# One scan counts the values of all columns: in each grouping set all columns but one are NULL.
_COUNTED = """\
WITH counted AS (
  SELECT CASE {places} END AS place, coalesce({values}) AS value, count(*) AS n
  FROM {source} GROUP BY GROUPING SETS ({sets})
), ranked AS (
  SELECT place, value, n, row_number() OVER (PARTITION BY place ORDER BY n DESC, value) AS number
  FROM counted WHERE place IS NOT NULL
), top AS (
  SELECT ARRAY[place, value, CAST(n AS varchar)] AS line FROM ranked WHERE number <= 5
)
"""


def _read_top(text: str | None) -> dict[int, list[tuple[str, int]]]:
    """The most frequent values of each column, by its place."""
    top: dict[int, list[tuple[str, int]]] = {}
    for place, value, count in json.loads(text or "[]"):
        top.setdefault(int(place), []).append((value, int(count)))
    return {place: sorted(values, key=lambda pair: (-pair[1], pair[0])) for place, values in top.items()}


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _aggregates(index: int, field: NestedField) -> Iterator[str]:
    """What the statement computes of one column, each named by metric and position."""
    name, kind = _quote(field.name), str(field.field_type)
    yield f'count_if({name} IS NULL) AS "nulls_{index}"'
    if not field.field_type.is_primitive or kind == "binary":
        return
    yield f'approx_distinct({name}) AS "approx_distinct_{index}"'
    yield f'min({name}) AS "min_{index}"'
    yield f'max({name}) AS "max_{index}"'
    if kind in _INTEGERS + _FLOATS or kind.startswith("decimal"):
        yield f'avg({name}) AS "mean_{index}"'
        for metric, share in _QUANTILES.items():
            yield f'{_quantile(name, kind, share)} AS "{metric}_{index}"'


def _quantile(name: str, kind: str, share: float) -> str:
    """Athena's sketch takes bigint and double only; of a decimal the answer is a decimal again."""
    if kind in _INTEGERS:
        return f"approx_percentile(CAST({name} AS bigint), {share})"
    quantile = f"approx_percentile(CAST({name} AS double), {share})"
    return f"CAST({quantile} AS {kind})" if kind.startswith("decimal") else quantile


def _profile(index: int, field: NestedField, found: dict[str, Any]) -> dict[str, Any]:
    import pandas as pd

    values = {metric: found.get(f"{metric}_{index}") for metric in _METRICS}
    values = {
        metric: None if value is pd.NA or value is pd.NaT else value for metric, value in values.items()
    }
    if values["approx_distinct"] is not None:
        values["approx_distinct"] = min(values["approx_distinct"], found["rows"] - values["nulls"])
    return {"column": field.name, "type": str(field.field_type), "rows": found["rows"], **values}


def profile_files(table: Table) -> pd.DataFrame:
    """The files of a table's current snapshot, from its manifests; no data file is read.

    Args:
        table: Native pyiceberg table.

    Returns:
        One row per file: file_path, content (`data`, `position deletes`, `equality deletes`), partition
        (such as `received_at_day=2026-01-31`, empty where the table has none), records, bytes.

    Example:
        >>> profile_files(wb.load_table("transactions"))["bytes"].describe()
    """
    import pandas as pd

    rows = [(file.file_path, content, partition, file.record_count, file.file_size_in_bytes)
            for file, content, partition in _files(table)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["file_path", "content", "partition", "records", "bytes"])
    return frame.astype({"records": "int64", "bytes": "int64"})


def profile_partitions(table: Table) -> pd.DataFrame:
    """The partitions of a table's current snapshot, from its manifests; no data file is read.

    Args:
        table: Native pyiceberg table.

    Returns:
        One row per partition: partition, files, delete_files, records (of the data files), bytes.

    Example:
        >>> profile_partitions(wb.load_table("transactions_changes"))
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
