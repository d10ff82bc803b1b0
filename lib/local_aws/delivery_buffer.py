"""What was read and converted for one flush."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from local_aws.error_records import ICEBERG_FAILED, FailedRecord
from local_aws.firehose_config import Destination
from local_aws.journal import Records
from local_aws.json_rows import RowConverter


@dataclass
class DeliveryBuffer:
    """What was read and converted and is not yet flushed.

    Attributes:
        batches: Rows for each table.
        converters: The schema they were converted to.
        failures: Records that go to the error bucket.
        records: Number of records that came in.
        size_bytes: Their bytes.
        since_ms: Arrival of the oldest, epoch milliseconds.
    """

    batches: dict[Destination, list[pa.RecordBatch]] = field(default_factory=dict)
    converters: dict[Destination, RowConverter] = field(default_factory=dict)
    failures: list[FailedRecord] = field(default_factory=list)
    records: int = 0
    size_bytes: int = 0
    since_ms: int | None = None

    def add(self, destination: Destination, records: Records, converter: RowConverter) -> None:
        """Convert records to a table's schema; those that do not fit become failures."""
        self.converters[destination] = converter
        batch, failures = converter.convert(records.data)
        self.batches.setdefault(destination, []).append(batch)
        for index, failure in failures.items():
            one = Records([records.data[index]], [records.arrived_ms[index]])
            self.fail(destination, one, failure.code, failure.message)

    def fail(self, destination: Destination, records: Records, code: str, message: str) -> None:
        """Send records to the error bucket."""
        self.failures += [
            FailedRecord(ICEBERG_FAILED, data, arrived_ms, code, message, destination.error_prefix)
            for data, arrived_ms in zip(records.data, records.arrived_ms, strict=True)
        ]

    def tables(self) -> Iterator[tuple[Destination, pa.Table]]:
        """The rows of each table."""
        for destination, batches in self.batches.items():
            rows = pa.Table.from_batches(batches)
            if rows.num_rows:
                yield destination, rows
