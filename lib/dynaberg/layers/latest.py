"""The latest change of each key: the one place where changes are ordered, as SQL and in memory.

Among records of DynamoDB Streams the sequence number decides, regardless of their times. Kinesis records have
none (zeros); for them the time decides, to the microsecond. If a key has both, a DynamoDB Streams record
counts as made no earlier than those of the same key before it, so that the order has no cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from dynaberg.layers.gained import filled

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dynaberg.contracts import Contract

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
    values = [filled(columns[name]) if name in gained and name in columns else f'"{name}"' for name in wanted]
    return _LATEST.format(
        names=_listed(wanted),
        keys=keys,
        values=", ".join(values),
        moment=_MOMENT.format(keys=keys),
        source=source,
        condition=f"\n  WHERE {condition}" if condition else "",
    )


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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
