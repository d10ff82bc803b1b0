"""Deploying the schedule: its stack, and the package with the plan of what a run does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dynaberg import deploy
from dynaberg.errors import SettingsError, require_whole
from dynaberg.schedule.plan import make_plan

if TYPE_CHECKING:
    import boto3
    import pandas as pd

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

_EVERY = re.compile(r"(\d+) (minute|hour|day)s?")
_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
# A period of an alarm is a day at most ("PutMetricAlarm", Amazon CloudWatch API Reference).
_A_DAY, _RUNS_MISSED = 86_400, 3
_SHARED = (
    *("TableBucketArn", "TableBucketName", "Namespace", "WorkGroupName"),
    *("ErrorBucketName", "ResultsBucketName", "CodeBucketName"),
)


def deploy_schedule(
    session: boto3.Session,
    settings: Settings,
    contracts: Sequence[Contract],
    every: str,
    *,
    attempts: int = 3,
    retry_seconds: int = 60,
    **pace: int,
) -> pd.DataFrame:
    """Deploy the schedule, or bring it up to date with the contracts and the SQL files as they are now.

    Args:
        session: An open session.
        settings: The project.
        contracts: The table contracts of the project.
        every: How often a run begins, such as `15 minutes`, `1 hour` or `1 day`.
        attempts: How often a table is tried in a run before there is an alarm, 1 to 10.
        retry_seconds: How long a run waits before it tries again, 1 to 3600.
        **pace: Other numbers of the template, in seconds: `wait`, `turn`, `lock`.

    Returns:
        One row per resource: resource, type, name, status, seconds.

    Raises:
        SettingsError: `every` cannot be read, or is not between a minute and a day.
        NotFoundError: There is no delivery yet.
        BuildError: The header of a curated SQL file cannot be read.
    """
    seconds = interval_seconds(every)
    attempts = require_whole("attempts", attempts, least=1, most=10, hint="Use for example 3.")
    retry_seconds = require_whole(
        "retry_seconds", retry_seconds, least=1, most=3_600, hint="Use for example 60."
    )
    foundation = deploy.outputs(session, settings, "foundation")
    observe = deploy.outputs(session, settings, "observe")
    parameters = {name: foundation[name] for name in _SHARED} | {
        "Project": settings.name,
        "ScheduleExpression": _expression(every),
        "MissedSeconds": str(min(_A_DAY, _RUNS_MISSED * seconds)),
        "MissedPeriods": str(-(-_RUNS_MISSED * seconds // _A_DAY)),
        "Attempts": str(attempts),
        "RetrySeconds": str(retry_seconds),
        "AccessMode": settings.deployed_access_mode,
        "KmsKeyArn": settings.kms_key_arn,
        "AlarmTopicArn": observe["AlarmTopicArn"],
        "LogRetentionDays": str(settings.log_retention_days),
    }
    parameters |= (
        _copies(session, settings)
        | _pace(pace)
        | _code(session, settings, contracts, foundation["CodeBucketName"])
    )
    return deploy.deploy_part(session, settings, "schedule", parameters)


def update_schedule(session: boto3.Session, settings: Settings, contracts: Sequence[Contract]) -> None:
    """Let the schedule, if there is one, know the contracts and the SQL files as they are now.

    Args:
        session: An open session.
        settings: The project.
        contracts: The table contracts of the project.
    """
    before = deploy.stack_parameters(session, deploy.stack_name(settings, "schedule"))
    if before:
        code = _code(session, settings, contracts, before["CodeBucketName"])
        deploy.deploy_part(session, settings, "schedule", before | code | _copies(session, settings))


def _copies(session: boto3.Session, settings: Settings) -> dict[str, str]:
    """Where the change logs are copied to; empty if they are not."""
    return {"ParquetBucketName": deploy.parquet_outputs(session, settings).get("ParquetBucketName", "")}


def _code(
    session: boto3.Session, settings: Settings, contracts: Sequence[Contract], bucket: str
) -> dict[str, str]:
    """The parameters that say what a run does, and since when it is known."""
    plan = make_plan(session, settings, contracts)
    code = deploy.package_with({"plan.json": plan.encode()})
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"CodeKey": deploy.upload(session, bucket, code), "PlannedAt": now}


def remove_schedule(session: boto3.Session, settings: Settings) -> None:
    """Remove the schedule, if there is one; what its runs did stays, and so do their records."""
    deploy.delete_part(session, settings, "schedule")


def interval_seconds(every: str) -> int:
    """The seconds between two runs.

    Args:
        every: Such as `15 minutes`.

    Raises:
        SettingsError: It cannot be read, or is not between a minute and a day.

    Example:
        >>> interval_seconds("15 minutes")
        900
    """
    found = _EVERY.fullmatch(str(every).strip())
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 60 <= seconds <= _A_DAY:
        msg = f"`every` is {every!r}, which is no time between 1 minute and 1 day."
        raise SettingsError(msg, hint='Write it as "15 minutes", "1 hour" or "1 day".')
    return seconds


def _expression(every: str) -> str:
    """As EventBridge Scheduler has it, which knows `rate(1 minute)` but not `rate(1 minutes)`."""
    number, unit = every.strip().rstrip("s").split(" ")
    return f"rate({int(number)} {unit}{'' if int(number) == 1 else 's'})"


def _pace(given: Mapping[str, int]) -> dict[str, str]:
    return {f"{name.capitalize()}Seconds": str(value) for name, value in given.items()}
