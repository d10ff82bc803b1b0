"""Maintenance of S3 Tables: the settings are checked, and what they say is carried out.

On AWS the jobs run in the background, some time within a day. Here a job runs as soon as its settings are
put, all of them every three hours, and on demand:

    POST /_local_aws/maintenance   {"tableBucketARN": …, "namespace": …, "name": …, "hoursAhead": 0}

Any of the names may be left out, for all. `hoursAhead` sets the jobs' clock ahead, because no
setting makes a snapshot expire before it is an hour old. ministack keeps the settings; the results of
the jobs are kept here.
Sources: Amazon S3 User Guide, "Maintenance for tables", "Maintenance job status"; Amazon S3 API Reference,
"PutTableMaintenanceConfiguration".
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local_aws.json_files import read_json, write_json
from local_aws.s3tables import ARN, TABLE, IcebergTables, TableName
from local_aws.s3tables.maintenance.process import MaintenanceProcess
from local_aws.wire import (
    AwsError,
    IcebergError,
    Parts,
    Request,
    Response,
    Routes,
    Service,
    Upstream,
    json_response,
    signed,
    succeeded,
)

PATH = "/_local_aws/maintenance"
FILE = "jobs.json"
EVERY_SECONDS = 3 * 3600
TABLE_JOBS = ("icebergCompaction", "icebergSnapshotManagement")
BUCKET_JOB = ("icebergUnreferencedFileRemoval",)
JOBS = ("icebergSnapshotManagement", "icebergCompaction", "icebergUnreferencedFileRemoval")
STRATEGIES = ("auto", "binpack", "sort", "z-order")
NOTHING_DONE: Mapping[str, Mapping[str, Any]] = {
    "icebergCompaction": {"filesBefore": 0, "filesAfter": 0, "snapshotId": None},
    "icebergSnapshotManagement": {"snapshotsExpired": 0, "filesNoncurrent": 0},
}
_MOST = 2**31 - 1
_LIMITS = {
    "targetFileSizeMB": (64, 512),
    "minSnapshotsToKeep": (1, _MOST),
    "maxSnapshotAgeHours": (1, _MOST),
    "unreferencedDays": (1, _MOST),
    "nonCurrentDays": (1, _MOST),
}

log = logging.getLogger(__name__)


class Maintenance(Service):
    """The maintenance part of the S3 Tables API (a `Service`).

    Args:
        ministack: Keeps the settings.
        tables: The tables.
        state_dir: The local AWS's state folder.
        endpoint: Address of the gateway.
    """

    def __init__(self, ministack: Upstream, tables: IcebergTables, state_dir: Path, endpoint: str) -> None:
        self._ministack, self._tables = ministack, tables
        self._region = os.environ["AWS_REGION"]
        self._process = MaintenanceProcess(endpoint, self._region)
        self._file = state_dir / "maintenance" / FILE
        self._tasks: set[asyncio.Task[Any]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._routes = Routes(
            (
                ("PUT", rf"/tables/{TABLE}/maintenance/(?P<job>[^/]+)", self._put_for_table),
                ("PUT", rf"/buckets/{ARN}/maintenance/(?P<job>[^/]+)", self._put_for_bucket),
                ("GET", rf"/tables/{TABLE}/maintenance-job-status", self._get_status),
                ("POST", PATH, self._run_now),
            )
        )

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this is a call about maintenance."""
        return self._routes.find(method, path) is not None

    async def handle(self, request: Request) -> Response | None:
        """Answer a call about maintenance."""
        found = self._routes.find(request.method, request.path)
        return await found[0](request, found[1]) if found else None

    async def start(self) -> None:
        """Start to run the jobs on schedule."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._begin(self._run_on_schedule())

    async def stop(self) -> None:
        """End what runs; a job that is ended has committed all or nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._process.stop()

    # The API ------------------------------------------------------------------------------------

    async def _put_for_table(self, request: Request, parts: Parts) -> Response:
        check_settings(parts["job"], request.json().get("value") or {}, TABLE_JOBS)
        table = TableName(parts["bucket"], parts["namespace"], parts["table"])
        response = await self._ministack(request)
        if response.status < 300:
            self._begin(self._run(table, [parts["job"]], datetime.now(UTC)))
        return response

    async def _put_for_bucket(self, request: Request, parts: Parts) -> Response:
        check_settings(parts["job"], request.json().get("value") or {}, BUCKET_JOB)
        response = await self._ministack(request)
        if response.status < 300:
            self._begin(self._run_all({"bucket_arn": parts["bucket"]}, [parts["job"]], datetime.now(UTC)))
        return response

    async def _get_status(self, request: Request, parts: Parts) -> Response:
        table = TableName(parts["bucket"], parts["namespace"], parts["table"])
        arn = succeeded(await self._tables.record(table))["tableARN"]
        settings, known = await self._settings(table), self._read(arn).get("status", {})
        never = {"status": "Not_Yet_Run"}
        status = {
            job: known.get(job, never) if settings[job]["status"] == "enabled" else {"status": "Disabled"}
            for job in JOBS
        }
        return json_response({"tableARN": arn, "status": status})

    async def _run_now(self, request: Request, parts: Parts) -> Response:
        asked = request.json()
        names = {"tableBucketARN": "bucket_arn", "namespace": "namespace", "name": "name"}
        wanted = {field: asked[key] for key, field in names.items() if key in asked}
        now = datetime.now(UTC) + timedelta(hours=float(asked.get("hoursAhead", 0)))
        return json_response(await self._run_all(wanted, JOBS, now))

    # Running ------------------------------------------------------------------------------------

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_on_schedule(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self._run_all({}, JOBS, datetime.now(UTC))
            except Exception:
                log.exception("The scheduled maintenance failed")

    async def _run_all(
        self, wanted: Mapping[str, str], jobs: Iterable[str], now: datetime
    ) -> list[dict[str, Any]]:
        done = []
        for table in await self._all_tables():
            if all(getattr(table, field) == value for field, value in wanted.items()):
                done.append({"name": str(table), "outcomes": await self._run(table, jobs, now)})
        return done

    async def _run(self, table: TableName, jobs: Iterable[str], now: datetime) -> dict[str, Any]:
        """Run those of some jobs that are enabled, and keep their results."""
        async with self._one_at_a_time:
            record = await self._tables.record(table)
            if record.status >= 400:
                return {}
            arn, settings = record.json()["tableARN"], await self._settings(table)
            enabled = {
                job: settings[job]["settings"][job] for job in jobs if settings[job]["status"] == "enabled"
            }
            if not enabled:
                return {}
            kept = self._read(arn)
            request = {
                "tableBucketARN": table.bucket_arn,
                "namespace": table.namespace,
                "name": table.name,
                "now": now.isoformat(),
                "jobs": enabled,
                "noncurrent": kept.get("noncurrent", {}),
            }
            try:
                if await self._is_idle(table, enabled):
                    answer = request | {"outcomes": {job: NOTHING_DONE[job] for job in enabled}}
                else:
                    answer = await self._process.run(request)
            except (OSError, IcebergError) as error:
                failed = {job: {"failureMessage": str(error)} for job in enabled}
                answer = {"outcomes": failed, "noncurrent": request["noncurrent"]}
            ran_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            outcomes = dict(answer["outcomes"])
            status = {job: _status(outcome, ran_at) for job, outcome in outcomes.items()}
            kept = {"status": kept.get("status", {}) | status, "noncurrent": answer["noncurrent"]}
            write_json(self._file, read_json(self._file) | {arn: kept})
            return outcomes

    async def _is_idle(self, table: TableName, jobs: Mapping[str, Any]) -> bool:
        """Whether jobs would find nothing, as in every new table: their process need not start for that."""
        stored = await self._tables.find(table)
        if stored is None or stored.metadata.snapshots or not jobs.keys() <= NOTHING_DONE.keys():
            return False
        refused = any(name.startswith(("gc.", "history.")) for name in stored.metadata.properties)
        return not refused and all(job.get("strategy") not in ("sort", "z-order") for job in jobs.values())

    def _read(self, table_arn: str) -> dict[str, Any]:
        return dict(read_json(self._file).get(table_arn, {}))

    # What ministack knows -----------------------------------------------------------------------

    async def _settings(self, table: TableName) -> dict[str, Any]:
        """The settings of each job, those of the table bucket among them."""
        bucket = quote(table.bucket_arn, safe="")
        of_table = await self._ask(f"{table.path}/maintenance")
        of_bucket = await self._ask(f"/buckets/{bucket}/maintenance")
        return dict(of_table["configuration"]) | dict(of_bucket["configuration"])

    async def _all_tables(self) -> list[TableName]:
        buckets = [bucket["arn"] for bucket in (await self._ask("/buckets"))["tableBuckets"]]
        return [
            TableName(bucket, namespace, name)
            for bucket in buckets
            for namespace in await self._tables.namespaces(bucket)
            for name in await self._tables.names(bucket, namespace)
        ]

    async def _ask(self, path: str) -> Any:
        return succeeded(await self._ministack(signed("s3tables", self._region, "GET", path)))


def _status(outcome: Mapping[str, Any], ran_at: str) -> dict[str, str]:
    if "failureMessage" in outcome:
        return {
            "status": "Failed",
            "lastRunTimestamp": ran_at,
            "failureMessage": str(outcome["failureMessage"]),
        }
    return {"status": "Successful", "lastRunTimestamp": ran_at}


def check_settings(job: str, value: Mapping[str, Any], jobs: Collection[str]) -> None:
    """Refuse settings that S3 Tables refuses."""
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
