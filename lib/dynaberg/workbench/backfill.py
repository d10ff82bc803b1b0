"""A backfill with its proof: at the end, all tables of the source are compared with DynamoDB."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import delivery, deploy, html_tables, layers, prices, proof
from dynaberg.errors import SettingsError, require_seconds, require_whole
from dynaberg.proof import ReconcileReport
from dynaberg.source import source_size

if TYPE_CHECKING:
    from dynaberg.contracts import Contract
    from dynaberg.workbench.connection import Connection, Place

LARGE_TABLE_ITEMS = 10_000
"""How many items of a large table are compared if nobody says how many."""
_BYTES_PER_READ_UNIT = 4096
# Beyond Firehose's buffer: from the change of an item to the Firehose stream, and to the commit.
_TRAVEL_SECONDS = 120


@dataclass(frozen=True, repr=False)
class BackfillReport:
    """What a backfill brought in, and whether the tables equal DynamoDB now.

    Attributes:
        df: One row: table, method, dated (UTC), items, unfit (not sent), read_units, bytes, resumed, seconds.
        reconciled: What the comparison of each table of the source found; empty if it was left out.
    """

    df: pd.DataFrame
    reconciled: Mapping[str, ReconcileReport] = field(default_factory=dict)

    @property
    def matches(self) -> bool:
        """Whether every table of the source was compared and equals DynamoDB."""
        return bool(self.reconciled) and all(each.matches for each in self.reconciled.values())

    @property
    def summary(self) -> str:
        """The outcome in a line for each table."""
        if not self.reconciled:
            return "Nothing was compared: refresh() and reconcile() do that."
        return "\n".join(f"{table}: {each.summary}" for table, each in self.reconciled.items())

    def __repr__(self) -> str:
        return f"{self.df.to_string(index=False)}\n{self.summary}"

    def _repr_html_(self) -> str:
        lines = "".join(f"<div>{html.escape(line)}</div>" for line in self.summary.splitlines())
        differing = [each.df for each in self.reconciled.values() if not each.df.empty]
        return html_tables.table(self.df) + lines + "".join(map(html_tables.table, differing))


@dataclass(frozen=True)
class Ending:
    """What follows the reading.

    Attributes:
        reconcile: Whether the tables are refreshed and compared.
        sample: Compare only about this many items of each table; by default all of them, and of a table of a
            GiB or more about 10,000.
        settle_seconds: How long changes that are on their way are waited for; by default two minutes more
            than Firehose gathers rows.
    """

    reconcile: bool = True
    sample: int | None = None
    settle_seconds: float | None = None

    def check(self) -> None:
        """Refuse a sample of nothing, or of a comparison that is left out."""
        if self.sample is not None and not self.reconcile:
            msg = f"`sample` is {self.sample!r}, but nothing is compared: `reconcile` is False."
            raise SettingsError(msg, hint="Leave one of them out.")
        if self.sample is not None:
            hint = f"Leave it out, or use for example {LARGE_TABLE_ITEMS:_}."
            sample = require_whole("sample", self.sample, least=1, hint=hint)
            object.__setattr__(self, "sample", sample)
        if self.settle_seconds is not None:
            require_seconds("settle_seconds", self.settle_seconds)

    def sample_of(self, place: Place) -> int | None:
        """How many items are compared; None for all."""
        session, _, contract = place
        is_large = source_size(session, contract.source_table).bytes >= delivery.SMALL_BYTES
        return LARGE_TABLE_ITEMS if self.sample is None and is_large else self.sample


def backfill(connection: Connection, contract: Contract, ending: Ending, **reading: Any) -> BackfillReport:
    """Fill the tables of a source; then refresh them and compare them with DynamoDB.

    A change that is on its way during the comparison is waited for: the table is refreshed and the
    differences are looked at again, until they are gone or the time to settle is over.

    Args:
        connection: The project.
        contract: A table of the source.
        ending: What follows the reading.
        **reading: As for `delivery.backfill`.

    Raises:
        SettingsError: An ending that contradicts itself; nothing was read.
    """
    ending.check()
    place = connection.place_of(contract)
    df = delivery.backfill(*place, **reading)
    if not ending.reconcile:
        return BackfillReport(df)
    settle_seconds, sample = ending.settle_seconds, ending.sample_of(place)
    if settle_seconds is None:
        settle_seconds = deploy.pace_of(*place[:2])["buffer_seconds"] + _TRAVEL_SECONDS
    unfit = int(df["unfit"].iloc[0])
    tables = [connection.place_of(each) for each in _tables(place[2])]
    found = {own[2].table: _compare(own, sample, settle_seconds, unfit) for own in tables}
    return BackfillReport(df, found)


def _compare(place: Place, sample: int | None, settle_seconds: float, unfit: int) -> ReconcileReport:
    """Refresh a table and compare it; items that do not fit are not waited for, because they never come."""
    refresh = partial(layers.refresh, *place)
    reconcile = partial(proof.reconcile, *place, sample=sample, before_looking_again=refresh)
    refresh()
    if unfit:
        report = reconcile()
        differing = report.missing + report.extra + report.stale + report.unlogged
        if differing <= unfit and not report.in_flight:
            return report
    return reconcile(settle_seconds=settle_seconds)


def preview_backfill(
    connection: Connection, contract: Contract, ending: Ending, method: str | None
) -> pd.DataFrame:
    """What `backfill` would read and cost: the backfill itself, and the comparison at its end.

    Args:
        connection: The project.
        contract: A table of the source.
        ending: What follows the reading.
        method: As for `delivery.preview_backfill`.

    Returns:
        The row of `delivery.preview_backfill`, with reconcile_items, reconcile_read_units and reconcile_usd
        (Decimal; DynamoDB's consistent reads, and Athena's scans if the tables were as large in Iceberg).
    """
    ending.check()
    place = connection.place_of(contract)
    preview = delivery.preview_backfill(*place, method=method)
    counted, size = int(preview["items"].iloc[0]), int(preview["bytes"].iloc[0])
    sample, tables = ending.sample_of(place), len(_tables(place[2])) if ending.reconcile else 0
    items = counted if sample is None else min(counted, sample)
    part = size * items // max(counted, 1)
    # A sample is read twice: by a scan, and then all items of its partition keys.
    units = tables * (1 if sample is None else 2) * -(-part // _BYTES_PER_READ_UNIT)
    usd = units * prices.price("dynamodb-read").usd + tables * prices.query_usd(2 * size)
    more = {
        "reconcile_items": items if tables else 0,
        "reconcile_read_units": units,
        "reconcile_usd": usd,
    }
    return pd.concat([preview, pd.DataFrame([more])], axis=1)


def _tables(contract: Contract) -> list[Contract]:
    """The tables of a source that have a current table, which is all but the rest."""
    return [each for each in contract.of_source if not each.is_rest]
