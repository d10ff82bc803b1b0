"""The records of a DynamoDB stream, held as the JSON that they are delivered as, older ones compressed.

ministack holds them for 24 hours as Python objects, several times the memory, and writes them as JSON at
each read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any, overload

import orjson

BLOCK_RECORDS = 1_024
RECENT_RECORDS = 4 * BLOCK_RECORDS
Held = tuple[float, str, bytes]


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of a stream, on its way to a function.

    Attributes:
        position: Its place in the stream.
        sequence_number: What an answer names it by.
        created_at: Epoch seconds.
        body: It, as JSON.
    """

    position: int
    sequence_number: str
    created_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """`BLOCK_RECORDS` records, compressed.

    Attributes:
        newest: When the last one was created, in epoch seconds.
        data: The times and numbers, then the records, by line.
        size_bytes: Size of the data before it was compressed.
    """

    newest: float
    data: bytes
    size_bytes: int

    @classmethod
    def of(cls, held: Sequence[Held]) -> Block:
        """Compress records."""
        import pyarrow as pa

        created, numbers, bodies = zip(*held, strict=True)
        raw = b"\n".join((orjson.dumps((created, numbers)), *bodies))
        return cls(created[-1], pa.compress(raw, codec="zstd", asbytes=True), len(raw))

    def records(self) -> list[Held]:
        """The records."""
        import pyarrow as pa

        raw = pa.decompress(self.data, self.size_bytes, codec="zstd", asbytes=True)
        header, *bodies = raw.split(b"\n")
        return list(zip(*orjson.loads(header), bodies, strict=True))


class StreamLog(Sequence[Mapping[str, Any]]):
    """Records in order of time; to ministack it is a list of them.

    Args:
        records: The first records.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self._blocks: list[Block] = []
        self._recent: list[Held] = []
        self._dropped = 0
        for record in records:
            self.append(record)

    def append(self, record: Mapping[str, Any]) -> None:
        """Put a record at the end."""
        change = record["dynamodb"]
        created_at, number = change["ApproximateCreationDateTime"], change["SequenceNumber"]
        # A copy, because orjson's own bytes keep the whole buffer that they were written in.
        body = bytes(memoryview(orjson.dumps(record)))
        self._recent.append((created_at, number, body))
        if len(self._recent) > RECENT_RECORDS:
            self._blocks.append(Block.of(self._recent[:BLOCK_RECORDS]))
            del self._recent[:BLOCK_RECORDS]

    def read(self, first: int, limit: int, first_position: int) -> list[StreamRecord]:
        """Records from one on, with their positions counted from `first_position`."""
        held = islice(self._from(first), limit)
        return [
            StreamRecord(position, number, created_at, body)
            for position, (created_at, number, body) in enumerate(held, start=first_position)
        ]

    def expired(self, oldest: float) -> int:
        """How many of the first records may go, older than a moment in epoch seconds; blocks go whole."""
        blocks = bisect_left(self._blocks, oldest, key=attrgetter("newest"))
        count = blocks * BLOCK_RECORDS - self._dropped
        if blocks == len(self._blocks):
            count += bisect_left(self._recent, oldest, key=itemgetter(0))
        return max(0, count)

    def to_json(self) -> str:
        """All records as a JSON list."""
        return b"".join((b"[", b",".join(body for _, _, body in self._from(0)), b"]")).decode()

    def _from(self, first: int) -> Iterator[Held]:
        number, offset = divmod(first + self._dropped, BLOCK_RECORDS)
        for block in self._blocks[number:]:
            yield from islice(block.records(), offset, None)
            offset = 0
        yield from islice(
            self._recent, max(0, first + self._dropped - len(self._blocks) * BLOCK_RECORDS), None
        )

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (orjson.loads(body) for _, _, body in self._from(0))

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK_RECORDS + len(self._recent) - self._dropped

    def __delitem__(self, index: slice) -> None:
        """Forget the first records, `del log[:count]`."""
        dropped = self._dropped + index.indices(len(self))[1]
        whole = min(dropped // BLOCK_RECORDS, len(self._blocks))
        del self._blocks[:whole]
        self._dropped = dropped - whole * BLOCK_RECORDS
        if not self._blocks:
            del self._recent[: self._dropped]
            self._dropped = 0

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(index, slice):
            first, end, _ = index.indices(len(self))
            return [orjson.loads(body) for _, _, body in islice(self._from(first), max(0, end - first))]
        (_, _, body) = next(self._from(range(len(self))[index]))
        record: Mapping[str, Any] = orjson.loads(body)
        return record
