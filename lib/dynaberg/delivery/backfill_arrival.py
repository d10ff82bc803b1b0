"""What both kinds of backfill share: when its rows are dated, and waiting until the change logs hold them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg import aws, catalog
from dynaberg.errors import NotReadyError
from dynaberg.functions.change_row import SNAPSHOT
from dynaberg.source import describe_source
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    from pyiceberg.table import Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

# Allowance for the clocks of AWS's services. Too early does no harm: later changes win anyway.
CLOCK_SECONDS = 2
DELIVERY_SECONDS = 1800.0
# A count reads all the ids of the backfill: it may take a fifth of the time of waiting.
_PAUSE_PER_COUNT = 4
_COUNT = """\
SELECT count(DISTINCT change_id) FROM "{}"
WHERE received_at >= :since AND operation = :operation AND changed_at = :moment"""


def check_stream(session: boto3.Session, contract: Contract) -> None:
    """Without a stream, a change during the backfill would be lost.

    Raises:
        NotReadyError: The table's stream is off.
    """
    if not describe_source(session, contract.source_table).stream_arn:
        msg = f"The stream of the DynamoDB table {contract.source_table!r} is off. Nothing was read."
        raise NotReadyError(msg, hint="Switch it on first: wb.adopt().")


def wait_until_delivered(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    moment: datetime,
    wanted: int,
    timeout: float,
    meanwhile: Callable[[], None],
    progress: bool,
) -> None:
    """Wait until the change logs of a source hold every row that was sent.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        contract: The table contract.
        moment: To which second the rows are dated.
        wanted: How many items they are of.
        timeout: How long it may take, in seconds.
        meanwhile: Called again and again during the wait.
        progress: Whether a progress bar is shown; until they are counted, it shows how much the logs grew.

    Raises:
        NotReadyError: They were not all there in time.
    """
    from tqdm.auto import tqdm

    if not wanted:
        return
    logs = _Logs(session, settings, contract, moment)
    before: list[int] = []

    def arrived() -> bool:
        meanwhile()
        rows = logs.rows()
        before.append(rows)
        _show(bar, min(rows - before[0], wanted - 1))
        items = logs.count() if rows >= wanted else 0
        _show(bar, items)
        return items >= wanted

    with tqdm(total=wanted, desc="Delivered", unit="item", disable=not progress) as bar:
        aws.wait_for(
            arrived,
            timeout=timeout,
            what=f"Each of the {wanted:,} items in {' and '.join(map(repr, logs.names))}",
            hint="They are on their way. Run backfill() again: it sends nothing that was sent before.",
        )


class _Logs:
    """The change logs of a source; to count in them reads more than to look how long they are."""

    def __init__(
        self, session: boto3.Session, settings: Settings, contract: Contract, moment: datetime
    ) -> None:
        self.names = [each.log_name for each in contract.of_source]
        self._place = session, settings
        self._params = {"since": moment - timedelta(hours=1), "operation": SNAPSHOT, "moment": moment}
        self._opened = catalog.open_catalog(session, settings)
        self._tables: dict[str, Table] = {}
        self._seen: dict[str, str] = {}
        self._counted: dict[str, int] = {}
        self._next_count = 0.0

    def rows(self) -> int:
        """How many rows they have in all, by their snapshots."""
        settings = self._place[1]
        self._tables = {name: catalog.load_table(self._opened, settings, name) for name in self.names}
        return sum(map(_rows, self._tables.values()))

    def count(self) -> int:
        """How many items of the backfill they held when `rows` looked, or at the count just before."""
        began = time.monotonic()
        if began >= self._next_count:
            for name, table in self._tables.items():
                if self._seen.get(name) != table.metadata_location:
                    self._seen[name] = table.metadata_location
                    found: Any = query(*self._place, _COUNT.format(name), self._params, progress=False).df
                    self._counted[name] = int(found.iloc[0, 0])
            now = time.monotonic()
            self._next_count = now + _PAUSE_PER_COUNT * (now - began)
        return sum(self._counted.values())


def _show(bar: Any, items: int) -> None:
    """Let a bar say how many items are there, never fewer than before, and for how long one has waited."""
    bar.update(max(min(items, bar.total) - bar.n, 0))
    bar.refresh()


def _rows(log: Table) -> int:
    """How many rows a change log has in all, by its snapshot: while they are too few, none is counted."""
    snapshot = log.current_snapshot()
    if snapshot is None:
        return 0
    total = snapshot.summary.get("total-records") if snapshot.summary is not None else None
    return sys.maxsize if total is None else int(total)
