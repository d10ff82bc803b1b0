"""Tombstones: which items were forgotten, so that no replay, redrive or backfill brings them back.

An object of the error bucket holds them, one for each DynamoDB table. Of a key it has only a keyed hash, with
a salt of its own: nobody reads keys in it, but who can read the object can find out whether a key that they
know was forgotten, and when.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from .attributes import by_value
from .change_row import SNAPSHOT

PREFIX = "forgotten/"
_ABSENT = ("NoSuchKey", "404")


class Tombstones:
    """The tombstones of one DynamoDB table.

    Args:
        document: What the object holds.
        etag: The version of the object; empty if there is none.

    Example:
        >>> tombstones = Tombstones.load(s3, "errors", "orders")
        >>> tombstones.of_contracts(document)("orders_changes", row)
        False
    """

    def __init__(self, document: Mapping[str, Any], etag: str = "") -> None:
        self._salt = bytes.fromhex(document["salt"])
        self._salt_text = document["salt"]
        self.entries: dict[str, dict[str, Any]] = dict(document["entries"])
        """By hash: `until_us` (changes up to then are held back), `live`, `forgotten_at`, `what`."""
        self.etag = etag

    @classmethod
    def load(cls, s3: Any, bucket: str, source_table: str) -> Tombstones:
        """Read the tombstones; without an object there are none.

        Args:
            s3: A boto3 S3 client.
            bucket: The error bucket.
            source_table: Name of the DynamoDB table.
        """
        try:
            found = s3.get_object(Bucket=bucket, Key=object_key(source_table))
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            return cls({"salt": secrets.token_hex(32), "entries": {}})
        return cls(json.loads(found["Body"].read()), found["ETag"])

    def to_body(self) -> bytes:
        """What the object holds."""
        return json.dumps({"salt": self._salt_text, "entries": self.entries}).encode()

    def digest(self, values: Sequence[Any], types: Sequence[Any]) -> str:
        """The hash of a key.

        Args:
            values: Values of the key columns, as a change row has them.
            types: The columns' types, as `Contract.to_lambda_json` writes them.
        """
        spelled = [_spelled(value, kind) for value, kind in zip(values, types, strict=True)]
        return hmac.new(self._salt, json.dumps(spelled).encode(), hashlib.sha256).hexdigest()

    def hold(self, row: bytes, key: Sequence[str], types: Mapping[str, Any]) -> bool:
        """Whether a change row is of a forgotten item, and no newer than its tombstone.

        Args:
            row: The change row.
            key: Names of its key columns.
            types: Types of the columns by name, as `Contract.to_lambda_json` writes them.
        """
        if not self.entries:
            return False
        document = json.loads(row)
        if not isinstance(document, dict) or any(name not in document for name in key):
            return False
        entry = self.entries.get(self.digest([document[n] for n in key], [types[n] for n in key]))
        if entry is None:
            return False
        read_alive = entry["live"] and document.get("operation") == SNAPSHOT
        return bool(read_alive or document.get("changed_at", 0) <= entry["until_us"])

    def of_contracts(self, document: Mapping[str, Any]) -> HeldBack:
        """The same by change log.

        Args:
            document: What `Contract.to_lambda_json` writes: one table contract, or those of a source.
        """
        return HeldBack(self, document.get("tables", [document]))


class HeldBack:
    """Which rows of a source's change logs are held back.

    Args:
        tombstones: Those of the source.
        tables: Its contracts, as `Contract.to_lambda_json` writes them.
    """

    def __init__(self, tombstones: Tombstones, tables: Iterable[Mapping[str, Any]]) -> None:
        self._tombstones = tombstones
        self._tables = {
            f"{table['table']}_changes": (table["key"], {c["name"]: c["type"] for c in table["columns"]})
            for table in tables
        }

    @property
    def any(self) -> bool:
        """Whether there is any tombstone."""
        return bool(self._tombstones.entries)

    def __call__(self, log: str, row: bytes) -> bool:
        """Whether a row of a change log is held back; without a name, of the first one."""
        key, types = self._tables.get(log) or next(iter(self._tables.values()))
        return self._tombstones.hold(row, key, types)


def object_key(source_table: str) -> str:
    """Key of the object that holds the tombstones of a DynamoDB table."""
    return f"{PREFIX}{source_table}.json"


def _spelled(value: Any, kind: Any) -> str:
    """One spelling of a value: a decimal may come with zeros at its end."""
    if isinstance(kind, dict) and "decimal" in kind:
        return f"{by_value(str(value)):f}"
    return json.dumps(value, ensure_ascii=False)
