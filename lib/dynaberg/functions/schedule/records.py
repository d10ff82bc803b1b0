"""What is known about runs afterwards: an object of JSON lines for each run, one line for each table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

PREFIX = "runs/"
LOCK = "runs/lock.json"


def run_key(started: str, run: str) -> str:
    """The object of a run, by when it started (ISO 8601) and its name."""
    return f"{PREFIX}{started[:10]}/{started}-{run}.jsonl"


def write(s3: Any, bucket: str, started: str, run: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write what a run has done so far."""
    body = "".join(json.dumps(row) + "\n" for row in rows)
    s3.put_object(Bucket=bucket, Key=run_key(started, run), Body=body.encode())


def read(s3: Any, bucket: str, days: int) -> Iterator[dict[str, Any]]:
    """The rows of all runs of the last days, the oldest first.

    Args:
        s3: A client.
        bucket: The error bucket.
        days: How many days, today among them.
    """
    today = datetime.now(UTC).date()
    for back in range(days, -1, -1):
        yield from _of_day(s3, bucket, today - timedelta(days=back))


def _of_day(s3: Any, bucket: str, day: date) -> Iterator[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{PREFIX}{day}/")
    for key in [each["Key"] for page in pages for each in page.get("Contents", ())]:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        yield from (json.loads(line) for line in body.splitlines())
