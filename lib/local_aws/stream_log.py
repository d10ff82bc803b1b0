"""The records of a DynamoDB stream, held as the JSON that they are delivered as.

ministack holds them for 24 hours as Python objects: four times the memory, and written as JSON at each read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, overload

import orjson


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


class StreamLog(Sequence[Mapping[str, Any]]):
    """Records in order of time; to ministack it is a list of them.

    Args:
        records: The first records.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self._held: list[tuple[float, str, bytes]] = []
        for record in records:
            self.append(record)

    def append(self, record: Mapping[str, Any]) -> None:
        """Put a record at the end."""
        change = record["dynamodb"]
        created_at, number = change["ApproximateCreationDateTime"], change["SequenceNumber"]
        # A copy, because orjson's own bytes keep the whole buffer that they were written in.
        body = bytes(memoryview(orjson.dumps(record)))
        self._held.append((created_at, number, body))

    def read(self, first: int, limit: int, first_position: int) -> list[StreamRecord]:
        """Records from one on, with their positions counted from `first_position`."""
        return [
            StreamRecord(position, number, created_at, body)
            for position, (created_at, number, body) in enumerate(
                self._held[first : first + limit], start=first_position
            )
        ]

    def expired(self, oldest: float) -> int:
        """How many records, from the first, are older than a moment in epoch seconds."""
        if not self._held or self._held[0][0] >= oldest:
            return 0
        return bisect_left(self._held, oldest, key=itemgetter(0))

    def to_json(self) -> str:
        """All records as a JSON list."""
        return b"".join((b"[", b",".join(body for _, _, body in self._held), b"]")).decode()

    def __len__(self) -> int:
        return len(self._held)

    def __delitem__(self, index: slice) -> None:
        del self._held[index]

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(index, slice):
            return [orjson.loads(body) for _, _, body in self._held[index]]
        record: Mapping[str, Any] = orjson.loads(self._held[index][2])
        return record
