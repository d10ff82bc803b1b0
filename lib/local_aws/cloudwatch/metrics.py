"""CloudWatch metrics that AWS's services report of themselves, and ministack's do not.

Source: Amazon SQS developer guide, "Available CloudWatch metrics for Amazon SQS".
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from local_aws.seams import sqs
from local_aws.wire import Request, Upstream, signature

DATA_PER_CALL = 1_000


def metric(name: str, value: float, unit: str, **dimensions: str) -> dict[str, Any]:
    """The present value of a metric, as PutMetricData takes it."""
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": text} for key, text in dimensions.items()],
        "Timestamp": time.time(),
        "Value": value,
        "Unit": unit,
    }


async def put_metrics(
    upstream: Upstream, region: str, namespace: str, metrics: Sequence[dict[str, Any]]
) -> None:
    """Report metrics to CloudWatch in as few calls as possible."""
    headers = {
        "authorization": signature("monitoring", region),
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "GraniteServiceVersion20100801.PutMetricData",
    }
    for first in range(0, len(metrics), DATA_PER_CALL):
        body = orjson.dumps({"Namespace": namespace, "MetricData": metrics[first : first + DATA_PER_CALL]})
        await upstream(Request("POST", "/", headers=headers, body=body))


async def report_queues(upstream: Upstream, region: str) -> None:
    """Report how many messages every queue of a Region has, and how old they are, for the alarms on them."""
    metrics = [metric for depth in sqs.queue_depths(region) for metric in queue_metrics(depth)]
    await put_metrics(upstream, region, "AWS/SQS", metrics)


def queue_metrics(depth: sqs.QueueDepth) -> list[dict[str, Any]]:
    """The metrics of one queue."""
    return [
        metric("ApproximateNumberOfMessagesVisible", depth.visible, "Count", QueueName=depth.name),
        metric("ApproximateNumberOfMessagesNotVisible", depth.in_flight, "Count", QueueName=depth.name),
        metric("ApproximateNumberOfMessagesDelayed", depth.delayed, "Count", QueueName=depth.name),
        metric("ApproximateAgeOfOldestMessage", depth.oldest_seconds, "Seconds", QueueName=depth.name),
    ]
