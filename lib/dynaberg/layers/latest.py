"""The latest change of each key: the one place where changes are ordered, as SQL and in memory.

Among records of DynamoDB Streams the sequence number decides, regardless of their times. Kinesis records have
none (zeros); for them the time decides, to the microsecond. If a key has both, a DynamoDB Streams record
counts as made no earlier than those of the same key before it, so that the order has no cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from dynaberg.functions.statements.merges import NO_SEQUENCE_NUMBER, latest_select
from dynaberg.layers.gained import filled, named

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from dynaberg.contracts import Contract

HISTORY_BEGINS = "dynaberg.history-begins"
"""Property of a change log: the moment before which its changes were folded into one row per key."""
REPAIR_PREFIX = "repair-"
"""Prefix of the change ids of repairs."""


def latest_changes(
    contract: Contract,
    names: Sequence[str],
    source: str,
    *,
    gained: Collection[str] = (),
    stored: Mapping[str, str | None] | None = None,
    condition: str = "",
) -> str:
    """The statement that selects the latest change of each key, including a REMOVE.

    Args:
        contract: The table contract.
        names: Columns to select in addition to `operation`; `changed_at` and `sequence_number` are always
            among them.
        source: What follows FROM: the change log, at a snapshot, or joined with keys.
        gained: Columns that were added to the contract after the change log's first rows.
        stored: Names in the source of columns that have another one there, None for those that it lacks.
        condition: A condition on `moment`, the effective time of the change.

    Returns:
        A SELECT without a closing semicolon.

    Example:
        >>> latest_changes(contract, ["id", "status"], '"orders_changes"')
    """
    there = stored or {}
    columns = {name: named(other, name) for name, other in there.items() if other is not None}
    columns |= {c.name: filled(c, there.get(c.name, c.name)) for c in contract.columns if c.name in gained}
    return latest_select(contract.key, names, source, filled=columns, condition=condition)


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
