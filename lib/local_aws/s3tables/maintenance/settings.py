"""Maintenance settings, and what S3 Tables refuses of them.

Source: Amazon S3 API Reference, "PutTableMaintenanceConfiguration"; User Guide, "Maintenance for tables".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from local_aws.wire import AwsError

TABLE_JOBS = ("icebergCompaction", "icebergSnapshotManagement")
BUCKET_JOB = ("icebergUnreferencedFileRemoval",)
JOBS = ("icebergSnapshotManagement", "icebergCompaction", "icebergUnreferencedFileRemoval")
STRATEGIES = ("auto", "binpack", "sort", "z-order")
_MOST = 2**31 - 1
_LIMITS = {
    "targetFileSizeMB": (64, 512),
    "minSnapshotsToKeep": (1, _MOST),
    "maxSnapshotAgeHours": (1, _MOST),
    "unreferencedDays": (1, _MOST),
    "nonCurrentDays": (1, _MOST),
}


def check_settings(job: str, value: Mapping[str, Any], jobs: Collection[str]) -> None:
    """Refuse settings that S3 Tables refuses.

    Args:
        job: The `type` of the call.
        value: Its `value`: status and settings.
        jobs: The types that the call takes.

    Raises:
        AwsError: BadRequestException, with what is wrong.
    """
    if job not in jobs:
        raise _refused(f"The maintenance type {job!r} is none of {', '.join(jobs)}.")
    if value.get("status") not in ("enabled", "disabled", None):
        raise _refused(f"The maintenance status {value['status']!r} is neither enabled nor disabled.")
    settings = value.get("settings") or {}
    if any(name != job for name in settings):
        raise _refused(f"The settings are those of {', '.join(settings)}, the maintenance type is {job}.")
    for name, given in (settings.get(job) or {}).items():
        if name == "strategy" and given not in STRATEGIES:
            raise _refused(f"The compaction strategy {given!r} is none of {', '.join(STRATEGIES)}.")
        least, most = _LIMITS.get(name, (None, None))
        if least is not None and most is not None and not least <= int(given) <= most:
            raise _refused(f"{name} is {given}; it can be {least} to {most}.")


def _refused(message: str) -> AwsError:
    return AwsError("BadRequestException", message)
