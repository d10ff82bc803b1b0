"""Some or all items of a table that somebody else made, page by page, by a parallel scan."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg.errors import NotFoundError, NotReadyError
from dynaberg.source.items import Item, open_reader

if TYPE_CHECKING:
    import boto3

_WORKERS = 8
_MOST_SEGMENTS = 64
_TABLE_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
# "TableDescription", Amazon DynamoDB API Reference: the states in which a table can be read.
_READABLE = ("ACTIVE", "UPDATING", "ARCHIVING")


@dataclass(frozen=True)
class SourceDescription:
    """What DescribeTable says of a table.

    Attributes:
        name: Its name.
        keys: Names of the key attributes, the partition key first.
        items: How many items it had at DynamoDB's last count.
    """

    name: str
    keys: tuple[str, ...]
    items: int


def describe_source(session: boto3.Session, name: str) -> SourceDescription:
    """Describe an existing DynamoDB table.

    Raises:
        NotFoundError: No such table; the message names those that exist.
        NotReadyError: It is being created or deleted, or it cannot be read.
    """
    dynamodb = session.client("dynamodb")
    if not _TABLE_NAME.fullmatch(name):
        raise _no_table(dynamodb, name)
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        raise _no_table(dynamodb, name) from error
    status = table.get("TableStatus", "ACTIVE")
    if status not in _READABLE:
        msg = f"The DynamoDB table {name!r} cannot be read now: its status is {status}."
        deleted = "It is being deleted: choose another table, or restore it from a backup."
        raise NotReadyError(msg, hint=deleted if status == "DELETING" else "Try again when it is ACTIVE.")
    roles = {key["KeyType"]: key["AttributeName"] for key in table["KeySchema"]}
    keys = tuple(roles[role] for role in ("HASH", "RANGE") if role in roles)
    return SourceDescription(name, keys, table.get("ItemCount", 0))


def _no_table(dynamodb: Any, name: str) -> NotFoundError:
    existing: list[str] = []
    # Without the right to list them, the error is as true.
    with suppress(ClientError):
        pages = dynamodb.get_paginator("list_tables").paginate(PaginationConfig={"MaxItems": 1_000})
        existing = [found for page in pages for found in page["TableNames"]]
    hint = "Check the Region and the account; `aws dynamodb list-tables` lists what they have."
    return NotFoundError.among("DynamoDB table", name, existing, hint=hint)


@dataclass
class _Segment:
    """A part of the scan: how it goes on, and how many of its items are wanted now; None for all."""

    position: dict[str, Any]
    wanted: int | None = None
    has_more: bool = True


@dataclass
class Sample:
    """Pages of items, read while they are asked for, and what reading them has consumed so far.

    The same table gives the same items: those at the beginning of equal parts of the range of hashed keys.

    Args:
        session: Open boto3 session.
        source: The table.
        size: How many items to read; None for all.
    """

    session: boto3.Session
    source: SourceDescription
    size: int | None
    items: int = 0
    read_units: float = 0.0

    def pages(self) -> Iterator[Sequence[Item]]:
        """The items by pages, as DynamoDB JSON, binary as base64; eventually consistent, for half the price.

        Raises:
            NotFoundError: The table was deleted meanwhile.
        """
        dynamodb = open_reader(self.session)
        count = _WORKERS if self.size is None else min(_MOST_SEGMENTS, self.size)
        segments = [_Segment({"Segment": number, "TotalSegments": count}) for number in range(count)]
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            while segments and (self.size is None or self.items < self.size):
                self._share_out(segments)
                yield from self._read(pool, dynamodb, segments)
                segments = [segment for segment in segments if segment.has_more]
        except dynamodb.exceptions.ResourceNotFoundException as error:
            msg = f"The DynamoDB table {self.source.name!r} was deleted while it was read."
            raise NotFoundError(msg, hint="Choose a table that is in use.") from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _share_out(self, segments: Sequence[_Segment]) -> None:
        """Set how many items each segment should give."""
        if self.size is None:
            return
        missing = self.size - self.items
        share = -(-missing // len(segments))
        for segment in segments:
            segment.wanted = min(share, missing)
            missing -= segment.wanted

    def _read(
        self, pool: ThreadPoolExecutor, dynamodb: Any, segments: Sequence[_Segment]
    ) -> Iterator[Sequence[Item]]:
        """The pages of the segments, as they come, until each has given what it should."""
        waiting = deque(segment for segment in segments if segment.wanted != 0)
        running: dict[Future[Any], _Segment] = {}
        while waiting or running:
            while waiting and len(running) < _WORKERS:
                segment = waiting.popleft()
                running[pool.submit(self._scan, dynamodb, segment)] = segment
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                segment, page = running.pop(done), done.result()
                found, last = page["PlainItems"], page.get("LastEvaluatedKey")
                self.items += len(found)
                self.read_units += page.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
                segment.has_more = bool(last)
                segment.position["ExclusiveStartKey"] = last
                if segment.wanted is not None:
                    segment.wanted -= len(found)
                if last and segment.wanted != 0:
                    waiting.append(segment)
                if found:
                    yield found

    def _scan(self, dynamodb: Any, segment: _Segment) -> Any:
        limit = {} if segment.wanted is None else {"Limit": segment.wanted}
        return dynamodb.scan(
            TableName=self.source.name, ReturnConsumedCapacity="TOTAL", **segment.position, **limit
        )
