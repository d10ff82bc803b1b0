"""Where the catalog and its objects are, and with whose keys."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import requests
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from requests.exceptions import ConnectionError as RequestsConnectionError

from dynaberg.catalog import (
    _credentials,
    _object_endpoint,
    _sent,
    keep_entry_status,
    live_records,
    only_adds,
    open_catalog,
    set_properties,
    table_bucket_arn,
)
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings


class Session:
    """A boto3 session of made-up clients."""

    def __init__(self, client: Any) -> None:
        self.client = lambda *_, **__: client
        self.region_name = "us-east-1"
        self.get_partition_for_region = lambda _: "aws"


def session(endpoint: str) -> Any:
    return Session(SimpleNamespace(meta=SimpleNamespace(endpoint_url=endpoint)))


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://s3.us-east-1.amazonaws.com", {}),
        ("https://s3.cn-north-1.amazonaws.com.cn", {}),
        ("http://127.0.0.1:4566", {"s3.endpoint": "http://127.0.0.1:4566"}),
        ("https://amazonaws.com.example.org", {"s3.endpoint": "https://amazonaws.com.example.org"}),
    ],
)
def test_only_other_endpoints_than_amazons_are_named(endpoint: str, expected: dict[str, str]) -> None:
    assert _object_endpoint(session(endpoint)) == expected


def test_it_is_opened_once_for_a_session_and_the_bucket_is_looked_up_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_up: list[str] = []
    made: list[dict[str, str]] = []
    client = SimpleNamespace(
        meta=SimpleNamespace(endpoint_url="http://127.0.0.1:1"),
        get_table_bucket=lambda **asked: looked_up.append(asked["tableBucketARN"]),
        get_caller_identity=lambda: {"Account": "0" * 12},
    )
    one, other = Session(client), Session(client)
    monkeypatch.setattr("dynaberg.catalog._credentials", lambda _: {})
    monkeypatch.setattr(
        "dynaberg.catalog._explained", lambda *_: lambda name, **options: made.append(options) or object()
    )
    settings = Settings(table_bucket_name="lake")
    opened: Any = [open_catalog(each, settings) for each in (one, one, other)]  # type: ignore[arg-type]
    assert opened[0] is opened[1] is not opened[2]
    assert [options["warehouse"] for options in made] == looked_up[1:]
    assert looked_up == ["arn:aws:s3tables:us-east-1:000000000000:bucket/lake"] * 3


def test_static_keys_are_handed_on() -> None:
    keys = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", aws_session_token="c")
    assert _credentials(keys) == {
        "client.access-key-id": "a",
        "client.secret-access-key": "b",
        "client.session-token": "c",
    }


def test_keys_that_expire_are_left_to_each_client() -> None:
    role = RefreshableCredentials("a", "b", "c", None, dict, "role")  # type: ignore[arg-type]
    for profile, expected in (("default", {}), ("work", {"client.profile-name": "work"})):
        found: Any = SimpleNamespace(get_credentials=lambda: role, profile_name=profile)
        assert _credentials(found) == expected


def test_keys_that_arrow_cannot_get_are_handed_on_for_objects() -> None:
    keys = ("s3.access-key-id", "s3.secret-access-key", "s3.session-token")
    for method, handed_on in (("assume-role", True), ("login", True), ("sso", False), ("iam-role", False)):
        found = RefreshableCredentials("a", "b", "c", None, dict, method)  # type: ignore[arg-type]
        found._expiry_time = datetime.now(UTC) + timedelta(days=1)
        session: Any = SimpleNamespace(get_credentials=lambda found=found: found, profile_name="work")
        expected = dict(zip(keys, "abc", strict=True)) if handed_on else {}
        assert _credentials(session) == {"client.profile-name": "work"} | expected


class Dropping:
    """A server's socket that closes connections without an answer; then it answers."""

    def __init__(self, drops: int) -> None:
        self.drops, self.requests = drops, 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.recv(65_536)
                    self.requests += 1
                    if self.requests > self.drops:
                        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
                        connection.sendall(answer)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize(
    ("method", "drops", "sent", "answered"),
    [("GET", 1, 2, True), ("HEAD", 1, 2, True), ("GET", 2, 2, False), ("POST", 1, 1, False)],
)
def test_what_only_reads_is_sent_again_where_a_connection_was_closed(
    method: str, drops: int, sent: int, *, answered: bool
) -> None:
    server = Dropping(drops)
    request = requests.Request(method, server.endpoint).prepare()
    with requests.Session() as opened, nullcontext() if answered else pytest.raises(RequestsConnectionError):
        assert _sent(opened.send, request, {"timeout": 10}).ok
    server.close()
    assert server.requests == sent


class Contested:
    """A table of which some commits fail because another writer was first."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts, self.properties, self.refreshed = conflicts, {"old": "1"}, 0

    def refresh(self) -> None:
        self.refreshed += 1

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        new = dict(self.properties)
        yield SimpleNamespace(set_properties=new.update, remove_properties=new.pop)
        self.conflicts -= 1
        if self.conflicts >= 0:
            raise CommitFailedException("Requirement failed")
        self.properties = new


def test_properties_are_set_again_after_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    table: Any = Contested(2)
    set_properties(table, {"a": "1"}, ["old"])
    assert (table.properties, table.refreshed) == ({"a": "1"}, 2)
    with pytest.raises(CommitFailedException):
        set_properties(Contested(99), {"a": "1"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("operation", "counts", "adds"),
    [
        ("append", {"added-data-files": "1"}, True),
        ("overwrite", {"added-data-files": "1"}, True),
        ("overwrite", {"added-data-files": "1", "added-position-deletes": "3"}, False),
        ("overwrite", {"added-data-files": "1", "deleted-data-files": "1"}, False),
        ("overwrite", {}, False),
        ("replace", {"added-data-files": "1"}, False),
        ("delete", {"deleted-data-files": "1"}, False),
    ],
)
def test_what_only_adds_is_told_by_what_it_did(operation: str, counts: dict[str, str], adds: bool) -> None:
    summary = Summary(Operation(operation), **counts)
    snapshot = Snapshot(snapshot_id=1, timestamp_ms=1, manifest_list="s3://b/l", summary=summary)
    assert only_adds(snapshot) is adds


def test_a_table_bucket_that_does_not_exist_names_those_that_do() -> None:
    pages = [{"tableBuckets": [{"name": "streamtablebucket"}]}]
    paginator = SimpleNamespace(paginate=lambda: pages)
    there = "arn:aws:s3tables:us-east-1:123456789012:bucket/streamtablebucket"

    def get_table_bucket(*, tableBucketARN: str) -> None:  # noqa: N803
        if tableBucketARN != there:
            raise ClientError({"Error": {"Code": "NotFoundException"}}, "GetTableBucket")

    found: Any = Session(
        SimpleNamespace(
            get_paginator=lambda _: paginator,
            get_table_bucket=get_table_bucket,
            get_caller_identity=lambda: {"Account": "123456789012"},
        )
    )
    assert table_bucket_arn(found, Settings()) == there
    with pytest.raises(NotFoundError, match="'streamtablebucket'"):
        table_bucket_arn(found, Settings(table_bucket_name="streamtablebuckets"))


def stored(path: str, records: int, *, deletes_in: str | None = "", field: int = 2_147_483_546) -> Any:
    """An entry of a manifest: a data file, or the deletes of one."""
    bounds = {field: deletes_in.encode()} if deletes_in else {}
    content = SimpleNamespace(value=0 if deletes_in == "" else 1)
    return SimpleNamespace(
        data_file=SimpleNamespace(
            file_path=path, record_count=records, content=content, lower_bounds=bounds, upper_bounds=bounds
        )
    )


def test_deletes_of_files_that_a_compaction_replaced_do_not_count() -> None:
    entries = [
        stored("compacted", 95),
        stored("dangling", 5, deletes_in="before"),
        stored("new", 2, deletes_in="compacted"),
        stored("of-duckdb", 3, deletes_in="compacted", field=2_147_483_646),
        stored("of-several", 1, deletes_in=None),
    ]
    manifest = SimpleNamespace(manifest_path="m", fetch_manifest_entry=lambda *_, **__: entries)
    summary = {"total-records": "95", "total-position-deletes": "11"}
    with_deletes: Any = SimpleNamespace(snapshot_id=2, summary=summary, manifests=lambda _: [manifest])
    without: Any = SimpleNamespace(snapshot_id=1, summary={"total-records": "7"}, manifests=None)
    table: Any = SimpleNamespace(io=None)
    assert live_records(table, [without, with_deletes]) == {1: 7, 2: 95 - 2 - 3 - 1}


def test_an_entry_that_inherits_its_snapshot_keeps_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def as_in_0_11(entry: Any, snapshot_id: int) -> None:
        entry._data[0] = snapshot_id

    monkeypatch.setattr(
        ManifestEntry, "snapshot_id", property(ManifestEntry.snapshot_id.fget, as_in_0_11), raising=True
    )
    for _ in range(2):
        keep_entry_status()
        entry = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED)
        entry.snapshot_id = 7
        assert (entry.status, entry.snapshot_id) == (ManifestEntryStatus.ADDED, 7)
