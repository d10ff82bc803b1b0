"""The items of the DynamoDB table, as DynamoDB JSON: all of them by a scan, or some by their keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from dynaberg.errors import NotFoundError

if TYPE_CHECKING:
    import boto3

    from dynaberg.contracts import Contract

_SEGMENTS = 8
Item = Mapping[str, Mapping[str, Any]]


def scan_items(session: boto3.Session, source_table: str) -> list[Item]:
    """Every item of a DynamoDB table as DynamoDB JSON, binary as base64, by a consistent parallel scan.

    Raises:
        NotFoundError: No such DynamoDB table.
    """
    dynamodb: Any = session.client("dynamodb", config=Config(max_pool_connections=_SEGMENTS))
    dynamodb.meta.events.register("before-parse.dynamodb.Scan", _keep_items)

    def scan(segment: int) -> list[Item]:
        pages = dynamodb.get_paginator("scan").paginate(
            TableName=source_table, ConsistentRead=True, Segment=segment, TotalSegments=_SEGMENTS
        )
        return [item for page in pages for item in page["PlainItems"]]

    try:
        with ThreadPoolExecutor(_SEGMENTS) as pool:
            return [item for items in pool.map(scan, range(_SEGMENTS)) for item in items]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        msg = f"There is no DynamoDB table {source_table!r}."
        raise NotFoundError(msg, hint="Create it with wb.enable_cdc() (01_enable_cdc).") from error


def get_items(session: boto3.Session, contract: Contract, keys: Iterable[tuple[Any, ...]]) -> list[Item]:
    """The items of some keys as DynamoDB JSON, binary as base64, by consistent reads.

    Args:
        session: Open boto3 session.
        contract: The table contract.
        keys: Values of the key columns.
    """
    dynamodb: Any = session.client("dynamodb")
    dynamodb.meta.events.register("before-parse.dynamodb.GetItem", _keep_item)
    types = contract.key_attribute_types()

    def get(key: tuple[Any, ...]) -> Item | None:
        attributes = {
            name: {types[name]: value if types[name] == "B" else str(value)}
            for name, value in zip(contract.key, key, strict=True)
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
    """Take the items out of an answer as they are: botocore's parsing is most of a scan's time."""
    if response_dict["status_code"] == HTTPStatus.OK:
        answer = json.loads(response_dict["body"])
        customized_response_dict["PlainItems"] = answer.pop("Items")
        response_dict["body"] = json.dumps(answer).encode()
