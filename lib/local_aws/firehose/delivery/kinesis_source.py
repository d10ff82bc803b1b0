"""A Kinesis data stream as the source of a delivery stream.

The position is the last sequence number taken from each shard. A shard that was never read is read from the
moment on at which the delivery stream was made, as AWS does. What is taken together goes on in the order in
which it was fetched: that of the shards, unless a fault shuffles it, for Firehose promises none.
"""

from __future__ import annotations

import binascii
import itertools
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from local_aws.firehose.stream import Records

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

AHEAD_BYTES = 2 * 2**20
RECORDS_PER_FETCH = 2_000
LENGTH_BYTES = 4
BUSY_SECONDS = 0.1
QUIET_SECONDS = 1.0
SHARDS_SECONDS = 5.0


class Fetched(NamedTuple):
    """A record that was fetched from a shard, as the n-th of all."""

    sequence_number: str
    data: bytes
    arrived_ms: int
    place: int

    @property
    def size_bytes(self) -> int:
        """Its size as the journal counts it, so that an empty record is not nothing."""
        return len(self.data) + LENGTH_BYTES


@dataclass
class Shard:
    """One shard, as far as it was read.

    Attributes:
        shard_id: Its name.
        taken: Sequence number of the last record taken; None where none was.
        iterator: Where it is fetched from next; None where that has to be found out.
        closed: Whether it was split or merged and holds nothing more.
        fetched: What was fetched and not yet taken.
        fetched_bytes: Its bytes.
    """

    shard_id: str
    taken: str | None
    iterator: str | None = None
    closed: bool = False
    fetched: deque[Fetched] = field(default_factory=deque)
    fetched_bytes: int = 0

    @property
    def last_sequence_number(self) -> str | None:
        """Sequence number of the last record fetched."""
        return self.fetched[-1].sequence_number if self.fetched else self.taken

    def add(self, record: Fetched) -> None:
        """Keep a record that was fetched."""
        self.fetched.append(record)
        self.fetched_bytes += record.size_bytes

    def take(self) -> Fetched:
        """Hand out the oldest record."""
        record = self.fetched.popleft()
        self.fetched_bytes -= record.size_bytes
        self.taken = record.sequence_number
        return record


class KinesisSource:
    """Reads all shards of a Kinesis stream, each in its order (a `Source`).

    Attributes:
        refused: Whether the last look did not reach the end of every shard.
    """

    def __init__(
        self, client: KinesisClient, stream_arn: str, start_ms: int, position: Mapping[str, str]
    ) -> None:
        self._client = client
        self._stream_arn = stream_arn
        self._start_ms = start_ms
        self._shards = {shard_id: Shard(shard_id, taken) for shard_id, taken in position.items()}
        self._listed: float | None = None
        self._idle_seconds = BUSY_SECONDS
        self._behind_ms = 0
        self._places = itertools.count()
        self.refused = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were fetched by `poll` and not yet taken."""
        return sum(shard.fetched_bytes for shard in self._shards.values())

    @property
    def position(self) -> dict[str, str]:
        """Sequence number of the last record taken, by shard."""
        return {shard.shard_id: shard.taken for shard in self._shards.values() if shard.taken}

    @property
    def waiting_since_ms(self) -> int | None:
        """Arrival of the oldest record not yet taken, epoch milliseconds."""
        heads = [shard.fetched[0].arrived_ms for shard in self._shards.values() if shard.fetched]
        return min(heads, default=None)

    @property
    def idle_seconds(self) -> float:
        """How long to wait before the next look."""
        return self._idle_seconds

    def poll(self) -> None:
        """Fetch from every shard of which not enough is fetched already."""
        self._list_shards()
        found, self.refused = 0, False
        for shard in self._shards.values():
            if not shard.closed and shard.fetched_bytes < AHEAD_BYTES:
                found += self._fetch(shard)
        self._idle_seconds = BUSY_SECONDS if found else min(2 * self._idle_seconds, QUIET_SECONDS)

    def take(self, limit_bytes: int, end: Mapping[str, str] | None = None) -> Records:
        """Take fetched records from one shard after the other, while they fit into the limit."""
        taken: list[Fetched] = []
        size_bytes = 0
        for shard, head in self._heads(end):
            size_bytes += head.size_bytes
            if taken and size_bytes > limit_bytes:
                break
            taken.append(shard.take())
        taken.sort(key=attrgetter("place"))
        return Records([record.data for record in taken], [record.arrived_ms for record in taken])

    def again(self, position: Mapping[str, str]) -> KinesisSource:
        """The same stream from an earlier position on."""
        return KinesisSource(self._client, self._stream_arn, self._start_ms, position)

    def middle(self, end: Mapping[str, str]) -> dict[str, str] | None:
        """A position halfway to another one; None where there is one record between them."""
        probe, positions = self.again(self.position), [dict[str, str]()]
        while probe.position != end:
            probe.poll()
            if len(probe.take(1, end)):
                positions.append(probe.position)
            elif probe.refused:
                time.sleep(BUSY_SECONDS)
            else:
                break
        return positions[len(positions) // 2] if len(positions) > 2 else None

    def committed(self, position: object) -> None:
        """Nothing to do: Kinesis keeps records for as long as its retention says."""

    def metrics(self) -> dict[str, tuple[float, str]]:
        """How far reading was behind at worst since it was last asked."""
        behind_ms, self._behind_ms = self._behind_ms, 0
        return {"KinesisMillisBehindLatest": (behind_ms, "Milliseconds")}

    def _heads(self, end: Mapping[str, str] | None) -> Iterator[tuple[Shard, Fetched]]:
        """The records that may be taken; the caller takes each before it asks for the next."""
        for shard in self._shards.values():
            last = None if end is None else int(end.get(shard.shard_id, -1))
            while shard.fetched and (last is None or int(shard.fetched[0].sequence_number) <= last):
                yield shard, shard.fetched[0]

    def _list_shards(self) -> None:
        now = time.monotonic()
        if self._listed is not None and now - self._listed < SHARDS_SECONDS:
            return
        self._listed = now
        for page in self._client.get_paginator("list_shards").paginate(StreamARN=self._stream_arn):
            for listed in page["Shards"]:
                self._shards.setdefault(listed["ShardId"], Shard(listed["ShardId"], None))

    def _fetch(self, shard: Shard) -> int:
        """Fetch once from a shard and return the number of records."""
        try:
            iterator = shard.iterator or self._iterator(shard)
            answer = self._client.get_records(ShardIterator=iterator, Limit=RECORDS_PER_FETCH)
        except self._client.exceptions.ExpiredIteratorException:
            shard.iterator, self.refused = None, True
            return 0
        except self._client.exceptions.ProvisionedThroughputExceededException:
            self.refused = True
            return 0
        fetched = [
            Fetched(
                record["SequenceNumber"],
                record["Data"],
                round(record["ApproximateArrivalTimestamp"].timestamp() * 1000),
                place,
            )
            for place, record in zip(self._places, answer["Records"], strict=False)
        ]
        # The position is a sequence number, so nothing may be taken before what it comes after.
        for record in sorted(fetched, key=lambda record: int(record.sequence_number)):
            shard.add(record)
        self._behind_ms = max(self._behind_ms, answer["MillisBehindLatest"])
        self.refused |= answer["MillisBehindLatest"] > 0
        shard.iterator = answer.get("NextShardIterator")
        shard.closed = shard.iterator is None
        return len(answer["Records"])

    def _iterator(self, shard: Shard) -> str:
        asked: Any = {"StreamARN": self._stream_arn, "ShardId": shard.shard_id}
        if (last := shard.last_sequence_number) is None:
            start = datetime.fromtimestamp(self._start_ms / 1000, UTC)
            asked |= {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": start}
        else:
            asked |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": last}
        return self._client.get_shard_iterator(**asked)["ShardIterator"]


def read_records_quickly(client: KinesisClient) -> None:
    """Read the records of GetRecords here, in a tenth of botocore's time, and leave the rest to it."""
    client.meta.events.register(
        "before-parse.kinesis.GetRecords", take_records, unique_id="read_records_quickly"
    )


def take_records(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the records out of an answer that was not read yet, and put them into the one that was."""
    if response_dict["status_code"] != HTTPStatus.OK:
        return
    answer = orjson.loads(response_dict["body"])
    customized_response_dict["Records"] = [
        {
            "SequenceNumber": record["SequenceNumber"],
            "ApproximateArrivalTimestamp": datetime.fromtimestamp(record["ApproximateArrivalTimestamp"], UTC),
            "Data": binascii.a2b_base64(record["Data"]),
            "PartitionKey": record["PartitionKey"],
        }
        for record in answer["Records"]
    ]
    response_dict["body"] = orjson.dumps(answer | {"Records": []})
