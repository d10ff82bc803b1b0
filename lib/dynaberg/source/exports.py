"""Exports of a DynamoDB table to S3, at a point in time: started, found, and checked before anything is read.

Sources: "DynamoDB data export to Amazon S3" and "DynamoDB table export output format", Amazon DynamoDB
Developer Guide.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dynaberg import aws
from dynaberg.errors import NotFoundError, NotReadyError, SettingsError
from dynaberg.source.adoption import describe_source

if TYPE_CHECKING:
    import boto3

SUMMARY = "manifest-summary.json"
_FOLDER = "AWSDynamoDB/"
_ARN = re.compile(r"arn:[^:]+:dynamodb:[^:]+:\d{12}:table/[^/]+/export/[^/]+")
_ADDRESS = re.compile(rf"s3://([^/]+)/((?:.*/)?{_FOLDER}[^/]+)/(?:{re.escape(SUMMARY)})?")
_NEW = "Leave it out: then backfill() makes a new export."


@dataclass(frozen=True)
class DataFile:
    """A data file of an export.

    Attributes:
        key: Its key in the export's bucket.
        items: How many items it holds.
        md5: Its checksum, in base64.
    """

    key: str
    items: int
    md5: str


@dataclass(frozen=True)
class Export:
    """A full export in DynamoDB JSON that is complete.

    Attributes:
        bucket: The bucket that it is in.
        folder: What its keys begin with, without a slash at the end.
        moment: When the items were as they are in it, in UTC.
        items: How many items it holds.
        bytes: What DynamoDB bills it as.
        files: Its data files.
    """

    bucket: str
    folder: str
    moment: datetime
    items: int
    bytes: int
    files: tuple[DataFile, ...]


def start_export(
    session: boto3.Session, source_table: str, bucket: str, prefix: str, *, token: str, kms_key_arn: str = ""
) -> str:
    """Start a full export of a table as it is now.

    Args:
        session: Open boto3 session.
        source_table: Name of the DynamoDB table.
        bucket: The bucket to write to.
        prefix: What the keys begin with.
        token: Makes a repeated call the same export, for eight hours.
        kms_key_arn: The key that the bucket encrypts with; empty for S3's own.

    Returns:
        The export's ARN.

    Raises:
        NotReadyError: The table's point-in-time recovery is off.
    """
    dynamodb = aws.client(session, "dynamodb")
    arn = dynamodb.describe_table(TableName=source_table)["Table"]["TableArn"]
    encryption = {"S3SseAlgorithm": "KMS", "S3SseKmsKeyId": kms_key_arn} if kms_key_arn else {}
    wanted = {"TableArn": arn, "S3Bucket": bucket, "S3Prefix": prefix, "ClientToken": token, **encryption}
    try:
        answer = dynamodb.export_table_to_point_in_time(ExportFormat="DYNAMODB_JSON", **wanted)
    except dynamodb.exceptions.PointInTimeRecoveryUnavailableException as error:
        msg = f"Point-in-time recovery of {source_table!r} is off, so it cannot be exported."
        command = (
            f"aws dynamodb update-continuous-backups --table-name {source_table} "
            "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true"
        )
        raise NotReadyError(msg, hint=f'Switch it on: {command}; or use method="scan".') from error
    return str(answer["ExportDescription"]["ExportArn"])


def await_export(
    session: boto3.Session, arn: str, timeout: float, meanwhile: Callable[[], None]
) -> tuple[str, str]:
    """Wait until an export is complete.

    Args:
        session: Open boto3 session.
        arn: The export's ARN.
        timeout: How long it may take, in seconds.
        meanwhile: Called again and again during the wait.

    Returns:
        Its bucket, and the key of its `manifest-summary.json`.

    Raises:
        NotFoundError: DynamoDB does not know it; it forgets exports after 90 days.
        NotReadyError: It failed, or took too long.
    """
    dynamodb = aws.client(session, "dynamodb")

    def ended() -> Mapping[str, Any] | None:
        meanwhile()
        found: Mapping[str, Any] = dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        return None if found["ExportStatus"] == "IN_PROGRESS" else found

    try:
        found = aws.wait_for(
            ended, timeout=timeout, what=f"The export {arn}", hint="It goes on: run backfill() again later."
        )
    except dynamodb.exceptions.ExportNotFoundException as error:
        msg = f"There is no export {arn}."
        hint = "After 90 days DynamoDB forgets it; then name its files: s3://bucket/…/manifest-summary.json"
        raise NotFoundError(msg, hint=hint) from error
    if found["ExportStatus"] != "COMPLETED":
        reason = (
            f"{found.get('FailureCode', found['ExportStatus'])}, {found.get('FailureMessage', 'no reason')}"
        )
        raise NotReadyError(f"The export {arn} failed: {reason}.", hint="Run backfill() for a new one.")
    return found["S3Bucket"], found["ExportManifest"]


def named_export(name: str) -> tuple[str, tuple[str, str] | None]:
    """What somebody calls an export: its ARN, or where its summary is.

    Args:
        name: An ARN, or `s3://bucket/prefix/AWSDynamoDB/<id>/manifest-summary.json`.

    Returns:
        The ARN and None, or an empty text and the summary's bucket and key.

    Raises:
        SettingsError: It is neither.
    """
    if _ARN.fullmatch(str(name)):
        return name, None
    if found := _ADDRESS.fullmatch(str(name)):
        return "", (found[1], f"{found[2]}/{SUMMARY}")
    msg = f"{name!r} names no export of a DynamoDB table."
    hint = "Give its ARN, or s3://bucket/prefix/AWSDynamoDB/<id>/manifest-summary.json."
    raise SettingsError(msg, hint=hint)


def read_export(session: boto3.Session, source_table: str, bucket: str, key: str) -> Export:
    """Read the manifests of an export, and check that it can be used and is all there.

    Args:
        session: Open boto3 session.
        source_table: Name of the DynamoDB table that it must be of.
        bucket: The bucket that it is in.
        key: Key of its `manifest-summary.json`.

    Raises:
        NotFoundError: A manifest or a data file is not there.
        SettingsError: It is of another table, incremental, or in another format.
        NotReadyError: It may not be read, a data file is not the one that was exported, or the manifest does
            not add up.
    """
    folder = key.rpartition("/")[0]
    summary = json.loads(_text(session, bucket, key))
    _check_summary(session, source_table, summary)
    # The guide's example leaves out the prefix of the keys, so only their ends are used.
    begin = folder[: folder.rindex(_FOLDER)]
    listed = _text(session, bucket, begin + _below(summary["manifestFilesS3Key"])).splitlines()
    described = [json.loads(line) for line in listed if line]
    present = dict(_etags(session, bucket, f"{folder}/data/"))
    files = []
    for each in described:
        file = DataFile(begin + _below(each["dataFileS3Key"]), each["itemCount"], each["md5Checksum"])
        if file.key not in present:
            raise NotFoundError(f"The export lacks its file s3://{bucket}/{file.key}.", hint=_NEW)
        # The ETag of an object that was uploaded in parts depends on the parts.
        if present[file.key] != each["etag"] and "-" not in present[file.key] + each["etag"]:
            msg = f"s3://{bucket}/{file.key} is not what was exported: its ETag is {present[file.key]}."
            raise NotReadyError(msg, hint=_NEW)
        files.append(file)
    if sum(file.items for file in files) != summary["itemCount"]:
        found = sum(file.items for file in files)
        msg = f"The files of the export hold {found:,} items, but its summary says {summary['itemCount']:,}."
        raise NotReadyError(msg, hint=_NEW)
    moment = datetime.fromisoformat(summary["exportTime"]).astimezone(UTC)
    return Export(bucket, folder, moment, summary["itemCount"], summary["billedSizeBytes"], tuple(files))


def stream_began(session: boto3.Session, source_table: str) -> datetime:
    """When the stream of a table was switched on, in UTC: that is its label."""
    arn = describe_source(session, source_table).stream_arn
    return datetime.fromisoformat(arn.rpartition("/stream/")[2]).replace(tzinfo=UTC)


def _check_summary(session: boto3.Session, source_table: str, summary: Mapping[str, Any]) -> None:
    table = aws.client(session, "dynamodb").describe_table(TableName=source_table)["Table"]
    if summary["tableArn"] != table["TableArn"]:
        msg = f"The export is of the table {summary['tableArn']}, not of {table['TableArn']}."
        raise SettingsError(msg, hint=f"Name an export of {source_table!r}. {_NEW}")
    if summary.get("tableId") != table.get("TableId", summary.get("tableId")):
        msg = f"The export is of an earlier table that was also called {source_table!r}."
        raise SettingsError(msg, hint=_NEW)
    if summary.get("exportType", "FULL_EXPORT") != "FULL_EXPORT":
        msg = f"The export is a {summary['exportType']}; a backfill needs all items, a FULL_EXPORT."
        raise SettingsError(msg, hint=_NEW)
    if summary["outputFormat"] != "DYNAMODB_JSON":
        msg = f"The export is in {summary['outputFormat']}, but only DYNAMODB_JSON is read."
        raise SettingsError(msg, hint=_NEW)


def _below(key: str) -> str:
    return key[key.rindex(_FOLDER) :]


def _text(session: boto3.Session, bucket: str, key: str) -> str:
    try:
        answer = aws.client(session, "s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "AccessDenied":
            msg = f"S3 refused to let s3://{bucket}/{key} be read."
            hint = "Ask for s3:GetObject on it; of another account the bucket's policy must allow it, too."
            raise NotReadyError(msg, hint=hint) from error
        if code not in ("NoSuchKey", "NoSuchBucket"):
            raise
        msg = f"There is no s3://{bucket}/{key}."
        raise NotFoundError(msg, hint="The manifests are written last: the export may still run.") from error
    return str(answer["Body"].read().decode())


def _etags(session: boto3.Session, bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    pages = aws.client(session, "s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            yield found["Key"], found["ETag"].strip('"')
