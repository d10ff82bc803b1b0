"""Private parts of ministack's DynamoDB and its streams that are read or replaced."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from local_aws.seams.kinesis import put_record
from local_aws.streams import StreamLog, StreamRecord

SHARED_VALUES = 20_000
_SHARED_KINDS = ("S", "N")
_EMPTY = StreamLog()
KinesisChange = tuple[str, Callable[[str], bytes]]
"""The partition key of a record, and its data for a precision of its time."""


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


def hold_stream_records_as_json() -> None:
    """Let every DynamoDB stream be a `StreamLog`."""
    from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
    from ministack.services import dynamodb

    class StreamLogs(AccountRegionScopedDict):  # type: ignore[misc]
        """Makes a log of the list with which ministack starts a stream."""

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
        oldest = time.time() - dynamodb._STREAM_RETENTION_SECONDS
        for (account, region, name), log in logs:
            count = log.find("created_at", oldest) - log.first
            del log[:count]
            trimmed = dynamodb._stream_trimmed.get_scoped(account, region, name, 0)
            dynamodb._stream_trimmed.set_scoped(account, region, name, trimmed + count)
        return state | {
            "stream_records": [[*scope, log.saved()] for scope, log in logs],
            "stream_trimmed": [[*scope, count] for scope, count in dynamodb._stream_trimmed._data.items()],
            "stream_sequence": dynamodb._stream_seq_counter,
        }

    def load_persisted_state(data: Any) -> Any:
        restore(data)
        for *scope, records in data.get("stream_records", ()):
            # Until 0.2.0 they were saved as JSON text.
            old = isinstance(records, str)
            log = StreamLog(orjson.loads(records)) if old else StreamLog().restore(records)
            dynamodb._stream_records.set_scoped(*scope, log)
        for *scope, count in data.get("stream_trimmed", ()):
            dynamodb._stream_trimmed.set_scoped(*scope, count)
        dynamodb._stream_seq_counter = data.get("stream_sequence", 0)

    dynamodb.get_state, dynamodb.load_persisted_state = get_state, load_persisted_state


def share_equal_values() -> None:
    """Let the items of tables share what is equal in them, which takes half the memory.

    An attribute such as `{"S": "APPROVED"}` is a mapping of its own in every item of ministack, five times
    its text. Texts and numbers are never changed in place: an update replaces them.
    """
    from ministack.services import dynamodb

    set_item = dynamodb._set_item
    shared: dict[tuple[str, Any], Mapping[str, Any]] = {}

    def set_shared(table: Any, partition: Any, sort: Any, item: dict[str, Any]) -> Any:
        for name, value in item.items():
            ((kind, content),) = value.items()
            if kind in _SHARED_KINDS:
                item[name] = shared.setdefault((kind, content), value)
        if len(shared) > SHARED_VALUES:
            shared.clear()
        return set_item(table, partition, sort, item)

    dynamodb._set_item = set_shared


def item_bytes(item: Mapping[str, Any]) -> int:
    """The size of an item, as DynamoDB counts it."""
    from ministack.services import dynamodb

    return int(dynamodb._item_size_bytes(item))


def send_changes_to_kinesis(make: Callable[[str, Mapping[str, Any]], KinesisChange]) -> None:
    """Put the records that `make` makes on the Kinesis streams of a table, instead of ministack's.

    Args:
        make: Makes the record, of a table's name and a change in the shape of DynamoDB Streams.
    """
    from ministack.services import dynamodb

    def fan_out(table_name: str, change: Mapping[str, Any]) -> None:
        active = [
            destination
            for destination in dynamodb._kinesis_destinations.get(table_name, [])
            if destination["DestinationStatus"] == "ACTIVE"
        ]
        if not active:
            return
        partition_key, data = make(table_name, change)
        for destination in active:
            precision = destination.get("ApproximateCreationDateTimePrecision", "MILLISECOND")
            put_record(destination["StreamArn"], partition_key, data(precision))

    dynamodb._fan_out_to_kinesis = fan_out


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
