"""The latest change of each key: the one place where changes are ordered, as SQL and in memory.

Among records of DynamoDB Streams the sequence number decides, regardless of their times. Kinesis records have
none (zeros); for them the time decides, to the microsecond. If a key has both, a DynamoDB Streams record
counts as made no earlier than those of the same key before it, so that the order has no cycle.

A column that was added to the contract later is read from `unmapped` for changes before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import MISFITS, column_reader

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.table import Table

    from dynaberg.contracts import Column, Contract

NO_SEQUENCE_NUMBER = "0" * 40
REPAIR_PREFIX = "repair-"
"""Prefix of the change ids of repairs."""
_MOMENT = f"""\
CASE WHEN sequence_number = '{NO_SEQUENCE_NUMBER}' THEN changed_at ELSE max(changed_at) OVER (
      PARTITION BY {{keys}}, sequence_number = '{NO_SEQUENCE_NUMBER}' ORDER BY sequence_number
    ) END"""
_LATEST = """\
SELECT operation, {names} FROM (
  SELECT operation, {names}, row_number() OVER (
    PARTITION BY {keys} ORDER BY moment DESC, sequence_number DESC, change_id DESC
  ) AS newest
  FROM (
    SELECT operation, change_id, {values}, {moment} AS moment
    FROM {source}
  ){condition}
) WHERE newest = 1"""
# A DynamoDB attribute inside `unmapped`, as a value of a column's type. Nested types have no such text.
_FROM_ATTRIBUTE = {
    "string": "{S}",
    "int": "TRY_CAST({N} AS integer)",
    "long": "TRY_CAST({N} AS bigint)",
    "double": "TRY_CAST({N} AS double)",
    "decimal": "TRY_CAST({N} AS {type})",
    "boolean": "{BOOL} = 'true'",
    "date": "TRY_CAST({S} AS date)",
    "timestamptz": "CAST(TRY(from_iso8601_timestamp_nanos({S})) AS timestamp(6) with time zone)",
    "binary": "from_base64({B})",
    "json": "json_format(json_extract(unmapped, '$[{attribute}]'))",
}


def latest_changes(
    contract: Contract,
    names: Sequence[str],
    source: str,
    *,
    gained: Collection[str] = (),
    condition: str = "",
) -> str:
    """The statement that selects the latest change of each key, including a REMOVE.

    Args:
        contract: The table contract.
        names: Columns to select in addition to `operation`; `changed_at` and `sequence_number` are always
            among them.
        source: What follows FROM: the change log, at a snapshot, or joined with keys.
        gained: Columns that were added to the contract after the change log's first rows.
        condition: A condition on `moment`, the effective time of the change.

    Returns:
        A SELECT without a closing semicolon.

    Example:
        >>> latest_changes(contract, ["id", "status"], '"orders_changes"')
    """
    keys = _listed(contract.key)
    wanted = list(dict.fromkeys([*contract.key, *names, "changed_at", "sequence_number"]))
    columns = {column.name: column for column in contract.columns}
    values = [
        _filled(columns[name]) if name in gained and name in columns else f'"{name}"' for name in wanted
    ]
    return _LATEST.format(
        names=_listed(wanted),
        keys=keys,
        values=", ".join(values),
        moment=_MOMENT.format(keys=keys),
        source=source,
        condition=f"\n  WHERE {condition}" if condition else "",
    )


def gained_columns(log: Table, contract: Contract) -> list[str]:
    """The columns of a contract that the change log did not have from the start."""
    first = log.schemas()[min(log.schemas())]
    known = {field.name for field in first.fields}
    return [column.name for column in contract.columns if column.name not in known]


def sort_changes(changes: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Changes in the order in which they were made, as `latest_changes` ranks them.

    Args:
        changes: Rows with the key, `changed_at`, `sequence_number` and `change_id`.
        key: Names of the key columns.
    """
    order = changes[[*key, "sequence_number", "change_id"]].reset_index(drop=True)
    order["moment"] = changes["changed_at"].astype("int64").to_numpy()
    order["streams"] = order["sequence_number"] != NO_SEQUENCE_NUMBER
    order = order.sort_values("sequence_number", kind="stable")
    counted = order.groupby([*key, "streams"], sort=False, dropna=False)["moment"].cummax()
    order["moment"] = order["moment"].where(~order["streams"], counted)
    order = order.sort_values(["moment", "sequence_number", "change_id"], kind="stable", na_position="first")
    return changes.iloc[order.index]


def latest_rows(changes: pa.Table, key: Sequence[str]) -> pa.Table:
    """The latest of the change rows in memory for each key, in the order of `latest_changes`.

    Args:
        changes: Rows of the change log, with the key, `changed_at`, `sequence_number` and `change_id`.
        key: Names of the key columns.
    """
    import pyarrow as pa

    order = changes.select([*key, "changed_at", "sequence_number", "change_id"]).to_pandas()
    newest = sort_changes(order, key).drop_duplicates(list(key), keep="last").index.sort_values()
    return changes.take(pa.array(newest, pa.int64()))


def fill_gained(rows: pa.Table, contract: Contract, gained: Collection[str]) -> pa.Table:
    """Fill the columns that were added to a contract from `unmapped`, as the statements do.

    Args:
        rows: Rows with `unmapped`.
        contract: The table contract.
        gained: From `gained_columns`.
    """
    import pyarrow as pa

    for column in contract.columns:
        if column.name in gained and column.name in rows.column_names and _kind(column) in _FROM_ATTRIBUTE:
            stored, unmapped = rows.column(column.name), rows.column("unmapped").to_pylist()
            read = _reader(column)
            values = [
                read(text) if value is None and text else value
                for value, text in zip(stored.to_pylist(), unmapped, strict=True)
            ]
            place = rows.column_names.index(column.name)
            rows = rows.set_column(place, rows.field(column.name), pa.array(values, stored.type))
    return rows


def _reader(column: Column) -> Callable[[str], Any]:
    read = column_reader(column)

    def value(unmapped: str) -> Any:
        attribute = json.loads(unmapped).get(column.attribute)
        if attribute is None:
            return None
        if column.type == "json":
            return json.dumps(attribute, separators=(",", ":"), ensure_ascii=False)
        try:
            return read(attribute)
        except MISFITS:
            return None

    return value


def _filled(column: Column) -> str:
    """A column's value, or the one that `unmapped` has for its attribute."""
    spelled = _FROM_ATTRIBUTE.get(_kind(column))
    if spelled is None:
        return f'"{column.name}"'
    attribute = json.dumps(column.attribute, ensure_ascii=False).replace("'", "''")
    texts = {tag: f"json_extract_scalar(unmapped, '$[{attribute}].{tag}')" for tag in ("S", "N", "B", "BOOL")}
    value = spelled.format(**texts, attribute=attribute, type=column.type)
    return f'coalesce("{column.name}", {value}) AS "{column.name}"'


def _kind(column: Column) -> str:
    parsed = column.parsed_type
    return parsed if isinstance(parsed, str) else next(iter(parsed))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
