"""What is known about a curated table and its inputs, from Iceberg's metadata alone.

A table keeps what it was built from, and how the last build ended, as properties of its own, so every
notebook knows. What failed the checks of a first build stays in the staging table, which has them then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from dynaberg import catalog
from dynaberg.functions.statements.builds import BUILT, FAILED, MASKED, STAGING, Built

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from dynaberg.settings import Settings

# Tables are loaded by as many requests at once; each takes a round trip.
_AT_ONCE = 8


@dataclass(frozen=True)
class Failed:
    """How the last build failed.

    Attributes:
        why: What was said.
        at: When, in ISO 8601.
    """

    why: str
    at: str


@dataclass(frozen=True)
class TableState:
    """A table of the namespace as its metadata describes it.

    Attributes:
        name: The table.
        content: Id of the snapshot that last changed its rows; None if it has none.
        snapshot_id: Id of the current snapshot.
        rows: How many rows it has.
        changed_at: When its rows were last changed.
        built: How it was built the last time, if it was.
        failed: How the last build failed, if it did.
        masked: The last masking of rows that it reads; empty if there was none.
    """

    name: str
    content: int | None = None
    snapshot_id: int | None = None
    rows: int = 0
    changed_at: datetime | None = None
    built: Built | None = None
    failed: Failed | None = None
    masked: str = ""

    @property
    def is_outdated(self) -> bool:
        """Whether rows that it reads were masked since it was built, so that none of its rows may stay."""
        return self.masked != (self.built.masked if self.built else "")


def load_states(iceberg: Catalog, settings: Settings, names: Iterable[str]) -> dict[str, TableState]:
    """The states of tables, several at a time.

    Args:
        iceberg: The catalog.
        settings: Name of the namespace.
        names: Tables that exist.
    """

    def load(name: str) -> TableState:
        return state_of(catalog.load_table(iceberg, settings, name))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {state.name: state for state in pool.map(load, names)}


def state_of(table: Table) -> TableState:
    """The state of a table.

    Args:
        table: Native pyiceberg table.
    """
    snapshot = table.current_snapshot()
    made = _last_change(table, snapshot)
    properties = table.properties
    return TableState(
        table.name()[-1],
        made.snapshot_id if made else None,
        snapshot.snapshot_id if snapshot else None,
        catalog.live_records(table, [snapshot])[snapshot.snapshot_id] if snapshot else 0,
        datetime.fromtimestamp(made.timestamp_ms / 1_000, UTC) if made else None,
        Built(**json.loads(properties[BUILT])) if BUILT in properties else None,
        Failed(**json.loads(properties[FAILED])) if FAILED in properties else None,
        properties.get(MASKED, ""),
    )


def _last_change(table: Table, snapshot: Snapshot | None) -> Snapshot | None:
    """The snapshot that last changed rows: a compaction writes them anew, and changes none."""
    while snapshot and snapshot.summary and snapshot.summary.operation.value == "replace":
        before = snapshot.parent_snapshot_id
        parent = table.snapshot_by_id(before) if before is not None else None
        if parent is None:
            break
        snapshot = parent
    return snapshot


def set_built(table: Table, built: Built) -> None:
    """Keep how a table was built, and forget that a build failed before."""
    with table.transaction() as transaction:
        transaction.set_properties({BUILT: built.to_json()})
        if FAILED in table.properties:
            transaction.remove_properties(FAILED)


def set_outdated(table: Table) -> None:
    """Note that rows which a table reads are about to be masked: the next build is one of the whole.

    A build that is at work has not seen it, so what it puts in place is outdated, too.

    Args:
        table: Native pyiceberg table.
    """
    with table.transaction() as transaction:
        transaction.set_properties({MASKED: uuid4().hex})


def set_failed(iceberg: Catalog, settings: Settings, name: str, why: str) -> None:
    """Keep that a build failed: with the table, or with what it left in staging if there is no table yet."""
    names = catalog.table_names(iceberg, settings)
    failed = json.dumps(asdict(Failed(why, datetime.now(UTC).isoformat(timespec="seconds"))))
    for kept in (*staging_of(name, names), *(n for n in names if n == name)):
        with catalog.load_table(iceberg, settings, kept).transaction() as transaction:
            transaction.set_properties({FAILED: failed})


def staging_of(name: str, names: Iterable[str]) -> list[str]:
    """The staging tables of a curated table, among the tables that exist."""
    return [each for each in names if each.startswith(name + STAGING)]
