"""Retention of a change log: what is older than some days is folded into a base, one row per key.

The base is the latest change of each key, with its own time, sequence number and id: every later change wins
over it as before, so that the state at any later moment is the same. What came before is gone. One commit
takes the rows away and says where history begins, so no reader sees the one without the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg import catalog, deploy
from dynaberg.delivery import failures, queue_depths
from dynaberg.errors import SettingsError, require_whole
from dynaberg.functions.change_row import SNAPSHOT
from dynaberg.layers import (
    HISTORY_BEGINS,
    MERGED_SEQUENCE_NUMBER,
    MERGED_SNAPSHOT,
    NO_SEQUENCE_NUMBER,
    follow_parquet,
    refresh,
    unmerged_changes,
)
from dynaberg.source import oldest_moment
from dynaberg.upkeep import rewrite

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

STAYS, BASE, GONE = "stays", "base", "gone"
_ORDER = ["changed_at", "sequence_number", "change_id"]
_MOST_DAYS = 36_500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).date()


def preview_retention(
    session: boto3.Session, settings: Settings, contract: Contract, *, days: int
) -> pd.DataFrame:
    """What `apply_retention` would do now with each day of the change log; nothing is changed.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.
        days: Whole days of `received_at` that stay as they are, today not counted.

    Returns:
        One row per day, the oldest first: day, rows, base (rows that stay as the base), folded (rows that
        go), stays (rows that are left as they are).

    Raises:
        SettingsError: A number of days that is not positive.
        NotFoundError: The change log does not exist.

    Example:
        >>> preview_retention(session, settings, contract, days=90)["folded"].sum()
    """
    work = _Work(session, settings, contract, days)
    return _by_day(work.plan(work.log()))


def apply_retention(
    session: boto3.Session, settings: Settings, contract: Contract, *, days: int, confirm: str
) -> pd.DataFrame:
    """Fold the days of a change log before the last ones into a base: one row per key.

    The current table is refreshed first. A base row has the operation SNAPSHOT and no old image. The base
    of a key that was deleted stays as a REMOVE, as long as an older change of it may still come: from the
    stream, or from what failed. Keys whose order of changes would be another without what goes are left as
    they are. Order columns of the whole change log are read into memory. Old snapshots hold what went until
    they expire.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the table bucket and the namespace.
        contract: The table contract.
        days: Whole days of `received_at` that stay as they are, today not counted.
        confirm: The table's name, as a confirmation.

    Returns:
        As `preview_retention`: what was done.

    Raises:
        SettingsError: The name does not match, or a number of days that is not positive; nothing was changed.
        NotFoundError: A table does not exist.
        NotReadyError: Others committed to the change log first, again and again: run it again.

    Example:
        >>> apply_retention(session, settings, contract, days=90, confirm="orders")
    """
    work = _Work(session, settings, contract, days)
    if confirm != contract.table:
        msg = f"`confirm` is {confirm!r}, but the table is {contract.table!r}. Nothing was changed."
        hint = f'confirm="{contract.table}" applies it; preview_retention(days={days}) shows what would go.'
        raise SettingsError(msg, hint=hint)
    refresh(session, settings, contract)
    log = work.log()
    plan = work.plan(log)
    if (plan["action"] == GONE).any():
        properties = {HISTORY_BEGINS: work.cut.isoformat()}
        rewrite(log, lambda: work.old_files(log), Folding(plan, contract.key), properties)
    follow_parquet(session, settings, contract)
    return _by_day(plan)


@dataclass(frozen=True)
class _Work:
    session: boto3.Session
    settings: Settings
    contract: Contract
    days: int

    def __post_init__(self) -> None:
        days = require_whole("days", self.days, least=1, most=_MOST_DAYS, hint="Use for example 90.")
        object.__setattr__(self, "days", days)

    @property
    def cut(self) -> datetime:
        """The midnight from which on everything stays."""
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return today - timedelta(days=self.days)

    def log(self) -> Table:
        """The change log."""
        iceberg = catalog.open_catalog(self.session, self.settings)
        return catalog.load_table(iceberg, self.settings, self.contract.log_name)

    def plan(self, log: Table) -> pd.DataFrame:
        """What becomes of each row of the change log as it is."""
        names = (*self.contract.key, *_ORDER, "received_at", "operation")
        frame = log.scan(selected_fields=names).to_arrow().to_pandas()
        return plan_folding(frame, self.contract.key, self.cut, self._deletions_until(log))

    def _deletions_until(self, log: Table) -> datetime | None:
        """Deletions up to then can be folded away: nothing older of their keys can come any more."""
        iceberg = catalog.open_catalog(self.session, self.settings)
        current = catalog.load_table(iceberg, self.settings, self.contract.table)
        merged = (current.properties.get(name) for name in (MERGED_SNAPSHOT, MERGED_SEQUENCE_NUMBER))
        if unmerged_changes(log, *merged).action != "none":
            return None
        depths = queue_depths(self.session, self.settings)[["waiting", "held", "delayed"]]
        if depths.to_numpy().sum() or len(failures(self.session, self.settings, self.contract)):
            return None
        arn = deploy.outputs(self.session, self.settings, "foundation")["ChangeStreamArn"]
        return oldest_moment(self.session, arn) - timedelta(days=1)

    def old_files(self, log: Table) -> list[str]:
        """The files of the days before the cut."""
        first = (self.cut.date() - _EPOCH).days
        return [t.file.file_path for t in log.scan().plan_files() if _day(t.file.partition[0]) < first]


def _day(value: Any) -> int:
    return value if isinstance(value, int) else (value - _EPOCH).days


def plan_folding(
    rows: pd.DataFrame, key: Sequence[str], cut: datetime, deletions_until: datetime | None
) -> pd.DataFrame:
    """What becomes of each row of a change log.

    Args:
        rows: All rows: the key, changed_at, sequence_number, change_id, received_at, operation.
        key: Names of the key columns.
        cut: Rows that were received, and made, before it are folded; timezone-aware.
        deletions_until: Deletions that were made before it are folded away, too; None for none.

    Returns:
        The rows, with `action`: `base` (stays, one for each key), `gone` or `stays`.
    """
    frame = rows.reset_index(drop=True)
    frame["moment"] = _moments(frame, key)
    cut_us = (cut - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    ranked = frame.sort_values(["moment", *_ORDER[1:]], kind="stable")
    old = ranked[(ranked["received_at"] < cut) & (ranked["moment"] < cut_us)]
    base = old.drop_duplicates(list(key), keep="last").index
    frame["action"] = STAYS
    frame.loc[old.index, "action"] = GONE
    frame.loc[base, "action"] = BASE
    frame = _without_reordered(frame, key)
    if deletions_until is not None:
        done = (frame["action"] == BASE) & (frame["operation"] == "REMOVE")
        done &= frame["changed_at"] < deletions_until
        # Without another row of the key that stays, nothing is left that a deletion could have to win over.
        alone = ~_keys(frame, key).isin(_keys(frame[frame["action"] == STAYS], key))
        frame.loc[done & alone, "action"] = GONE
    return frame


def _moments(frame: pd.DataFrame, key: Sequence[str]) -> pd.Series[int]:
    """When each change counts as made, in microseconds: as `layers.latest_changes` has it."""
    order = frame[[*key, "sequence_number"]].copy()
    order["moment"] = frame["changed_at"].astype("datetime64[us, UTC]").astype("int64")
    order["streams"] = order["sequence_number"] != NO_SEQUENCE_NUMBER
    order = order.sort_values("sequence_number", kind="stable")
    counted = order.groupby([*key, "streams"], sort=False, dropna=False)["moment"].cummax()
    return order["moment"].where(~order["streams"], counted).sort_index()


def _without_reordered(frame: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """Leave keys as they are whose remaining changes would stand in another order.

    A change of DynamoDB Streams counts as made no earlier than those before it; one of them may go.
    """
    left = frame[frame["action"] != GONE]
    before = left.sort_values(["moment", *_ORDER[1:]], kind="stable")
    after = left.assign(moment=_moments(left, key)).sort_values(["moment", *_ORDER[1:]], kind="stable")
    place_before = before.groupby(list(key), sort=False).cumcount()
    place_after = after.groupby(list(key), sort=False).cumcount()
    moved = place_before.index[place_before != place_after.reindex(place_before.index)]
    wrong = _keys(frame, key).isin(_keys(frame.loc[moved], key))
    frame.loc[wrong, "action"] = STAYS
    return frame


def _keys(frame: pd.DataFrame, key: Sequence[str]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(list(frame[list(key)].itertuples(index=False, name=None)), frame.index, dtype=object)


def _by_day(plan: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    days = plan["received_at"].dt.floor("D").rename("day")
    counted = pd.crosstab(days, plan["action"]).reindex(columns=[BASE, GONE, STAYS], fill_value=0)
    counted.columns = pd.Index([BASE, "folded", STAYS])
    counted.insert(0, "rows", counted.sum(axis=1))
    return counted.reset_index()


class Folding:
    """What becomes of the rows of a file.

    Args:
        plan: From `plan_folding`.
        key: Names of the key columns.
    """

    def __init__(self, plan: pd.DataFrame, key: Sequence[str]) -> None:
        self._names = [*key, "change_id", "received_at"]
        touched = plan[plan["action"] != STAYS]
        self._actions = touched.drop_duplicates(self._names)[[*self._names, "action"]]

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows that stay; those of the base as snapshots, without what they were before."""
        import pyarrow as pa
        import pyarrow.compute as pc

        frame = rows.select(self._names).to_pandas()
        action = frame.merge(self._actions, on=self._names, how="left")["action"].to_numpy()
        rows = rows.append_column("action", pa.array(action, pa.string(), from_pandas=True))
        rows = rows.filter(pc.fill_null(pc.not_equal(rows["action"], GONE), True))
        is_base = pc.fill_null(pc.equal(rows["action"], BASE), False)
        deleted = pc.equal(rows["operation"], "REMOVE")
        operation = pc.if_else(pc.and_(is_base, pc.invert(deleted)), SNAPSHOT, rows["operation"])
        old_image = pc.if_else(
            is_base, pa.scalar(None, rows.schema.field("old_image").type), rows["old_image"]
        )
        for name, values in {"operation": operation, "old_image": old_image}.items():
            place = rows.column_names.index(name)
            rows = rows.set_column(place, rows.schema.field(name), values)
        return rows.drop_columns(["action"])
