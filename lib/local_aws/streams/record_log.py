"""Records of a stream in order of time, held for as long as the stream keeps them, older ones compressed.

ministack holds them as Python objects, several times the memory.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, islice, pairwise
from operator import attrgetter
from typing import Any, NamedTuple, Self, overload

import orjson

BLOCK_RECORDS = 1_024
RECENT_RECORDS = 2 * BLOCK_RECORDS
PORTION_RECORDS = 512


class Held(NamedTuple):
    """One record.

    Attributes:
        created_at: Epoch seconds.
        number: Its sequence number.
        key: Its partition key; empty where there is none.
        body: What it carries.
    """

    created_at: float
    number: str
    key: str
    body: bytes


class Block(NamedTuple):
    """`BLOCK_RECORDS` records, compressed.

    Attributes:
        created_at: When the last one was created, in epoch seconds.
        number: The sequence number of the last one.
        data: A line with the times, numbers, keys and lengths, then the bodies.
        size_bytes: Size of the data before it was compressed.
    """

    created_at: float
    number: str
    data: bytes
    size_bytes: int

    @classmethod
    def of(cls, records: Sequence[Held]) -> Block:
        """Compress records."""
        import pyarrow as pa

        created, numbers, keys, bodies = zip(*records, strict=True)
        head = orjson.dumps((created, numbers, keys, [len(body) for body in bodies]))
        raw = b"".join((head, b"\n", *bodies))
        return cls(created[-1], numbers[-1], pa.compress(raw, codec="zstd", asbytes=True), len(raw))

    def without(self, count: int) -> Block:
        """The same number of records, the first of them without what they carry."""
        return Block.of([h._replace(body=b"") if n < count else h for n, h in enumerate(self.records())])

    def records(self) -> list[Held]:
        """The records."""
        import pyarrow as pa

        raw = pa.decompress(self.data, self.size_bytes, codec="zstd", asbytes=True)
        end = raw.index(b"\n")
        created, numbers, keys, lengths = orjson.loads(raw[:end])
        places = pairwise(accumulate(lengths, initial=end + 1))
        bodies = (raw[begin:end] for begin, end in places)
        return [Held(*held) for held in zip(created, numbers, keys, bodies, strict=True)]


class RecordLog(Sequence[Mapping[str, Any]]):
    """Records, each at a position that stays the same when earlier ones expire; a list of them to ministack.

    Attributes:
        first: Position of the oldest record that is kept.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.first = self._start = 0
        self._blocks: list[Block] = []
        self._recent: list[Held] = []
        for record in records:
            self.append(record)

    @abstractmethod
    def append(self, record: Mapping[str, Any]) -> None:
        """Put a record at the end, as ministack has it."""

    @abstractmethod
    def shown(self, held: Held) -> Mapping[str, Any]:
        """A record as ministack has it."""

    @property
    def origin(self) -> int:
        """The position that the list's index 0 stands for."""
        return 0

    def __len__(self) -> int:
        return self.end - self.origin

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return map(self.shown, self.held(0))

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | list[Mapping[str, Any]]:
        if isinstance(index, slice):
            begin, end, _ = index.indices(len(self))
            found = islice(self.held(self.origin + begin), max(0, end - begin))
            return [self.shown(held) for held in found]
        return self.shown(next(self.held(self.origin + range(len(self))[index])))

    @property
    def end(self) -> int:
        """Position of the next record to come."""
        return self._recent_start + len(self._recent)

    @property
    def _recent_start(self) -> int:
        return self._start + len(self._blocks) * BLOCK_RECORDS

    def hold(self, record: Held) -> None:
        """Put a record at the end."""
        self._recent.append(record)
        if len(self._recent) > RECENT_RECORDS:
            self._blocks.append(Block.of(self._recent[:BLOCK_RECORDS]))
            del self._recent[:BLOCK_RECORDS]

    def held(self, position: int) -> Iterator[Held]:
        """The records from a position on, without those that have expired."""
        skip = max(position, self.first) - self._start
        number, offset = divmod(skip, BLOCK_RECORDS)
        for block in self._blocks[number:]:
            yield from islice(block.records(), offset, None)
            offset = 0
        beyond = max(0, skip - len(self._blocks) * BLOCK_RECORDS)
        for first in range(beyond, len(self._recent), PORTION_RECORDS):
            yield from self._recent[first : first + PORTION_RECORDS]

    def since(self, moment: float) -> int:
        """The position from which on records are as young as a moment in epoch seconds; blocks stay whole."""
        age = attrgetter("created_at")
        count = bisect_left(self._blocks, moment, key=age)
        position = self._start + count * BLOCK_RECORDS
        if count == len(self._blocks):
            position += bisect_left(self._recent, moment, key=age)
        return max(self.first, position)

    def find(self, name: str, least: Any) -> int:
        """The position of the first record of which an attribute is at least a value, or the end."""
        value = attrgetter(name)
        block = bisect_left(self._blocks, least, key=value)
        begin = max(self.first, self._start + block * BLOCK_RECORDS)
        found = (position for position, held in enumerate(self.held(begin), begin) if value(held) >= least)
        return next(found, self.end)

    def saved(self) -> dict[str, Any]:
        """What `restore` makes a log of."""
        return {
            "first": self.first,
            "start": self._start,
            "blocks": [list(block) for block in self._blocks],
            "recent": [list(held) for held in self._recent],
        }

    def restore(self, saved: Mapping[str, Any]) -> Self:
        """Hold what was saved, and nothing else."""
        self.first, self._start = saved["first"], saved["start"]
        self._blocks = [Block(*block) for block in saved["blocks"]]
        self._recent = [Held(*held) for held in saved["recent"]]
        return self

    def forget(self, position: int) -> None:
        """Let the records before a position go."""
        if position <= self.first:
            return
        self.first = min(position, self.end)
        whole = min((self.first - self._start) // BLOCK_RECORDS, len(self._blocks))
        del self._blocks[:whole]
        self._start += whole * BLOCK_RECORDS
        if not self._blocks:
            del self._recent[: self.first - self._start]
            self._start = self.first
        elif self.first > self._start:
            self._blocks[0] = self._blocks[0].without(self.first - self._start)
