"""Athena SQL through PyAthena: bound parameters, progress, exact types, helpful error messages."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dynaberg import aws
from dynaberg.errors import DynabergError, QueryCancelledError, QueryError
from dynaberg.sql.exact import exactly, forget_tables
from dynaberg.sql.parameters import bind
from dynaberg.sql.refusals import check_length, explain
from dynaberg.sql.result import QueryResult
from dynaberg.sql.types import AS_TEXT, ResultColumn, to_frame

if TYPE_CHECKING:
    import boto3
    import pyarrow as pa
    from pyathena.connection import Connection
    from pyathena.cursor import Cursor

    from dynaberg.settings import Settings

# GetQueryResults returns 1,000 rows at a time; the first page includes the header.
_FIRST_PAGE_ROWS = 999
_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS, _POLL_GROWTH = 0.004, 1.0, 1.5
_RUNNING = ("QUEUED", "RUNNING")
_CONFLICTS, _ATTEMPTS = ("ICEBERG_COMMIT_ERROR", "COMMIT_CONFLICT", "ConflictException"), 5
_CONFLICT_SECONDS = 0.2
# Arrow's own is 1 MiB; a row that Athena returns has at most 32 MB ("Service Quotas").
_CSV_BLOCK_BYTES = 32 * 2**20

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}

# A library does not print: without a handler of its own Python would write PyAthena's errors to stderr.
logging.getLogger("pyathena").addHandler(logging.NullHandler())


def query(
    session: boto3.Session,
    settings: Settings,
    sql: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    progress: bool = True,
    timeout: float = 1800,
) -> QueryResult:
    """Run one Athena statement and read its result.

    Interrupting the kernel stops the query on the server too.

    Lists, maps and structs that a SELECT from one table names are read exactly. If a statement computes or
    joins them, they stay Athena's text, and the result says so: nothing is guessed.

    Args:
        session: Open boto3 session.
        settings: Their `name` is the workgroup's; the tables are in their `namespace`.
        sql: One statement; `:name` and `?` stand for parameters.
        params: Values by name or by position; Athena binds them, they are never formatted in.
        progress: Whether a query of more than half a second shows the bytes scanned so far.
        timeout: Deadline in seconds, after which the query is stopped.

    Returns:
        The result.

    Raises:
        QueryError: Athena refused the statement; the message shows where, the hint says what to do.
        QueryCancelledError: The query was stopped, by an interrupt or by the deadline.

    Example:
        >>> query(session, settings, "SELECT * FROM transactions WHERE status = :s", {"s": "APPROVED"}).df
    """
    statement, literals = bind(sql, params)
    exact = exactly(session, settings, statement)
    if exact is None:
        found = run(session, settings, statement, literals, progress=progress, timeout=timeout)
        if AS_TEXT in found.df.attrs:
            forget_tables(session, settings)
        return found
    try:
        found = run(session, settings, exact.statement, literals, progress=progress, timeout=timeout)
    except QueryCancelledError:
        raise
    except QueryError:
        # What is wrong is shown in the statement as it was written.
        return run(session, settings, statement, literals, progress=progress, timeout=timeout)
    width = len(found.columns) - len(exact.added)
    df = exact.revived(found.df, found.columns)
    return replace(found, df=df, columns=found.columns[:width], sql=statement)


def run(
    session: boto3.Session,
    settings: Settings,
    statement: str,
    literals: Sequence[str] = (),
    *,
    progress: bool = True,
    timeout: float = 1800,
) -> QueryResult:
    """Run a statement as it is; nested columns stay Athena's text.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        statement: One statement with `?` for each literal.
        literals: What Athena binds.
        progress: Whether a query of more than half a second shows the bytes scanned so far.
        timeout: Deadline in seconds, after which the query is stopped.

    Raises:
        QueryError: Athena refused the statement, or it is too long for Athena.
        QueryCancelledError: The query was stopped, by an interrupt or by the deadline.
    """
    from pyathena.error import Error

    check_length(statement)
    connection = open_connection(session, settings)
    cursor = connection.cursor()

    def wait(query_id: str) -> None:
        _wait(connection.client, query_id, progress, timeout)

    binding: Any = {"parameters": [*literals], "paramstyle": "qmark"} if literals else {}
    try:
        cursor.execute(statement, on_start_query_execution=wait, **binding)
    except Error as error:
        # PyAthena wraps what `aws` explains already: a local AWS that is gone, credentials that have expired.
        if isinstance(error.__cause__, DynabergError):
            raise error.__cause__ from None
        raise explain(session, settings, statement, error) from error
    except KeyboardInterrupt as interrupt:
        msg = "The query was interrupted before Athena had started it."
        raise QueryCancelledError(msg) from interrupt
    return _result(session, settings, statement, cursor)


@lru_cache(maxsize=8)
def open_connection(session: boto3.Session, settings: Settings) -> Connection[Cursor]:
    """A native PyAthena connection: the workgroup, catalog and namespace of the settings, values as text.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
    """
    from pyathena.connection import Connection
    from pyathena.converter import Converter

    class Text(Converter):
        """Leaves the values as Athena writes them; `types` turns whole columns at once."""

        def convert(self, type_: str, value: str | None, type_hint: str | None = None) -> str | None:
            return value

    return Connection(
        session=session,
        region_name=session.region_name,
        work_group=settings.name,
        catalog_name=f"s3tablescatalog/{settings.table_bucket_name}",
        schema_name=settings.namespace,
        config=aws.client_config(),
        # PyAthena asks again after `_wait` has seen the end, so it never sleeps this long.
        poll_interval=0.1,
        converter=Text({}),
    )


def _wait(athena: Any, query_id: str, progress: bool, timeout: float) -> None:
    """Wait until a query has finished; an interrupt or the deadline stops it."""
    from tqdm.auto import tqdm

    # Without `disable` the environment decides: TQDM_DISABLE.
    hidden: Any = {} if progress else {"disable": True}
    bar = tqdm(desc="Athena", unit="B", unit_scale=True, leave=False, delay=0.5, **hidden)
    try:
        with bar:
            ended = _poll(athena, query_id, bar, time.monotonic() + timeout)
    except BaseException as error:
        # Whatever ends the wait, such as throttling to the last attempt: nobody would stop the query later.
        with suppress(Exception):
            athena.stop_query_execution(QueryExecutionId=query_id)
        if isinstance(error, KeyboardInterrupt):
            msg = f"Query {query_id} was interrupted, and stopped in Athena."
            raise QueryCancelledError(msg) from error
        raise
    if not ended:
        athena.stop_query_execution(QueryExecutionId=query_id)
        msg = f"Query {query_id} was stopped: it had not finished after {timeout:g} seconds."
        raise QueryCancelledError(msg, hint="Read fewer columns or rows, or raise `timeout`.")


def _poll(athena: Any, query_id: str, bar: Any, deadline: float) -> bool:
    """Ask less and less often whether a query has finished, until the deadline."""
    pause = _FIRST_POLL_SECONDS
    while time.monotonic() < deadline:
        execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        bar.update(execution.get("Statistics", {}).get("DataScannedInBytes", 0) - bar.n)
        if execution["Status"]["State"] not in _RUNNING:
            return True
        time.sleep(pause)
        pause = min(pause * _POLL_GROWTH, _LAST_POLL_SECONDS)
    return False


def _result(session: boto3.Session, settings: Settings, statement: str, cursor: Cursor) -> QueryResult:
    columns = [
        ResultColumn(name, type_, precision or 0, scale or 0)
        for name, type_, _, _, precision, scale, _ in cursor.description or ()
    ]
    return QueryResult(
        df=to_frame(_read_text(session, cursor, len(columns)), columns),
        columns=tuple(columns),
        sql=statement,
        query_id=cursor.query_id or "",
        runtime_ms=cursor.total_execution_time_in_millis or 0,
        bytes_scanned=cursor.data_scanned_in_bytes or 0,
        console_url=_console_url(session, cursor.query_id or "") if settings.target == "aws" else "",
    )


def _console_url(session: boto3.Session, query_id: str) -> str:
    """Where AWS's console shows a query. The address is the console's own and not documented."""
    region = session.region_name
    domain = _CONSOLES.get(session.get_partition_for_region(region), _CONSOLES["aws"])
    return f"https://{domain}/athena/home?region={region}#/query-editor/history/{query_id}"


def _read_text(session: boto3.Session, cursor: Cursor, width: int) -> pa.Table:
    """The rows as text: those of the first page, or, if there are more, the whole result file."""
    import pyarrow as pa

    rows = cursor.fetchmany(_FIRST_PAGE_ROWS) if width else []
    if len(rows) == _FIRST_PAGE_ROWS:
        if str(cursor.output_location).endswith(".csv"):
            return _read_csv(session, str(cursor.output_location), width)
        rows += cursor.fetchall()
    columns = zip(*rows, strict=True) if rows else [()] * width
    return pa.table(
        [pa.chunked_array([pa.array(values, pa.string())]) for values in columns],
        names=[f"f{index}" for index in range(width)],
    )


def _read_csv(session: boto3.Session, location: str, width: int) -> pa.Table:
    """Read a result file: every value in quotation marks, a NULL as nothing at all."""
    import pyarrow as pa
    from pyarrow import csv

    bucket, _, key = location.removeprefix("s3://").partition("/")
    body = aws.client(session, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return csv.read_csv(
        pa.BufferReader(body),
        # A row must fit into two blocks; the whole file is in memory anyway.
        read_options=csv.ReadOptions(
            skip_rows=1, autogenerate_column_names=True, block_size=_CSV_BLOCK_BYTES
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={f"f{index}": pa.string() for index in range(width)},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def commit(session: boto3.Session, settings: Settings, statement: str) -> QueryResult:
    """Run a repeatable statement that changes a table, again if a compaction commits in between.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        statement: A statement with the same effect however often it is run, such as a MERGE.

    Raises:
        QueryError: Athena refused it, or another commit came in between at every attempt.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return query(session, settings, statement)
        except QueryError as error:
            if not any(name in error.message for name in _CONFLICTS):
                raise
            time.sleep(random.uniform(0, _CONFLICT_SECONDS * 2**attempt))  # noqa: S311
    return query(session, settings, statement)
