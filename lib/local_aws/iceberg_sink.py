"""Appends to the Iceberg tables of a table bucket, each flush once.

Every snapshot that delivery makes carries the delivery stream, the flush and the position up to which it
is delivered in its summary. So a flush that is done again, after a kill between commit and
checkpoint, finds its snapshot and appends nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import write_file
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, WriteTask

from local_aws.firehose_config import Destination
from local_aws.json_rows import RowConverter
from local_aws.partitions import partitions

if TYPE_CHECKING:
    from mypy_boto3_s3tables import S3TablesClient

STREAM_PROPERTY = "firehose.stream"
FLUSH_PROPERTY = "firehose.flush"
POSITION_PROPERTY = "firehose.position"


class TableBucket:
    """The tables of one table bucket, kept loaded between flushes.

    Args:
        arn: ARN of the table bucket.
        endpoint: Address of the gateway.
        region: AWS Region of the clients.
        client: S3 Tables.
    """

    def __init__(self, arn: str, endpoint: str, region: str, client: S3TablesClient) -> None:
        self._arn = arn
        self._client = client
        self._catalog = load_catalog(
            "delivery",
            **{
                "type": "rest",
                "uri": f"{endpoint}/iceberg",
                "warehouse": arn,
                "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
                "s3.endpoint": endpoint,
                "s3.region": region,
                "s3.access-key-id": "test",
                "s3.secret-access-key": "test",
            },
        )
        self._tables: dict[tuple[str, str], Table] = {}
        self._converters: dict[tuple[str, str], tuple[str, RowConverter]] = {}

    def table(self, destination: Destination) -> Table:
        """A table as it is now; its metadata is read only where it changed.

        Raises:
            NoSuchTableError: It does not exist.
        """
        key = (destination.database, destination.table)
        location = self._metadata_location(destination)
        table = self._tables.get(key)
        if table is None or table.metadata_location != location:
            table = self._tables[key] = self._catalog.load_table(key)
        return table

    def converter(self, destination: Destination) -> RowConverter:
        """The converter to a table's present schema; the same one as long as that stays.

        Raises:
            NoSuchTableError: The table does not exist.
        """
        key = (destination.database, destination.table)
        table = self.table(destination)
        identity = f"{table.metadata.table_uuid} {table.metadata.current_schema_id}"
        known = self._converters.get(key)
        if known is None or known[0] != identity:
            known = self._converters[key] = (identity, RowConverter(table.schema()))
        return known[1]

    def _metadata_location(self, destination: Destination) -> str | None:
        try:
            answer = self._client.get_table_metadata_location(
                tableBucketARN=self._arn, namespace=destination.database, name=destination.table
            )
        except self._client.exceptions.NotFoundException as error:
            raise NoSuchTableError(f"{destination.database}.{destination.table}") from error
        return answer.get("metadataLocation")


def append_once(table: Table, rows: pa.Table, summary: dict[str, str]) -> bool:
    """Append rows in one snapshot, unless the table already holds the flush.

    Args:
        table: The table as it is now.
        rows: The rows, in the table's schema.
        summary: What the snapshot's summary is to say; names the flush.

    Returns:
        Whether a snapshot was committed.

    Raises:
        CommitFailedException: Somebody else committed, more often than was worth trying.
    """
    if holds_flush(table, summary[FLUSH_PROPERTY]):
        return False
    transaction = table.transaction()
    with transaction.update_snapshot(snapshot_properties=summary).fast_append() as snapshot:
        for data_file in write_data_files(table, rows):
            snapshot.append_data_file(data_file)
    transaction.commit_transaction()
    return True


def write_data_files(table: Table, rows: pa.Table) -> Iterator[DataFile]:
    """Write rows to Parquet files, one for each partition."""
    spec, schema, write_uuid = table.spec(), table.schema(), uuid.uuid4()
    parts = [(None, rows)] if spec.is_unpartitioned() else partitions(rows, spec, schema)
    tasks = (
        WriteTask(write_uuid, number, schema, part.combine_chunks().to_batches(), partition_key=key)
        for number, (key, part) in enumerate(parts)
    )
    return write_file(table.io, table.metadata, tasks)


def holds_flush(table: Table, flush_id: str) -> bool:
    """Whether a flush is in a table."""
    summaries = (snapshot.summary for snapshot in reversed(table.metadata.snapshots))
    return any(summary is not None and summary.get(FLUSH_PROPERTY) == flush_id for summary in summaries)
