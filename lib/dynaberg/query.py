"""Athena SQL through PyAthena: parameters bound, progress shown, exact types, errors that teach."""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dynaberg import aws, cost
from dynaberg.athena_types import ResultColumn, to_frame
from dynaberg.errors import DynabergError, QueryCancelledError
from dynaberg.query_errors import explain
from dynaberg.sql_parameters import bind

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyathena.connection import Connection
    from pyathena.cursor import Cursor

    from dynaberg.settings import Settings

# GetQueryResults hands out 1,000 rows at a time, the header among the first.
_FIRST_PAGE_ROWS = 999
_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS, _POLL_GROWTH = 0.004, 1.0, 1.5
_RUNNING = ("QUEUED", "RUNNING")
_DISPLAYED_ROWS = 60

# A library does not print: without a handler of its own Python would write PyAthena's errors to stderr.
logging.getLogger("pyathena").addHandler(logging.NullHandler())


@dataclass(frozen=True, repr=False)
class QueryResult:
    """What a query gave.

    Attributes:
        df: The rows, with exact types (`athena_types.to_frame`).
        columns: What Athena says of each column.
        sql: The statement, as it was sent.
        query_id: Athena's id of this execution.
        runtime_ms: Total execution time in milliseconds, as Athena counts it.
        bytes_scanned: Bytes that Athena read, which is what it bills.
    """

    df: pd.DataFrame
    columns: tuple[ResultColumn, ...]
    sql: str
    query_id: str
    runtime_ms: int
    bytes_scanned: int

    @property
    def cost_usd(self) -> Decimal:
        """What Athena bills for it on AWS at list price, from `bytes_scanned`."""
        return cost.query_usd(self.bytes_scanned)

    @property
    def summary(self) -> str:
        """Rows, time and bytes, in a line."""
        size = _readable_bytes(self.bytes_scanned)
        rows = "1 row" if len(self.df) == 1 else f"{len(self.df):,} rows"
        return f"{rows} in {self.runtime_ms:,} ms, {size} scanned (query {self.query_id})"

    def __len__(self) -> int:
        return len(self.df)

    def __repr__(self) -> str:
        return f"{self.df.to_string(max_rows=_DISPLAYED_ROWS)}\n{self.summary}"

    def _repr_html_(self) -> str:
        footer = f'<div style="opacity:0.7;font-size:85%">{html.escape(self.summary)}</div>'
        return self.df.to_html(max_rows=_DISPLAYED_ROWS, border=0, escape=True) + footer


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

    Args:
        session: Open boto3 session.
        settings: The workgroup has their `name`, the tables are in their `namespace`.
        sql: One statement; `:name` and `?` stand for parameters.
        params: Values by name or by place; Athena binds them, they are never formatted in.
        progress: Whether a query of more than half a second shows the bytes scanned so far.
        timeout: Deadline in seconds, after which the query is stopped.

    Returns:
        The result.

    Raises:
        QueryError: Athena refused the statement; the message shows the place, the hint what to do.
        QueryCancelledError: The query was stopped, by an interrupt or by the deadline.

    Example:
        >>> query(session, settings, "SELECT * FROM transactions WHERE status = :s", {"s": "APPROVED"}).df
    """
    from pyathena.error import Error

    statement, literals = bind(sql, params)
    connection = open_connection(session, settings)
    cursor = connection.cursor()

    def wait(query_id: str) -> None:
        _wait(connection.client, query_id, progress, timeout)

    binding: Any = {"parameters": literals, "paramstyle": "qmark"} if literals else {}
    try:
        cursor.execute(statement, on_start_query_execution=wait, **binding)
    except Error as error:
        # PyAthena wraps what `aws` explains already: a local AWS that is gone, credentials that have expired.
        if isinstance(error.__cause__, DynabergError):
            raise error.__cause__ from None
        raise explain(session, settings, statement, error) from error
    except KeyboardInterrupt as interrupt:
        msg = "The query was interrupted before Athena had begun with it."
        raise QueryCancelledError(msg) from interrupt
    return _result(session, statement, cursor)


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
        """Leaves the values as Athena writes them; `athena_types` turns whole columns at once."""

        def convert(self, type_: str, value: str | None, type_hint: str | None = None) -> str | None:
            return value

    return Connection(
        session=session,
        region_name=session.region_name,
        work_group=settings.name,
        catalog_name=f"s3tablescatalog/{settings.table_bucket_name}",
        schema_name=settings.namespace,
        # PyAthena asks once more after `_wait` has seen the end, so it never sleeps this long.
        poll_interval=0.1,
        converter=Text({}),
    )


def _wait(athena: Any, query_id: str, progress: bool, timeout: float) -> None:
    """Wait until a query has ended; an interrupt or the deadline stops it."""
    from tqdm.auto import tqdm

    bar = tqdm(desc="Athena", unit="B", unit_scale=True, leave=False, delay=0.5, disable=not progress)
    try:
        with bar:
            ended = _poll(athena, query_id, bar, time.monotonic() + timeout)
    except KeyboardInterrupt as interrupt:
        athena.stop_query_execution(QueryExecutionId=query_id)
        msg = f"Query {query_id} was interrupted, and stopped in Athena."
        raise QueryCancelledError(msg) from interrupt
    if not ended:
        athena.stop_query_execution(QueryExecutionId=query_id)
        msg = f"Query {query_id} was stopped: it had not ended after {timeout:g} seconds."
        raise QueryCancelledError(msg, hint="Read fewer columns or rows, or raise `timeout`.")


def _poll(athena: Any, query_id: str, bar: Any, deadline: float) -> bool:
    """Ask less and less often whether a query has ended, until the deadline."""
    pause = _FIRST_POLL_SECONDS
    while time.monotonic() < deadline:
        execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
        bar.update(execution.get("Statistics", {}).get("DataScannedInBytes", 0) - bar.n)
        if execution["Status"]["State"] not in _RUNNING:
            return True
        time.sleep(pause)
        pause = min(pause * _POLL_GROWTH, _LAST_POLL_SECONDS)
    return False


def _result(session: boto3.Session, statement: str, cursor: Cursor) -> QueryResult:
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
    )


def _read_text(session: boto3.Session, cursor: Cursor, width: int) -> pa.Table:
    """The rows as text: those of the first page, or, where there are more, the result file in one piece."""
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
        read_options=csv.ReadOptions(skip_rows=1, autogenerate_column_names=True),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={f"f{index}": pa.string() for index in range(width)},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _readable_bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"
