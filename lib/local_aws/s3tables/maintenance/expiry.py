"""Snapshot expiry, and the removal of files that no snapshot refers to.

S3 Tables expires the oldest snapshot while its age exceeds the maximum and there are more than the minimum.
Files that only expired snapshots had become noncurrent at once, other unreferenced files after
`unreferencedDays`; noncurrent ones are deleted after `nonCurrentDays`.
Source: Amazon S3 User Guide, "Maintenance for tables" and "Maintenance for table buckets".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH

from local_aws.wire import bucket_and_key

_FORBIDDEN_PREFIX = "history.expire."
_COLLECTED = "gc.enabled"


class ExpiryError(Exception):
    """A table whose snapshots cannot be expired."""


@dataclass(frozen=True)
class Removal:
    """What a removal of unreferenced files did.

    Attributes:
        deleted: Locations of the files that were deleted.
        noncurrent: Since when each of the others is noncurrent, by location.
    """

    deleted: list[str]
    noncurrent: dict[str, datetime]


def expire(table: Table, *, min_to_keep: int, max_age: timedelta, now: datetime) -> set[str]:
    """Expire snapshots; the locations of the files that none of the others refers to."""
    refuse_what_s3_tables_refuses(table)
    expired = to_expire(table, min_to_keep, max_age, now)
    if not expired:
        return set()
    before = referenced(table)
    table.maintenance.expire_snapshots().by_ids(expired).commit()
    table.refresh()
    return before - referenced(table)


def to_expire(table: Table, min_to_keep: int, max_age: timedelta, now: datetime) -> list[int]:
    """The snapshots to expire, oldest first; never the current one."""
    oldest_ms = (now - max_age).timestamp() * 1000
    ordered = sorted(table.snapshots(), key=lambda s: (s.sequence_number or 0, s.timestamp_ms))
    candidates = ordered[: max(0, len(ordered) - min_to_keep)]
    current = table.metadata.current_snapshot_id
    expired = []
    for snapshot in candidates:
        if snapshot.timestamp_ms >= oldest_ms:
            break
        if snapshot.snapshot_id != current:
            expired.append(snapshot.snapshot_id)
    return expired


def refuse_what_s3_tables_refuses(table: Table) -> None:
    """Fail as the job does on S3 Tables ("Considerations and limitations for maintenance jobs")."""
    refs = sorted(name for name in table.metadata.refs if name != MAIN_BRANCH)
    if refs:
        raise ExpiryError(f"The table has tags or branches: {', '.join(refs)}.")
    names = [name for name in table.properties if name.startswith(_FORBIDDEN_PREFIX)]
    if table.properties.get(_COLLECTED, "true").lower() == "false":
        names.append(_COLLECTED)
    if names:
        raise ExpiryError(f"The table has properties that regulate expiry: {', '.join(sorted(names))}.")


def referenced(table: Table) -> set[str]:
    """The locations of all files that a table's metadata or one of its snapshots refers to."""
    metadata = table.metadata
    found = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    found |= {file.statistics_path for file in (*metadata.statistics, *metadata.partition_statistics)}
    manifests: dict[str, ManifestFile] = {}
    for snapshot in table.snapshots():
        found.add(snapshot.manifest_list)
        manifests |= {manifest.manifest_path: manifest for manifest in snapshot.manifests(table.io)}
    for manifest in manifests.values():
        entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
        found |= {entry.data_file.file_path for entry in entries}
    return found | manifests.keys()


def remove_unreferenced(
    table: Table,
    s3: Any,
    noncurrent: Mapping[str, datetime],
    *,
    unreferenced_days: int,
    noncurrent_days: int,
    now: datetime,
) -> Removal:
    """Delete the unreferenced files of a table, once they are due."""
    table.refresh()
    stored = dict(objects(s3, table.location()))
    unreferenced = stored.keys() - referenced(table)
    since = {name: moment for name, moment in noncurrent.items() if name in unreferenced}
    for name in unreferenced - since.keys():
        if now - stored[name] >= timedelta(days=unreferenced_days):
            since[name] = now
    due = sorted(name for name, moment in since.items() if now - moment >= timedelta(days=noncurrent_days))
    for name in due:
        bucket, key = bucket_and_key(name)
        s3.delete_object(Bucket=bucket, Key=key)
    return Removal(due, {name: moment for name, moment in since.items() if name not in due})


def objects(s3: Any, location: str) -> Iterable[tuple[str, datetime]]:
    """The objects under a table's location, and when they were written."""
    bucket, prefix = bucket_and_key(location)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for item in page.get("Contents", []):
            yield f"s3://{bucket}/{item['Key']}", item["LastModified"]
