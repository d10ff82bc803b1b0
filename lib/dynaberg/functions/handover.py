"""The forwarder's part in a change of the stream type, so that nothing is lost and the order stays right.

Between a change of DynamoDB Streams and one of Kinesis the time decides. Kinesis dates a change to the
microsecond, DynamoDB Streams rounds down to the second. So within one second the changes on Kinesis come
after those on Streams, no matter which were later.

From Streams to Kinesis that is correct: both paths run for some minutes, until `forward_until`. Later changes
are on Kinesis alone, and their times are after every second that Streams gave to an earlier change.

From Kinesis to Streams it is not: a change that is on Streams alone may be dated before one that was on
Kinesis in the same second. But DynamoDB Streams keeps everything for 24 hours, and is read again from the
beginning. So all changes until `taken_over_at`, a moment when nothing went to Kinesis any more, are dated at
the end of their second: in each such second Streams has every change, in order, and wins.

What came on both paths is in the change log twice, under two change ids. The current table has it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_END_OF_SECOND_US = 999_999


@dataclass(frozen=True)
class Handover:
    """What the forwarder leaves out or dates differently.

    Attributes:
        forward_until: Later changes come on Kinesis; seconds since 1970, None if none do.
        taken_over_at: Earlier changes may have come on Kinesis; seconds since 1970, None if none did.
    """

    forward_until: int | None = None
    taken_over_at: int | None = None

    def apply(self, records: Sequence[Any]) -> list[Any]:
        """The change records to forward."""
        if self.forward_until is None and self.taken_over_at is None:
            return list(records)
        return [self._dated(record) for record in records if self._is_ours(record)]

    def _is_ours(self, record: Any) -> bool:
        second = _second(record)
        return self.forward_until is None or second is None or second <= self.forward_until

    def _dated(self, record: Any) -> Any:
        second = _second(record)
        if self.taken_over_at is None or second is None or second > self.taken_over_at:
            return record
        change = record["dynamodb"] | {
            "ApproximateCreationDateTime": second * 1_000_000 + _END_OF_SECOND_US,
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        }
        return record | {"dynamodb": change}


def read_handover(environment: Mapping[str, str]) -> Handover:
    """The values of `FORWARD_UNTIL` and `TAKEN_OVER_AT`; empty ones mean None."""
    until, since = (environment.get(name, "") for name in ("FORWARD_UNTIL", "TAKEN_OVER_AT"))
    return Handover(int(until) if until else None, int(since) if since else None)


def _second(record: Any) -> int | None:
    """The second of a change; None if a record is not a change, which the conversion reports better."""
    try:
        return int(record["dynamodb"]["ApproximateCreationDateTime"])
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
