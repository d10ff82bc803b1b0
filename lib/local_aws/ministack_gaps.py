"""Private parts of ministack that are read or replaced, for want of a public way.

Each function closes one gap and says which. `tests/unit/local_aws/test_ministack_gaps.py` holds ministack
to what is relied on here, and fails when the pinned version changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson


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
    """The stream of a DynamoDB table, read where ministack holds it.

    GetRecords would write every record as JSON twice, to measure and to send it.

    Args:
        arn: The stream's ARN; an older stream of the table can be read until its records expire.
    """

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._region, self._account = arn.split(":")[3:5]
        self._table = arn.split("/")[1]

    def read(self, position: int, limit: int) -> tuple[int, Sequence[Mapping[str, Any]]]:
        """Records from a position on, with the position of the first."""
        start, records = self._held()
        first = max(position, start)
        return first, records[first - start : first - start + limit]

    def end(self) -> int:
        """The position of the next record to come."""
        start, records = self._held()
        return start + len(records)

    def _held(self) -> tuple[int, Sequence[Mapping[str, Any]]]:
        from ministack.services import dynamodb

        scope = {"account_id": self._account, "region": self._region}
        table = dynamodb._tables.get_scoped(self._account, self._region, self._table)
        if table is not None and table.get("LatestStreamArn") == self._arn:
            start = dynamodb.stream_start_position(self._table, **scope)
            return start, dynamodb.stream_live_records(self._table, **scope)
        closed = dynamodb._closed_streams.get_scoped(self._account, self._region, self._arn)
        return (closed["trimmed"], closed["records"]) if closed else (0, ())


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


def keep_stream_records() -> None:
    """Save the records of DynamoDB streams with their tables, which ministack forgets on a stop.

    Without them a mapping's saved position points behind the end of an empty stream.
    """
    from ministack.services import dynamodb

    save, restore = dynamodb.get_state, dynamodb.load_persisted_state

    def get_state() -> Any:
        return save() | {
            "stream_records": orjson.dumps(
                [[*scope, records] for scope, records in dynamodb._stream_records._data.items()]
            ).decode(),
            "stream_trimmed": [[*scope, count] for scope, count in dynamodb._stream_trimmed._data.items()],
            "stream_sequence": dynamodb._stream_seq_counter,
        }

    def load_persisted_state(data: Any) -> Any:
        restore(data)
        for *scope, records in orjson.loads(data.get("stream_records", "[]")):
            dynamodb._stream_records.set_scoped(*scope, records)
        for *scope, count in data.get("stream_trimmed", ()):
            dynamodb._stream_trimmed.set_scoped(*scope, count)
        dynamodb._stream_seq_counter = data.get("stream_sequence", 0)

    dynamodb.get_state, dynamodb.load_persisted_state = get_state, load_persisted_state
