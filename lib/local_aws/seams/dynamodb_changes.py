"""The change records of DynamoDB: one for every item that a write changes, with any call."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from local_aws.streams import BLOCK_RECORDS

EMPTY_PAGES = 4

BOTH_IMAGES = "NEW_AND_OLD_IMAGES"
TIME_TO_LIVE: Mapping[str, str] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
# "Using time to live": what expired longer ago is kept.
OLDEST_SECONDS = 5 * 365 * 86_400
_REAPER = "dynamodb-ttl-reaper"
Item = Mapping[str, Any]


def record_every_write() -> None:
    """Make the record of a change where an item is stored or removed.

    ministack makes it in some calls, not in those of PartiQL, and removes expired items without one. A
    transaction of PartiQL stores items before it knows whether it succeeds, so its records wait.
    """
    from ministack.services import dynamodb

    set_item, remove_item, transact = (
        dynamodb._set_item,
        dynamodb._remove_item,
        dynamodb._execute_transaction,
    )
    waiting: list[tuple[Any, ...]] | None = None
    replicating = False

    def stored(table: Item, partition: Any, sort: Any, item: Item) -> Any:
        old = set_item(table, partition, sort, item)
        if old is None or not same_item(old, item):
            emit(table, "INSERT" if old is None else "MODIFY", old, item)
        return old

    def removed(table: Item, partition: Any, sort: Any, by: Item | None = None) -> Any:
        if threading.current_thread().name == _REAPER:
            return None
        old = remove_item(table, partition, sort)
        if old is not None:
            emit(table, "REMOVE", old, None, by)
        return old

    def emit(table: Item, event: str, old: Item | None, new: Item | None, by: Item | None = None) -> None:
        nonlocal replicating
        if waiting is not None:
            waiting.append((table, event, old, new, by))
            return
        if dynamodb._replica_group(table) and not replicating:
            replicating = True
            try:
                dynamodb._replicate_write(table, event, old, new)
            finally:
                replicating = False
        put_change(table, event, old, new, by)

    def execute_transaction(data: Any) -> Any:
        nonlocal waiting
        made: list[tuple[Any, ...]] = []
        waiting = made
        try:
            answer = transact(data)
        finally:
            waiting = None
        for change in made if answer[0] < 400 else ():
            emit(*change)
        return answer

    dynamodb._set_item, dynamodb._remove_item = stored, removed
    dynamodb._execute_transaction = execute_transaction
    dynamodb._emit_stream_event = lambda *_, **__: None


def same_item(old: Item, new: Item) -> bool:
    """Whether two items are the same to DynamoDB, which keeps no order in sets."""
    from ministack.services import dynamodb

    equal = dynamodb._ddb_equals
    return old.keys() == new.keys() and all(v == new[n] or equal(v, new[n]) for n, v in old.items())


def put_change(table: Item, event: str, old: Item | None, new: Item | None, by: Item | None = None) -> None:
    """Put a change on the streams of its table.

    Those that read a stream look for expired records, so here it is done once for each block.
    """
    from ministack.services import dynamodb

    name = table["TableName"]
    specification = table.get("StreamSpecification") or {}
    to_stream = specification.get("StreamEnabled")
    to_kinesis = dynamodb._kinesis_destinations.get(name)
    if not (to_stream or to_kinesis):
        return
    identity = {"userIdentity": by} if by else {}
    view = specification.get("StreamViewType", BOTH_IMAGES) if to_stream else BOTH_IMAGES
    record = dynamodb._build_change_record(table, event, old, new, view) | identity
    if to_stream:
        _append(name, record)
    if to_kinesis:
        if view != BOTH_IMAGES:
            record = dynamodb._build_change_record(table, event, old, new, BOTH_IMAGES) | identity
        dynamodb._fan_out_to_kinesis(name, record | {"eventID": dynamodb.new_uuid()})


def _append(table_name: str, record: Mapping[str, Any]) -> None:
    from ministack.services import dynamodb

    log = dynamodb._stream_records.get(table_name)
    if log is None:
        dynamodb._stream_records[table_name] = []
        log = dynamodb._stream_records[table_name]
    log.append(record)
    if log.end % BLOCK_RECORDS == 0:
        dynamodb._trim_stream_records(table_name)
    if not dynamodb.esm_wake.is_set():
        dynamodb.esm_wake.set()


def name_users_as_the_api_does() -> None:
    """Let GetRecords spell the members of `userIdentity` as its API does, not as events do."""
    from ministack.services import dynamodb_streams

    cap = dynamodb_streams._cap_page_bytes

    def capped(page: Any) -> Any:
        return [
            record | {"userIdentity": {name[0].upper() + name[1:]: text for name, text in user.items()}}
            if (user := record.get("userIdentity"))
            else record
            for record in cap(page)
        ]

    dynamodb_streams._cap_page_bytes = capped


def begin_with_empty_pages() -> None:
    """Let the first pages of a shard be empty, as AWS's are while it looks for records."""
    from ministack.core.responses import json_response
    from ministack.services import dynamodb_streams

    get_shard_iterator, get_records = dynamodb_streams._get_shard_iterator, dynamodb_streams._get_records
    left: dict[str, int] = {}

    def counted(data: Mapping[str, Any]) -> Any:
        answer = get_shard_iterator(data)
        if answer[0] == HTTPStatus.OK and data["ShardIteratorType"] == "TRIM_HORIZON":
            left[json.loads(answer[2])["ShardIterator"]] = EMPTY_PAGES
        return answer

    def get(data: Mapping[str, Any]) -> Any:
        token = data.get("ShardIterator", "")
        if not left.get(token):
            left.pop(token, None)
            return get_records(data)
        left[token] -= 1
        return json_response({"Records": [], "NextShardIterator": token})

    dynamodb_streams._get_shard_iterator, dynamodb_streams._get_records = counted, get


async def expire_items() -> None:
    """Remove the items whose time to live is over; AWS does that within some days."""
    from ministack.core.responses import request_scope
    from ministack.services import dynamodb

    for (account, region, name), setting in list(dynamodb._ttl_settings.all_items()):
        table = dynamodb._tables.get_scoped(account, region, name)
        if table is None or setting["TimeToLiveStatus"] != "ENABLED":
            continue
        with request_scope(account, region):
            for partition, sort in list(expired(table["items"], setting["AttributeName"])):
                dynamodb._remove_item(table, partition, sort, TIME_TO_LIVE)


def expired(items: Mapping[Any, Mapping[Any, Item]], attribute: str) -> Iterator[tuple[Any, Any]]:
    """The keys of the items that have expired, by an attribute with a number of epoch seconds."""
    now = time.time()
    for partition, members in items.items():
        for sort, item in members.items():
            moment = item.get(attribute, {}).get("N")
            if moment is not None and now - OLDEST_SECONDS < float(moment) <= now:
                yield partition, sort
