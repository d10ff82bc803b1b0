"""Results as objects on S3."""

from __future__ import annotations

from local_aws.athena.statements.results import header


def test_header_is_quoted() -> None:
    assert header(["id", 'a"b']) == b'"id","a""b"\n'
