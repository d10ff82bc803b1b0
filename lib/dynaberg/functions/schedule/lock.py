"""One run at a time: an object in S3 that says who works, and until when that holds.

Source: Amazon S3 User Guide, "How to prevent object overwrites with conditional writes".
"""

from __future__ import annotations

import json
import time
from typing import Any

from botocore.exceptions import ClientError

_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey")


def take(s3: Any, bucket: str, key: str, owner: str, seconds: float) -> bool:
    """Take the lock, or hold it longer; whether it is the owner's now.

    Args:
        s3: A client.
        bucket: Where the lock is.
        key: Its object.
        owner: Who takes it.
        seconds: How long it holds if the owner does not come back.
    """
    held = _read(s3, bucket, key)
    if held and held["owner"] != owner and held["until"] > time.time():
        return False
    return _write(s3, bucket, key, {"owner": owner, "until": time.time() + seconds}, held)


def release(s3: Any, bucket: str, key: str, owner: str) -> None:
    """Give the lock back, if it is still the owner's."""
    held = _read(s3, bucket, key)
    if held and held["owner"] == owner:
        _write(s3, bucket, key, {"owner": owner, "until": 0}, held)


def _read(s3: Any, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return {**json.loads(found["Body"].read()), "etag": found["ETag"]}


def _write(s3: Any, bucket: str, key: str, held: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Write the lock, unless somebody else did so since it was read."""
    condition = {"IfMatch": before["etag"]} if before else {"IfNoneMatch": "*"}
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(held).encode(), **condition)
    except ClientError as error:
        if error.response["Error"]["Code"] in _TAKEN:
            return False
        raise
    return True
