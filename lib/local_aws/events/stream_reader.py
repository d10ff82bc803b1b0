"""Reads one DynamoDB stream for one event source mapping and delivers it in batches.

A shard is read once and dealt to as many lanes as the mapping has concurrent batches; all changes of one
key go to the same lane, one batch after the other, so their order stays.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import orjson

from local_aws.events.batches import BatchDelivery, StoppedError
from local_aws.events.invocation import PAYLOAD_BYTES
from local_aws.events.mapping import EventSourceMapping
from local_aws.streams import StreamRecord

BUSY_SECONDS = 0.02
READ_RECORDS = 500
LOOK_AHEAD_RECORDS = 10_000


class ChangeStream(Protocol):
    """A DynamoDB stream of this process."""

    def read(self, position: int, limit: int) -> Sequence[StreamRecord]:
        """Records from a position on, without those that have expired."""

    def end(self) -> int:
        """The position of the next record to come."""


Disturb = Callable[[Sequence[StreamRecord]], list[Sequence[StreamRecord]]]


class Lane:
    """Records of one lane, in order."""

    def __init__(self) -> None:
        self.records: list[StreamRecord] = []
        self.changed = asyncio.Event()

    def add(self, record: StreamRecord) -> None:
        """Put a record at the end."""
        self.records.append(record)
        if not self.changed.is_set():
            self.changed.set()

    async def batch(self, mapping: EventSourceMapping) -> Sequence[StreamRecord]:
        """Wait for records, then for a full batch, at most as long as the mapping's window."""
        while not self.records:
            self.changed.clear()
            await self.changed.wait()
        deadline = time.monotonic() + mapping.window_seconds
        while not self._is_full(mapping.batch_size):
            remaining_seconds = deadline - time.monotonic()
            if remaining_seconds <= 0:
                break
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), remaining_seconds)
            except TimeoutError:
                break
        return fitting(self.records[: mapping.batch_size])

    def _is_full(self, batch_size: int) -> bool:
        return len(self.records) >= batch_size or len(fitting(self.records)) < len(self.records)


class StreamReader:
    """Delivers a stream to a function until it is stopped."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        stream: ChangeStream,
        position: int,
        keep: Callable[[int], None],
        delivery: BatchDelivery,
        disturb: Disturb,
    ) -> None:
        self._mapping = mapping
        self._stream = stream
        self._position = position
        self._keep = keep
        self._delivery = delivery
        self._disturb = disturb
        self._lanes = [Lane() for _ in range(mapping.lanes)]
        self._grew = asyncio.Event()

    def look(self) -> None:
        """Look for records: a stream got some."""
        self._grew.set()

    def age_seconds(self) -> float:
        """The age of the oldest record that is not done with; 0 where all are."""
        created = [lane.records[0].created_at for lane in self._lanes if lane.records]
        return max(0.0, time.time() - min(created)) if created else 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Read and deliver until stopped, then wait for the batches that are being delivered."""
        lanes = [asyncio.create_task(self._deliver(lane, stopping)) for lane in self._lanes]
        reading = asyncio.create_task(self._read())
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([stop, reading, *lanes], return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, *lanes):
                if task.done():
                    task.result()
        finally:
            reading.cancel()
            stop.cancel()
            idle = [task for lane, task in zip(self._lanes, lanes, strict=True) if not lane.records]
            for task in idle:
                task.cancel()
            await asyncio.gather(reading, stop, *lanes, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            if sum(len(lane.records) for lane in self._lanes) >= LOOK_AHEAD_RECORDS:
                await asyncio.sleep(BUSY_SECONDS)
                continue
            self._grew.clear()
            if self._read_some() == READ_RECORDS:
                await asyncio.sleep(0)
            else:
                await self._grew.wait()

    def _read_some(self) -> int:
        records = self._stream.read(self._position, READ_RECORDS)
        for record in records:
            self._lane_of(record).add(record)
        if records:
            self._position = records[-1].position + 1
            self._keep_position()
        return len(records)

    def _lane_of(self, record: StreamRecord) -> Lane:
        if len(self._lanes) == 1:
            return self._lanes[0]
        keys = orjson.loads(record.body)["dynamodb"]["Keys"]
        return self._lanes[zlib.crc32(orjson.dumps(keys, option=orjson.OPT_SORT_KEYS)) % len(self._lanes)]

    async def _deliver(self, lane: Lane, stopping: asyncio.Event) -> None:
        try:
            while not stopping.is_set():
                batch = await lane.batch(self._mapping)
                for part in self._disturb(batch):
                    await self._delivery.deliver(part)
                del lane.records[: len(batch)]
                self._keep_position()
        except StoppedError:
            return

    def _keep_position(self) -> None:
        unfinished = [lane.records[0].position for lane in self._lanes if lane.records]
        self._keep(min([self._position, *unfinished]))


def fitting(records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
    """As many records as fit into one invocation, at least one."""
    size_bytes = 0
    for count, record in enumerate(records):
        size_bytes += len(record.body) + 1
        if size_bytes > PAYLOAD_BYTES - 64 and count:
            return records[:count]
    return records
