"""The result of a reconciliation: the report, its verdict and its summary."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynaberg import html_tables
from dynaberg.proof.comparison import EDITED, NOT_LOGGED, PENDING, UNFIT, UNLOGGED

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

PROBLEMS = ("missing", "extra", "stale", UNLOGGED)
# Of one key, and of several.
_REMEDIES = {
    PENDING: ("1 waits for refresh()", "{n:,} wait for refresh()"),
    NOT_LOGGED: (
        "1 is not in the change log: on its way, or in failures(), or lost",
        "{n:,} are not in the change log: on their way, or in failures(), or lost",
    ),
    EDITED: (
        "1 was edited in the current table: repair() corrects it",
        "{n:,} were edited in the current table: repair() corrects them",
    ),
    UNFIT: (
        "1 has a key that no row can have: failures() shows why",
        "{n:,} have keys that no row can have: failures() shows why",
    ),
}


@dataclass(frozen=True, repr=False)
class ReconcileReport:
    """The result of comparing DynamoDB with the current table and the change log.

    Attributes:
        df: One row per difference: the key columns, problem (`missing`: in DynamoDB only, `extra`: in Iceberg
            only, `stale`: a column differs, `unlogged`: both agree but the change log differs), column,
            dynamodb, iceberg (if `unlogged`, the change log's value), cause (`refresh pending`: the change
            log has it, `not in the log`, `current table edited`: the change log has it and was merged, `key
            does not fit`).
        items: Items in DynamoDB.
        rows: Rows in the current table.
        missing: Keys in DynamoDB only.
        extra: Keys in the current table only.
        stale: Keys in both, with a column that differs.
        unlogged: Keys on which both agree but the change log does not.
        columns: Columns that were compared, including `unmapped`.
        not_compared: Columns that were not, because they are masked.
        compared_at: When the scan of DynamoDB started; a change after it may be on one side only.
        snapshot_id: Snapshot of the current table that was read.
        log_snapshot_id: Snapshot of the change log that was read.
        in_flight: Keys that differed and have changed since: their changes are on their way.
        rows_read: Rows of the current table that were read; none if the digests agree.
        packed: Rows of the current table with values that were too large for Firehose, and are packed there;
            they were compared unpacked.
        scope: What was compared, if that was not all: `1,204 items of 80 partition keys`; else empty.
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
    packed: int = 0
    not_compared: tuple[str, ...] = ()
    scope: str = ""

    @property
    def matches(self) -> bool:
        """Whether both sides are equal: nothing differs, nothing is in flight, and the counts are equal."""
        return self.df.empty and not self.in_flight and self.items == self.rows

    @property
    def summary(self) -> str:
        """The outcome in a sentence or two."""
        moment = self.compared_at.isoformat(timespec="seconds")
        sizes = f"{self.items:,} items in DynamoDB, {self.rows:,} rows in Iceberg"
        compared = f"{len(self.columns)} columns, compared at {moment}"
        parts = [f"{sizes}, {compared}.", self._verdict()]
        if self.in_flight:
            parts.append(f"{self.in_flight:,} more changed in the meantime and are in flight.")
        if self.not_compared:
            parts.append(f"Not compared, because masked: {', '.join(self.not_compared)}.")
        if self.packed:
            parts.append(f"{self.packed:,} rows hold packed values, which were compared unpacked.")
        if self.scope:
            parts.append(f"Only a part was compared: {self.scope}.")
        return " ".join(parts)

    def _verdict(self) -> str:
        if self.matches:
            return "They match. The change log agrees."
        if not self.df.empty:
            return self._differences()
        if self.in_flight:
            return "Nothing else differs; compare again when they have arrived."
        return "No row differs, but the counts do: something changed in the meantime. Compare again."

    def _differences(self) -> str:
        """How many keys differ, where the differences arose, and what to do."""
        counts = ", ".join(f"{getattr(self, problem):,} {problem}" for problem in PROBLEMS)
        key = list(self.df.columns[: self.df.columns.get_loc("problem")])
        causes = self.df.drop_duplicates(key)["cause"].value_counts()
        advice = "; ".join(
            one if causes[cause] == 1 else many.format(n=causes[cause])
            for cause, (one, many) in _REMEDIES.items()
            if cause in causes
        )
        return f"They differ: {counts}. {advice}."

    def __repr__(self) -> str:
        return self.summary if self.df.empty else f"{self.df.to_string(max_rows=20)}\n{self.summary}"

    def _repr_html_(self) -> str:
        footer = f"<div>{html.escape(self.summary)}</div>"
        return footer if self.df.empty else html_tables.table(self.df) + footer
