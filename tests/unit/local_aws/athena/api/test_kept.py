"""Queries in a row leave a bounded number of results, executions and cursors; older results come from S3."""

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
from local_aws.wire import Request, Response

FILES, EXECUTIONS, QUERIES = 3, 10, 16


class Objects:
    """ministack as far as a query needs it: a workgroup, and objects that are put and got."""

    def __init__(self) -> None:
        self.by_path: dict[str, bytes] = {}

    async def __call__(self, request: Request) -> Response:
        if request.method == "PUT":
            self.by_path[request.path] = request.body
            return Response()
        body = self.by_path.get(request.path)
        return Response(404) if body is None else Response(200, body)

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
    monkeypatch.setattr(api, "FILES_KEPT", FILES)
    monkeypatch.setattr(executions, "KEPT", EXECUTIONS)
    asyncio.run(ask_in_a_row(tmp_path))


async def ask_in_a_row(folder: Path) -> None:
    objects, loop = Objects(), asyncio.get_running_loop()
    athena = api.Operations(objects, IcebergTables(objects), folder, "http://127.0.0.1:1", "us-east-1", loop)
    try:
        ids = [await ask(athena, f"SELECT {n} AS n") for n in range(QUERIES)]
        failed = await ask(athena, "SELECT CAST('x' AS integer)")
        await asyncio.gather(*athena._tasks)
        listed = (await athena.list_queries({}))["QueryExecutionIds"]
        assert listed == [failed, *reversed(ids)][:EXECUTIONS]
        assert results_at_hand(athena) <= set(ids[-FILES:])
        assert not athena._runner._cursors
        assert not athena._tasks

        kept = ids[1 - EXECUTIONS :]
        assert [await value_of(athena, i) for i in kept] == [str(ids.index(i)) for i in kept]
        assert len(results_at_hand(athena)) <= FILES
        assert len(athena._files) <= FILES
    finally:
        await athena.close()


def results_at_hand(athena: api.Operations) -> set[str]:
    """The results in the scratch folder, by their query's id."""
    return {file.name for file in athena.engine.scratch.iterdir() if file.is_file()}
