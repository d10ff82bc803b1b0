"""The change record of an item that a backfill read: it was not changed, but it was so at that time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from .change_row import SNAPSHOT

SNAPSHOT_PREFIX = "!snapshot-"
"""Prefix of the change ids of a backfill: it sorts before every id that DynamoDB gives."""


def snapshot_record(
    source_table: str, key_attributes: Sequence[str], item: Mapping[str, Any], second: int
) -> dict[str, Any]:
    """The change record of an item that was read, as if DynamoDB had written it at a moment.

    Args:
        source_table: Name of the DynamoDB table.
        key_attributes: Names of its key attributes.
        item: The item as DynamoDB JSON.
        second: To which second since 1970 it is dated.

    Returns:
        The record; the same item and second give the same id.

    Raises:
        KeyError: The item lacks a key attribute.
    """
    key = {name: item[name] for name in key_attributes}
    text = json.dumps([second, key], sort_keys=True)
    return {
        "eventID": f"{SNAPSHOT_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:32]}",
        "eventName": SNAPSHOT,
        "tableName": source_table,
        "dynamodb": {
            "ApproximateCreationDateTime": second,
            "SequenceNumber": "0",
            "Keys": key,
            "NewImage": item,
        },
    }
