"""The Iceberg sides of a reconciliation, at one moment: the current table, and what the change log says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from dynaberg import catalog
from dynaberg.layers import MERGED_SNAPSHOT, Unmerged, unmerged_changes
from dynaberg.proof.comparison import Key, keys_of
from dynaberg.proof.digests import CURRENT, LOG

if TYPE_CHECKING:
    import boto3
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

# Above this many partition keys a scan of a whole table is faster than one that looks for them.
_MANY_KEYS = 5_000
_ORDER = ["changed_at", "sequence_number", "change_id"]


@dataclass(frozen=True)
class Rows:
    """What both sides hold of some keys.

    Attributes:
        current: Rows of the current table.
        logged: The rows as the log says that they are now.
        behind: Keys that a refresh would bring to what the log says.
    """

    current: pa.Table
    logged: pa.Table
    behind: Collection[Key]


@dataclass(frozen=True)
class Sides:
    """The current table and the change log, each at one snapshot.

    Attributes:
        contract: The table contract.
        current: The current table.
        log: The change log, not older than the current table.
        unmerged: What of the log was not merged into the current table.
    """

    contract: Contract
    current: Table
    log: Table
    unmerged: Unmerged

    @property
    def snapshots(self) -> dict[str, int]:
        """Snapshot ids of those that have one, by `current` and `log`."""
        found = {CURRENT: self.current.current_snapshot(), LOG: self.log.current_snapshot()}
        return {side: snapshot.snapshot_id for side, snapshot in found.items() if snapshot}

    def read(self, partition_keys: Collection[Any] | None) -> Rows:
        """Rows of some partition keys with exact types; None reads all of them."""
        named = [column.name for column in self.contract.columns if not column.mask]
        partition_key = self.contract.key[0]
        current = _read(self.current, [*named, *_ORDER[:2]], partition_key, partition_keys)
        changes = _read(
            self.log, [*named, "operation", "received_at", *_ORDER], partition_key, partition_keys
        )
        latest = _latest(changes, self.contract.key)
        live = latest.filter(pc.field("operation") != "REMOVE")
        return Rows(current.select(named), live.select(named), self._behind(current, changes, latest))

    def _behind(self, current: pa.Table, changes: pa.Table, latest: pa.Table) -> set[Key]:
        """The keys that the MERGE would touch, and not leave as they are."""
        if self.unmerged.action == "none":
            return set()
        if self.unmerged.since is not None:
            changes = changes.filter(pc.field("received_at") >= self.unmerged.since)
        key = list(self.contract.key)
        here = _tuples(current, [*key, *_ORDER[:2]])
        said = _tuples(latest.filter(pc.field("operation") != "REMOVE"), [*key, *_ORDER[:2]])
        return _tuples(changes, key) & {each[: len(key)] for each in here ^ said}


def load_sides(session: boto3.Session, settings: Settings, contract: Contract) -> Sides:
    """Load both tables as they are now, the log after the current table.

    Raises:
        NotFoundError: One of them does not exist.
    """
    iceberg = catalog.open_catalog(session, settings)
    current = catalog.load_table(iceberg, settings, contract.table)
    log = catalog.load_table(iceberg, settings, contract.log_name)
    return Sides(contract, current, log, unmerged_changes(log, current.properties.get(MERGED_SNAPSHOT)))


def _read(table: Table, names: Sequence[str], partition_key: str, wanted: Collection[Any] | None) -> pa.Table:
    """Rows of some partition keys, or all of them."""
    from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, In, Reference

    chosen: Any = AlwaysTrue()
    if wanted is not None and len(wanted) <= _MANY_KEYS:
        chosen = In(term=Reference(partition_key), values=set(wanted)) if wanted else AlwaysFalse()
    found = table.scan(chosen, selected_fields=tuple(names)).to_arrow()
    if wanted is not None and len(found):
        column = found.column(partition_key)
        found = found.filter(pc.is_in(column, value_set=pa.array(list(wanted), column.type)))
    return found


def _latest(changes: pa.Table, key: Sequence[str]) -> pa.Table:
    """The latest change of each key, by the order of the MERGE."""
    order = changes.select([*key, *_ORDER]).to_pandas()
    order = order.sort_values(_ORDER, kind="stable", na_position="first")
    newest = order.drop_duplicates(list(key), keep="last").index
    return changes.take(pa.array(newest, pa.int64()))


def _tuples(rows: pa.Table, names: list[str]) -> set[Key]:
    return set(keys_of(rows.select(names).to_pandas(), names))
