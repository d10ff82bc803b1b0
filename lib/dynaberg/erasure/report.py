"""What forgetting found and did, place by place, and when what cannot be removed now is gone."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dynaberg import html_tables

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["place", "kind", "found", "removed", "left", "until", "note"]


@dataclass(frozen=True)
class ForgetReport:
    """The proof that items were forgotten: where it was looked, and what was found.

    Attributes:
        df: One row per place: place, kind, found (rows, changes, messages, objects or snapshots), removed,
            left (NA in places that nobody can look at), until (UTC: when what is left is gone at the latest;
            NaT if nothing is left, or if no setting removes it), note.
        snapshots: One row per snapshot whose files still hold rows: table, snapshot_id, committed_at,
            is_current, holding_files, rows, expires_at, gone_at (UTC, at the latest).
        items: How many keys were looked for.
        forgotten_at: The moment up to which changes are held back; None in a preview.
    """

    df: pd.DataFrame
    snapshots: pd.DataFrame
    items: int
    forgotten_at: datetime | None
    look: Callable[[], ForgetReport] = field(repr=False)

    def check(self) -> ForgetReport:
        """Look again, in every place; nothing is removed."""
        return self.look()

    @property
    def is_gone(self) -> bool:
        """Whether no place that can be looked at holds the items any more."""
        return not int(self.df["left"].sum())

    @property
    def gone_at(self) -> datetime | None:
        """When every place is free of them, at the latest (UTC); None if no setting removes what is left."""
        left = self.df[self.df["left"] > 0]
        if left["until"].isna().any():
            return None
        found: Any = left["until"].max()
        return datetime.now(UTC) if left.empty else found.to_pydatetime()

    @property
    def summary(self) -> str:
        """The report in a sentence or two."""
        verb = "Found" if self.forgotten_at is None else "Forgotten"
        items = f"{self.items:,} item{'' if self.items == 1 else 's'}"
        places = self.df[self.df["left"] > 0]["place"].tolist()
        if self.forgotten_at is None and not self.df["found"].sum():
            return f"Looked for {items}: no place that was looked at holds any.{self._unseen}"
        if not places:
            return f"{verb}: {items}. No place that was looked at holds them.{self._unseen}"
        until = self.gone_at
        when = (
            f"until {until:%Y-%m-%d %H:%M} UTC at the latest" if until else "and no setting removes all of it"
        )
        return f"{verb}: {items}. {len(places)} places hold them: {', '.join(places)}; {when}.{self._unseen}"

    @property
    def _unseen(self) -> str:
        """The places that nobody can look at, and until when they may hold something."""
        rows = self.df[self.df["left"].isna()]
        if rows.empty:
            return ""
        until = rows["until"].dt.strftime(" until %Y-%m-%d").fillna("")
        return f" Not looked at: {', '.join(rows['place'] + until)}."

    def __repr__(self) -> str:
        return f"ForgetReport({self.summary})"

    def _repr_html_(self) -> str:
        return html_tables.table(self.df) + f"<div>{html.escape(self.summary)}</div>"


def joined(reports: Sequence[ForgetReport]) -> ForgetReport:
    """Several reports as one.

    Args:
        reports: At least one.
    """
    import pandas as pd

    frames = [report.df for report in reports]
    return ForgetReport(
        pd.concat(frames, ignore_index=True).drop_duplicates(["place", "kind", "found", "removed", "left"]),
        pd.concat([report.snapshots for report in reports], ignore_index=True),
        sum(report.items for report in reports),
        reports[0].forgotten_at,
        lambda: joined([report.look() for report in reports]),
    )
