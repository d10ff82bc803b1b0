"""Queries in a row leave a bounded number of executions, no cursors and no files; results come from S3."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from local_aws.athena.api import operations as api
from local_aws.athena.statements import executions
from local_aws.s3tables.tables import IcebergTables
from local_aws.seams import s3
from local_aws.wire import AwsError, Request, Response

EXECUTIONS, QUERIES = 10, 16


class Objects:
    """ministack as far as a query needs it: a workgroup, and objects that are put into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, bucket: str, key: str) -> Path:
        return self.folder / bucket / key

    async def __call__(self, request: Request) -> Response:
        file = self.file(*request.path[1:].split("/", 1))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(request.body)
        return Response()

    async def operation(self, target: str, payload: Mapping[str, Any]) -> Any:
        output = {"OutputLocation": "s3://results/"}
        return {"WorkGroup": {"Configuration": {"ResultConfiguration": output}}}


async def ask(athena: api.Operations, sql: str) -> str:
    query_id: str = (await athena.start_query({"QueryString": sql}))["QueryExecutionId"]
    while True:
        execution = (await athena.get_query({"QueryExecutionId": query_id}))["QueryExecution"]
        if execution["Status"]["State"] not in ("QUEUED", "RUNNING"):
            return query_id


async def value_of(athena: api.Operations, query_id: str) -> str:
    answer = orjson.loads(orjson.dumps(await athena.get_results({"QueryExecutionId": query_id})))
    value: str = answer["ResultSet"]["Rows"][1]["Data"][0]["VarCharValue"]
    return value


def test_queries_in_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects(tmp_path / "s3")
    monkeypatch.setattr(s3, "object_file", objects.file)
    monkeypatch.setattr(executions, "KEPT", EXECUTIONS)
    asyncio.run(ask_in_a_row(objects, tmp_path / "duckdb"))


async def ask_in_a_row(objects: Objects, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    athena = api.Operations(objects, IcebergTables(objects), folder, "http://127.0.0.1:1", "us-east-1", loop)
    try:
        ids = [await ask(athena, f"SELECT {n} AS n") for n in range(QUERIES)]
        failed = await ask(athena, "SELECT CAST('x' AS integer)")
        await asyncio.gather(*athena._tasks)
        await asyncio.sleep(0)  # they are forgotten in the next round of the loop
        listed = (await athena.list_queries({}))["QueryExecutionIds"]
        assert listed == [failed, *reversed(ids)][:EXECUTIONS]
        assert [file for file in athena.engine.scratch.iterdir() if file.is_file()] == []
        assert not athena._runner._cursors
        assert not athena._tasks

        kept = ids[1 - EXECUTIONS :]
        assert [await value_of(athena, i) for i in kept] == [str(ids.index(i)) for i in kept]
        objects.file("results", f"{kept[0]}.csv").unlink()
        with pytest.raises(AwsError, match=f"Could not find results at s3://results/{kept[0]}.csv"):
            await value_of(athena, kept[0])
    finally:
        await athena.close()
