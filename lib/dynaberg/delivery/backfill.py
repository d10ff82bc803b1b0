"""Backfill: the items that were in a DynamoDB table before its stream was switched on, brought into the log.

Every item is read once, converted as the Lambda converts a change, and sent to the delivery stream as a row
with the operation SNAPSHOT. It is dated to the second in which the backfill began, by AWS's clock, without a
sequence number and with an id that loses every tie. The stream is on by then, so any later change of the item
is in the stream, is dated no earlier, and takes precedence.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

from dynaberg import aws, catalog, deploy, prices
from dynaberg.delivery.backfill_manifest import Manifest, Progress
from dynaberg.delivery.envelopes import FailedChange
from dynaberg.delivery.failures import error_bucket, error_key, error_lines
from dynaberg.delivery.reentry import Route, Send, open_reentry, row_route
from dynaberg.errors import NotReadyError, SettingsError
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.change_row import SNAPSHOT
from dynaberg.functions.routing import Row
from dynaberg.source import Item, Page, PageReader, describe_source, source_size
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

SEGMENTS = 8
SNAPSHOT_PREFIX = "!snapshot-"
"""Prefix of the change ids of a backfill: it sorts before every id that DynamoDB gives."""
# Allowance for the clocks of AWS's services. Too early does no harm: later changes win anyway.
_CLOCK_SECONDS = 2
_SAVE_SECONDS = 2.0
_DELIVERY_SECONDS = 1800.0
_BYTES_PER_READ_UNIT = 4096
_COUNT = """\
SELECT count(DISTINCT change_id) FROM "{}"
WHERE received_at >= :since AND operation = :operation AND changed_at = :moment"""


def backfill(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    read_units_per_second: float | None = None,
    timeout: float = _DELIVERY_SECONDS,
    progress: bool = True,
) -> pd.DataFrame:
    """Bring the items that are in the DynamoDB table now into the change log, by a parallel scan.

    If the table shares its source with others, all of them are filled: the source is read once. If an earlier
    backfill was interrupted, it goes on where that one stopped. What was sent twice is one row
    of the current table. Items that do not fit the contract go to the error bucket with the reason.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the workgroup, the table bucket and the namespace.
        contract: The table contract.
        read_units_per_second: What the scan may consume of the table's capacity; by default half of a
            provisioned table's, and no limit on demand.
        timeout: How long the rows may take from the delivery stream to the change log, in seconds.
        progress: Whether a progress bar is shown.

    Returns:
        One row: table, dated (UTC), items, unfit, read_units, bytes, resumed, seconds.

    Raises:
        NotFoundError: The pipeline or the DynamoDB table does not exist.
        NotReadyError: The table's stream is off, another backfill is at work, or the delivery took too long.
        ContractError: The change log does not match the contract: deploy the contract first.
        SettingsError: A rate that is not positive.

    Example:
        >>> backfill(session, settings, contract, read_units_per_second=500)
    """
    import pandas as pd

    began = time.monotonic()
    send, bucket = open_reentry(session, settings, contract), error_bucket(session, settings)
    _check_stream(session, contract)
    limit = _limit(session, contract, read_units_per_second)
    manifest = Manifest.open(session, bucket, contract.source_table, _aws_moment(session), SEGMENTS)
    run = _Run(session, contract, manifest, send, bucket, limit)
    with manifest.held():
        run.read_all(progress=progress)
        _wait_until_delivered(session, settings, contract, manifest, timeout)
        manifest.finish()
    total = manifest.total()
    row = {
        "table": contract.table,
        "dated": pd.Timestamp(manifest.moment),
        "items": total.items,
        "unfit": total.unfit,
        "read_units": total.read_units,
        "bytes": total.bytes,
        "resumed": manifest.resumed,
        "seconds": round(time.monotonic() - began, 3),
    }
    return pd.DataFrame([row])


def preview_backfill(session: boto3.Session, contract: Contract) -> pd.DataFrame:
    """What `backfill` would read and what that costs, before it reads anything.

    Args:
        session: Open boto3 session.
        contract: The table contract.

    Returns:
        One row: source_table, items and bytes (as DynamoDB counted them, about every six hours), read_units
        (consistent reads), dynamodb_usd and firehose_usd (Decimal, at list prices; a provisioned table's
        reads are paid already).

    Raises:
        NotFoundError: The DynamoDB table does not exist.

    Example:
        >>> preview_backfill(session, contract)[["items", "read_units", "dynamodb_usd"]]
    """
    import pandas as pd

    size = source_size(session, contract.source_table)
    units = -(-size.bytes // _BYTES_PER_READ_UNIT)
    row = {
        "source_table": contract.source_table,
        "items": size.items,
        "bytes": size.bytes,
        "read_units": units,
        "dynamodb_usd": units * prices.price("dynamodb-read").usd,
        "firehose_usd": size.bytes / prices.GB * prices.price("firehose-iceberg").usd,
    }
    return pd.DataFrame([row])


class _Run:
    """One backfill at work: several threads that read, convert and send, and what they have done so far."""

    def __init__(
        self,
        session: boto3.Session,
        contract: Contract,
        manifest: Manifest,
        send: Send,
        bucket: str,
        limit: float | None,
    ) -> None:
        self._session, self._contract, self._manifest = session, contract, manifest
        self._send, self._bucket = send, bucket
        self._reader = PageReader(
            session, contract.source_table, manifest.segments, read_units_per_second=limit
        )
        self._stopped = Event()

    def read_all(self, *, progress: bool) -> None:
        """Read every segment that is not done yet; after an error or an interrupt the others stop, too."""
        from tqdm.auto import tqdm

        items = source_size(self._session, self._contract.source_table).items
        open_segments = self._manifest.open_segments()
        with (
            ThreadPoolExecutor(max(len(open_segments), 1)) as pool,
            tqdm(total=items or None, desc="Backfill", unit="item", disable=not progress) as bar,
        ):
            work: list[Future[None]] = [pool.submit(self._read_segment, number) for number in open_segments]
            try:
                self._watch(work, bar)
            finally:
                self._stopped.set()
                wait(work)
                self._manifest.save()

    def _watch(self, work: Sequence[Future[None]], bar: Any) -> None:
        """Show and save the progress until all have finished; raises the first error."""
        pending = set(work)
        while pending:
            done, pending = wait(pending, timeout=_SAVE_SECONDS, return_when=FIRST_EXCEPTION)
            for each in done:
                each.result()
            total = self._manifest.total()
            bar.update(total.items - bar.n)
            bar.set_postfix_str(f"{total.bytes / 2**20:,.0f} MiB")
            self._manifest.save()

    def _read_segment(self, number: int) -> None:
        route = row_route(self._contract)
        for page in self._reader.pages(number, self._manifest.next_key(number)):
            rows, failed = self._convert(route, page)
            self._send(rows)
            self._keep(failed)
            self._manifest.note(
                number,
                Progress(len(page.items), len(failed), page.bytes, page.read_units),
                next_key=page.next_key,
            )
            if self._stopped.is_set():
                return

    def _convert(
        self, route: Route, page: Page
    ) -> tuple[list[Row], list[tuple[FailedChange, ConversionError]]]:
        rows: list[Row] = []
        failed: list[tuple[FailedChange, ConversionError]] = []
        for item in page.items:
            record = snapshot_record(self._contract, item, self._manifest.moment)
            found, errors = route(record)
            rows += found
            for error in errors:
                raw = json.dumps(record, ensure_ascii=False).encode()
                failed.append((FailedChange(raw, error.code, error.message, None, 0), error))
        return rows, failed

    def _keep(self, failed: list[tuple[FailedChange, ConversionError]]) -> None:
        """Write what does not fit to the error bucket; the same page gives the same object."""
        if failed:
            raw = b"\n".join(change.raw for change, _ in failed)
            aws.client(self._session, "s3").put_object(
                Bucket=self._bucket, Key=error_key(raw), Body=error_lines(failed)
            )


def snapshot_record(contract: Contract, item: Item, moment: datetime) -> dict[str, Any]:
    """The change record of an item that was read, as if DynamoDB had written it at a moment.

    Args:
        contract: The table contract.
        item: The item as DynamoDB JSON.
        moment: The whole second in which the backfill began.
    """
    key = {column.attribute: item[column.attribute] for column in contract.key_columns}
    text = json.dumps([int(moment.timestamp()), key], sort_keys=True)
    return {
        "eventID": f"{SNAPSHOT_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}",
        "eventName": SNAPSHOT,
        "tableName": contract.source_table,
        "dynamodb": {
            "ApproximateCreationDateTime": int(moment.timestamp()),
            "SequenceNumber": "0",
            "Keys": key,
            "NewImage": item,
        },
    }


def _limit(session: boto3.Session, contract: Contract, given: float | None) -> float | None:
    if given is not None and not given > 0:
        msg = f"`read_units_per_second` is {given!r}, but it must be more than 0."
        raise SettingsError(msg, hint="Leave it out, or use for example 500.")
    if given is not None:
        return given
    table = aws.client(session, "dynamodb").describe_table(TableName=contract.source_table)["Table"]
    provisioned = table.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0)
    return provisioned / 2 if provisioned else None


def _check_stream(session: boto3.Session, contract: Contract) -> None:
    """Without a stream, a change during the backfill would be lost."""
    if not describe_source(session, contract.source_table).stream_arn:
        msg = f"The stream of the DynamoDB table {contract.source_table!r} is off. Nothing was read."
        raise NotReadyError(msg, hint="Switch it on first: wb.adopt().")


def _aws_moment(session: boto3.Session) -> datetime:
    """The whole second that it is by AWS's clock, a little early; this machine's clock may be wrong."""
    return datetime.fromtimestamp(deploy.aws_seconds(session) - _CLOCK_SECONDS, UTC)


def _wait_until_delivered(
    session: boto3.Session, settings: Settings, contract: Contract, manifest: Manifest, timeout: float
) -> None:
    """Wait until the change log holds every row that was sent."""
    total = manifest.total()
    wanted = total.items - total.unfit
    opened = catalog.open_catalog(session, settings)
    logs = [each.log_name for each in contract.of_source]
    params = {
        "since": manifest.moment - timedelta(hours=1),
        "operation": SNAPSHOT,
        "moment": manifest.moment,
    }
    seen: dict[str, str] = {}
    counted: dict[str, int] = {}

    def arrived() -> bool:
        for name in logs:
            location = catalog.load_table(opened, settings, name).metadata_location
            if seen.get(name) != location:
                seen[name] = location
                found: Any = query(session, settings, _COUNT.format(name), params, progress=False).df
                counted[name] = int(found.iloc[0, 0])
        return sum(counted.values()) >= wanted

    if wanted:
        aws.wait_for(
            arrived,
            timeout=timeout,
            what=f"Each of the {wanted:,} items in {' and '.join(map(repr, logs))}",
            hint="They are on their way. Run backfill() again: it sends nothing that was sent before.",
        )
