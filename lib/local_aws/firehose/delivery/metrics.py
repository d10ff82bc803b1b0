"""What Firehose publishes about a flush.

Source: "Monitor Amazon Data Firehose with CloudWatch metrics" (Amazon Data Firehose Developer Guide).
"""

from __future__ import annotations

import time

from local_aws.firehose.delivery.buffer import DeliveryBuffer

Metrics = dict[str, tuple[float, str]]
"""Value and unit of each metric, by name."""


def flush_metrics(buffer: DeliveryBuffer) -> Metrics:
    """The metrics of what was just delivered."""
    failed = len(buffer.failures)
    unprocessed = sum(failure.lambda_arn is not None for failure in buffer.failures)
    since_seconds = time.time() if buffer.since_ms is None else buffer.since_ms / 1000
    return {
        "IncomingRecords": (buffer.records, "Count"),
        "IncomingBytes": (buffer.size_bytes, "Bytes"),
        "DeliveryToIceberg.IncomingRowCount": (buffer.records - unprocessed, "Count"),
        "DeliveryToIceberg.SuccessfulRowCount": (buffer.records - failed, "Count"),
        "DeliveryToIceberg.FailedRowCount": (failed - unprocessed, "Count"),
        "DeliveryToIceberg.DataFreshness": (max(0.0, time.time() - since_seconds), "Seconds"),
        "ExecuteProcessingFailure.Records": (unprocessed, "Count"),
    }
