"""What goes over the wire."""

from __future__ import annotations

import pytest

from local_aws.wire import AwsError, Request, request_from_scope


def test_a_request_is_read_from_an_asgi_scope() -> None:
    scope = {
        "method": "PUT",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1&x=2&empty=",
        "headers": [(b"X-Amz-Target", b"Firehose_20150804.PutRecord")],
    }
    request = request_from_scope(scope, b'{"a": 1}')
    assert (request.path, request.raw_path, request.query) == ("/a b", "/a%20b", {"x": "2", "empty": ""})
    assert (request.target, request.operation) == ("Firehose_20150804.PutRecord", "PutRecord")
    assert request.json() == {"a": 1}


def test_a_body_that_is_not_json_is_refused_as_aws_refuses_it() -> None:
    assert Request("POST", "/").json() == {}
    for body in (b"{", b"[]", b"null", b'"{}"', b"\xff", b"[" * 100_000):
        with pytest.raises(AwsError, match="SerializationException"):
            Request("POST", "/", body=body).json()
    assert Request("PUT", "/_local_aws/faults", body=b"[]").json() == []
