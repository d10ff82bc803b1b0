"""The records of a DynamoDB stream, held as the JSON that they are delivered as."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, ClassVar, NamedTuple

import orjson

from local_aws.streams.record_log import Held, RecordLog


class StreamRecord(NamedTuple):
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


class StreamLog(RecordLog):
    """The records of a stream; a list that ministack shortens at its beginning.

    Attributes:
        any_grew: Whether any log got a record; who has looked sets it back.
        notify: Called when it is set, in any thread.
    """

    any_grew: ClassVar[bool] = False
    notify: ClassVar[Callable[[], object]] = lambda: None

    @property
    def origin(self) -> int:
        """The position of the oldest record that is kept."""
        return self.first

    def append(self, record: Mapping[str, Any]) -> None:
        """Put a record at the end."""
        change = record["dynamodb"]
        # A copy, because orjson's own bytes keep the whole buffer that they were written in.
        body = bytes(memoryview(orjson.dumps(record)))
        self.hold(Held(change["ApproximateCreationDateTime"], change["SequenceNumber"], "", body))
        if not StreamLog.any_grew:
            StreamLog.any_grew = True
            StreamLog.notify()

    def read(self, first: int, limit: int, first_position: int) -> list[StreamRecord]:
        """Records from one on, with their positions counted from `first_position`."""
        held = islice(self.held(self.first + first), limit)
        return [
            StreamRecord(position, record.number, record.created_at, record.body)
            for position, record in enumerate(held, start=first_position)
        ]

    def expired(self, oldest: float) -> int:
        """How many of the first records may go, older than a moment in epoch seconds; blocks go whole."""
        return self.since(oldest) - self.first

    def shown(self, held: Held) -> Mapping[str, Any]:
        """A record as it is delivered."""
        record: Mapping[str, Any] = orjson.loads(held.body)
        return record

    def __delitem__(self, index: slice) -> None:
        """Forget the first records, `del log[:count]`."""
        self.forget(self.first + index.indices(len(self))[1])
