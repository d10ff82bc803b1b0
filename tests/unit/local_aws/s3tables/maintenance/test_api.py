"""When jobs run: in their own process, but not where there is nothing for them to do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from local_aws.s3tables.maintenance.api import JOBS, NOTHING_DONE, PATH, Maintenance
from local_aws.wire import Request, json_response

BUCKET = "arn:aws:s3tables:us-east-1:000000000000:bucket/b"
SETTINGS = {"targetFileSizeMB": 512, "strategy": "auto"}


def maintenance(
    monkeypatch: pytest.MonkeyPatch, state_dir: Path, metadata: Any, jobs: dict[str, Any]
) -> tuple[Maintenance, list[Any]]:
    """The service over a bucket of one table, and what its process was asked to do."""

    async def ministack(request: Request) -> Any:
        if request.path == "/buckets":
            return json_response({"tableBuckets": [{"arn": BUCKET}]})
        status = {job: {"status": "enabled", "settings": {job: value}} for job, value in jobs.items()}
        return json_response({"configuration": {job: {"status": "disabled"} for job in JOBS} | status})

    async def names(*_: str) -> list[str]:
        return ["n"]

    async def record(_: object) -> Any:
        return json_response({"tableARN": "arn"})

    async def find(_: object) -> Any:
        return SimpleNamespace(metadata=SimpleNamespace(**metadata))

    async def run(_: object, request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request["jobs"])
        return {"outcomes": {job: {"ran": True} for job in request["jobs"]}, "noncurrent": {}}

    asked: list[Any] = []
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr("local_aws.s3tables.maintenance.process.MaintenanceProcess.run", run)
    tables: Any = SimpleNamespace(namespaces=names, names=names, record=record, find=find)
    (state_dir / "maintenance").mkdir()
    return Maintenance(ministack, tables, state_dir, "http://127.0.0.1:1"), asked  # type: ignore[arg-type]


EMPTY = {"snapshots": [], "properties": {}}
BOTH = {"icebergCompaction": SETTINGS, "icebergSnapshotManagement": {"minSnapshotsToKeep": 1}}


@pytest.mark.parametrize(
    ("metadata", "jobs", "starts"),
    [
        (EMPTY, BOTH, False),
        (EMPTY | {"snapshots": ["one"]}, BOTH, True),
        # These fail, on an empty table too.
        (EMPTY | {"properties": {"gc.enabled": "false"}}, BOTH, True),
        (EMPTY | {"properties": {"history.expire.min-snapshots-to-keep": "1"}}, BOTH, True),
        (EMPTY, {"icebergCompaction": SETTINGS | {"strategy": "z-order"}}, True),
    ],
)
def test_the_process_starts_for_what_can_find_something(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    metadata: dict[str, Any],
    jobs: dict[str, Any],
    *,
    starts: bool,
) -> None:
    async def outcomes() -> Any:
        service, asked = maintenance(monkeypatch, tmp_path, metadata, jobs)
        answer = await service.handle(Request("POST", PATH, body=b"{}"))
        assert answer is not None
        return orjson.loads(answer.body)[0]["outcomes"], asked

    found, asked = asyncio.run(outcomes())
    assert bool(asked) == starts
    assert found == (
        {job: {"ran": True} for job in jobs} if starts else {job: NOTHING_DONE[job] for job in jobs}
    )
