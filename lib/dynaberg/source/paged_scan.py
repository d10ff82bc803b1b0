"""A parallel scan page by page, which can be continued after any page and kept to a rate.

Source: "Scan", Amazon DynamoDB API Reference; "Working with scans in DynamoDB", Amazon DynamoDB Developer
Guide.
"""

from __future__ import annotations

import base64
import builtins
import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from dynaberg import aws

if TYPE_CHECKING:
    import boto3

    from dynaberg.source.items import Item

Key = Mapping[str, Mapping[str, Any]]
_JSON, _ITEMS = json.JSONDecoder(), re.compile(r'"Items":\s*\[')


@dataclass(frozen=True)
class Page:
    """One page of a segment.

    Attributes:
        items: Its items as DynamoDB JSON, binary as base64.
        next_key: Where the segment continues, as JSON can hold it; None after its last page.
        read_units: What DynamoDB bills for it.
        bytes: Its size on the wire.
        rows: What the reader of a page made of the other items.
    """

    items: list[Item]
    next_key: Key | None
    read_units: float
    bytes: int
    rows: Sequence[builtins.bytes] = ()


ReadItems = Callable[[str, int], tuple[list[bytes], "list[Item]", int]]
"""Reads a JSON array of items, from behind its bracket: what it made of some of them, the other items as they
are, and where the text goes on."""


def parse_items(text: str, position: int) -> tuple[list[bytes], list[Item], int]:
    """Read all items of an array as they are."""
    items, end = _JSON.raw_decode(text, position - 1)
    return [], items, end


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
        self._client.meta.events.register("before-parse.dynamodb.Scan", _keep_body)
        self._table, self._segments, self._consistent = source_table, segments, consistent
        self._wait = Rate(read_units_per_second).spend if read_units_per_second else _no_wait

    def pages(self, segment: int, after: Key | None, read_items: ReadItems = parse_items) -> Iterator[Page]:
        """The pages of a segment from its beginning, or after the key where an earlier page ended."""
        more = True
        while more:
            page = self.read(segment, after, read_items=read_items)
            yield page
            after, more = page.next_key, page.next_key is not None

    def read(
        self,
        segment: int,
        after: Key | None,
        limit: int | None = None,
        read_items: ReadItems = parse_items,
    ) -> Page:
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
        page = _page(answer["Body"], read_items)
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


def _keep_body(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the body out of a response unparsed: botocore's parsing is most of a scan's time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        customized_response_dict["Body"], response_dict["body"] = response_dict["body"], b"{}"


def _page(body: bytes, read_items: ReadItems) -> Page:
    text = body.decode("utf-8", "surrogatepass")
    # In the text of an attribute, quotation marks are escaped; an attribute of this name begins with a brace.
    found = _ITEMS.search(text)
    rows, items, end = read_items(text, found.end()) if found else ([], [], 0)
    answer = json.loads(text[: found.end()] + text[end - 1 :]) if found else json.loads(text)
    units = answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0.0)
    return Page(items, answer.get("LastEvaluatedKey"), float(units), len(body), rows)
