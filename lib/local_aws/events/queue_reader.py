"""Reads one SQS queue for one event source mapping and invokes its function with the messages.

What was handled is deleted. What was not comes back after the queue's visibility time-out, until the
queue's own redrive policy moves it: Lambda has no part in that.
Source: AWS Lambda developer guide, "Using Lambda with Amazon SQS".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from local_aws.events.batches import OK, PROBLEM
from local_aws.events.invocation import PAYLOAD_BYTES, Answer, event_body, failed_identifiers
from local_aws.events.mapping import EventSourceMapping
from local_aws.seams import sqs
from local_aws.wire import AwsError, Upstream

MESSAGES_PER_CALL = 10
POLLERS = 5
WAIT_SECONDS = 2
ABSENT_SECONDS = 1.0
PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class QueueReader:
    """Delivers a queue's messages to a function until it is stopped."""

    def __init__(
        self,
        upstream: Upstream,
        mapping: EventSourceMapping,
        invoke: Callable[[bytes], Awaitable[Answer]],
        note: Callable[[str], None],
    ) -> None:
        self._upstream = upstream
        self._mapping = mapping
        self._invoke = invoke
        self._note = note
        self._url = ""
        self._pollers = pollers(mapping)
        self._failures = 0
        self._ready = asyncio.Event()

    def look(self) -> None:
        """Receive messages if there are any."""
        if sqs.may_be_received(self._mapping.source_arn):
            self._ready.set()

    def age_seconds(self) -> float:
        """A queue has no iterator, so no age."""
        return 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Receive and deliver until stopped, then wait for the batches that are being delivered."""
        delivering: set[asyncio.Task[None]] = set()
        stop = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                if len(delivering) >= self._pollers:
                    await asyncio.wait([stop, *delivering], return_when=asyncio.FIRST_COMPLETED)
                    continue
                receiving = asyncio.create_task(self._receive())
                await asyncio.wait([stop, receiving], return_when=asyncio.FIRST_COMPLETED)
                if not receiving.done():
                    receiving.cancel()
                    with suppress(asyncio.CancelledError):
                        await receiving
                    break
                if messages := receiving.result():
                    task = asyncio.create_task(self._deliver(messages))
                    delivering.add(task)
                    task.add_done_callback(delivering.discard)
        finally:
            stop.cancel()
            await asyncio.gather(stop, *delivering, return_exceptions=True)

    async def _receive(self) -> list[dict[str, Any]]:
        """The messages of the next batch; none if none came for a while."""
        await self._pause_after_failures()
        while not sqs.may_be_received(self._mapping.source_arn):
            self._ready.clear()
            await self._ready.wait()
        messages: list[dict[str, Any]] = []
        deadline = time.monotonic() + self._mapping.window_seconds
        while room := self._mapping.batch_size - len(messages):
            wait_seconds = 0 if messages else WAIT_SECONDS
            received = await self._receive_some(min(room, MESSAGES_PER_CALL), wait_seconds)
            messages += received
            if len(received) < min(room, MESSAGES_PER_CALL):
                if not messages or time.monotonic() >= deadline:
                    break
                await asyncio.sleep(min(PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
        return messages

    async def _pause_after_failures(self) -> None:
        if self._failures:
            await asyncio.sleep(min(PAUSE_SECONDS * 2 ** (self._failures - 1), LONGEST_PAUSE_SECONDS))

    async def _receive_some(self, count: int, wait_seconds: int) -> list[dict[str, Any]]:
        try:
            if not self._url:
                self._url = await self._queue_url()
            answer = await self._upstream.operation(
                "AmazonSQS.ReceiveMessage",
                {
                    "QueueUrl": self._url,
                    "MaxNumberOfMessages": count,
                    "WaitTimeSeconds": wait_seconds,
                    "AttributeNames": ["All"],
                    "MessageAttributeNames": ["All"],
                },
            )
        except AwsError as error:
            log.info("%s cannot read %s: %s", self._mapping.uuid, self._mapping.source_arn, error)
            self._url = ""
            await asyncio.sleep(ABSENT_SECONDS)
            return []
        received: list[dict[str, Any]] = answer.get("Messages", [])
        return received

    async def _queue_url(self) -> str:
        name = self._mapping.source_arn.rpartition(":")[2]
        answer = await self._upstream.operation("AmazonSQS.GetQueueUrl", {"QueueName": name})
        return str(answer["QueueUrl"])

    async def _deliver(self, messages: Sequence[Mapping[str, Any]]) -> None:
        records = [queue_record(self._mapping, message) for message in messages]
        for batch in fitting(records):
            await self._deliver_batch(batch)

    async def _deliver_batch(self, records: Sequence[Mapping[str, Any]]) -> None:
        answer = await self._invoke(event_body(orjson.dumps(record) for record in records))
        ids = {record["messageId"] for record in records}
        if not answer.invoked or answer.failed:
            failed = ids
        else:
            failed = failed_identifiers(answer, ids) if self._mapping.reports_failures else set()
        self._failures = self._failures + 1 if failed == ids else 0
        self._note(PROBLEM if failed else OK)
        await self._delete([record for record in records if record["messageId"] not in failed])

    async def _delete(self, records: Sequence[Mapping[str, Any]]) -> None:
        for first in range(0, len(records), MESSAGES_PER_CALL):
            entries = [
                {"Id": str(i), "ReceiptHandle": record["receiptHandle"]}
                for i, record in enumerate(records[first : first + MESSAGES_PER_CALL])
            ]
            try:
                await self._upstream.operation(
                    "AmazonSQS.DeleteMessageBatch", {"QueueUrl": self._url, "Entries": entries}
                )
            except AwsError as error:
                log.warning("%s could not delete messages: %s", self._mapping.uuid, error)


def pollers(mapping: EventSourceMapping) -> int:
    """How many batches may be under way; one for a FIFO queue, whose groups must stay in order."""
    if mapping.source_arn.endswith(".fifo"):
        return 1
    return POLLERS if mapping.concurrency is None else mapping.concurrency


def queue_record(mapping: EventSourceMapping, message: Mapping[str, Any]) -> dict[str, Any]:
    """A received message in the shape of an event record."""
    attributes = message.get("MessageAttributes") or {}
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes") or {},
        "messageAttributes": {
            name: {key[0].lower() + key[1:]: part for key, part in value.items()}
            for name, value in attributes.items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": mapping.source_arn,
        "awsRegion": mapping.region,
    }


def fitting(records: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Records in batches that fit into one invocation each."""
    batches: list[list[Mapping[str, Any]]] = []
    size_bytes = PAYLOAD_BYTES
    for record in records:
        record_bytes = len(orjson.dumps(record)) + 1
        size_bytes += record_bytes
        if size_bytes > PAYLOAD_BYTES - 64:
            batches.append([])
            size_bytes = record_bytes
        batches[-1].append(record)
    return batches
