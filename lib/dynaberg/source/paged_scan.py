"""A parallel scan page by page, which can be continued after any page and kept to a rate.

Source: "Scan", Amazon DynamoDB API Reference; "Working with scans in DynamoDB", Amazon DynamoDB Developer
Guide.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dynaberg import aws

if TYPE_CHECKING:
    import boto3

    from dynaberg.source.items import Item

Key = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Page:
    """One page of a segment.

    Attributes:
        items: Its items as DynamoDB JSON, binary as base64.
        next_key: Where the segment continues, as JSON can hold it; None after its last page.
        read_units: What DynamoDB bills for it.
        bytes: Its size on the wire.
    """

    items: list[Item]
    next_key: Key | None
    read_units: float
    bytes: int


class PageReader:
    """Reads the pages of a table's segments, from several threads.

    Args:
        session: Open boto3 session.
        source_table: Name of the DynamoDB table.
        segments: Into how many segments the scan is divided.
        read_units_per_second: What all segments together may read; None for no limit.
        consistent: Whether the reads are consistent; others cost half.
    """

    def __init__(
        self,
        session: boto3.Session,
        source_table: str,
        segments: int,
        *,
        read_units_per_second: float | None = None,
        consistent: bool = True,
    ) -> None:
        self._client = aws.new_client(session, "dynamodb", max_pool_connections=segments)
        self._client.meta.events.register("before-parse.dynamodb.Scan", _keep_page)
        self._table, self._segments, self._consistent = source_table, segments, consistent
        self._wait = Rate(read_units_per_second).spend if read_units_per_second else _no_wait

    def pages(self, segment: int, after: Key | None) -> Iterator[Page]:
        """The pages of a segment from its beginning, or after the key where an earlier page ended."""
        more = True
        while more:
            page = self.read(segment, after)
            yield page
            after, more = page.next_key, page.next_key is not None

    def read(self, segment: int, after: Key | None, limit: int | None = None) -> Page:
        """One page of a segment, from its beginning or after a key, with at most so many items."""
        answer = self._client.scan(
            TableName=self._table,
            Segment=segment,
            TotalSegments=self._segments,
            ConsistentRead=self._consistent,
            ReturnConsumedCapacity="TOTAL",
            **({"ExclusiveStartKey": _with_bytes(after)} if after else {}),
            **({"Limit": limit} if limit else {}),
        )
        page: Page = answer["Page"]
        self._wait(page.read_units)
        return page


class Rate:
    """Keeps what several threads spend together to a rate, by pausing who spends.

    Args:
        per_second: The rate.
        clock: Returns seconds.
        sleep: Function that pauses.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._per_second, self._clock, self._sleep = per_second, clock, sleep
        self._lock, self._free_at = threading.Lock(), clock()

    def spend(self, amount: float) -> None:
        """Spend an amount, and pause until it is earned."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock()) + amount / self._per_second
            pause = self._free_at - self._clock()
        self._sleep(max(pause, 0.0))


def _no_wait(_: float) -> None:
    """Without a limit nothing waits."""


def _with_bytes(key: Key) -> dict[str, dict[str, Any]]:
    """A key as boto3 takes it."""
    return {
        name: {tag: base64.b64decode(value) if tag == "B" else value}
        for name, attribute in key.items()
        for tag, value in attribute.items()
    }


def _keep_page(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take a page out of a response unparsed: botocore's parsing is most of a scan's time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        answer = json.loads(response_dict["body"])
        units = answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
        customized_response_dict["Page"] = Page(
            answer["Items"], answer.get("LastEvaluatedKey"), float(units), len(response_dict["body"])
        )
        response_dict["body"] = b"{}"
