"""Exports as AWS documents them: of one moment, in several files, with manifests that add up."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from typing import Any

import pytest
from ministack.services import s3

from local_aws.seams import dynamodb_exports


@pytest.fixture
def table(orders: Any) -> Any:
    """A table with point-in-time recovery, and a bucket."""
    dynamodb_exports.write_exports()
    orders.create()
    recovery = {"PointInTimeRecoveryEnabled": True}
    orders.call("UpdateContinuousBackups", PointInTimeRecoverySpecification=recovery)
    s3._create_bucket("exports", b"", {})
    return orders


def put(table: Any, *numbers: int, word: str = "é") -> None:
    for number in numbers:
        item = {"id": {"S": f"o{number}"}, "at": {"N": "1"}, "raw": {"B": "AAE="}, "word": {"S": word}}
        table.call("PutItem", Item=item)


def begin(table: Any, bucket: str = "exports", **options: Any) -> str:
    arn = table.call("DescribeTable")["Table"]["TableArn"]
    answer = table.call("ExportTableToPointInTime", TableArn=arn, S3Bucket=bucket, **options)
    return str(answer["ExportDescription"]["ExportArn"])


def ended(table: Any, arn: str) -> dict[str, Any]:
    for _ in range(500):
        found: dict[str, Any] = table.call("DescribeExport", ExportArn=arn)["ExportDescription"]
        if found["ExportStatus"] != "IN_PROGRESS":
            return found
        time.sleep(0.01)
    raise AssertionError(found)


def body(key: str) -> bytes:
    content: bytes = s3._buckets["exports"]["objects"][key]["body"]
    return content


def files_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    summary = json.loads(body(found["ExportManifest"]))
    return [json.loads(line) for line in body(summary["manifestFilesS3Key"]).splitlines()]


def test_its_files_hold_the_items_of_its_moment(table: Any) -> None:
    put(table, *range(50))
    arn = begin(table, S3Prefix="2026/january")
    put(table, *range(40, 60), word="later")
    table.call("DeleteItem", Key={"id": {"S": "o1"}, "at": {"N": "1"}})
    found = ended(table, arn)
    files = files_of(found)
    items = []
    for file in files:
        content = body(file["dataFileS3Key"])
        digest = hashlib.md5(content, usedforsecurity=False)
        assert file["md5Checksum"] == base64.b64encode(digest.digest()).decode()
        assert file["etag"] == digest.hexdigest()
        assert file["dataFileS3Key"].startswith("2026/january/AWSDynamoDB/")
        lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
        assert len(lines) == file["itemCount"]
        items += [line["Item"] for line in lines]
    assert len(files) > 1
    assert sorted(item["id"]["S"] for item in items) == sorted(f"o{number}" for number in range(50))
    assert {json.dumps(item["word"]) + item["raw"]["B"] for item in items} == {'{"S": "\\u00e9"}AAE='}
    assert found["ItemCount"] == sum(file["itemCount"] for file in files) == 50


def test_its_summary_has_what_the_guide_names(table: Any) -> None:
    found = ended(table, begin(table))
    summary = json.loads(body(found["ExportManifest"]))
    assert list(summary) == [
        *("version", "exportArn", "startTime", "endTime", "tableArn", "tableId", "exportTime", "s3Bucket"),
        *("s3Prefix", "s3SseAlgorithm", "s3SseKmsKeyId", "manifestFilesS3Key", "billedSizeBytes"),
        *("itemCount", "outputFormat", "exportType"),
    ]
    assert (summary["itemCount"], summary["outputFormat"]) == (0, "DYNAMODB_JSON")
    assert summary["exportTime"].endswith("Z")
    # An empty partition has a file, too.
    assert [file["itemCount"] for file in files_of(found)] == [0]


def test_without_its_bucket_it_fails(table: Any) -> None:
    found = ended(table, begin(table, "nowhere"))
    assert (found["ExportStatus"], found["FailureCode"]) == ("FAILED", "S3NoSuchBucket")


def test_without_recovery_it_is_refused(table: Any) -> None:
    recovery = {"PointInTimeRecoveryEnabled": False}
    table.call("UpdateContinuousBackups", PointInTimeRecoverySpecification=recovery)
    with pytest.raises(table.refused, match="PointInTimeRecoveryUnavailableException"):
        begin(table)


def test_the_same_token_is_the_same_export(table: Any) -> None:
    assert begin(table, ClientToken="a") == begin(table, ClientToken="a")
