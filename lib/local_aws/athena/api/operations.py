"""Athena's operations, by their names in `X-Amz-Target`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from local_aws.athena.api import prepared
from local_aws.athena.api.results import Page, joined, put_object, read_page, row_of
from local_aws.athena.api.starting import WITHOUT_FILE, new_execution, repeated
from local_aws.athena.dialect import QueryCancelled, QueryError
from local_aws.athena.statements import Execution, Executions, Runner, header, invalid, lines_of_text
from local_aws.athena.tables import Catalogs, Engine, glue, metadata
from local_aws.s3tables import IcebergTables
from local_aws.seams import s3
from local_aws.wire import AwsError, Upstream, bucket_and_key

CONCURRENT_QUERIES = 8
PAGE_ROWS = 1000
ANSWER_WITHIN_SECONDS = 0.25

log = logging.getLogger(__name__)
Payload = Mapping[str, Any]


class Operations:
    """Answers Athena's operations."""

    def __init__(
        self,
        upstream: Upstream,
        tables: IcebergTables,
        folder: Path,
        endpoint: str,
        region: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._upstream, self._region = upstream, region
        self.engine = Engine(folder, endpoint, region)
        self.catalogs = Catalogs(tables, endpoint, region, loop)
        self._runner = Runner(self.engine, self.catalogs)
        self._executions = Executions()
        self._threads = ThreadPoolExecutor(CONCURRENT_QUERIES, "athena")
        self._tasks: set[asyncio.Task[None]] = set()
        self.by_name: Mapping[str, Callable[[Payload], Awaitable[Payload]]] = {
            "StartQueryExecution": self.start_query,
            "StopQueryExecution": self.stop_query,
            "GetQueryExecution": self.get_query,
            "BatchGetQueryExecution": self.batch_get_queries,
            "ListQueryExecutions": self.list_queries,
            "GetQueryResults": self.get_results,
            "GetQueryRuntimeStatistics": self.get_statistics,
        }

    async def close(self) -> None:
        """Stops what runs and closes the database."""
        for task in self._tasks:
            task.cancel()
        self._runner.stop_all()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self.engine.close)

    async def metadata(self, target: str, payload: Payload) -> Payload | None:
        """A catalog operation of Athena or Glue; None where it is of another catalog."""
        service, _, operation = target.partition(".")
        answers = glue.answer if service == "AWSGlue" else metadata.answer
        answer = partial(answers, operation, self.catalogs, payload)
        return await asyncio.get_running_loop().run_in_executor(self._threads, answer)

    async def start_query(self, payload: Payload) -> Payload:
        """`StartQueryExecution`."""
        token = payload.get("ClientRequestToken") or ""
        if token and (known := self._executions.by_token(token)):
            return repeated(known, payload)
        execution = await new_execution(self._upstream, payload)
        self._executions.add(execution)
        task = asyncio.create_task(self._run(execution))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"QueryExecutionId": execution.id}

    async def _run(self, execution: Execution) -> None:
        loop = asyncio.get_running_loop()
        try:
            execution.state = "RUNNING" if not execution.is_finished else execution.state
            if execution.substatement_type in ("PREPARE", "DEALLOCATE"):
                await prepared.keep_or_drop(self._upstream, execution.workgroup, execution.statement)
            outcome = await loop.run_in_executor(self._threads, self._runner.run, execution)
            execution.columns = list(outcome.columns)
            execution.rows, execution.update_count = outcome.rows, outcome.update_count
            execution.bytes_scanned, execution.lines = outcome.bytes_scanned, outcome.lines
            await self._store(execution)
            if outcome.written:
                execution.manifest = f"{execution.output}{execution.id}-manifest.csv"
                listed = "".join(f"{name}\n" for name in outcome.written)
                await self._put(execution.manifest, listed.encode(), "text/csv")
            execution.finish("SUCCEEDED")
        except QueryCancelled:
            execution.finish("CANCELLED", "Query cancelled by user")
        except QueryError as error:
            execution.finish("FAILED", str(error), error.as_json())
        except Exception as error:
            log.exception("query %s failed", execution.id)
            failure = QueryError("GENERIC_INTERNAL_ERROR", f"{type(error).__name__}: {error}")
            execution.finish("FAILED", str(failure), failure.as_json())
        finally:
            if execution.file is not None:
                execution.file.unlink(missing_ok=True)

    async def _store(self, execution: Execution) -> None:
        """Puts the result object, and another with the names and types of its columns."""
        file = execution.file
        if file is None or execution.substatement_type in WITHOUT_FILE:
            return
        if execution.suffix == ".txt":
            body, kind = lines_of_text(execution.lines), "text/plain"
        else:
            body, kind = top_of(execution) + await asyncio.to_thread(file.read_bytes), "text/csv"
        await self._put(execution.location, body, kind)
        columns = orjson.dumps(execution.columns)
        await self._put(f"{execution.location}.metadata", columns, "application/octet-stream")

    async def _put(self, address: str, body: bytes, kind: str) -> None:
        await put_object(self._upstream, self._region, address, body, kind)

    async def stop_query(self, payload: Payload) -> Payload:
        """`StopQueryExecution`."""
        execution = self._executions.get(required(payload, "QueryExecutionId"))
        execution.finish("CANCELLED", "Query cancelled by user")
        self._runner.stop(execution.id)
        return {}

    async def get_query(self, payload: Payload) -> Payload:
        """`GetQueryExecution`: as soon as the query has ended, else after a moment: to ask costs it time."""
        execution = self._executions.get(required(payload, "QueryExecutionId"))
        if not execution.is_finished:
            with suppress(TimeoutError):
                await asyncio.wait_for(execution.ended.wait(), ANSWER_WITHIN_SECONDS)
        return {"QueryExecution": execution.as_json()}

    async def batch_get_queries(self, payload: Payload) -> Payload:
        """`BatchGetQueryExecution`."""
        ids = payload.get("QueryExecutionIds") or []
        found = [e.as_json() for i in ids if (e := self._executions.find(i))]
        missing = [
            {
                "QueryExecutionId": i,
                "ErrorCode": "INVALID_INPUT",
                "ErrorMessage": f"QueryExecution {i} was not found",
            }
            for i in ids
            if not self._executions.find(i)
        ]
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    async def list_queries(self, payload: Payload) -> Payload:
        """`ListQueryExecutions`."""
        ids = self._executions.of_workgroup(payload.get("WorkGroup") or "primary")
        return metadata.page("QueryExecutionIds", ids, payload)

    async def get_statistics(self, payload: Payload) -> Payload:
        """`GetQueryRuntimeStatistics`."""
        execution = self._executions.get(required(payload, "QueryExecutionId"))
        timeline = {k: v for k, v in execution.statistics().items() if k.endswith("Millis")}
        rows = {"OutputRows": execution.rows, "InputBytes": execution.bytes_scanned}
        return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": rows}}

    async def get_results(self, payload: Payload) -> Payload:
        """`GetQueryResults`, page by page."""
        execution = self._executions.get(required(payload, "QueryExecutionId"))
        if execution.state != "SUCCEEDED":
            kind = "Final query" if execution.is_finished else "Current"
            message = f"Query did not finish successfully. {kind} state: {execution.state}"
            raise invalid(message, "INVALID_QUERY_EXECUTION")
        count = int(payload.get("MaxResults") or PAGE_ROWS)
        if not 1 <= count <= PAGE_ROWS:
            raise invalid(f"MaxResults is more than maximum allowed length {PAGE_ROWS}.")
        token = str(payload.get("NextToken") or "")
        if token and not token.isdigit():
            raise invalid("Malformed paging token.")
        rows: list[bytes] = []
        if not token and execution.suffix == ".csv":
            rows.append(row_of([column["Name"] for column in execution.columns]))
        page = Page([], None)
        if execution.rows:
            page = await asyncio.to_thread(page_of, execution, int(token or 0), count - len(rows))
        answer: dict[str, Any] = {
            "ResultSet": {
                "Rows": joined([*rows, *page.rows]),
                "ResultSetMetadata": {"ColumnInfo": execution.columns},
            }
        }
        answer["UpdateCount"] = execution.update_count or 0
        if page.following is not None:
            answer["NextToken"] = str(page.following)
        return answer


def top_of(execution: Execution) -> bytes:
    """The first line of a result object."""
    return header([column["Name"] for column in execution.columns])


def page_of(execution: Execution, start: int, count: int) -> Page:
    """Some rows of a result, from the object that holds them: `start` is a place in it, 0 the first row."""
    if execution.suffix == ".txt":
        end = start + count
        rows = [row_of(line) for line in execution.lines[start:end]]
        return Page(rows, end if end < len(execution.lines) else None)
    try:
        file = s3.object_file(*bucket_and_key(execution.location))
        return read_page(file, start or len(top_of(execution)), count)
    except FileNotFoundError as error:
        raise invalid(f"Could not find results at {execution.location}") from error


def required(payload: Payload, name: str) -> str:
    """A member that must be there."""
    if not payload.get(name):
        raise AwsError("InvalidRequestException", f"{name} is required")
    return str(payload[name])
