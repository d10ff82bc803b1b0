"""The Iceberg sides of a reconciliation, at one moment: the current table and the change log."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dynaberg import catalog
from dynaberg.layers import (
    MERGED_SEQUENCE_NUMBER,
    MERGED_SNAPSHOT,
    Unmerged,
    count_packed,
    fill_gained,
    gained_columns,
    latest_rows,
    listed_at,
    names_at,
    unmerged_changes,
    unpack_rows,
)
from dynaberg.proof.comparison import Key, keys_of
from dynaberg.proof.digests import CURRENT, LOG, Past, can_digest
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

Ask = Callable[[str, list[Any]], "pd.DataFrame"]
# Above this many partition keys both tables are read as a whole; below it Athena looks for the keys.
_MANY_KEYS = 2_000
_KEYS_PER_STATEMENT = 200
_ORDER = ["changed_at", "sequence_number", "change_id"]


@dataclass(frozen=True)
class Rows:
    """What both sides hold for some keys.

    Attributes:
        current: Rows of the current table.
        logged: The latest state of the rows by the change log.
        behind: Keys that a refresh would update.
        packed: How many rows of the current table had packed values.
    """

    current: pa.Table
    logged: pa.Table
    behind: Collection[Key]
    packed: int = 0


@dataclass(frozen=True)
class Sides:
    """The current table and the change log, each at one snapshot.

    Attributes:
        contract: The table contract.
        current: The current table.
        log: The change log, not older than the current table.
        unmerged: The part of the change log that was not merged into the current table.
        ask: Runs a statement with parameters and returns the rows.
    """

    contract: Contract
    current: Table
    log: Table
    unmerged: Unmerged
    ask: Ask

    @property
    def snapshots(self) -> dict[str, int]:
        """Snapshot ids of those that have one, by `current` and `log`."""
        found = {CURRENT: self.current.current_snapshot(), LOG: self.log.current_snapshot()}
        return {side: snapshot.snapshot_id for side, snapshot in found.items() if snapshot}

    @property
    def gained(self) -> list[str]:
        """Columns that were added to the contract after the change log's first rows."""
        return gained_columns(self.log, self.contract)

    @property
    def past(self) -> Past:
        """What the snapshots do not have as the contract does."""
        tables = {CURRENT: self.current, LOG: self.log}
        snapshots = self.snapshots.items()
        return Past(self.gained, {side: names_at(tables[side], version) for side, version in snapshots})

    def read(self, partition_keys: Collection[Any] | None) -> Rows:
        """Rows of some partition keys with exact types; None reads all of them.

        If no column is nested, Athena looks for the keys, so that only their rows are transferred.
        """
        named = [*(c.name for c in self.contract.columns if not c.mask), "unmapped"]
        current = self._rows(self.current, [*named, *_ORDER[:2]], partition_keys)
        changes = self._rows(self.log, [*named, "operation", "received_at", *_ORDER], partition_keys)
        changes = fill_gained(unpack_rows(changes, self.contract), self.contract, self.gained)
        latest = latest_rows(changes, self.contract.key)
        live = latest.filter(pc.field("operation") != "REMOVE")
        shown = unpack_rows(current.select(named), self.contract)
        packed = count_packed(current, self.contract)
        return Rows(shown, live.select(named), self._behind(current, changes, latest), packed)

    def _rows(self, table: Table, names: Sequence[str], wanted: Collection[Any] | None) -> pa.Table:
        """Rows of some partition keys, or all of them."""
        partition_key = self.contract.key[0]
        if wanted is None or len(wanted) > _MANY_KEYS or not can_digest(self.contract):
            found = table.scan(selected_fields=tuple(names)).to_arrow()
            if wanted is None or not len(found):
                return found
            column = found.column(partition_key)
            return found.filter(pc.is_in(column, value_set=pa.array(list(wanted), column.type)))
        schema = pa.schema([table.schema().as_arrow().field(name) for name in names])
        snapshot = table.current_snapshot()
        if snapshot is None or not wanted:
            return schema.empty_table()
        listed = listed_at(self.contract, names, names_at(table, snapshot.snapshot_id))
        parts = []
        for keys in batched(wanted, _KEYS_PER_STATEMENT):
            marks = ", ".join("?" for _ in keys)
            sql = (
                f'SELECT {listed} FROM "{table.name()[-1]}" FOR VERSION AS OF {snapshot.snapshot_id}\n'  # noqa: S608
                f'WHERE "{partition_key}" IN ({marks})'
            )
            frame = self.ask(sql, list(keys)).astype(object)
            parts.append(pa.Table.from_pandas(frame.where(frame.notna(), None), schema, preserve_index=False))
        return pa.concat_tables(parts)

    def _behind(self, current: pa.Table, changes: pa.Table, latest: pa.Table) -> set[Key]:
        """The keys whose rows the MERGE would change."""
        if self.unmerged.action == "none":
            return set()
        if self.unmerged.since is not None and self.unmerged.changed_since is not None:
            made, received = pc.field("changed_at"), pc.field("received_at")
            touched = (received >= self.unmerged.since) & (made >= self.unmerged.changed_since)
            changes = changes.filter(touched)
        key = list(self.contract.key)
        here = _tuples(current, [*key, *_ORDER[:2]])
        said = _tuples(latest.filter(pc.field("operation") != "REMOVE"), [*key, *_ORDER[:2]])
        return _tuples(changes, key) & {each[: len(key)] for each in here ^ said}


def load_sides(session: boto3.Session, settings: Settings, contract: Contract) -> Sides:
    """Load both tables as they are now, the change log after the current table.

    Raises:
        NotFoundError: One of them does not exist.
    """
    iceberg = catalog.open_catalog(session, settings)
    current = catalog.load_table(iceberg, settings, contract.table)
    log = catalog.load_table(iceberg, settings, contract.log_name)
    merged = (current.properties.get(name) for name in (MERGED_SNAPSHOT, MERGED_SEQUENCE_NUMBER))

    def ask(sql: str, values: list[Any]) -> pd.DataFrame:
        return query(session, settings, sql, values).df

    return Sides(contract, current, log, unmerged_changes(log, *merged), ask)


def batched(values: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """Values in tuples of a size, the last one shorter."""
    rest = iter(values)
    while batch := tuple(islice(rest, size)):
        yield batch


def _tuples(rows: pa.Table, names: list[str]) -> set[Key]:
    return set(keys_of(rows.select(names).to_pandas(), names))
