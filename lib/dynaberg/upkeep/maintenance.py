"""Table maintenance of S3 Tables: compaction, snapshot expiry, removal of unreferenced files.

S3 Tables does all three by itself, in the background, within a day; the local AWS does them as soon as the
settings are changed. The first two are set for a table, the third for all tables of the table bucket. The
call takes the table bucket's ARN, `arn:aws:s3tables:…:bucket/…`; the one in AWS's blog post, `arn:aws:s3:…`,
belongs to another service and is refused.
Source: Amazon S3 User Guide, "Maintenance for tables" and "Maintenance for table buckets".
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dynaberg import aws, catalog
from dynaberg.errors import NotReadyError, SettingsError, require_moments, require_whole
from dynaberg.upkeep.what_if import preview_retention

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.settings import Settings

COMPACTION = "icebergCompaction"
SNAPSHOTS = "icebergSnapshotManagement"
UNREFERENCED = "icebergUnreferencedFileRemoval"
STRATEGIES = ("auto", "binpack", "sort", "z-order")
COLUMNS = ["job", "enabled", "setting", "value", "default", "status", "last_run_at", "message"]


@dataclass(frozen=True)
class _Setting:
    """A setting: its job, its name in the API, AWS's default, and the allowed values."""

    job: str
    api_name: str
    default: int | str
    allowed: range | tuple[str, ...]
    removes_data: bool


_MOST = 2**31
_SETTINGS = {
    "target_mb": _Setting(COMPACTION, "targetFileSizeMB", 512, range(64, 513), False),
    "strategy": _Setting(COMPACTION, "strategy", "auto", STRATEGIES, False),
    "min_snapshots": _Setting(SNAPSHOTS, "minSnapshotsToKeep", 1, range(1, _MOST), True),
    "max_age_hours": _Setting(SNAPSHOTS, "maxSnapshotAgeHours", 120, range(1, _MOST), True),
    "unreferenced_days": _Setting(UNREFERENCED, "unreferencedDays", 3, range(1, _MOST), True),
    "noncurrent_days": _Setting(UNREFERENCED, "nonCurrentDays", 10, range(1, _MOST), True),
}
_JOBS = {COMPACTION: "compaction", SNAPSHOTS: "snapshots", UNREFERENCED: "unreferenced files"}


def maintenance(session: boto3.Session, settings: Settings, table: Table) -> pd.DataFrame:
    """The maintenance settings of a table, and the results of the jobs' last runs.

    Args:
        session: An open session.
        settings: Names of the table bucket and the namespace.
        table: Native pyiceberg table.

    Returns:
        One row per setting: job, enabled, setting, value, default (AWS's), status (`Not_Yet_Run`,
        `Successful`, `Failed` or `Disabled`), last_run_at (UTC), message (why it failed).
    """
    return _read(session, _names(session, settings, table))


def _read(session: boto3.Session, names: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    configured = _configuration(session, names)
    jobs = aws.client(session, "s3tables").get_table_maintenance_job_status(**names)["status"]
    rows = []
    for name, setting in _SETTINGS.items():
        found, job = configured.get(setting.job, {}), jobs.get(setting.job, {})
        value = found.get("settings", {}).get(setting.job, {}).get(setting.api_name, setting.default)
        enabled = found.get("status", "enabled") == "enabled"
        outcome = job.get("status", "Not_Yet_Run"), job.get("lastRunTimestamp"), job.get("failureMessage", "")
        rows.append((_JOBS[setting.job], enabled, name, value, setting.default, *outcome))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(last_run_at=pd.to_datetime(frame["last_run_at"], utc=True))


def preview_maintenance(
    session: boto3.Session,
    settings: Settings,
    table: Table,
    *,
    min_snapshots: int | None = None,
    max_age_hours: int | None = None,
    at: datetime | None = None,
) -> pd.DataFrame:
    """What other settings would remove, before they are applied; those left out stay as they are.

    Args:
        session: An open session.
        settings: Names of the table bucket and the namespace.
        table: Native pyiceberg table.
        min_snapshots: How many snapshots stay, however old.
        max_age_hours: Younger snapshots stay.
        at: Timezone-aware moment at which the job runs; by default now.

    Returns:
        One row per snapshot, as `retention.preview_retention` has it.

    Raises:
        SettingsError: An invalid setting, or `at` has no time zone.
    """
    require_moments(at)
    wanted = _checked({"min_snapshots": min_snapshots, "max_age_hours": max_age_hours})
    now = _values(maintenance(session, settings, table))
    chosen = {name: int(wanted.get(name, now[name])) for name in ("min_snapshots", "max_age_hours")}
    return preview_retention(table, **chosen, at=at)


def maintain(
    session: boto3.Session,
    settings: Settings,
    table: Table,
    *,
    confirm: str = "",
    wait_seconds: float = 30,
    **wanted: int | str | None,
) -> pd.DataFrame:
    """Apply maintenance settings, and wait briefly for the jobs.

    Settings that are left out stay as they are, and a job that was disabled is enabled.

    Args:
        session: An open session.
        settings: Names of the table bucket and the namespace.
        table: Native pyiceberg table.
        confirm: The table's name; required for settings that remove snapshots or files.
        wait_seconds: How long to wait for the jobs. On AWS they run later; the status shows when.
        **wanted: `target_mb` (64 to 512), `strategy` (`auto`, `binpack`, `sort`, `z-order`), `min_snapshots`,
            `max_age_hours`; and for all tables of the bucket `unreferenced_days`, `noncurrent_days`.

    Returns:
        The settings and the jobs' status, as `maintenance` has them.

    Raises:
        SettingsError: An invalid setting, or one that removes something and is not confirmed; nothing was
            changed.

    Example:
        >>> maintain(session, settings, table, target_mb=128)
        >>> maintain(session, settings, table, max_age_hours=720, confirm="transactions")
    """
    chosen = _checked(wanted)
    started, names = datetime.now(UTC), _names(session, settings, table)
    before = _values(_read(session, names))
    _require_confirmation(table, before, chosen, confirm)
    jobs = {_SETTINGS[key].job for key in chosen}
    for job in jobs:
        _put(session, names, job, before | chosen)

    def ran() -> bool:
        found = _read(session, names)
        of_jobs = found[found["job"].isin([_JOBS[job] for job in jobs])]
        return bool((of_jobs["last_run_at"] >= started).all())

    with suppress(NotReadyError):  # as usual on AWS; the status says so
        aws.wait_for(ran, timeout=wait_seconds, what="The end of the maintenance jobs")
    return _read(session, names)


def _checked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are given, without those that stay as they are."""
    given = {name: value for name, value in wanted.items() if value is not None}
    for name, value in given.items():
        if name not in _SETTINGS:
            msg = f"There is no maintenance setting {name!r}."
            raise SettingsError(msg, hint=f"Settings: {', '.join(_SETTINGS)}.")
        allowed = _SETTINGS[name].allowed
        if isinstance(allowed, range):
            least, most = allowed.start, allowed.stop - 1
            hint = f"Use {least:,} to {most:,}."
            given[name] = require_whole(name, value, least=least, most=most, hint=hint)
        elif value not in allowed:
            raise SettingsError(f"`{name}` is {value!r}.", hint=f"Use {', '.join(allowed)}.")
    return given


def _require_confirmation(
    table: Table, before: Mapping[str, Any], wanted: Mapping[str, Any], confirm: str
) -> None:
    """Refuse settings that remove something, unless the table's name was given; say what would be lost."""
    name = table.name()[-1]
    removing = [key for key in wanted if _SETTINGS[key].removes_data]
    if not removing or confirm == name:
        return
    chosen = {**before, **wanted}
    preview = preview_retention(
        table, min_snapshots=int(chosen["min_snapshots"]), max_age_hours=int(chosen["max_age_hours"])
    )
    gone = preview[preview["expires"]]
    marked = [name for names in gone["bookmarks"] if names for name in names.split(", ")]
    broken = f", and with them the bookmarks {', '.join(marked)}" if marked else ""
    msg = (
        f"`confirm` is {confirm!r}, but {', '.join(removing)} of {name!r} would remove "
        f"{len(gone)} of {len(preview)} snapshots now{broken}. Nothing was changed."
    )
    hint = f'confirm="{name}" applies it; preview_maintenance(…) shows what it would remove.'
    raise SettingsError(msg, hint=hint)


def _put(session: boto3.Session, names: Mapping[str, str], job: str, values: Mapping[str, Any]) -> None:
    s3tables = aws.client(session, "s3tables")
    chosen = {s.api_name: values[name] for name, s in _SETTINGS.items() if s.job == job}
    value = {"status": "enabled", "settings": {job: chosen}}
    if job == UNREFERENCED:
        bucket = names["tableBucketARN"]
        s3tables.put_table_bucket_maintenance_configuration(tableBucketARN=bucket, type=job, value=value)
    else:
        s3tables.put_table_maintenance_configuration(**names, type=job, value=value)


def _values(found: pd.DataFrame) -> dict[str, Any]:
    return dict(zip(found["setting"], found["value"], strict=True))


def _configuration(session: boto3.Session, names: Mapping[str, str]) -> dict[str, Any]:
    s3tables = aws.client(session, "s3tables")
    of_table = s3tables.get_table_maintenance_configuration(**names)["configuration"]
    bucket = names["tableBucketARN"]
    of_bucket = s3tables.get_table_bucket_maintenance_configuration(tableBucketARN=bucket)["configuration"]
    return {**of_table, **of_bucket}


def _names(session: boto3.Session, settings: Settings, table: Table) -> dict[str, str]:
    """The names of a table in the S3 Tables API."""
    namespace, name = table.name()[-2:]
    return {
        "tableBucketARN": catalog.table_bucket_arn(session, settings),
        "namespace": namespace,
        "name": name,
    }
