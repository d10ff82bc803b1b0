"""Backfill: the items that were in a DynamoDB table before its stream was switched on, brought into the log.

Every item is read once, by a scan or from an export, converted as the Lambda converts a change, and sent to
the delivery stream as a row with the operation SNAPSHOT. It is dated to the second in which the backfill
began, by AWS's clock, without a sequence number and with an id that loses every tie. The stream is on by
then, so any later change of the item is in the stream, is dated no earlier, and takes precedence.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING, Any

from dynaberg import aws, deploy, prices
from dynaberg.delivery.backfill_arrival import (
    CLOCK_SECONDS,
    DELIVERY_SECONDS,
    check_stream,
    wait_until_delivered,
)
from dynaberg.delivery.backfill_manifest import (
    EXPORT,
    METHODS,
    SCAN,
    Manifest,
    Progress,
    method_of,
    unfinished,
)
from dynaberg.delivery.envelopes import FailedChange
from dynaberg.delivery.export_backfill import bring_in_export
from dynaberg.delivery.failures import error_bucket, error_key, error_lines
from dynaberg.delivery.reentry import Route, Send, held_back, open_reentry, row_route
from dynaberg.errors import SettingsError
from dynaberg.functions.attributes import ConversionError
from dynaberg.functions.masks import MaskKey
from dynaberg.functions.routing import Router, Row
from dynaberg.functions.snapshots import PlainItems
from dynaberg.functions.snapshots import snapshot_record as record_of
from dynaberg.functions.tombstones import HeldBack
from dynaberg.masks import mask_key
from dynaberg.settings import check_choice
from dynaberg.source import Item, Page, PageReader, named_export, recovers_to_a_point, source_size

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

SEGMENTS = 8
SMALL_BYTES = 2**30
"""A table that is smaller than this is scanned: an export takes some minutes, however small it is."""
_SAVE_SECONDS = 2.0
_BYTES_PER_READ_UNIT = 4096


def backfill(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    *,
    method: str | None = None,
    export: str = "",
    read_units_per_second: float | None = None,
    timeout: float = DELIVERY_SECONDS,
    progress: bool = True,
) -> pd.DataFrame:
    """Bring the items that are in the DynamoDB table now into the change log.

    If the table shares its source with others, all of them are filled: the source is read once. If an earlier
    backfill was interrupted, it goes on where that one stopped. What was sent twice is one row
    of the current table. Items that do not fit the contract go to the error bucket with the reason.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the workgroup, the table bucket and the namespace.
        contract: The table contract.
        method: `scan` or `export`; by default what was interrupted, and otherwise `export` on AWS for a table
            of a GiB or more whose point-in-time recovery is on, and `scan` for all others.
        export: An export that exists already: its ARN, or
            `s3://bucket/prefix/AWSDynamoDB/<id>/manifest-summary.json`.
        read_units_per_second: What a scan may consume of the table's capacity; by default half of a
            provisioned table's, and no limit on demand.
        timeout: How long the rows may take from the delivery stream to the change log, in seconds.
        progress: Whether a progress bar is shown.

    Returns:
        One row: table, method, dated (UTC), items, unfit (not sent; those that were forgotten count, too),
        read_units, bytes, resumed, seconds.

    Raises:
        NotFoundError: The pipeline, the DynamoDB table or the export does not exist.
        NotReadyError: The table's stream or its point-in-time recovery is off, another backfill is at work,
            the export failed, or the delivery took too long.
        ContractError: The change log does not match the contract: deploy the contract first.
        SettingsError: A rate that is not positive, or an export of something else.

    Example:
        >>> backfill(session, settings, contract, method="export")
    """
    import pandas as pd

    began = time.monotonic()
    _check_rate(method, export, read_units_per_second)
    if export:
        named_export(export)
    send, bucket = open_reentry(session, settings, contract), error_bucket(session, settings)
    check_stream(session, contract)
    found, _ = unfinished(session, bucket, contract.source_table)
    interrupted = method_of(found) if found else None
    chosen = method or (EXPORT if export else interrupted) or default_method(session, settings, contract)
    if chosen == EXPORT:
        done = bring_in_export(
            session, settings, contract, bucket, name=export, timeout=timeout, progress=progress
        )
    else:
        moment = _aws_moment(session)
        manifest = Manifest.open(session, bucket, contract.source_table, moment, SEGMENTS)
        limit = _limit(session, contract, read_units_per_second)
        is_held, key = held_back(session, settings, contract), mask_key(session, settings, contract)
        run = _Run(session, contract, manifest, send, bucket, limit, is_held, key)
        with manifest.held():
            run.read_all(progress=progress)
            total = manifest.total()
            wait_until_delivered(
                session,
                settings,
                contract,
                moment=manifest.moment,
                wanted=total.items - total.unfit,
                timeout=timeout,
                meanwhile=manifest.stay,
                progress=progress,
            )
            manifest.finish()
        done = (manifest.moment, total, manifest.resumed)
    moment, total, resumed = done
    row = {
        "table": contract.table,
        "method": chosen,
        "dated": pd.Timestamp(moment),
        "items": total.items,
        "unfit": total.unfit,
        "read_units": total.read_units,
        "bytes": total.bytes,
        "resumed": resumed,
        "seconds": round(time.monotonic() - began, 3),
    }
    return pd.DataFrame([row])


def preview_backfill(
    session: boto3.Session, settings: Settings, contract: Contract, *, method: str | None = None
) -> pd.DataFrame:
    """What `backfill` would read and what that costs, before it reads anything.

    Args:
        session: Open boto3 session.
        settings: The target.
        contract: The table contract.
        method: `scan` or `export`; by default the one that `backfill` would choose.

    Returns:
        One row: source_table, method, items and bytes (as DynamoDB counted them, about every six hours),
        read_units (consistent reads; an export needs none), dynamodb_usd, lambda_usd and firehose_usd
        (Decimal, at list prices; a provisioned table's reads are paid already).

    Raises:
        NotFoundError: The DynamoDB table does not exist.

    Example:
        >>> preview_backfill(session, settings, contract)[["items", "read_units", "dynamodb_usd"]]
    """
    import pandas as pd

    if method is not None:
        check_choice("method", method, METHODS)
    size = source_size(session, contract.source_table)
    chosen = method or default_method(session, settings, contract)
    units = -(-size.bytes // _BYTES_PER_READ_UNIT) if chosen == SCAN else 0
    exported = size.bytes / prices.GB * prices.price("dynamodb-export").usd
    seconds = size.items * prices.assumed("lambda_seconds_per_change")
    run_time = seconds * prices.assumed("lambda_memory_gb") * prices.price("lambda-duration").usd
    row = {
        "source_table": contract.source_table,
        "method": chosen,
        "items": size.items,
        "bytes": size.bytes,
        "read_units": units,
        "dynamodb_usd": units * prices.price("dynamodb-read").usd if chosen == SCAN else exported,
        "lambda_usd": Decimal(0) if chosen == SCAN else run_time,
        "firehose_usd": size.bytes / prices.GB * prices.price("firehose-iceberg").usd,
    }
    return pd.DataFrame([row])


def default_method(session: boto3.Session, settings: Settings, contract: Contract) -> str:
    """How a table is read if nobody says it: a large one on AWS from an export, if it can be exported."""
    if settings.target != "aws" or source_size(session, contract.source_table).bytes < SMALL_BYTES:
        return SCAN
    return EXPORT if recovers_to_a_point(session, contract.source_table) else SCAN


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
        is_held: HeldBack,
        key: MaskKey | None,
    ) -> None:
        self._session, self._contract, self._manifest = session, contract, manifest
        self._is_held = is_held
        self._send, self._bucket, self._key = send, bucket, key
        self._document = json.loads(contract.to_lambda_json())
        self._mask = Router(self._document, key).mask_record
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
        route = row_route(self._contract, key=self._key)
        key = [column.attribute for column in self._contract.key_columns]
        plain = PlainItems(self._document, key, int(self._manifest.moment.timestamp()))
        for page in self._reader.pages(number, self._manifest.next_key(number), plain.read):
            found, failed = self._convert(route, page)
            found += [Row(plain.log, row) for row in page.rows]
            rows = [row for row in found if not self._is_held(row.log, row.data)]
            self._send(rows)
            self._keep(failed)
            unsent = len(failed) + len(found) - len(rows)
            self._manifest.note(
                number,
                Progress(len(page.items) + len(page.rows), unsent, page.bytes, page.read_units),
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
                raw = json.dumps(self._mask(record), ensure_ascii=False).encode()
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
    key = [column.attribute for column in contract.key_columns]
    return record_of(contract.source_table, key, item, int(moment.timestamp()))


def _check_rate(method: str | None, export: str, rate: Any) -> None:
    if method is not None:
        check_choice("method", method, METHODS)
    if export and method == SCAN:
        msg = f'The method is "scan", but the export {export!r} was named.'
        raise SettingsError(msg, hint='Leave `method` out, or use "export".')
    if rate is not None and (export or method == EXPORT):
        msg = f"`read_units_per_second` is {rate!r}, but an export reads no items."
        raise SettingsError(msg, hint="Leave it out.")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not rate > 0):
        msg = f"`read_units_per_second` is {rate!r}, but it must be more than 0."
        raise SettingsError(msg, hint="Leave it out, or use for example 500.")


def _limit(session: boto3.Session, contract: Contract, given: float | None) -> float | None:
    if given is not None:
        return given
    table = aws.client(session, "dynamodb").describe_table(TableName=contract.source_table)["Table"]
    provisioned = table.get("ProvisionedThroughput", {}).get("ReadCapacityUnits", 0)
    return provisioned / 2 if provisioned else None


def _aws_moment(session: boto3.Session) -> datetime:
    """The whole second that it is by AWS's clock, a little early; this machine's clock may be wrong."""
    return datetime.fromtimestamp(deploy.aws_seconds(session) - CLOCK_SECONDS, UTC)
