"""Private parts of ministack that are read or replaced, for want of a public way.

Each function closes one gap and says which. `tests/unit/local_aws/test_ministack_gaps.py` holds ministack
to what is relied on here, and fails when the pinned version changes.
"""

from __future__ import annotations

import json
import random
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import SimpleNamespace
from typing import IO, Any

import orjson

from local_aws.stream_log import StreamLog, StreamRecord
from local_aws.wire import Response

_EMPTY = StreamLog()


def leave_event_sources(ours: Callable[[Mapping[str, Any]], bool]) -> None:
    """Keep ministack's pollers from the event source mappings that are served here.

    Args:
        ours: Whether a mapping, in ministack's own form, is served here.
    """
    from ministack.services import lambda_svc

    every_mapping = lambda_svc._iter_all_esms

    def not_ours() -> Any:
        return (entry for entry in every_mapping() if not ours(entry[2]))

    lambda_svc._iter_all_esms = not_ours


class TableStream:
    """The stream of a DynamoDB table, read where `hold_stream_records_as_json` holds it.

    GetRecords would write every record as JSON twice, to measure and to send it.

    Args:
        arn: The stream's ARN; an older stream of the table can be read until its records expire.
    """

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._region, self._account = arn.split(":")[3:5]
        self._table = arn.split("/")[1]

    def read(self, position: int, limit: int) -> list[StreamRecord]:
        """Records from a position on, without those that have expired."""
        start, records = self._held()
        first = max(position, start)
        return records.read(first - start, limit, first)

    def end(self) -> int:
        """The position of the next record to come."""
        start, records = self._held()
        return start + len(records)

    def _held(self) -> tuple[int, StreamLog]:
        from ministack.services import dynamodb

        table = dynamodb._tables.get_scoped(self._account, self._region, self._table)
        if table is not None and table.get("LatestStreamArn") == self._arn:
            dynamodb._trim_stream_records(self._table, account_id=self._account, region=self._region)
            scope = (self._account, self._region, self._table)
            start = dynamodb._stream_trimmed.get_scoped(*scope, 0)
            return start, dynamodb._stream_records.get_scoped(*scope, _EMPTY)
        closed = dynamodb._closed_streams.get_scoped(self._account, self._region, self._arn)
        return (closed["trimmed"], closed["records"] or _EMPTY) if closed else (0, _EMPTY)


class MappingPosition:
    """How far an event source mapping has come, where ministack keeps and saves it.

    ministack sets it when the mapping is created, to the stream's end or beginning.

    Args:
        uuid: The mapping.
        account: Its account.
        region: Its Region.
    """

    def __init__(self, uuid: str, account: str, region: str) -> None:
        self._key = (account, region, uuid)

    def get(self) -> int | None:
        """The position, None where there is none."""
        from ministack.services import lambda_svc

        position: int | None = lambda_svc._dynamodb_stream_positions.get_scoped(*self._key)
        return position

    def set(self, position: int) -> None:
        """Keep a position."""
        from ministack.services import lambda_svc

        lambda_svc._dynamodb_stream_positions.set_scoped(*self._key, position)


def hold_stream_records_as_json() -> None:
    """Let every DynamoDB stream be a `StreamLog`."""
    from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
    from ministack.services import dynamodb

    class StreamLogs(AccountRegionScopedDict):  # type: ignore[misc]
        """Makes a log of the list that ministack begins a stream with."""

        __slots__ = ()

        def __setitem__(self, table_name: str, records: list[Mapping[str, Any]]) -> None:
            super().__setitem__(table_name, StreamLog(records))

    def trim(table_name: str, *, account_id: str | None = None, region: str | None = None) -> None:
        scope = (account_id or get_account_id(), region or get_region(), table_name)
        records = dynamodb._stream_records.get_scoped(*scope, _EMPTY)
        if count := records.expired(time.time() - dynamodb._STREAM_RETENTION_SECONDS):
            del records[:count]
            trimmed = dynamodb._stream_trimmed.get_scoped(*scope, 0)
            dynamodb._stream_trimmed.set_scoped(*scope, trimmed + count)

    dynamodb._stream_records = StreamLogs()
    dynamodb._trim_stream_records = trim


def make_event_ids_cheaply() -> None:
    """Give DynamoDB ids that cost no system call, during which another thread takes the interpreter."""
    from ministack.services import dynamodb

    bits = random.Random().getrandbits  # noqa: S311

    def new_uuid() -> str:
        digits = f"{bits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    dynamodb.new_uuid = new_uuid


def save_stream_records() -> None:
    """Save the records of DynamoDB streams with their tables, which ministack forgets on a stop.

    Without them a mapping's saved position points behind the end of an empty stream. The tables are saved
    as they are: ministack copies every item first.
    """
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import dynamodb

    save, restore = dynamodb.get_state, dynamodb.load_persisted_state

    def get_state() -> Any:
        tables, dynamodb._tables = dynamodb._tables, AccountRegionScopedDict()
        try:
            state = save()
        finally:
            dynamodb._tables = tables
        for scope, table in tables.all_items():
            saved = {name: value for name, value in table.items() if name != dynamodb._INDEX_MEMBERS}
            state["tables"].set_scoped(*scope, saved)
        logs = dynamodb._stream_records._data.items()
        return state | {
            "stream_records": [[*scope, log.to_json()] for scope, log in logs],
            "stream_trimmed": [[*scope, count] for scope, count in dynamodb._stream_trimmed._data.items()],
            "stream_sequence": dynamodb._stream_seq_counter,
        }

    def load_persisted_state(data: Any) -> Any:
        restore(data)
        for *scope, records in data.get("stream_records", ()):
            dynamodb._stream_records.set_scoped(*scope, StreamLog(orjson.loads(records)))
        for *scope, count in data.get("stream_trimmed", ()):
            dynamodb._stream_trimmed.set_scoped(*scope, count)
        dynamodb._stream_seq_counter = data.get("stream_sequence", 0)

    dynamodb.get_state, dynamodb.load_persisted_state = get_state, load_persisted_state


def write_state_files_quickly() -> None:
    """Write ministack's state with orjson, where that writes the same; a stop would take half a minute."""
    from ministack.core import persistence

    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS

    def dump(state: Any, file: IO[str], default: Callable[[Any], Any]) -> None:
        try:
            text = orjson.dumps(state, default=default, option=options).decode()
        except TypeError:
            json.dump(state, file, default=default)
        else:
            file.write(text)

    persistence.json = SimpleNamespace(dump=dump, load=json.load, JSONDecodeError=json.JSONDecodeError)


async def invoke_function(function_arn: str, event: bytes) -> Response:
    """Invoke a function with an event that is JSON already, as the public Invoke does otherwise.

    Invoke would read the event and write it again for the function's process.
    """
    from ministack.services import lambda_svc

    name, qualifier = lambda_svc._resolve_name_and_qualifier(function_arn)
    payload = orjson.Fragment(event) if event.isascii() else orjson.loads(event)
    status, headers, body = await lambda_svc._invoke(name, payload, {}, qualifier)
    return Response(status, body if isinstance(body, bytes) else body.encode(), headers)


def hand_on_events_as_they_are() -> None:
    """Let the process of a function be sent the events of `invoke_function`."""
    from ministack.core import lambda_runtime

    def dumps(value: Any, **options: Any) -> str:
        if isinstance(value, dict) and isinstance(value.get("event"), orjson.Fragment):
            return orjson.dumps(value).decode()
        return json.dumps(value, **options)

    lambda_runtime.json = SimpleNamespace(dumps=dumps, loads=json.loads, JSONDecodeError=json.JSONDecodeError)


@dataclass(frozen=True)
class KinesisChange:
    """A change of an item, on its way to Kinesis.

    Attributes:
        partition_key: Decides the shard.
        data: The record's data, for a precision of its time.
    """

    partition_key: str
    data: Callable[[str], bytes]


def send_changes_to_kinesis(make: Callable[[str, Mapping[str, Any]], KinesisChange | None]) -> None:
    """Put the records that `make` makes on the Kinesis streams of a table, not ministack's.

    Args:
        make: Called with a table's name and a change in the shape of DynamoDB Streams; None sends nothing.
    """
    from ministack.services import dynamodb, kinesis

    def fan_out(table_name: str, change: Mapping[str, Any]) -> None:
        active = [
            destination
            for destination in dynamodb._kinesis_destinations.get(table_name, [])
            if destination["DestinationStatus"] == "ACTIVE"
        ]
        made = make(table_name, change) if active else None
        if made is None:
            return
        for destination in active:
            precision = destination.get("ApproximateCreationDateTimePrecision", "MILLISECOND")
            kinesis.put_record_internal(destination["StreamArn"], made.partition_key, made.data(precision))

    dynamodb._fan_out_to_kinesis = fan_out


def expire_kinesis_records_cheaply() -> None:
    """Look for expired Kinesis records from the oldest on; ministack copies every shard on each put."""
    from ministack.services import kinesis

    def expire(stream: Mapping[str, Any]) -> None:
        oldest = time.time() - stream["RetentionPeriodHours"] * 3600
        for shard in stream["shards"].values():
            records = shard["records"]
            if records and records[0]["ApproximateArrivalTimestamp"] < oldest:
                del records[: bisect_left(records, oldest, key=itemgetter("ApproximateArrivalTimestamp"))]

    kinesis._expire_records = expire


def honor_kinesis_stream_specification() -> None:
    """Let `KinesisStreamSpecification` of a table in a template have its effect; ministack ignores it.

    Loads ministack's CloudFormation, so not at the start.
    """
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS["AWS::DynamoDB::Table"]
    create, update = handlers["create"], handlers["update"]

    def created(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
        name, attributes = create(logical_id, properties, stack_name)
        set_kinesis_destination(name, properties.get("KinesisStreamSpecification"))
        return name, attributes

    def updated(
        physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], *rest: Any, **named: Any
    ) -> Any:
        name, attributes = update(physical_id, old, new, *rest, **named)
        set_kinesis_destination(name, new.get("KinesisStreamSpecification"))
        return name, attributes

    handlers["create"], handlers["update"] = created, updated


def set_kinesis_destination(table_name: str, specification: Mapping[str, Any] | None) -> None:
    """Make the Kinesis destination of a table what a template says.

    Raises:
        ValueError: DynamoDB refused.
    """
    from ministack.services import dynamodb

    wanted_arn = specification["StreamArn"] if specification else None
    precision = (specification or {}).get("ApproximateCreationDateTimePrecision", "MILLISECOND")
    active = {
        destination["StreamArn"]
        for destination in dynamodb._kinesis_destinations.get(table_name, [])
        if destination["DestinationStatus"] == "ACTIVE"
    }
    named = {"TableName": table_name, "StreamArn": wanted_arn}
    setting = {"ApproximateCreationDateTimePrecision": precision}
    if wanted_arn in active:
        accept(
            dynamodb._update_kinesis_streaming_destination(
                named | {"UpdateKinesisStreamingConfiguration": setting}
            )
        )
    elif wanted_arn:
        accept(
            dynamodb._enable_kinesis_streaming_destination(
                named | {"EnableKinesisStreamingConfiguration": setting}
            )
        )
    for arn in active - {wanted_arn}:
        accept(dynamodb._disable_kinesis_streaming_destination(named | {"StreamArn": arn}))


def accept(answer: tuple[int, Any, Any]) -> None:
    """Take the answer of one of ministack's operations.

    Raises:
        ValueError: It is a refusal.
    """
    status, _, body = answer
    if status >= 400:
        raise ValueError(str(body))


@dataclass(frozen=True)
class QueueDepth:
    """What is in an SQS queue.

    Attributes:
        name: The queue.
        visible: Messages that can be received.
        in_flight: Messages that were received and not deleted.
        delayed: Messages that nobody could receive yet.
        oldest_seconds: Age of the oldest message that is not deleted; 0 where there is none.
    """

    name: str
    visible: int
    in_flight: int
    delayed: int
    oldest_seconds: float


def queue_depths(region: str) -> list[QueueDepth]:
    """The depth of every queue of a Region; the age of its messages has no public way."""
    from ministack.services import sqs

    now = time.time()
    depths = []
    for (_, queue_region, _), queue in sqs._queues.all_items():
        if queue_region != region:
            continue
        messages = list(queue["messages"])
        hidden = [message for message in messages if message["visible_at"] > now]
        in_flight = sum(message["receive_count"] > 0 for message in hidden)
        depths.append(
            QueueDepth(
                name=queue["name"],
                visible=len(messages) - len(hidden),
                in_flight=in_flight,
                delayed=len(hidden) - in_flight,
                oldest_seconds=max((now - message["sent_at"] for message in messages), default=0.0),
            )
        )
    return depths
