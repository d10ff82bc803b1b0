"""The records of a Kinesis shard, held as the data that they carry."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from itertools import islice
from typing import Any

from local_aws.streams.record_log import Held, RecordLog

# "GetRecords", Kinesis Data Streams API reference.
RECORDS_PER_CALL = 10_000
BYTES_PER_CALL = 10 * 2**20


class ShardLog(RecordLog):
    """The records of a shard, in the form of GetRecords.

    Its indexes are positions, so that a shard iterator keeps its place when earlier records expire. What is
    asked for and has expired is left out.
    """

    def append(self, record: Mapping[str, Any]) -> None:
        """Put a record at the end, in the form of GetRecords."""
        arrived, number, key = (
            record[name] for name in ("ApproximateArrivalTimestamp", "SequenceNumber", "PartitionKey")
        )
        self.hold(Held(arrived, number, key, decoded(record["Data"])))

    def read(self, position: int, limit: int) -> list[Held]:
        """Records from a position on, as many as GetRecords hands out at once."""
        found: list[Held] = []
        size_bytes = 0
        for held in islice(self.held(position), min(limit, RECORDS_PER_CALL)):
            size_bytes += len(held.body)
            if size_bytes > BYTES_PER_CALL and found:
                break
            found.append(held)
        return found

    def shown(self, held: Held) -> Mapping[str, Any]:
        """A record in the form of GetRecords."""
        return as_member(held)


def as_member(held: Held) -> dict[str, Any]:
    """A record as a member of the answer of GetRecords."""
    return {
        "SequenceNumber": held.number,
        "ApproximateArrivalTimestamp": held.created_at,
        "Data": binascii.b2a_base64(held.body, newline=False).decode(),
        "PartitionKey": held.key,
    }


def decoded(data: str | bytes) -> bytes:
    """The data of a record; ministack takes text that is no base64 for the data itself."""
    if isinstance(data, bytes):
        return data
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except binascii.Error:
        return data.encode()
