"""The result of a query: the rows, and what they cost."""

from __future__ import annotations

import html
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from dynaberg import html_tables, prices
from dynaberg.sql.types import AS_TEXT

if TYPE_CHECKING:
    import pandas as pd

    from dynaberg.sql.types import ResultColumn

_DISPLAYED_ROWS = 60


@dataclass(frozen=True, repr=False)
class QueryResult:
    """The result of a query.

    Attributes:
        df: The rows, with exact types (`types.to_frame`).
        columns: Athena's description of each column.
        sql: The statement with its placeholders; what was sent may select nested columns as JSON too.
        query_id: Athena's id of this execution.
        runtime_ms: Total execution time in milliseconds, as Athena counts it.
        bytes_scanned: Bytes that Athena read, which is what it bills.
        console_url: Where AWS's console shows the query; empty on the local AWS.
    """

    df: pd.DataFrame
    columns: tuple[ResultColumn, ...]
    sql: str
    query_id: str
    runtime_ms: int
    bytes_scanned: int
    console_url: str = ""

    @property
    def cost_usd(self) -> Decimal:
        """What Athena bills for it on AWS at list price, from `bytes_scanned`."""
        return prices.query_usd(self.bytes_scanned)

    @property
    def summary(self) -> str:
        """Rows, time and bytes, in one line; on AWS also what Athena bills for it."""
        return f"{self._measured} (query {self.query_id})"

    @property
    def _measured(self) -> str:
        size = _readable_bytes(self.bytes_scanned)
        rows = "1 row" if len(self.df) == 1 else f"{len(self.df):,} rows"
        bill = f" for ${self.cost_usd.normalize():f}" if self.console_url else ""
        return f"{rows} in {self.runtime_ms:,} ms, {size} scanned{bill}"

    @property
    def notes(self) -> tuple[str, ...]:
        """A line for each column that stays text, with what to do about it."""
        return tuple(self.df.attrs.get(AS_TEXT, {}).values())

    def __len__(self) -> int:
        return len(self.df)

    def __repr__(self) -> str:
        return "\n".join([self.df.to_string(max_rows=_DISPLAYED_ROWS), *self.notes, self.summary])

    def _repr_html_(self) -> str:
        words = html.escape(self.summary)
        if self.console_url:
            link = f'<a href="{html.escape(self.console_url)}">query {html.escape(self.query_id)}</a>'
            words = f"{html.escape(self._measured)} ({link})"
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self.notes)
        footer = f'{notes}<div style="opacity:0.7;font-size:85%">{words}</div>'
        return html_tables.table(self.df) + footer


def _readable_bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
