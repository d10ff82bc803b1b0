"""The records of a Kinesis shard, held as the data that they carry."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

from local_aws.streams.record_log import Held, RecordLog

# "GetRecords", Kinesis Data Streams API reference.
RECORDS_PER_CALL = 10_000
BYTES_PER_CALL = 10 * 2**20


class ShardLog(RecordLog, Sequence[Mapping[str, Any]]):
    """The records of a shard; to ministack it is a list of them.

    Its indexes are positions, so that a shard iterator keeps its place when earlier records expire. What is
    asked for and has expired is left out.

    Args:
        records: The first records, in the form of GetRecords.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        super().__init__()
        for record in records:
            self.append(record)

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

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return map(as_member, self.held(0))

    def __len__(self) -> int:
        return self.end

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(index, slice):
            begin, end, _ = index.indices(self.end)
            return [as_member(held) for held in islice(self.held(begin), max(0, end - begin))]
        return as_member(next(self.held(range(self.end)[index])))


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
