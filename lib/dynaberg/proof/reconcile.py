"""DynamoDB against Iceberg: the current table and the change log, every column of every row, by exact types.

Where digests of key ranges agree, no row is moved; only keys that differ are read and compared exactly.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import canonical_json, reader_for
from dynaberg.proof import digests
from dynaberg.proof.comparison import EDITED, NOT_LOGGED, PENDING, UNLOGGED, Key, compare_sides, keys_of
from dynaberg.proof.digests import CURRENT, LOG
from dynaberg.proof.sides import Rows, Sides, load_sides
from dynaberg.source import Item, get_items, scan_items
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

PROBLEMS = ("missing", "extra", "stale", UNLOGGED)
_REMEDIES = {
    PENDING: "{n:,} wait for refresh()",
    NOT_LOGGED: "{n:,} are not in the log: under way, or in failures(), or lost",
    EDITED: "{n:,} were edited in the current table: repair()",
}


@dataclass(frozen=True, repr=False)
class ReconcileReport:
    """What a comparison of DynamoDB with the current table and the change log found.

    Attributes:
        df: One row per difference: the key columns, problem (`missing`: in DynamoDB only, `extra`: in Iceberg
            only, `stale`: a column differs, `unlogged`: both agree and the log says otherwise), column,
            dynamodb, iceberg (of what is `unlogged`, as the log has it), cause (`refresh pending`: the log
            has it, `not in the log`, `current table edited`: the log has it and was merged).
        items: Items in DynamoDB.
        rows: Rows in the current table.
        missing: Keys in DynamoDB only.
        extra: Keys in the current table only.
        stale: Keys in both of which a column differs.
        unlogged: Keys on which both agree, and the log does not.
        columns: Columns that were compared; masked ones cannot be.
        compared_at: When the scan of DynamoDB began; a change after it may be on one side only.
        snapshot_id: Snapshot of the current table that was read.
        log_snapshot_id: Snapshot of the change log that was read.
        in_flight: Keys that differed, and that have changed since: their changes are on the way.
        rows_read: Rows of the current table that were read; where digests agree, none.
    """

    df: pd.DataFrame
    items: int
    rows: int
    missing: int
    extra: int
    stale: int
    unlogged: int
    columns: tuple[str, ...]
    compared_at: datetime
    snapshot_id: int | None
    log_snapshot_id: int | None
    in_flight: int = 0
    rows_read: int = 0

    @property
    def matches(self) -> bool:
        """Whether nothing differs."""
        return self.df.empty

    @property
    def summary(self) -> str:
        """The outcome in a sentence or two."""
        moment = self.compared_at.isoformat(timespec="seconds")
        sizes = (
            f"{self.items:,} items in DynamoDB, {self.rows:,} rows in Iceberg, {len(self.columns)} columns"
        )
        verdict = "They match. The log says the same." if self.matches else self._differences()
        flight = f" {self.in_flight:,} more changed meanwhile and are in flight." if self.in_flight else ""
        return f"{sizes}, compared at {moment}. {verdict}{flight}"

    def _differences(self) -> str:
        """How many keys differ, where that arose, and what helps."""
        counts = ", ".join(f"{getattr(self, problem):,} {problem}" for problem in PROBLEMS)
        key = list(self.df.columns[: self.df.columns.get_loc("problem")])
        causes = self.df.drop_duplicates(key)["cause"].value_counts()
        advice = "; ".join(
            words.format(n=causes[cause]) for cause, words in _REMEDIES.items() if cause in causes
        )
        return f"They differ: {counts}. {advice}."

    def __repr__(self) -> str:
        return self.summary if self.matches else f"{self.df.to_string(max_rows=20)}\n{self.summary}"

    def _repr_html_(self) -> str:
        footer = f"<div>{html.escape(self.summary)}</div>"
        return footer if self.matches else self.df.to_html(max_rows=20, border=0, escape=True) + footer


def reconcile(session: boto3.Session, settings: Settings, contract: Contract) -> ReconcileReport:
    """Compare DynamoDB with the current table and with the change log, every column of every row.

    DynamoDB is scanned, for there is no other way. Athena digests the current table, and what the log says it
    should be, by key ranges; only rows that differ are read, and compared by their exact types. A contract
    with doubles or nested columns, which have no text that both sides write alike, is compared row by row
    throughout.

    What differs is looked up once more before it is reported: an item that has changed meanwhile is in flight
    and not lost. Masked columns are left out. Source of the parallel scan: Amazon DynamoDB Developer Guide,
    "Scanning tables in DynamoDB".

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.

    Returns:
        The report; `.matches` says whether nothing differs.

    Raises:
        NotFoundError: The DynamoDB table, the current table or the change log does not exist.

    Example:
        >>> reconcile(session, settings, contract).matches
        True
    """
    sides = load_sides(session, settings, contract)
    compared_at = datetime.now(UTC)
    items = scan_items(session, contract.source_table)
    suspects = _find_suspects(session, settings, sides, items)
    df, coming = _compare(suspects.items, suspects.rows, contract)
    moving: set[Key] = set()
    if len(df) or coming:
        newer = load_sides(session, settings, contract)
        wanted = coming.union(keys_of(df, contract.key))
        df, moving = _check_again(session, newer, wanted, suspects.items)
    counts = df.drop_duplicates([*contract.key, "problem"])["problem"].value_counts()
    return ReconcileReport(
        df=df,
        items=len(items),
        rows=suspects.rows_in_all,
        **{problem: int(counts.get(problem, 0)) for problem in PROBLEMS},
        in_flight=len(moving),
        rows_read=len(suspects.rows.current),
        columns=tuple(column.name for column in contract.columns if not column.mask),
        compared_at=compared_at,
        snapshot_id=sides.snapshots.get(CURRENT),
        log_snapshot_id=sides.snapshots.get(LOG),
    )


@dataclass(frozen=True)
class _Suspects:
    """What has to be compared exactly, of all sides."""

    items: Sequence[Item]
    rows: Rows
    rows_in_all: int


def _find_suspects(
    session: boto3.Session, settings: Settings, sides: Sides, items: Sequence[Item]
) -> _Suspects:
    """Leave out what digests show to be equal on all sides."""
    contract, snapshots = sides.contract, sides.snapshots
    if CURRENT not in snapshots or not digests.can_digest(contract):
        rows = sides.read(None)
        return _Suspects(items, rows, len(rows.current))
    digits, hashed = digests.range_digits(len(items)), digests.hash_items(items, contract)

    def ask(sql: str) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of an answer by their side."""
        answer = list(query(session, settings, sql).df.itertuples(index=False, name=None))
        return {side: [row[1:] for row in answer if row[0] == side] for side in snapshots}

    there = {
        side: {name: (int(rows), digest) for name, rows, digest in found}
        for side, found in ask(digests.ranges_statement(contract, snapshots, digits)).items()
    }
    rows_in_all = sum(rows for rows, _ in there[CURRENT].values())
    here = digests.digest_ranges(hashed, digits)
    differing = {
        name
        for side in (CURRENT, LOG)
        for name in here.keys() | there.get(side, {}).keys()
        if here.get(name) != there.get(side, {}).get(name)
    }
    keys: set[Any] = set()
    if differing:
        found = ask(digests.rows_statement(contract, snapshots, digits, differing))
        for side in (CURRENT, LOG):
            keys |= digests.differing_partition_keys(hashed, found.get(side, ()), digits, differing)
    suspects = [item for item, each in zip(items, hashed, strict=True) if each.partition_key in keys]
    return _Suspects(suspects, sides.read(keys), rows_in_all)


def _check_again(
    session: boto3.Session, newer: Sides, wanted: Collection[Key], items: Sequence[Item]
) -> tuple[pd.DataFrame, set[Key]]:
    """Compare what differs once more, now; what is left, and the keys that are in flight.

    An item that is another than at the scan has a change on its way.
    """
    contract, key = newer.contract, newer.contract.key
    readers = {c.name: reader_for(c.parsed_type) for c in contract.columns if c.name in key}

    def key_of(item: Item) -> Key:
        return tuple(readers[name](item[name]) for name in key)

    before = {key_of(item): canonical_json({"M": item}) for item in items if key_of(item) in wanted}
    now = {key_of(item): item for item in get_items(session, contract, wanted)}
    moving = {
        each
        for each in wanted
        if before.get(each) != (canonical_json({"M": now[each]}) if each in now else None)
    }
    steady = [item for each, item in now.items() if each not in moving]
    again, coming = _compare(steady, newer.read({each[0] for each in wanted}), contract)
    left = again[[each in wanted and each not in moving for each in keys_of(again, key)]]
    return left.reset_index(drop=True), moving | coming.intersection(wanted)


def _compare(items: Sequence[Item], rows: Rows, contract: Contract) -> tuple[pd.DataFrame, set[Key]]:
    return compare_sides(items, rows.current, rows.logged, rows.behind, contract)
