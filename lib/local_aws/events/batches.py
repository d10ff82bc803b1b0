"""A batch of stream records, delivered until each was handled or given up.

Source: AWS Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB", error handling and partial
batch response. Where it says nothing, a failed batch with nothing handled is halved.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from local_aws.events.failure_destinations import Discarded
from local_aws.events.invocation import Answer, event_body, failed_identifiers
from local_aws.events.mapping import EventSourceMapping
from local_aws.streams import StreamRecord

SHARD_ID = "shardId-00000000000000000000-00000000"
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
OK = "OK"
PROBLEM = "PROBLEM: Function call failed"


class StoppedError(Exception):
    """The event source is being stopped; what is left is delivered after the next start."""


class BatchDelivery:
    """Delivers batches for one mapping."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        invoke: Callable[[bytes], Awaitable[Answer]],
        discard: Callable[[Discarded], Awaitable[None]],
        note: Callable[[str], None],
        stopping: asyncio.Event,
    ) -> None:
        self._mapping = mapping
        self._invoke = invoke
        self._discard = discard
        self._note = note
        self._stopping = stopping

    async def deliver(self, records: Sequence[StreamRecord], failures: int = 0) -> None:
        """Deliver records in order, until each was handled or given up."""
        invocations, pauses = failures, 0
        while records := await self._without_expired(records, invocations):
            answer = await self._attempt(records)
            if not answer.invoked:
                pauses += 1
                await self._pause(pauses)
                continue
            invocations += 1
            handled = self._handled(records, answer)
            self._note(OK if handled == len(records) else PROBLEM)
            if handled:
                records, failures = records[handled:], 0
                pauses = 0
            if not records:
                return
            if self._mapping.bisect and not handled and len(records) > 1:
                middle = len(records) // 2
                await self.deliver(records[:middle], failures)
                await self.deliver(records[middle:], failures)
                return
            failures += 1
            if self._mapping.retries is not None and failures > self._mapping.retries:
                await self._give_up(records, "RetryAttemptsExhausted", invocations, answer.version)
                return
            pauses += 1
            await self._pause(pauses)

    async def _attempt(self, records: Sequence[StreamRecord]) -> Answer:
        if self._stopping.is_set():
            raise StoppedError
        return await self._invoke(event_body(record.body for record in records))

    def _handled(self, records: Sequence[StreamRecord], answer: Answer) -> int:
        """How many records, from the first, are done with."""
        if answer.failed:
            return 0
        if not self._mapping.reports_failures:
            return len(records)
        numbers = [record.sequence_number for record in records]
        failed = failed_identifiers(answer, frozenset(numbers))
        return next((i for i, number in enumerate(numbers) if number in failed), len(records))

    async def _without_expired(
        self, records: Sequence[StreamRecord], invocations: int
    ) -> Sequence[StreamRecord]:
        """The records that are young enough; the others are given up."""
        if not records:
            return records
        oldest = time.time() - self._mapping.age_seconds
        expired = next((i for i, record in enumerate(records) if record.created_at >= oldest), len(records))
        if expired:
            await self._give_up(records[:expired], "RecordAgeExceeded", invocations, "$LATEST")
        return records[expired:]

    async def _give_up(
        self, records: Sequence[StreamRecord], condition: str, invocations: int, version: str
    ) -> None:
        event = event_body(record.body for record in records)
        info = batch_info(self._mapping.source_arn, records)
        await self._discard(Discarded(condition, invocations, version, SHARD_ID, info, event))

    async def _pause(self, count: int) -> None:
        """Wait before the next attempt, ever longer."""
        seconds = min(FIRST_PAUSE_SECONDS * 2 ** (count - 1), LONGEST_PAUSE_SECONDS)
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        raise StoppedError


def batch_info(stream_arn: str, records: Sequence[StreamRecord]) -> Mapping[str, Any]:
    """A batch's place in its stream."""
    return {
        "shardId": SHARD_ID,
        "startSequenceNumber": records[0].sequence_number,
        "endSequenceNumber": records[-1].sequence_number,
        "approximateArrivalOfFirstRecord": iso_seconds(records[0].created_at),
        "approximateArrivalOfLastRecord": iso_seconds(records[-1].created_at),
        "batchSize": len(records),
        "streamArn": stream_arn,
    }


def iso_seconds(epoch_seconds: float) -> str:
    """A moment as AWS writes it in an invocation record."""
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
