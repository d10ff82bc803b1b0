"""What was read and converted for one flush, and what Firehose publishes about it.

Source: "Monitor Amazon Data Firehose with CloudWatch metrics" (Amazon Data Firehose Developer Guide).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from local_aws.firehose.append import DataFiles, Target
from local_aws.firehose.delivery.error_records import ICEBERG_FAILED, FailedRecord
from local_aws.firehose.stream import Destination, Records

UNWRITABLE = "Iceberg.UnwritableRecord"

Metrics = dict[str, tuple[float, str]]
"""Value and unit of each metric, by name."""


def words(error: Exception) -> str:
    """An error in a line."""
    return f"{type(error).__name__}: {error}"


@dataclass(frozen=True)
class TableBuffer:
    """What is buffered for one table.

    Attributes:
        target: The table, as it was when the first record for it came.
        files: Its rows.
    """

    target: Target
    files: DataFiles


@dataclass
class DeliveryBuffer:
    """What was read and converted and is not yet flushed.

    Attributes:
        tables: Rows for each table.
        failures: Records that go to the error bucket.
        records: Number of records that came in.
        size_bytes: Their bytes.
        since_ms: Arrival of the oldest, epoch milliseconds.
    """

    tables: dict[Destination, TableBuffer] = field(default_factory=dict)
    failures: list[FailedRecord] = field(default_factory=list)
    records: int = 0
    size_bytes: int = 0
    since_ms: int | None = None

    def add(self, destination: Destination, records: Records, target: Target) -> None:
        """Convert records to a table's schema; those that do not fit become failures."""
        if destination not in self.tables:
            self.tables[destination] = TableBuffer(target, DataFiles(target.appender.table))
        rows, failures = target.converter.convert(records.data)
        self.tables[destination].files.add(rows)
        for index, failure in failures.items():
            one = Records([records.data[index]], [records.arrived_ms[index]])
            self.fail(destination, one, failure.code, failure.message)

    def fail(self, destination: Destination, records: Records, code: str, message: str) -> None:
        """Send records to the error bucket."""
        self.failures += [
            FailedRecord(ICEBERG_FAILED, data, arrived_ms, code, message, destination.error_prefix)
            for data, arrived_ms in zip(records.data, records.arrived_ms, strict=True)
        ]

    def metrics(self) -> Metrics:
        """The metrics of what was just delivered."""
        failed = len(self.failures)
        unprocessed = sum(failure.lambda_arn is not None for failure in self.failures)
        since_seconds = time.time() if self.since_ms is None else self.since_ms / 1000
        return {
            "IncomingRecords": (self.records, "Count"),
            "IncomingBytes": (self.size_bytes, "Bytes"),
            "DeliveryToIceberg.IncomingRowCount": (self.records - unprocessed, "Count"),
            "DeliveryToIceberg.SuccessfulRowCount": (self.records - failed, "Count"),
            "DeliveryToIceberg.FailedRowCount": (failed - unprocessed, "Count"),
            "DeliveryToIceberg.DataFreshness": (max(0.0, time.time() - since_seconds), "Seconds"),
            "ExecuteProcessingFailure.Records": (unprocessed, "Count"),
        }
