"""Exports of DynamoDB tables to S3: ministack says that they are complete, and writes nothing.

Source of the format: "DynamoDB table export output format", Amazon DynamoDB Developer Guide.
"""

from __future__ import annotations

import base64
import contextvars
import gzip
import hashlib
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

LEAST_FILES, MOST_ITEMS_PER_FILE = 4, 50_000
_GZIP_LEVEL = 1


def write_exports() -> None:
    """Let ExportTableToPointInTime write the items of its moment: they are replaced, and never changed."""
    from ministack.services import dynamodb

    theirs = dynamodb._export_table_to_point_in_time

    def export(data: Mapping[str, Any]) -> Any:
        known = set(dynamodb._exports)
        answer = theirs(data)
        for arn in set(dynamodb._exports) - known:
            described = dynamodb._exports[arn]
            table = dynamodb._tables[arn.split("/")[1]]
            if not dynamodb._pitr_settings.get(table["TableName"]):
                del dynamodb._exports[arn]
                text = f"Point in time recovery is not enabled for table '{table['TableName']}'"
                return dynamodb.error_response_json("PointInTimeRecoveryUnavailableException", text, 400)
            described.setdefault("ExportTime", described["StartTime"])
            items = [item for of_partition in list(table["items"].values()) for item in of_partition.values()]
            in_account = contextvars.copy_context().run
            threading.Thread(target=in_account, args=(_write, described, items), daemon=True).start()
            answer = dynamodb.json_response({"ExportDescription": described})
        return answer

    def describe(data: Mapping[str, Any]) -> Any:
        found = dynamodb._exports.get(data.get("ExportArn"))
        return dynamodb.json_response({"ExportDescription": found}) if found else theirs_described(data)

    theirs_described = dynamodb._describe_export
    dynamodb._export_table_to_point_in_time, dynamodb._describe_export = export, describe


def _write(described: dict[str, Any], items: Sequence[Any]) -> None:
    """Write the files of an export, the manifests last, and note in its description how it ended."""
    from ministack.services import s3

    folder = f"AWSDynamoDB/{described['ExportArn'].rpartition('/')[2]}"
    folder = f"{described['S3Prefix'].strip('/')}/{folder}" if described.get("S3Prefix") else folder

    def put(name: str, body: bytes) -> str:
        status, headers, _ = s3._put_object(described["S3Bucket"], f"{folder}/{name}", body, {})
        if status != 200:
            raise FileNotFoundError(described["S3Bucket"])
        return str(headers["ETag"].strip('"'))

    try:
        put("_started", b"")
        each = max(1, min(MOST_ITEMS_PER_FILE, -(-len(items) // LEAST_FILES)))
        files, size = [], 0
        for first in range(0, max(len(items), 1), each):
            part = items[first : first + each]
            lines = b"".join(orjson.dumps({"Item": item}) + b"\n" for item in part)
            body, size = gzip.compress(lines, _GZIP_LEVEL), size + len(lines)
            name = f"data/{secrets.token_hex(13)}.json.gz"
            files.append({"itemCount": len(part), "md5Checksum": _md5(body), "etag": put(name, body)})
            files[-1]["dataFileS3Key"] = f"{folder}/{name}"
        described |= {"ItemCount": len(items), "BilledSizeBytes": size, "EndTime": time.time()}
        manifests = {
            "manifest-files": b"".join(orjson.dumps(file) + b"\n" for file in files),
            "manifest-summary": orjson.dumps(_summary(described, folder)),
        }
        for name, body in manifests.items():
            put(f"{name}.json", body)
            put(f"{name}.checksum", _md5(body).encode())
    except FileNotFoundError:
        text = "The specified bucket does not exist"
        described |= {"FailureCode": "S3NoSuchBucket", "FailureMessage": text, "ExportStatus": "FAILED"}
    else:
        described |= {"ExportManifest": f"{folder}/manifest-summary.json", "ExportStatus": "COMPLETED"}


def _summary(described: Mapping[str, Any], folder: str) -> dict[str, Any]:
    return {
        "version": "2020-06-30",
        "exportArn": described["ExportArn"],
        "startTime": _iso(described["StartTime"]),
        "endTime": _iso(described["EndTime"]),
        "tableArn": described["TableArn"],
        "tableId": described["TableId"],
        "exportTime": _iso(described["ExportTime"]),
        "s3Bucket": described["S3Bucket"],
        "s3Prefix": described.get("S3Prefix"),
        "s3SseAlgorithm": described.get("S3SseAlgorithm", "AES256"),
        "s3SseKmsKeyId": described.get("S3SseKmsKeyId"),
        "manifestFilesS3Key": f"{folder}/manifest-files.json",
        "billedSizeBytes": described["BilledSizeBytes"],
        "itemCount": described["ItemCount"],
        "outputFormat": described["ExportFormat"],
        "exportType": described["ExportType"],
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
