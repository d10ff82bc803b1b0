"""The items of the DynamoDB table, as DynamoDB JSON: all of them by a scan, or some of them by their keys."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event
from typing import TYPE_CHECKING, Any

from dynaberg import aws
from dynaberg.contracts import key_attribute
from dynaberg.errors import NotFoundError

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract

_SEGMENTS = 8
Item = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class SourceSize:
    """How large a DynamoDB table is, as DynamoDB last counted: about every six hours.

    Attributes:
        items: Number of items.
        bytes: Their size as DynamoDB counts it.
    """

    items: int
    bytes: int


def source_size(session: boto3.Session, source_table: str) -> SourceSize:
    """The size of a DynamoDB table, from DescribeTable: no item is read.

    Raises:
        NotFoundError: No such DynamoDB table.
    """
    dynamodb = aws.client(session, "dynamodb")
    with _named(dynamodb, source_table):
        table = dynamodb.describe_table(TableName=source_table)["Table"]
    return SourceSize(table.get("ItemCount", 0), table.get("TableSizeBytes", 0))


def scan_items(session: boto3.Session, source_table: str) -> list[Item]:
    """Every item of a DynamoDB table as DynamoDB JSON, binary as base64, by a consistent parallel scan.

    An interrupt stops it after the current page.

    Raises:
        NotFoundError: No such DynamoDB table.
    """
    dynamodb = _reader(session)
    stopped = Event()

    def scan(segment: int) -> list[Item]:
        return _pages(dynamodb, source_table, stopped, Segment=segment, TotalSegments=_SEGMENTS)

    with _named(dynamodb, source_table), ThreadPoolExecutor(_SEGMENTS) as pool:
        try:
            return [item for items in pool.map(scan, range(_SEGMENTS)) for item in items]
        finally:
            stopped.set()


def scan_sample(session: boto3.Session, source_table: str, items: int) -> list[Item]:
    """About this many items, all items of some partition keys: one randomly chosen segment of a scan.

    Args:
        session: Open boto3 session.
        source_table: Name of the DynamoDB table.
        items: How many items to read.

    Raises:
        NotFoundError: No such DynamoDB table.
    """
    dynamodb = _reader(session)
    # A parallel scan has at most a million segments ("Scan", Amazon DynamoDB API Reference).
    segments = min(max(source_size(session, source_table).items // max(items, 1), 1), 1_000_000)
    segment = secrets.randbelow(segments)
    return _pages(dynamodb, source_table, Event(), Segment=segment, TotalSegments=segments)


def query_items(session: boto3.Session, contract: Contract, partition_keys: Iterable[Any]) -> list[Item]:
    """All items of some partition keys as DynamoDB JSON, binary as base64, by consistent queries.

    Args:
        session: Open boto3 session.
        contract: The table contract.
        partition_keys: Values of the partition key's column.

    Raises:
        NotFoundError: No such DynamoDB table.
    """
    dynamodb, column = _reader(session), contract.key_columns[0]

    def ask(value: Any) -> list[Item]:
        pages = dynamodb.get_paginator("query").paginate(
            TableName=contract.source_table,
            ConsistentRead=True,
            KeyConditionExpression="#k = :v",
            ExpressionAttributeNames={"#k": column.attribute},
            ExpressionAttributeValues={":v": key_attribute(column, value)},
        )
        return [item for page in pages for item in page["PlainItems"]]

    with _named(dynamodb, contract.source_table), ThreadPoolExecutor(_SEGMENTS) as pool:
        return [item for items in pool.map(ask, partition_keys) for item in items]


def _reader(session: boto3.Session) -> Any:
    """A client whose scans and queries leave the items unparsed."""
    dynamodb: Any = aws.new_client(session, "dynamodb", max_pool_connections=_SEGMENTS)
    for operation in ("Scan", "Query"):
        dynamodb.meta.events.register(f"before-parse.dynamodb.{operation}", _keep_items)
    return dynamodb


def _pages(dynamodb: Any, source_table: str, stopped: Event, **segment: int) -> list[Item]:
    """The items of a segment, page by page, until it ends or the scan is stopped."""
    pages = dynamodb.get_paginator("scan").paginate(TableName=source_table, ConsistentRead=True, **segment)
    found: list[Item] = []
    for page in pages:
        found += page["PlainItems"]
        if stopped.is_set():
            break
    return found


@contextmanager
def _named(dynamodb: Any, source_table: str) -> Iterator[None]:
    """Raise an error that says which table does not exist."""
    try:
        yield
    except dynamodb.exceptions.ResourceNotFoundException as error:
        msg = f"There is no DynamoDB table {source_table!r}."
        raise NotFoundError(msg, hint="Create it with wb.enable_cdc() (01_enable_cdc).") from error


def get_items(session: boto3.Session, contract: Contract, keys: Iterable[tuple[Any, ...]]) -> list[Item]:
    """The items with some keys as DynamoDB JSON, binary as base64, by consistent reads.

    Args:
        session: Open boto3 session.
        contract: The table contract.
        keys: Values of the key columns.
    """
    dynamodb = aws.new_client(session, "dynamodb")
    dynamodb.meta.events.register("before-parse.dynamodb.GetItem", _keep_item)

    def get(key: tuple[Any, ...]) -> Item | None:
        attributes = {
            column.attribute: key_attribute(column, value)
            for column, value in zip(contract.key_columns, key, strict=True)
        }
        answer = dynamodb.get_item(TableName=contract.source_table, Key=attributes, ConsistentRead=True)
        found: Item | None = answer["PlainItem"]
        return found

    with ThreadPoolExecutor(_SEGMENTS) as pool:
        return [item for item in pool.map(get, keys) if item]


def _keep_item(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    if response_dict["status_code"] == HTTPStatus.OK:
        customized_response_dict["PlainItem"] = json.loads(response_dict["body"]).get("Item")
        response_dict["body"] = b"{}"


def _keep_items(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Take the items out of a response unparsed: botocore's parsing is most of a scan's time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        answer = json.loads(response_dict["body"])
        customized_response_dict["PlainItems"] = answer.pop("Items")
        response_dict["body"] = json.dumps(answer).encode()
