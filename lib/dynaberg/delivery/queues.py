"""The dead-letter queue and the parked queue: read without removing messages, or held during a replay.

Source: "Amazon SQS visibility timeout", Amazon SQS Developer Guide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from dynaberg import aws, deploy

if TYPE_CHECKING:
    import boto3

    from dynaberg.settings import Settings

DEAD_LETTERS, PARKED = "dead-letter queue", "parked queue"
QUEUES = {DEAD_LETTERS: "DeadLetterQueueUrl", PARKED: "ParkedQueueUrl"}
# A message that was received stays with the reader this long, unless it is returned earlier.
HOLD_SECONDS = 300
_BATCH = 10
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Message:
    """A message of a queue.

    Attributes:
        queue: `dead-letter queue` or `parked queue`.
        url: The queue.
        message_id: Its id in SQS.
        receipt: The handle to return or remove it.
        body: Its text.
        sent_at: When it entered the queue; timezone-aware.
        attempts: How often it was received, including by this reader.
    """

    queue: str
    url: str
    message_id: str
    receipt: str
    body: str
    sent_at: datetime
    attempts: int


def queue_urls(session: boto3.Session, settings: Settings) -> dict[str, str]:
    """The URLs of a deployment's queues by their purpose; empty if it has none.

    Raises:
        NotFoundError: There is no delivery yet.
    """
    outputs = deploy.outputs(session, settings, "delivery")
    return {queue: outputs[name] for queue, name in QUEUES.items() if name in outputs}


def queue_depths(session: boto3.Session, settings: Settings) -> pd.DataFrame:
    """Approximately how many messages each queue holds.

    Args:
        session: Open boto3 session.
        settings: The stacks' name.

    Returns:
        One row per queue: queue, waiting (can be read now), held (with a reader, or until its next attempt),
        delayed.
    """
    names = {
        "waiting": "ApproximateNumberOfMessages",
        "held": "ApproximateNumberOfMessagesNotVisible",
        "delayed": "ApproximateNumberOfMessagesDelayed",
    }
    sqs = aws.client(session, "sqs")
    rows = []
    for queue, url in queue_urls(session, settings).items():
        counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names.values()))["Attributes"]
        rows.append({"queue": queue} | {column: int(counts.get(name, 0)) for column, name in names.items()})
    return pd.DataFrame(rows, columns=["queue", *names])


@contextmanager
def held_messages(session: boto3.Session, settings: Settings) -> Iterator[list[Message]]:
    """Hold the messages of all queues; those that are still there at the end are returned at once.

    Meanwhile no one else receives a held message, and if this process dies it becomes visible again by
    itself. A message that waits for its next attempt cannot be received, so it is not included.
    """
    sqs = aws.client(session, "sqs")
    messages: list[Message] = []
    try:
        with ThreadPoolExecutor() as pool:
            urls = queue_urls(session, settings).items()
            list(pool.map(lambda queue: messages.extend(_receive_all(sqs, *queue)), urls))
        yield sorted(messages, key=lambda message: message.queue)
    finally:
        _give_back(sqs, messages)


def remove(session: boto3.Session, message: Message) -> None:
    """Remove a message from its queue."""
    aws.client(session, "sqs").delete_message(QueueUrl=message.url, ReceiptHandle=message.receipt)


def _receive_all(sqs: Any, queue: str, url: str) -> Iterator[Message]:
    while True:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=HOLD_SECONDS,
            # Long polling asks all of SQS's servers; without it an empty response may be an accident.
            WaitTimeSeconds=1,
            AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
        )
        if not answer.get("Messages"):
            return
        for found in answer["Messages"]:
            attributes = found["Attributes"]
            yield Message(
                queue,
                url,
                found["MessageId"],
                found["ReceiptHandle"],
                found["Body"],
                _EPOCH + timedelta(milliseconds=int(attributes["SentTimestamp"])),
                int(attributes["ApproximateReceiveCount"]),
            )


def _give_back(sqs: Any, messages: Sequence[Message]) -> None:
    """Make messages visible again; those that were removed in the meantime each return an error."""
    for url in {message.url for message in messages}:
        receipts = [message.receipt for message in messages if message.url == url]
        for first in range(0, len(receipts), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[first : first + _BATCH])
            ]
            sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
