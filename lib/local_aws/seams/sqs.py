"""Private parts of ministack's SQS that are read, because there is no public way."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class QueueDepth:
    """What is in an SQS queue.

    Attributes:
        name: The queue.
        visible: Messages that can be received.
        in_flight: Messages that were received and not deleted.
        delayed: Messages that could not be received yet.
        oldest_seconds: Age of the oldest message that is not deleted; 0 where there is none.
    """

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest_seconds: float


def may_be_received(queue_arn: str) -> bool:
    """Whether a queue has a message that is not hidden, or is gone; ReceiveMessage costs more than a look."""
    from ministack.services import sqs

    region, account, name = queue_arn.split(":")[3:6]
    url, now = sqs._queue_name_to_url.get_scoped(account, region, name), time.time()
    queue = sqs._queues.get_scoped(account, region, url)
    return queue is None or any(message.get("visible_at", 0) <= now for message in queue["messages"])


def queue_depths(region: str) -> list[QueueDepth]:
    """The depth of every queue of a Region; the age of its messages has no public way."""
    from ministack.services import sqs

    now = time.time()
    depths = []
    for (_, queue_region, _), queue in sqs._queues.all_items():
        if queue_region != region:
            continue
        messages = list(queue["messages"])
        hidden = [message for message in messages if message["visible_at"] > now]
        in_flight = sum(message["receive_count"] > 0 for message in hidden)
        depths.append(
            QueueDepth(
                name=queue["name"],
                visible=len(messages) - len(hidden),
                in_flight=in_flight,
                delayed=len(hidden) - in_flight,
                oldest_seconds=max((now - message["sent_at"] for message in messages), default=0.0),
            )
        )
    return depths
