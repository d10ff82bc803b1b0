"""Where the catalog and its objects are, and with whose keys."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.credentials import RefreshableCredentials

from dynaberg.catalog import _credentials, _object_endpoint, table_bucket_arn
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings


class Session:
    """A boto3 session of made-up clients."""

    def __init__(self, client: Any) -> None:
        self.client = lambda *_, **__: client


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


def test_a_table_bucket_that_does_not_exist_names_those_that_do() -> None:
    pages = [{"tableBuckets": [{"name": "streamtablebucket", "arn": "arn:aws:s3tables:…"}]}]
    paginator = SimpleNamespace(paginate=lambda: pages)
    found: Any = Session(SimpleNamespace(get_paginator=lambda _: paginator))
    assert table_bucket_arn(found, Settings()) == "arn:aws:s3tables:…"
    with pytest.raises(NotFoundError, match="'streamtablebucket'"):
        table_bucket_arn(found, Settings(table_bucket_name="streamtablebuckets"))
