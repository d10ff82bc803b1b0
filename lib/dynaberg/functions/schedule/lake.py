"""The tables of the namespace by boto3 alone: their metadata, their properties, their manifests.

Source: Amazon S3 User Guide, "Accessing tables using the Amazon S3 Tables Iceberg REST endpoint"; Apache
Iceberg, "REST Catalog API".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from ..statements.merges import KEEPS_LATEST
from . import avro

_SECONDS = 30
_CONFIG = Config(connect_timeout=3, read_timeout=_SECONDS, retries={"mode": "standard", "max_attempts": 4})
# What a snapshot's summary counts of removed rows, in data files or by delete files.
_REMOVALS = (
    *("deleted-data-files", "deleted-records", "added-delete-files"),
    *("added-position-deletes", "added-equality-deletes"),
)
Metadata = Mapping[str, Any]
"""A table's metadata as the Iceberg table spec has it, in JSON."""
Snapshot = Mapping[str, Any]


class GoneError(Exception):
    """There is no such table."""


class CommitConflictError(Exception):
    """Another commit came in between."""


class Lake:
    """The Iceberg REST catalog of a table bucket.

    Args:
        bucket_arn: The table bucket.
        namespace: The namespace of all tables.
        session: An open boto3 session; by default that of the environment.
    """

    def __init__(self, bucket_arn: str, namespace: str, session: Any = None) -> None:
        self.namespace = namespace
        self._session: Any = session or boto3.Session()
        self._s3 = self._session.client("s3", config=_CONFIG)
        self._region = self._session.region_name
        endpoint = self._session.client("s3tables", config=_CONFIG).meta.endpoint_url
        self._tables = f"{endpoint}/iceberg/v1/{quote(bucket_arn, safe='')}/namespaces/{namespace}/tables"

    def load(self, name: str) -> Metadata:
        """The metadata of a table.

        Raises:
            GoneError: There is no such table.
        """
        metadata: Metadata = self._send("GET", f"/{name}")["metadata"]
        return metadata

    def find(self, name: str) -> Metadata | None:
        """The metadata of a table; None if there is no such table."""
        try:
            return self.load(name)
        except GoneError:
            return None

    def names(self) -> list[str]:
        """The tables of the namespace."""
        found: list[str] = []
        token = ""
        while True:
            page = self._send("GET", f"?pageToken={quote(token, safe='')}" if token else "")
            found += [each["name"] for each in page["identifiers"]]
            token = page.get("next-page-token") or ""
            if not token:
                return found

    def set_properties(self, name: str, properties: Mapping[str, str], removed: Sequence[str] = ()) -> None:
        """Set and remove properties of a table, in one commit.

        Raises:
            CommitConflictError: Another commit came in between.
        """
        updates: list[dict[str, Any]] = [{"action": "set-properties", "updates": dict(properties)}]
        updates += [{"action": "remove-properties", "removals": list(removed)}] if removed else []
        self._send("POST", f"/{name}", {"requirements": [], "updates": updates})

    def drop(self, name: str) -> None:
        """Drop a table with its data, if it is there."""
        try:
            self._send("DELETE", f"/{name}?purgeRequested=true")
        except GoneError:
            return

    def manifests(self, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
        """The manifests of a snapshot."""
        return avro.records(self._object(snapshot["manifest-list"]))

    def entries(self, manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The live entries of a manifest, with what they inherit from it."""
        for entry in avro.records(self._object(manifest["manifest_path"])):
            if entry["status"] != 2:  # deleted
                entry["snapshot_id"] = entry["snapshot_id"] or manifest["added_snapshot_id"]
                if entry["status"] == 1:
                    entry["sequence_number"] = entry["sequence_number"] or manifest["sequence_number"]
                yield entry

    def _object(self, address: str) -> bytes:
        bucket, _, key = address.partition("://")[2].partition("/")
        content: bytes = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        signed = AWSRequest(
            method, self._tables + path, data=data, headers={"content-type": "application/json"}
        )
        credentials = self._session.get_credentials().get_frozen_credentials()
        SigV4Auth(credentials, "s3tables", self._region).add_auth(signed)
        request = Request(  # noqa: S310, the address is the client's own
            str(signed.url), data=data, headers=dict(signed.headers.items()), method=method
        )
        try:
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                text = answer.read()
        except HTTPError as error:
            raise _explained(error, path) from error
        return json.loads(text) if text else {}


def _explained(error: HTTPError, path: str) -> Exception:
    said = error.read().decode(errors="replace")
    kinds = {404: GoneError, 409: CommitConflictError}
    return kinds.get(error.code, RuntimeError)(f"S3 Tables answered {error.code} for {path}: {said[:500]}")


def current_snapshot(metadata: Metadata) -> Snapshot | None:
    """The current snapshot of a table, None before the first commit."""
    return find_snapshot(metadata, metadata.get("current-snapshot-id"))


def find_snapshot(metadata: Metadata, snapshot_id: int | None) -> Snapshot | None:
    """A snapshot by its id, None if it has expired."""
    return next((s for s in metadata.get("snapshots", ()) if s["snapshot-id"] == snapshot_id), None)


def operation(snapshot: Snapshot) -> str:
    """What a snapshot's writer calls what it did."""
    return str(snapshot.get("summary", {}).get("operation", ""))


def keeps_latest(snapshot: Snapshot) -> bool:
    """Whether a snapshot has other files than the one before it, and the same latest changes."""
    return operation(snapshot) == "replace" or KEEPS_LATEST in snapshot.get("summary", {})


def only_adds(snapshot: Snapshot) -> bool:
    """Whether a snapshot added data files and removed nothing, whatever its writer calls that."""
    summary = snapshot.get("summary", {})
    removed = any(int(summary.get(name) or 0) for name in _REMOVALS)
    return operation(snapshot) == "append" or (
        operation(snapshot) == "overwrite" and not removed and int(summary.get("added-data-files") or 0) > 0
    )


def rows_since(metadata: Metadata, sequence_number: int) -> int:
    """How many rows were written after a commit of a table; a compaction rewrites rows and changes none."""
    later = (s for s in metadata.get("snapshots", ()) if s.get("sequence-number", 0) > sequence_number)
    return sum(int(s["summary"].get("added-records") or 0) for s in later if operation(s) != "replace")


def content_id(metadata: Metadata) -> int | None:
    """Id of the snapshot that last changed a table's rows; None if it has none."""
    snapshot = current_snapshot(metadata)
    while snapshot and operation(snapshot) == "replace":
        parent = find_snapshot(metadata, snapshot.get("parent-snapshot-id"))
        if parent is None:
            break
        snapshot = parent
    return int(snapshot["snapshot-id"]) if snapshot else None
