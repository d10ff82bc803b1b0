"""Athena's operations, by their names in `X-Amz-Target`."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from local_aws.athena import metadata, prepared
from local_aws.athena.catalog import Catalogs
from local_aws.athena.engine import Engine, authorization
from local_aws.athena.errors import QueryCancelled, QueryError
from local_aws.athena.executions import Execution, Executions
from local_aws.athena.results import header, read_page
from local_aws.athena.runner import Runner
from local_aws.athena.statements import kind_of, read
from local_aws.athena.validate import StatementError
from local_aws.wire import AwsError, Request, Upstream

CONCURRENT_QUERIES = 8
FILES_KEPT = 200
PAGE_ROWS = 1000
NO_OUTPUT = (
    "No output location provided. An output location is required either through the Workgroup result "
    "configuration setting or as an API input."
)
WITHOUT_FILE = ("INSERT", "UPDATE", "DELETE", "MERGE", "CREATE_TABLE_AS_SELECT", "UNLOAD")

log = logging.getLogger(__name__)
Payload = Mapping[str, Any]


class Operations:
    """Answers Athena's operations.

    Args:
        upstream: ministack.
        folder: Where DuckDB keeps its files.
        endpoint: The local AWS.
        region: Its region.
    """

    def __init__(self, upstream: Upstream, folder: Path, endpoint: str, region: str) -> None:
        self._upstream, self._region = upstream, region
        self.engine = Engine(folder, endpoint, region)
        self.catalogs = Catalogs(endpoint, region)
        self._runner = Runner(self.engine, self.catalogs)
        self._executions = Executions()
        self._threads = ThreadPoolExecutor(CONCURRENT_QUERIES, "athena")
        self._tasks: set[asyncio.Task[None]] = set()
        self._files: list[Execution] = []
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

    async def metadata(self, operation: str, payload: Payload) -> Payload | None:
        """A catalog operation; None where it is of the Glue catalog."""
        answer = metadata.OPERATIONS[operation]
        return await asyncio.get_running_loop().run_in_executor(self._threads, answer, self.catalogs, payload)

    async def start_query(self, payload: Payload) -> Payload:
        """`StartQueryExecution`."""
        token = payload.get("ClientRequestToken", "")
        if token and (known := self._executions.by_token(token)):
            return repeated(known, payload)
        query = payload.get("QueryString") or ""
        if not 1 <= len(query.encode()) <= 262_144:
            raise AwsError(
                "InvalidRequestException",
                "QueryString must have between 1 and 262144 bytes",
                AthenaErrorCode="INVALID_INPUT",
            )
        workgroup = payload.get("WorkGroup") or "primary"
        context = payload.get("QueryExecutionContext") or {}
        parameters = tuple(payload.get("ExecutionParameters") or ())
        resolved = await prepared.resolve(self._upstream, workgroup, query, parameters)
        execution = Execution(
            query,
            parameters,
            context.get("Catalog") or "",
            context.get("Database") or "",
            workgroup,
            await self._output(workgroup, payload),
            resolved.query,
            resolved.parameters,
            token,
        )
        classify(execution)
        self._executions.add(execution)
        task = asyncio.create_task(self._run(execution))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"QueryExecutionId": execution.id}

    async def _output(self, workgroup: str, payload: Payload) -> str:
        answer = await self._upstream.operation("AmazonAthena.GetWorkGroup", {"WorkGroup": workgroup})
        group = answer["WorkGroup"]
        if group.get("State") == "DISABLED":
            raise AwsError("InvalidRequestException", f"WorkGroup {workgroup} is disabled.")
        settings = group.get("Configuration") or {}
        own = (settings.get("ResultConfiguration") or {}).get("OutputLocation")
        asked = (payload.get("ResultConfiguration") or {}).get("OutputLocation")
        enforced = settings.get("EnforceWorkGroupConfiguration", bool(own))
        output = own if own and (enforced or not asked) else asked
        if not output:
            raise AwsError("InvalidRequestException", NO_OUTPUT, AthenaErrorCode="INVALID_INPUT")
        if not re.match(r"s3://[^/]+", output):
            raise AwsError(
                "InvalidRequestException",
                f"outputLocation is not a valid S3 path: {output}",
                AthenaErrorCode="INVALID_INPUT",
            )
        return str(output) if output.endswith("/") else f"{output}/"

    async def _run(self, execution: Execution) -> None:
        loop = asyncio.get_running_loop()
        try:
            execution.state = "RUNNING" if not execution.is_finished else execution.state
            if execution.substatement_type in ("PREPARE", "DEALLOCATE"):
                await prepared.keep_or_drop(self._upstream, execution.workgroup, execution.statement)
            outcome = await loop.run_in_executor(self._threads, self._runner.run, execution)
            execution.columns = list(outcome.columns)
            execution.rows, execution.update_count = outcome.rows, outcome.update_count
            execution.bytes_scanned = outcome.bytes_scanned
            await self._store(execution)
            if outcome.written:
                manifest = f"{execution.output}{execution.id}-manifest.csv"
                await self._put(
                    manifest, "".join(f"{name}\n" for name in outcome.written).encode(), "text/csv"
                )
                execution.manifest = manifest
            execution.finish("SUCCEEDED")
        except QueryCancelled:
            execution.finish("CANCELLED", "Query cancelled by user")
        except QueryError as error:
            execution.finish("FAILED", str(error), error.as_json())
        except Exception as error:
            log.exception("query %s failed", execution.id)
            failure = QueryError("GENERIC_INTERNAL_ERROR", f"{type(error).__name__}: {error}")
            execution.finish("FAILED", str(failure), failure.as_json())
        self._evict(execution)

    async def _store(self, execution: Execution) -> None:
        """Puts the result object, and the names and types of its columns beside it."""
        file = execution.file
        if file is None or execution.substatement_type in WITHOUT_FILE:
            return
        if execution.suffix == ".txt":
            body = file.with_suffix(".txt").read_bytes()
            file.with_suffix(".txt").unlink()
        else:
            names = [column["Name"] for column in execution.columns]
            body = header(names) + await asyncio.to_thread(file.read_bytes)
        await self._put(execution.location, body, "text/csv" if execution.suffix == ".csv" else "text/plain")
        await self._put(
            f"{execution.location}.metadata", orjson.dumps(execution.columns), "application/octet-stream"
        )

    async def _put(self, address: str, body: bytes, kind: str) -> None:
        parts = urlsplit(address)
        path = f"/{parts.netloc}{parts.path}"
        headers = {
            "host": "localhost",
            "content-type": kind,
            "content-length": str(len(body)),
            "authorization": authorization(self._region, "s3"),
        }
        response = await self._upstream(Request("PUT", path, quote(path), {}, headers, body))
        if response.status >= 300:
            code = re.search(rb"<Code>(.*?)</Code>", response.body)
            reason = code[1].decode() if code else str(response.status)
            raise QueryError("INVALID_OUTPUT_LOCATION", f"Unable to write the result to {address}: {reason}")

    def _evict(self, execution: Execution) -> None:
        """Keeps the files of the last results only; older ones are read from S3."""
        self._files.append(execution)
        while len(self._files) > FILES_KEPT:
            old = self._files.pop(0)
            if old.file is not None:
                old.file.unlink(missing_ok=True)

    async def stop_query(self, payload: Payload) -> Payload:
        """`StopQueryExecution`."""
        execution = self._executions.get(required(payload, "QueryExecutionId"))
        execution.finish("CANCELLED", "Query cancelled by user")
        self._runner.stop(execution.id)
        return {}

    async def get_query(self, payload: Payload) -> Payload:
        """`GetQueryExecution`."""
        return {"QueryExecution": self._executions.get(required(payload, "QueryExecutionId")).as_json()}

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
            ending = (
                f"Final query state: {execution.state}"
                if execution.is_finished
                else f"Current state: {execution.state}"
            )
            raise AwsError(
                "InvalidRequestException",
                f"Query has not yet finished. {ending}",
                AthenaErrorCode="INVALID_QUERY_EXECUTION",
            )
        count = int(payload.get("MaxResults") or PAGE_ROWS)
        if not 1 <= count <= PAGE_ROWS:
            raise AwsError(
                "InvalidRequestException", f"MaxResults is more than maximum allowed length {PAGE_ROWS}."
            )
        token = str(payload.get("NextToken") or "")
        if token and not token.isdigit():
            raise AwsError("InvalidRequestException", "Malformed paging token.")
        rows: list[list[str | None]] = []
        if not token and execution.suffix == ".csv":
            rows.append([column["Name"] for column in execution.columns])
        following: int | None = None
        if execution.rows:
            file = await self._file(execution)
            more, following = await asyncio.to_thread(read_page, file, int(token or 0), count - len(rows))
            rows += more
        answer: dict[str, Any] = {
            "ResultSet": {
                "Rows": [{"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in rows],
                "ResultSetMetadata": {"ColumnInfo": execution.columns},
            }
        }
        answer["UpdateCount"] = execution.update_count or 0
        if following is not None:
            answer["NextToken"] = str(following)
        return answer

    async def _file(self, execution: Execution) -> Path:
        """The rows at hand, fetched from S3 again where they were evicted."""
        file = execution.file
        assert file is not None  # noqa: S101 - a result with rows has had a file
        if not file.exists():
            parts = urlsplit(execution.location)
            path = f"/{parts.netloc}{parts.path}"
            headers = {"host": "localhost", "authorization": authorization(self._region, "s3")}
            response = await self._upstream(Request("GET", path, quote(path), {}, headers))
            if response.status != 200:
                raise AwsError("InvalidRequestException", f"Could not find results at {execution.location}")
            top = header([column["Name"] for column in execution.columns])
            body = response.body.removeprefix(top) if execution.suffix == ".csv" else response.body
            await asyncio.to_thread(file.write_bytes, body)
            self._evict(execution)
        return file


def classify(execution: Execution) -> None:
    """Sets the kind of a statement; what Athena's parser refuses fails here already.

    Raises:
        AwsError: InvalidRequestException with MALFORMED_QUERY.
    """
    try:
        kind = kind_of(execution.statement)
        execution.statement_type, execution.substatement_type = kind.type, kind.name
        if kind.is_query:
            read(execution.statement, execution.values)
    except StatementError as problem:
        raise AwsError(
            "InvalidRequestException", problem.message, AthenaErrorCode="MALFORMED_QUERY"
        ) from problem
    except QueryError:
        pass
    if execution.substatement_type in WITHOUT_FILE:
        execution.suffix = ""
    elif execution.statement_type != "DML":
        execution.suffix = ".txt"


def repeated(known: Execution, payload: Payload) -> Payload:
    """The answer to a request sent twice under one token."""
    if known.query != payload.get("QueryString"):
        raise AwsError(
            "InvalidRequestException", "Idempotent parameters do not match", AthenaErrorCode="INVALID_INPUT"
        )
    return {"QueryExecutionId": known.id}


def required(payload: Payload, name: str) -> str:
    """A member that must be there."""
    if not payload.get(name):
        raise AwsError("InvalidRequestException", f"{name} is required")
    return str(payload[name])
