"""One search for items, in every place: what is there, its removal, and what is there afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg import catalog, curated
from dynaberg.delivery import failed_records
from dynaberg.erasure.holders import JOB, Held, find_all, find_rows, schedule
from dynaberg.erasure.places import CURATED, CURRENT, OTHER, STAGED, Place, places
from dynaberg.erasure.report import COLUMNS, ForgetReport
from dynaberg.erasure.stores import (
    ERROR_BUCKET,
    PARQUET,
    QUEUES,
    RESULTS,
    STREAM,
    Found,
    clean_errors,
    clean_queues,
    clean_results,
    find_copies,
    read_stream,
    records_of,
)
from dynaberg.erasure.wanted import Wanted, key_in
from dynaberg.errors import DynabergError, NotFoundError
from dynaberg.layers import follow_parquet
from dynaberg.upkeep import maintenance, rewrite

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.table import Table

    from dynaberg.settings import Settings

# "Quotas" and "View recent queries", Amazon Athena User Guide.
_HISTORY = timedelta(days=45)
# The local AWS keeps its state aside once an hour at least, each time in one of two places.
_ASIDE = timedelta(hours=2)
_NOTES = {
    CURATED: "built again as a whole",
    CURRENT: "rows that delete files hide count, too, until their files are written again",
    OTHER: "not of this project: remove it there",
    STAGED: "dropped",
}


@dataclass(frozen=True)
class Findings:
    """What every place holds at one time.

    Attributes:
        tables: By name.
        stores: By name.
    """

    tables: dict[str, Held] = field(default_factory=dict)
    stores: dict[str, Found] = field(default_factory=dict)
    places: tuple[Place, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether the items are anywhere where they can be told apart."""
        rows = any(self.tables[p.name].rows for p in self.places if p.kind not in (CURATED, STAGED))
        return rows or any(found.count for name, found in self.stores.items() if name != RESULTS)


class Search:
    """A search for items in every place.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        wanted: The items; keys that are found by a value are added to them.
        moment: When they were forgotten; None before.
    """

    def __init__(
        self, session: boto3.Session, settings: Settings, wanted: Wanted, moment: datetime | None
    ) -> None:
        self._session, self._settings, self.wanted = session, settings, wanted
        self._moment = moment
        self._built: dict[str, datetime] = {}
        self._cleaned_at: datetime | None = None
        self._failed: dict[str, str] = {}
        self._iceberg = catalog.open_catalog(session, settings)

    # looking

    def look(self) -> Findings:
        """What every place holds now."""
        found = tuple(places(self._iceberg, self._settings, self.wanted.contract))
        if self.wanted.column is not None:
            self._learn_keys(found)
        looked = [(place, self._held(place)) for place in found]
        tables = {place.name: held for place, held in looked if held is not None}
        there = tuple(place for place in found if place.name in tables)
        return Findings(tables, self._stores(removing=False), there)

    def _learn_keys(self, found: tuple[Place, ...]) -> None:
        """Add the keys of all items that have the value in some table, in the stream, or in what failed."""
        for place in found:
            if place.contract and place.kind != OTHER:
                seen = self.wanted.seen_by(place.contract)
                held = find_rows(self._load(place.name), seen)
                self.wanted = self.wanted.with_keys(seen.with_keys(held.keys).keys_as(self.wanted.contract))
        contract, matches = self.wanted.contract, self.wanted.matcher()
        failed = (record for _, record in failed_records(self._session, self._settings, contract))
        for record in (*failed, *records_of(self._session, self._settings)):
            key = key_in(record, contract) if matches(record) else None
            if key is not None:
                self.wanted = self.wanted.with_keys([key])

    def _held(self, place: Place) -> Held | None:
        """What a table holds; None for a staging table that a build has dropped meanwhile."""
        try:
            table = self._load(place.name)
        except NotFoundError:
            if place.kind != STAGED:
                raise
            return None
        if place.contract:
            return find_rows(table, self.wanted.seen_by(place.contract))
        return find_all(table, before=self._built.get(place.name))

    def _stores(self, *, removing: bool) -> dict[str, Found]:
        session, settings, matches = self._session, self._settings, self.wanted.matcher()
        return {
            ERROR_BUCKET: clean_errors(session, settings, matches, removing=removing),
            QUEUES: clean_queues(session, settings, matches, removing=removing),
            PARQUET: find_copies(session, settings, self.wanted),
            STREAM: read_stream(session, settings, matches),
            RESULTS: clean_results(session, settings, self._results_until(), removing=removing),
        }

    def _results_until(self) -> datetime:
        return self._cleaned_at or datetime.now(UTC)

    def on_their_way(self) -> set[str]:
        """Ids of changes that the stream has, but neither a change log nor a place for failures."""
        session, settings, matches = self._session, self._settings, self.wanted.matcher()
        missing = set(read_stream(session, settings, matches).ids)
        for each in self.wanted.contract.of_source:
            missing -= _ids(self._load(each.log_name), sorted(missing))
        for look in (clean_errors, clean_queues):
            if missing:
                missing -= look(session, settings, matches, removing=False).ids
        return missing

    # removing

    def remove(self, found: Findings, moment: datetime) -> ForgetReport:
        """Remove the items from every place, and look again.

        Args:
            found: What was found before.
            moment: When the tombstones were written.
        """
        self._moment = moment
        self.wanted = replace(self.wanted, until=moment)
        self._stores(removing=True)
        for place in found.places:
            if place.contract and place.kind != OTHER:
                self._rewrite(place.name, self.wanted.seen_by(place.contract))
        follow_parquet(self._session, self._settings, self.wanted.contract)
        for place in found.places:
            if place.kind == STAGED:
                catalog.drop_table(self._session, self._settings, place.name)
            elif place.kind == CURATED:
                self._build(place)
        # The builds have queried, too.
        self._cleaned_at = datetime.now(UTC)
        clean_results(self._session, self._settings, self._cleaned_at, removing=True)
        return self.report(found, self.look())

    def _rewrite(self, name: str, wanted: Wanted) -> None:
        table = self._load(name)

        def without(rows: pa.Table) -> pa.Table:
            import numpy as np

            keep = np.ones(len(rows), dtype=bool)
            keep[wanted.rows_of(rows)] = False
            return rows.filter(keep)

        rewrite(table, lambda: find_rows(table, wanted).in_current, without)

    def _build(self, place: Place) -> None:
        """Build a curated table again; then no file of its current snapshot is older."""
        began = datetime.now(UTC)
        try:
            curated.build(self._session, self._settings, place.name, full=True)
        except DynabergError as error:
            self._failed[place.name] = error.message.splitlines()[0]
            return
        rewrite(self._load(place.name), lambda: (), lambda rows: rows)
        self._built[place.name] = began

    # the report

    def report(self, found: Findings, after: Findings | None = None) -> ForgetReport:
        """What was found, and what is left.

        Args:
            found: What was found before.
            after: What was found after the removal; None if nothing was removed.
        """
        import pandas as pd

        now = datetime.now(UTC)
        left = after or found
        plans = [
            self._schedule(place, left.tables[place.name], now)
            for place in left.places
            if left.tables[place.name].snapshots
        ]
        snapshots = pd.concat(plans, ignore_index=True) if plans else _no_snapshots()
        rows: list[tuple[Any, ...]] = []
        for place in found.places:
            rows += self._table_rows(place, found, left, snapshots)
        rows += [self._store_row(name, found, left) for name in found.stores]
        rows += [*self._unseen(now), *self._kept_aside(rows, now)]
        frame = pd.DataFrame(rows, columns=COLUMNS).astype(
            dict.fromkeys(("found", "removed", "left"), "Int64")
        )
        frame["until"] = pd.to_datetime(frame["until"], utc=True)
        return ForgetReport(
            frame, snapshots, len(self.wanted.keys), self._moment, lambda: self.report(self.look())
        )

    def _schedule(self, place: Place, held: Held, now: datetime) -> pd.DataFrame:
        table = self._load(place.name)
        values = self._settings_of(table)
        return schedule(
            table,
            held,
            min_snapshots=values["min_snapshots"],
            max_age_hours=values["max_age_hours"],
            noncurrent_days=values["noncurrent_days"],
            now=now,
        )

    def _settings_of(self, table: Table) -> dict[str, int]:
        frame = maintenance(self._session, self._settings, table)
        return {
            name: int(value)
            for name, value in zip(frame["setting"], frame["value"], strict=True)
            if name != "strategy"
        }

    def _table_rows(
        self, place: Place, found: Findings, left: Findings, snapshots: pd.DataFrame
    ) -> list[tuple[Any, ...]]:
        """A row for the table as it is, and one for its older snapshots if they hold something."""
        before = found.tables[place.name].current_rows
        here = left.tables.get(place.name, Held())
        note = self._failed.get(place.name) or _NOTES.get(place.kind, "")
        rows = [(place.name, place.kind, before, before - here.current_rows, here.current_rows, None, note)]
        older = snapshots[(snapshots["table"] == place.name) & ~snapshots["is_current"].astype(bool)]
        if len(older):
            until = older["gone_at"].max() if older["gone_at"].notna().all() else None
            names = "; ".join(map(str, older["snapshot_id"]))
            note = f"{names}; S3 Tables removes them by its maintenance settings"
            count = len(older)
            rows.append((f"{place.name}: older snapshots", "snapshots", count, 0, count, until, note))
        return rows

    def _store_row(self, name: str, found: Findings, left: Findings) -> tuple[Any, ...]:
        before, after = found.stores[name], left.stores[name]
        kind = "stream" if name == STREAM else "queue" if name == QUEUES else "bucket"
        note = "; ".join(dict.fromkeys(filter(None, (after.note, before.note))))
        return name, kind, before.count, before.count - after.count, after.count, after.until, note

    def _unseen(self, now: datetime) -> list[tuple[Any, ...]]:
        """Places that nobody can look into."""
        contract = self.wanted.contract
        days = self._settings_of(self._load(contract.log_name))
        swept = now + timedelta(days=days["unreferenced_days"] + days["noncurrent_days"]) + 2 * JOB
        return [
            (
                *("files without a snapshot", "not looked at", None, None, None, swept),
                "what interrupted writers left; S3 Tables lists no files, and removes these",
            ),
            (
                *("Athena's history", "not looked at", None, None, None, now + _HISTORY),
                "a key that was written in a query, or passed to one; Athena keeps statements for 45 days",
            ),
        ]

    def _kept_aside(self, rows: list[tuple[Any, ...]], now: datetime) -> list[tuple[Any, ...]]:
        """The files in which the local AWS keeps its earlier states, for a while after all else is gone."""
        if self._settings.target != "local":
            return []
        left = [until for *_, count, until, _ in rows if count]
        gone = None if None in left else max([now, *left]) + _ASIDE
        note = "journals and checkpoints hold what is removed for up to two hours, while it runs"
        return [("the local AWS's own files", "not looked at", None, None, None, gone, note)]

    def _load(self, name: str) -> Table:
        return catalog.load_table(self._iceberg, self._settings, name)


def _ids(log: Table, ids: list[str]) -> set[str]:
    """Those of some changes that are in a change log."""
    from pyiceberg.expressions import In

    if not ids or log.current_snapshot() is None:
        return set()
    named: Any = In
    found = log.scan(row_filter=named("change_id", ids), selected_fields=("change_id",)).to_arrow()
    return set(found["change_id"].to_pylist())


def _no_snapshots() -> pd.DataFrame:
    import pandas as pd

    from dynaberg.erasure import holders

    return pd.DataFrame(columns=holders.COLUMNS)
