"""CloudWatch metrics that AWS's services report of themselves, and ministack's do not.

Source: Amazon SQS developer guide, "Available CloudWatch metrics for Amazon SQS".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from local_aws.seams import sqs
from local_aws.wire import Request, Response, Upstream, signature

QUEUE_SECONDS = 10.0
DATA_PER_CALL = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metric:
    """One value of a metric.

    Attributes:
        name: The metric.
        value: Its value, now.
        unit: Its unit, as CloudWatch names it.
        dimensions: What it is of.
    """

    name: str
    value: float
    unit: str
    dimensions: Mapping[str, str]


async def put_metrics(upstream: Upstream, region: str, namespace: str, metrics: Sequence[Metric]) -> None:
    """Report metrics to CloudWatch, as few calls as it takes."""
    headers = {
        "authorization": signature("monitoring", region),
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "GraniteServiceVersion20100801.PutMetricData",
    }
    for first in range(0, len(metrics), DATA_PER_CALL):
        data = [datum(metric) for metric in metrics[first : first + DATA_PER_CALL]]
        body = orjson.dumps({"Namespace": namespace, "MetricData": data})
        await upstream(Request("POST", "/", headers=headers, body=body))


def datum(metric: Metric) -> dict[str, Any]:
    """A value as PutMetricData takes it."""
    return {
        "MetricName": metric.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in metric.dimensions.items()],
        "Timestamp": time.time(),
        "Value": metric.value,
        "Unit": metric.unit,
    }


class QueueMetrics:
    """Reports the depth and age of every queue, for the alarms on them (a `Service`).

    Args:
        upstream: ministack.
        region: The Region whose queues are reported.
    """

    def __init__(self, upstream: Upstream, region: str) -> None:
        self._upstream = upstream
        self._region = region
        self._reporting: asyncio.Task[None] | None = None

    def claims(self, method: str, path: str, target: str) -> bool:
        """Nothing: it only reports."""
        return False

    async def handle(self, request: Request) -> Response | None:
        """Nothing is claimed."""
        return None

    async def start(self) -> None:
        """Begin to report."""
        self._reporting = asyncio.create_task(self._report())

    async def stop(self) -> None:
        """End reporting."""
        if self._reporting is not None:
            self._reporting.cancel()
            with suppress(asyncio.CancelledError):
                await self._reporting

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(QUEUE_SECONDS)
            try:
                depths = sqs.queue_depths(self._region)
                metrics = [metric for depth in depths for metric in queue_metrics(depth)]
                await put_metrics(self._upstream, self._region, "AWS/SQS", metrics)
            except Exception:
                log.exception("reporting the queues failed")


def queue_metrics(depth: sqs.QueueDepth) -> list[Metric]:
    """The metrics of one queue."""
    of_queue = {"QueueName": depth.name}
    return [
        Metric("ApproximateNumberOfMessagesVisible", depth.visible, "Count", of_queue),
        Metric("ApproximateNumberOfMessagesNotVisible", depth.in_flight, "Count", of_queue),
        Metric("ApproximateNumberOfMessagesDelayed", depth.delayed, "Count", of_queue),
        Metric("ApproximateAgeOfOldestMessage", depth.oldest_seconds, "Seconds", of_queue),
    ]
