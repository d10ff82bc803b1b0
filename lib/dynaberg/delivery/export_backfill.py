"""Backfill from an export: its data files go to a queue, and the forwarder converts several at the same time.

The export is written to the error bucket, which holds unmasked records anyway, and is removed when its rows
are delivered. One that somebody else made is copied there, so that the forwarder needs no right elsewhere.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynaberg import aws, deploy
from dynaberg.delivery.backfill_arrival import CLOCK_SECONDS, wait_until_delivered
from dynaberg.delivery.backfill_manifest import PREFIX, ExportManifest, Progress
from dynaberg.errors import DynabergError, NotReadyError, SettingsError
from dynaberg.functions.dead_letters import UnkeptError, send
from dynaberg.functions.export_files import ExportFile, FileProgress
from dynaberg.source import (
    DataFile,
    Export,
    await_export,
    named_export,
    read_export,
    start_export,
    stream_began,
)

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

EXPORTS, PROGRESS = f"{PREFIX}exports", f"{PREFIX}progress"
# Without a sign of life from any file, the forwarder was stopped: what is not done is sent again.
SILENT_SECONDS = 120.0
_LOOK_SECONDS = 1.0
_EXPORT_SECONDS = 24 * 3600.0
_COPIES = 8
# DynamoDB Streams keep a change for 24 hours: the delivery must have begun to read before that.
_STREAM_KEEPS = timedelta(hours=24)


def bring_in_export(
    session: boto3.Session,
    settings: Settings,
    contract: Contract,
    bucket: str,
    *,
    name: str,
    timeout: float,
    progress: bool,
) -> tuple[datetime, Progress, bool]:
    """Bring the items of an export into the change logs of a source.

    Args:
        session: Open boto3 session.
        settings: Names of the stacks, the workgroup, the table bucket and the namespace.
        contract: The table contract.
        bucket: The error bucket.
        name: The export that somebody named; empty to make one.
        timeout: How long it may take without any progress, in seconds.
        progress: Whether a progress bar is shown.

    Returns:
        To which second the rows are dated, what was read, and whether an interrupted backfill was continued.

    Raises:
        NotFoundError: The export, or a file of it, does not exist.
        NotReadyError: Another backfill is at work, the export cannot be made or failed, or it took too long.
        SettingsError: The export is not one that this table can be filled from.
    """
    queue_url = deploy.outputs(session, settings, "delivery").get("BackfillQueueUrl")
    if not queue_url:
        msg = f"The delivery of {settings.pipeline!r} is from a version that brings in no exports."
        raise NotReadyError(msg, hint='Deploy it again: wb.deploy_firehose(); or use method="scan".')
    if name:
        # Before anything is noted: a wrong name ends no backfill that was interrupted.
        _named(session, settings, contract, name, lambda: None)
    manifest = ExportManifest.open(session, bucket, contract.source_table, name)
    with manifest.held():
        if not name and not manifest.resumed:
            _tidy(session, bucket, contract)
        export = _find(session, settings, contract, manifest, bucket)
        manifest.dated(export.moment.replace(microsecond=0) - timedelta(seconds=CLOCK_SECONDS))
        here = _copied(session, contract, export, bucket, manifest)
        work = _Work(session, contract, manifest, here, queue_url, timeout)
        total = work.convert_all(progress=progress)
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
    _tidy(session, bucket, contract)
    return manifest.moment, total, manifest.resumed


def _find(
    session: boto3.Session, settings: Settings, contract: Contract, manifest: ExportManifest, bucket: str
) -> Export:
    """The export of this backfill; if it cannot be used, the next backfill begins with another one."""
    try:
        if manifest.name:
            return _named(session, settings, contract, manifest.name, manifest.stay)
        if not manifest.arn:
            table, key = contract.source_table, settings.kms_key_arn
            prefix = f"{EXPORTS}/{table}"
            arn = start_export(session, table, bucket, prefix, token=manifest.token, kms_key_arn=key)
            manifest.started(arn)
        return _named(session, settings, contract, manifest.arn, manifest.stay)
    except DynabergError:
        manifest.finish()
        raise


def _named(
    session: boto3.Session, settings: Settings, contract: Contract, name: str, meanwhile: Callable[[], None]
) -> Export:
    """An export by its ARN or address, when it is complete, and checked."""
    arn, summary = named_export(name)
    place = summary or await_export(session, arn, _EXPORT_SECONDS, meanwhile)
    export = read_export(session, contract.source_table, *place)
    _check_moment(session, settings, contract.source_table, export)
    return export


def _check_moment(session: boto3.Session, settings: Settings, source_table: str, export: Export) -> None:
    """Refuse an export from before the changes were kept: what was changed in between would be missing."""
    began = stream_began(session, source_table)
    delivers = deploy.created_at(session, settings, "delivery") - _STREAM_KEEPS
    if export.moment < max(began, delivers):
        since = max(began, delivers)
        msg = (
            f"The export is of {export.moment:%Y-%m-%d %H:%M:%S} UTC, but changes of {source_table!r} are "
            f"delivered only since {since:%Y-%m-%d %H:%M:%S}: those in between would be missing."
        )
        raise SettingsError(msg, hint="Name a later export, or none: then backfill() makes a new one.")


def _copied(
    session: boto3.Session, contract: Contract, export: Export, bucket: str, manifest: ExportManifest
) -> Export:
    """The export where the forwarder may read; one from elsewhere is copied, as far as it was not before."""
    if export.bucket == bucket and export.folder.startswith(f"{EXPORTS}/"):
        return export
    folder = f"{EXPORTS}/{contract.source_table}/AWSDynamoDB/{export.folder.rpartition('/')[2]}"
    files = [replace(file, key=f"{folder}/data/{file.key.rpartition('/')[2]}") for file in export.files]
    there = {found["Key"] for found in _objects(session, bucket, f"{folder}/")}
    s3 = aws.client(session, "s3")

    def copy(pair: tuple[DataFile, DataFile]) -> None:
        s3.copy({"Bucket": export.bucket, "Key": pair[0].key}, bucket, pair[1].key)

    wanted = [pair for pair in zip(export.files, files, strict=True) if pair[1].key not in there]
    with ThreadPoolExecutor(_COPIES) as pool:
        pending = {pool.submit(copy, pair) for pair in wanted}
        while pending:
            done, pending = wait(pending, timeout=_LOOK_SECONDS, return_when=FIRST_EXCEPTION)
            for each in done:
                each.result()
            # Here and not in the copies: only one may write the manifest.
            manifest.stay()
    return replace(export, bucket=bucket, folder=folder, files=tuple(files))


class _Work:
    """The data files of one export while the forwarder converts them."""

    def __init__(
        self,
        session: boto3.Session,
        contract: Contract,
        manifest: ExportManifest,
        export: Export,
        queue_url: str,
        timeout: float,
    ) -> None:
        self._session, self._manifest, self._export = session, manifest, export
        self._queue_url, self._timeout = queue_url, timeout
        self._prefix = f"{PROGRESS}/{contract.source_table}/{manifest.token}"
        key = tuple(column.attribute for column in contract.key_columns)
        self._files = [
            ExportFile(
                export.bucket,
                file.key,
                file.md5,
                file.items,
                f"{self._prefix}/{number:06d}.json",
                contract.source_table,
                key,
                int(manifest.moment.timestamp()),
            )
            for number, file in enumerate(export.files)
        ]
        self._etags: dict[str, str] = {}
        self._progress: dict[str, FileProgress] = {}

    def convert_all(self, *, progress: bool) -> Progress:
        """Send the files that were not sent yet, and wait until all are converted."""
        from tqdm.auto import tqdm

        self._look()
        sent = self._manifest.sent()
        self._send([f for f in self._open() if f.key not in sent or self._error_of(f)])
        with tqdm(total=self._export.items, desc="Backfill", unit="item", disable=not progress) as bar:
            heard = resent = time.monotonic()
            while open_files := self._open():
                self._show(bar)
                time.sleep(_LOOK_SECONDS)
                self._manifest.stay()
                now = time.monotonic()
                if self._look():
                    heard = resent = now
                    self._refuse_broken()
                elif now - heard > self._timeout:
                    raise self._too_slow(open_files, now - heard)
                elif now - resent > SILENT_SECONDS:
                    self._send(open_files)
                    resent = now
            self._show(bar)
        return self.total()

    def _show(self, bar: Any) -> None:
        total, done = self.total(), len(self._files) - len(self._open())
        text = f"{total.bytes / 2**20:,.0f} MiB, {done} of {len(self._files)} files"
        bar.set_postfix_str(text, refresh=False)
        bar.update(total.items - bar.n)

    def total(self) -> Progress:
        """What was read of all files."""
        parts = self._progress.values()
        lines, unfit = sum(part.lines for part in parts), sum(part.unfit for part in parts)
        return Progress(lines, unfit, sum(part.bytes for part in parts))

    def _open(self) -> list[ExportFile]:
        done = {key for key, progress in self._progress.items() if progress.done}
        return [file for file in self._files if file.progress_key not in done]

    def _error_of(self, file: ExportFile) -> str:
        found = self._progress.get(file.progress_key)
        return found.error if found else ""

    def _send(self, files: Sequence[ExportFile]) -> None:
        for first in range(0, len(files), 100):
            some = files[first : first + 100]
            try:
                send(aws.client(self._session, "sqs"), self._queue_url, [file.to_body() for file in some])
            except UnkeptError as error:
                msg = f"The queue of the backfill accepted no files: {error}."
                raise NotReadyError(msg, hint="Run backfill() again: it goes on where it stopped.") from error
            self._manifest.note_sent([file.key for file in some])

    def _look(self) -> bool:
        """Read how far the files have come; returns whether any has come farther."""
        s3, changed = aws.client(self._session, "s3"), False
        for found in _objects(self._session, self._export.bucket, f"{self._prefix}/"):
            key, etag = found["Key"], found["ETag"]
            if self._etags.get(key) != etag:
                body = s3.get_object(Bucket=self._export.bucket, Key=key)["Body"].read()
                self._etags[key], self._progress[key] = etag, FileProgress(**json.loads(body))
                changed = True
        return changed

    def _refuse_broken(self) -> None:
        broken = [error for file in self._files if (error := self._error_of(file))]
        if broken:
            msg = f"{len(broken)} of {len(self._files)} files of the export are broken: {broken[0]}."
            hint = 'Begin with a new export: backfill(method="export"). What was sent already does no harm.'
            self._manifest.finish()
            raise NotReadyError(msg, hint=hint)

    def _too_slow(self, files: Sequence[ExportFile], seconds: float) -> NotReadyError:
        msg = f"{len(files)} of {len(self._files)} files are not done, and none went on for {seconds:.0f} s."
        hint = (
            "See the forwarder's log for the reason; then run backfill() again: it goes on where it stopped."
        )
        return NotReadyError(msg, hint=hint)


def _objects(session: boto3.Session, bucket: str, prefix: str) -> list[Mapping[str, Any]]:
    pages = aws.client(session, "s3").get_paginator("list_objects_v2")
    return [o for page in pages.paginate(Bucket=bucket, Prefix=prefix) for o in page.get("Contents", ())]


def _tidy(session: boto3.Session, bucket: str, contract: Contract) -> None:
    """Remove what was kept for backfills of a table: exports that were made or copied, and their progress."""
    folders = [f"{each}/{contract.source_table}/" for each in (EXPORTS, PROGRESS)]
    keys = [{"Key": found["Key"]} for each in folders for found in _objects(session, bucket, each)]
    for first in range(0, len(keys), 1000):
        batch = {"Objects": keys[first : first + 1000], "Quiet": True}
        aws.client(session, "s3").delete_objects(Bucket=bucket, Delete=batch)
