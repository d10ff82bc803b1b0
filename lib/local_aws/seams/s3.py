"""Private parts of ministack's S3 and S3 Tables that are read or changed, because there is no public way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ACCOUNT = "000000000000"


def object_file(bucket: str, key: str) -> Path:
    """The file in which ministack keeps an object; S3 itself reads the whole object for every range of it."""
    from ministack.services import s3

    return Path(s3._object_disk_path(bucket, key, ACCOUNT))


def objects_folder() -> Path:
    """The folder in which ministack keeps every bucket."""
    from ministack.services import s3

    return Path(s3.DATA_DIR).resolve() / ACCOUNT


def delete_objects_below(bucket: str, prefix: str) -> None:
    """Delete every object of a bucket whose key starts with a prefix."""
    from ministack.services import s3

    held = s3._buckets.get(bucket, {"objects": {}})["objects"]
    for key in [key for key in held if key.startswith(prefix)]:
        s3._delete_object(bucket, key)


def held_table(bucket_arn: str, namespace: str, name: str) -> dict[str, Any]:
    """The record of a table of S3 Tables; what is changed in it is changed."""
    from ministack.services import s3tables

    record: dict[str, Any] = s3tables._tables[s3tables._table_key(bucket_arn, namespace, name)]
    return record
