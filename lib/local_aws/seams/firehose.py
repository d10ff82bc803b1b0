"""Private parts of ministack's Firehose that are read, because there is no public way."""

from __future__ import annotations

from typing import NamedTuple


class StreamVersion(NamedTuple):
    """What changes with every change of a delivery stream.

    Attributes:
        name: Its name.
        created_at: Epoch seconds.
        version: How often it was changed since.
        from_kinesis: Whether it reads a Kinesis stream.
    """

    name: str
    created_at: float
    version: int
    from_kinesis: bool


def stream_versions() -> set[StreamVersion]:
    """All delivery streams; to ask for each costs a thread of ministack's."""
    from ministack.services import firehose

    return {
        StreamVersion(one["name"], one["created_at"], one["version"], one["type"] == "KinesisStreamAsSource")
        for one in firehose._streams.all_values()
    }
