"""The delivery of one stream: read, transform, convert, buffer, flush, again and again."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import orjson
import pyarrow as pa
from pyiceberg.exceptions import NoSuchTableError

from local_aws.firehose.append import (
    FLUSH_PROPERTY,
    POSITION_PROPERTY,
    STREAM_PROPERTY,
    TableBucket,
    Target,
    append_once,
)
from local_aws.firehose.arrow import MismatchError
from local_aws.firehose.delivery.buffer import UNWRITABLE, DeliveryBuffer, Metrics, TableBuffer, words
from local_aws.firehose.delivery.clients import DeliveryClients, is_outage
from local_aws.firehose.delivery.error_records import error_objects
from local_aws.firehose.delivery.transformation import Routed, route_directly, transform
from local_aws.firehose.stream import DeliveryConfig, Destination, Plan, Position, Records, load_checkpoint

CHUNK_BYTES = 2**20
COALESCE_SECONDS = 0.01
BURST_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
NOTE_SECONDS = 60.0

log = logging.getLogger(__name__)


def pauses_seconds() -> Iterator[float]:
    """Growing pauses between attempts, without end."""
    pause_seconds = 0.05
    while True:
        yield pause_seconds
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


class Source(Protocol):
    """Where the records of a stream come from."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were found and not yet taken."""

    @property
    def position(self) -> Position:
        """After the last record taken."""

    @property
    def waiting_since_ms(self) -> int | None:
        """Arrival of the oldest record not yet taken, epoch milliseconds."""

    @property
    def idle_seconds(self) -> float:
        """How long to wait before the next look, unless woken."""

    @property
    def refused(self) -> bool:
        """Whether the last look was refused, so that there may be more than it found."""

    def poll(self) -> None:
        """Look for new records."""

    def take(self, limit_bytes: int, end: Any = None) -> Records:
        """Take waiting records, up to a size and a position."""

    def again(self, position: Any) -> Source:
        """The same source from an earlier position on."""

    def middle(self, end: Any) -> Any:
        """A position halfway to another one; None where there is one record between them."""

    def committed(self, position: Any) -> None:
        """Everything before a position is delivered and need not be kept."""

    def metrics(self) -> Metrics:
        """What Firehose says of its source since it was last asked."""


class StoppedError(Exception):
    """The worker is being stopped."""


class BeginAgainError(Exception):
    """What was buffered cannot be delivered as it is: it has to be read and converted again."""


class StreamDelivery(threading.Thread):
    """Delivers one stream until it is stopped or the stream is gone."""

    def __init__(
        self, folder: Path, config: DeliveryConfig, source: Source, clients: DeliveryClients
    ) -> None:
        super().__init__(name=folder.name, daemon=True)
        self.folder = folder
        self.config = config
        self._source = source
        self._clients = clients
        self._checkpoint = load_checkpoint(folder, source.position)
        self._buffer = DeliveryBuffer()
        self._buckets: dict[str, TableBucket] = {}
        self._given_up: dict[Destination, str] = {}
        self._failure: Exception | None = None
        self._noted = 0.0
        self._suspect: Plan | None = None
        self._woken = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Look for new records now."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the current flush, then end."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Deliver until stopped; what fails is noted and started again from the checkpoint."""
        pauses = pauses_seconds()
        while not self._stopping.is_set():
            try:
                if self._divide():
                    pauses = pauses_seconds()
                while self._checkpoint.plan:
                    self._deliver(self._checkpoint.plan)
                self._read_and_flush()
                pauses = pauses_seconds()
            except StoppedError:
                return
            except BeginAgainError as reason:
                log.info("%s: %s", self.folder.name, reason)
                self._begin_again()
            except Exception as error:
                log.exception("%s: delivery failed", self.folder.name)
                self._note_error(error)
                if type(error) is type(self._failure) and not is_outage(error):
                    self._suspect = self._checkpoint.plan or Plan.up_to(self._source.position)
                self._failure = error
                self._begin_again()
                if self._suspect is None:
                    self._stopping.wait(next(pauses))

    def _begin_again(self) -> None:
        """Forget what was read since the checkpoint; it is still in the source."""
        self._buffer = DeliveryBuffer()
        self._source = self._source.again(self._checkpoint.committed)

    def _divide(self) -> bool:
        """Halve a flush that failed twice in the same way, or refuse its only record."""
        plan, self._suspect = self._suspect, None
        if plan is None or plan.refusal or plan.end == self._source.position:
            return False
        middle = self._source.middle(plan.end)
        refused = replace(plan, refusal=words(self._failure)) if self._failure else plan
        self._save(plan=refused if middle is None else plan.halved(middle))
        return True

    def _read_and_flush(self) -> None:
        """Read for as long as records come fast, then a flush where one is due."""
        self._source.poll()
        while self._source.waiting_bytes >= self._portion_bytes and not self._full():
            self._read(self._portion_bytes)
            self._source.poll()
        wait_seconds = self._seconds_until_due()
        if wait_seconds <= 0 and not self._more_comes(-wait_seconds):
            self._flush()
        elif wait_seconds > 0:
            self._woken.wait(min(wait_seconds, self._source.idle_seconds))
            self._woken.clear()
            self._stopping.wait(COALESCE_SECONDS)

    @property
    def _chunk_bytes(self) -> int:
        """How much is read at once: as much as the function takes, where there is one."""
        transformation = self.config.transformation
        return CHUNK_BYTES if transformation is None else transformation.buffer_bytes

    @property
    def _portion_bytes(self) -> int:
        """How much is read next: no more than the buffer lacks."""
        return min(self._chunk_bytes, self.config.buffer_bytes - self._buffer.size_bytes)

    def _full(self) -> bool:
        return self._buffer.size_bytes >= self.config.buffer_bytes

    def _seconds_until_due(self) -> float:
        since_ms = self._buffer.since_ms or self._source.waiting_since_ms
        if since_ms is None:
            return math.inf
        if self._buffer.size_bytes + self._source.waiting_bytes >= self.config.buffer_bytes:
            return 0.0
        return since_ms / 1000 + self.config.buffer_seconds - time.time()

    def _more_comes(self, late_seconds: float) -> bool:
        """Whether a flush that is due waits for the rest of a burst: one flush costs as much as many rows."""
        if self._full() or late_seconds > BURST_SECONDS or not self._woken.wait(COALESCE_SECONDS):
            return False
        self._woken.clear()
        return not self._stopping.is_set()

    def _flush(self) -> None:
        """Take the rest of what is due, and deliver it."""
        while self._source.waiting_bytes and not self._full():
            self._read(self._portion_bytes)
        plan = Plan.up_to(self._source.position)
        self._save(plan=plan)
        self._deliver(plan)

    def _read(self, limit_bytes: int, plan: Plan | None = None) -> bool:
        """Take a portion from the source into the buffer; False where there is none."""
        before, position = self._source.waiting_bytes, self._source.position
        since_ms = self._source.waiting_since_ms
        records = self._source.take(limit_bytes, plan.end if plan else None)
        if self._source.position == position:
            return False
        if plan and plan.refusal:
            destination = self.config.destination(None, None) or Destination("", "", self.config.error_prefix)
            self._buffer.fail(destination, records, UNWRITABLE, plan.refusal)
        else:
            routed = self._route(records)
            self._buffer.failures += routed.failures
            for destination, portion in routed.by_destination.items():
                self._convert(destination, portion)
        self._buffer.records += len(records)
        self._buffer.size_bytes += before - self._source.waiting_bytes
        self._buffer.since_ms = self._buffer.since_ms or since_ms
        return True

    def _route(self, records: Records) -> Routed:
        if self.config.transformation is None:
            return route_directly(records, self.config)
        return transform(records, self.config, self.config.transformation, self._clients.client("lambda"))

    def _convert(self, destination: Destination, records: Records) -> None:
        """Convert records, unless their table is missing or given up."""
        buffer = self._buffer
        known = buffer.tables.get(destination)
        if destination in self._given_up:
            buffer.fail(destination, records, "Iceberg.CommitFailed", self._given_up[destination])
            return
        try:
            target = known.target if known else self._bucket().target(destination)
        except NoSuchTableError:
            message = f"Table {destination.database}.{destination.table} does not exist."
            buffer.fail(destination, records, "Iceberg.NoSuchTable", message)
            return
        except MismatchError as error:
            buffer.fail(destination, records, UNWRITABLE, words(error))
            return
        buffer.add(destination, records, target)

    def _bucket(self) -> TableBucket:
        arn = self.config.table_bucket_arn
        if arn not in self._buckets:
            self._buckets[arn] = self._clients.table_bucket(arn)
        return self._buckets[arn]

    def _deliver(self, plan: Plan) -> None:
        """Do a planned flush; after a restart its records are read again first."""
        while self._source.position != plan.end:
            self._source.poll()
            if self._read(self._chunk_bytes, plan):
                continue
            if not self._source.refused:
                log.error("%s: not all records of a flush are there any more", self.folder.name)
                break
            self._pause(self._source.idle_seconds)
        tables = self._buffer.tables.items()
        snapshots = sum(self._append(destination, table, plan) for destination, table in tables)
        self._write_failures(plan)
        self._finish(plan, snapshots)

    def _append(self, destination: Destination, table: TableBuffer, plan: Plan) -> bool:
        """Append to one table, again and again until the stream's retry duration is over."""
        files = table.files.finish()
        if not files:
            return False
        summary = {
            STREAM_PROPERTY: self.folder.name,
            FLUSH_PROPERTY: plan.flush_id,
            POSITION_PROPERTY: orjson.dumps(plan.end).decode(),
        }
        deadline = time.monotonic() + self.config.retry_seconds
        pauses = pauses_seconds()
        target = table.target
        while True:
            try:
                return append_once(target.appender, files, summary, plan.within)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._note_error(error)
                if time.monotonic() > deadline:
                    self._given_up[destination] = f"Not committed in {self.config.retry_seconds} s: {error}"
                    raise BeginAgainError("a table is given up") from error
            self._pause(next(pauses))
            target = self._same_table_now(destination, target)

    def _same_table_now(self, destination: Destination, before: Target) -> Target:
        """A table as it is now, if its files are still made as they were."""
        try:
            target = self._bucket().target(destination)
        except NoSuchTableError as error:
            raise BeginAgainError("a table was dropped") from error
        if target.layout != before.layout:
            raise BeginAgainError("a table's schema or partition spec has changed")
        return target

    def _write_failures(self, plan: Plan) -> None:
        """Write the failures of a flush to the error bucket, however long that takes."""
        config, now_ms = self.config, round(time.time() * 1000)
        objects = error_objects(self._buffer.failures, config.name, config.version, plan.flush_id, now_ms)
        for key, body in objects:
            self._put_error_object(key, body)

    def _put_error_object(self, key: str, body: bytes) -> None:
        for pause_seconds in pauses_seconds():
            try:
                self._clients.client("s3").put_object(Bucket=self.config.error_bucket, Key=key, Body=body)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._note_error(error)
                self._pause(pause_seconds)
            else:
                return

    def _finish(self, plan: Plan, snapshots: int) -> None:
        """The flush is done: commit its position."""
        total = self._checkpoint.snapshots + snapshots
        self._save(committed=plan.end, plan=plan.following, snapshots=total, last_error=None)
        if plan.following is None:
            self._failure = None
        self._source.committed(plan.end)
        buffer, self._buffer = self._buffer, DeliveryBuffer()
        self._given_up.clear()
        self._clients.report(self.config, buffer, self._source.metrics())
        del buffer
        # Each stream has threads of its own, and Arrow keeps memory for each.
        pa.default_memory_pool().release_unused()

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise StoppedError

    def _note_error(self, error: Exception) -> None:
        text, now = words(error), time.monotonic()
        if text != self._checkpoint.last_error or now > self._noted + NOTE_SECONDS:
            self._noted = now
            log.warning("%s: %s", self.folder.name, text)
            self._save(last_error=text)
            self._clients.report_error(self.config, error)

    def _save(self, **changes: Any) -> None:
        self._checkpoint = self._checkpoint.but(**changes)
        if self.folder.exists():
            self._checkpoint.store(self.folder)
