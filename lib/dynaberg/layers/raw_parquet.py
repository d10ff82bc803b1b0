"""The raw layer as plain Parquet, too: copies of the change log's files, for whoever reads no Iceberg.

The copying itself is in `functions/schedule/mirror.py`, which the schedule runs; here is what takes pyarrow:
files whose columns were renamed or widened since are written anew, and copies are compared with the log.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dynaberg import aws, catalog, deploy
from dynaberg.errors import NotFoundError, NotReadyError
from dynaberg.functions.schedule import BusyError, Lake, LogFile, Mirror, Mirrored, day_of
from dynaberg.layers.glue_tables import put_table

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    import pyarrow as pa
    from pyiceberg.schema import Schema
    from pyiceberg.table import FileScanTask, Table

    from dynaberg.contracts import Contract
    from dynaberg.settings import Settings

COLUMNS = ["day", "files", "rows", "parquet_rows", "missing", "surplus", "different"]


def write_parquet(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Bring the plain Parquet files of a change log up to what the log holds now.

    With those of the log of what no table of the source claims, if there is one.

    Args:
        session: Open boto3 session.
        settings: The project.
        contract: The table contract.

    Returns:
        One row per file that was copied or removed: log, day, action (`copied` or `removed`), rows (None for
        what was removed), address.

    Raises:
        NotFoundError: The project keeps no plain Parquet, or there is no change log.
        NotReadyError: Somebody else copies it now.

    Example:
        >>> write_parquet(session, settings, contract)["rows"].sum()
    """
    import pandas as pd

    bucket = _where(session, settings)["ParquetBucketName"]
    lines: list[tuple[str, str, str, int | None, str]] = []
    for each in contract.with_rest:
        done = _Copies(session, settings, each).update()
        rows: list[tuple[str, int | None, str]] = [("copied", file.rows, file.key) for file in done.copied]
        rows += [("removed", None, key) for key in done.removed]
        lines += [(each.log_name, day_of(key), what, n, f"s3://{bucket}/{key}") for what, n, key in rows]
    found = pd.DataFrame(lines, columns=["log", "day", "action", "rows", "address"])
    return found.astype({"rows": "Int64"}).sort_values(["log", "day", "address"], ignore_index=True)


def check_parquet(session: boto3.Session, settings: Settings, contract: Contract) -> pd.DataFrame:
    """Compare the plain Parquet files with the change log, value by value.

    With those of the log of what no table of the source claims, if there is one.

    Args:
        session: Open boto3 session.
        settings: The project.
        contract: The table contract.

    Returns:
        One row per log and day: log, day, files and rows of the change log, parquet_rows, and how many rows
        are missing, surplus, or different; all of the last three are 0 where the files are right.

    Raises:
        NotFoundError: The project keeps no plain Parquet, or there is no change log.
    """
    import pandas as pd

    lines = [
        (each.log_name, *line)
        for each in contract.with_rest
        for line in _Copies(session, settings, each).compare()
    ]
    found = pd.DataFrame(lines, columns=["log", *COLUMNS])
    return found.groupby(["log", "day"], as_index=False).sum()


def parquet_address(session: boto3.Session, settings: Settings, contract: Contract) -> str:
    """Where the plain Parquet files of a change log are, such as `s3://…/orders_changes/`.

    Raises:
        NotFoundError: The project keeps no plain Parquet.
    """
    return f"s3://{_where(session, settings)['ParquetBucketName']}/{contract.log_name}/"


def parquet_rows(session: boto3.Session, settings: Settings, contract: Contract) -> Iterator[pa.Table]:
    """The rows of the plain Parquet files of a change log, object by object; nothing if there are none."""
    if deploy.parquet_outputs(session, settings):
        copies = _Copies(session, settings, contract)
        for key in copies.mirror.copies():
            yield copies.rows_of(key)


def follow_parquet(session: boto3.Session, settings: Settings, contract: Contract) -> None:
    """Let plain Parquet files, if there are any, follow what was rewritten in the change logs of a source.

    Args:
        session: Open boto3 session.
        settings: The project.
        contract: A table of the source.

    Raises:
        NotReadyError: Somebody else copies a change log now.
    """
    if not deploy.parquet_outputs(session, settings):
        return
    existing = catalog.table_names(catalog.open_catalog(session, settings), settings)
    for each in contract.of_source:
        if each.log_name in existing:
            _Copies(session, settings, each).update()


def put_parquet_tables(session: boto3.Session, settings: Settings, contract: Contract) -> None:
    """Create the tables over the plain Parquet files of a source, if the project keeps any."""
    if deploy.parquet_outputs(session, settings):
        for each in contract.of_source:
            _Copies(session, settings, each).put_table()


def _where(session: boto3.Session, settings: Settings) -> dict[str, str]:
    found = deploy.parquet_outputs(session, settings)
    if not found:
        msg = f"The project {settings.name!r} keeps no plain Parquet of its change logs."
        raise NotFoundError(msg, hint='Set "raw_parquet": true, then wb.deploy_firehose().')
    return found


class _Copies:
    """The copies of one change log, and what writes files anew: `mirror.Rewriter`."""

    def __init__(self, session: boto3.Session, settings: Settings, contract: Contract) -> None:
        self._session, self._settings, self._contract = session, settings, contract
        self._where = _where(session, settings)
        lake = Lake(catalog.table_bucket_arn(session, settings), settings.namespace, session)
        bucket = self._where["ParquetBucketName"]
        self.mirror = Mirror(lake, aws.client(session, "s3"), contract.log_name, bucket)

    @cached_property
    def _log(self) -> Table:
        iceberg = catalog.open_catalog(self._session, self._settings)
        return catalog.load_table(iceberg, self._settings, self._contract.log_name)

    @cached_property
    def _tasks(self) -> dict[str, FileScanTask]:
        return {task.file.file_path: task for task in self._log.scan().plan_files()}

    def update(self) -> Mirrored:
        """Copy what is missing, and remove what is too much.

        Raises:
            NotReadyError: Somebody else is at it.
        """
        self.put_table()
        try:
            return self.mirror.update(str(uuid.uuid4()), self)
        except BusyError as error:
            hint = "It ends by itself: run it again in a while."
            raise NotReadyError(
                f"The change log {self._contract.log_name!r} is being copied.", hint=hint
            ) from error

    def put_table(self) -> None:
        """Let Glue's table have the columns and the days that there are."""
        days = [day_of(key) for key in self.mirror.copies()]
        put_table(self._session, self._settings, self._log, self._where, days)

    def is_current(self, key: str) -> bool:
        """Whether a copy has its columns by the names and types of now."""
        return self._has_columns_of_now(self._object(key))

    def content(self, file: LogFile) -> bytes:
        """The file as it is, or its rows written anew, with their columns of now and without deleted ones."""
        import pyarrow.parquet as pq

        body = self._log.io.new_input(file.address).open().read()
        if not file.has_deletes and self._has_columns_of_now(body):
            return bytes(body)
        out = io.BytesIO()
        pq.write_table(self._log_rows(file), out, compression="zstd")
        return out.getvalue()

    def rows_of(self, key: str) -> pa.Table:
        """The rows of a copy."""
        import pyarrow.parquet as pq

        return pq.read_table(io.BytesIO(self._object(key)))

    def compare(self) -> Iterator[tuple[Any, ...]]:
        """What `check_parquet` adds up, object by object."""
        files = {file.key: file for file in self.mirror.files(self.mirror.lake.load(self.mirror.log))}
        there = {*self.mirror.copies()}
        for key, file in files.items():
            if key not in there:
                yield day_of(key), 1, file.rows, 0, file.rows, 0, 0
                continue
            wanted, found = self._log_rows(file), self.rows_of(key)
            counts = (
                len(wanted),
                len(found),
                max(len(wanted) - len(found), 0),
                max(len(found) - len(wanted), 0),
            )
            yield day_of(key), 1, *counts, _different(wanted, found)
        for key in there - files.keys():
            rows = len(self.rows_of(key))
            yield day_of(key), 0, 0, rows, 0, rows, 0

    def _object(self, key: str) -> bytes:
        body: bytes = self.mirror.s3.get_object(Bucket=self.mirror.bucket, Key=key)["Body"].read()
        return body

    def _log_rows(self, file: LogFile) -> pa.Table:
        """The rows of a file of the change log as Iceberg has them, with its columns as they are now."""
        from pyiceberg.expressions import AlwaysTrue
        from pyiceberg.io.pyarrow import ArrowScan

        log = self._log
        scan = ArrowScan(log.metadata, log.io, log.schema(), AlwaysTrue())
        return scan.to_table([self._tasks[file.address]]).cast(_arrow(log.schema()))

    def _has_columns_of_now(self, body: bytes) -> bool:
        import pyarrow.parquet as pq
        from pyiceberg.io.pyarrow import pyarrow_to_schema

        now = self._log.schema()
        known = {field.field_id: field for field in now.fields}
        names = {field.name: field.field_id for field in now.fields}
        schema = pyarrow_to_schema(pq.read_schema(io.BytesIO(body)), name_mapping=now.name_mapping)
        return all(
            names.get(field.name, field.field_id) == field.field_id
            and (
                field.field_id not in known
                or (field.name, field.field_type)
                == (known[field.field_id].name, known[field.field_id].field_type)
            )
            for field in schema.fields
        )


def _arrow(schema: Schema) -> pa.Schema:
    from pyiceberg.io.pyarrow import schema_to_pyarrow

    return schema_to_pyarrow(schema, include_field_ids=True)


def _different(wanted: pa.Table, found: pa.Table) -> int:
    """How many rows differ, at the same place; a column that a copy lacks counts as NULL."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(wanted) != len(found):
        return 0
    differs = pa.array([False] * len(wanted))
    for field in wanted.schema:
        ours = wanted[field.name]
        there = (
            found[field.name].cast(field.type)
            if field.name in found.column_names
            else pa.nulls(len(found), field.type)
        )
        if pa.types.is_nested(field.type):
            unlike = pa.array([a != b for a, b in zip(ours.to_pylist(), there.to_pylist(), strict=True)])
        else:
            unlike = pc.coalesce(pc.not_equal(ours, there), pc.xor(ours.is_null(), there.is_null()))
        differs = pc.or_(differs, pa.chunked_array([unlike]) if isinstance(unlike, pa.Array) else unlike)
    return int(pc.sum(differs).as_py() or 0)
