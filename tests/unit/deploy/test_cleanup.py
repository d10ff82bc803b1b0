"""What a clean-up refuses, and what it recognises."""

from __future__ import annotations

import re

import pytest

from dynaberg.deploy import cleanup
from dynaberg.errors import SettingsError
from dynaberg.settings import Settings


@pytest.mark.parametrize("typed", ["", "Dynaberg", "dynaberg ", "yes"])
def test_the_name_must_be_typed_exactly(typed: str) -> None:
    with pytest.raises(SettingsError, match=r"Nothing was removed\.") as caught:
        cleanup.clean_up(None, Settings(), confirm=typed)  # type: ignore[arg-type]
    assert "confirm='dynaberg'" in caught.value.hint


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:s3:::streambucket-code-1-x", "AWS::S3::Bucket", "streambucket-code-1-x"),
        ("arn:aws-cn:dynamodb:r:1:table/orders", "AWS::DynamoDB::Table", "orders"),
        ("arn:aws:kinesis:r:1:stream/changes", "AWS::Kinesis::Stream", "changes"),
        (
            "arn:aws:s3tables:r:1:bucket/lake",
            "AWS::S3Tables::TableBucket",
            "arn:aws:s3tables:r:1:bucket/lake",
        ),
        ("arn:aws:s3tables:r:1:bucket/lake/table/7", None, None),
        ("arn:aws:dynamodb:r:1:table/orders/stream/2026", None, None),
        ("arn:aws:lambda:r:1:function:forwarder", None, None),
    ],
)
def test_what_can_outlive_its_stack(arn: str, kind: str | None, name: str | None) -> None:
    matches = {k: m[1] for k, v in cleanup._KINDS.items() if (m := re.fullmatch(v.arn, arn))}
    assert matches == ({kind: name} if kind else {})
