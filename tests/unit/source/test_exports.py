"""Names of exports: which are accepted, and what they lead to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import DynabergError, SettingsError
from dynaberg.source import named_export, read_export

ARN = "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/Orders/export/01693685827463-2d8752fd"
FOLDER = "AWSDynamoDB/01693685827463-2d8752fd"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (ARN, (ARN, None)),
        (f"s3://b/{FOLDER}/manifest-summary.json", ("", ("b", f"{FOLDER}/manifest-summary.json"))),
        (f"s3://b/{FOLDER}/", ("", ("b", f"{FOLDER}/manifest-summary.json"))),
        (f"s3://b/2026/x y/{FOLDER}/", ("", ("b", f"2026/x y/{FOLDER}/manifest-summary.json"))),
    ],
)
def test_an_export_is_named_by_its_arn_or_its_summary(name: str, expected: object) -> None:
    assert named_export(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "orders",
        ARN.rpartition("/export/")[0],
        f"{ARN}/x",
        "s3://b/data.json.gz",
        f"s3://b/{FOLDER}/manifest-files.json",
        f"https://b.s3.amazonaws.com/{FOLDER}/",
    ],
)
def test_what_names_no_export_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="names no export") as caught:
        named_export(name)
    assert "manifest-summary.json" in caught.value.hint


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("AccessDenied", "S3 refused to let s3://b/x/manifest-summary.json be read", "s3:GetObject"),
        ("NoSuchKey", "There is no s3://b/x/manifest-summary.json", "written last"),
        ("NoSuchBucket", "There is no s3://b/x/manifest-summary.json", "written last"),
    ],
)
def test_an_export_that_cannot_be_read_is_named(
    code: str, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get_object(**_: str) -> None:
        raise ClientError({"Error": {"Code": code}}, "GetObject")

    session: Any = None
    monkeypatch.setattr(aws, "client", lambda *_: SimpleNamespace(get_object=get_object))
    with pytest.raises(DynabergError, match=message) as caught:
        read_export(session, "Orders", "b", "x/manifest-summary.json")
    assert hint in caught.value.hint
