"""Appends to the Iceberg tables of a table bucket, each flush once.

Every snapshot that delivery makes carries the delivery stream, the flush and the position up to which it
is delivered in its summary. So a flush that is done again, after a kill between commit and
checkpoint, finds its snapshot and appends nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyarrow.fs import S3FileSystem
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from local_aws.firehose.append.appender import FLUSH_PROPERTY, TableAppender
from local_aws.firehose.append.data_files import NewDataFile
from local_aws.firehose.arrow import RowConverter
from local_aws.firehose.stream import Destination
from local_aws.wire import MINIMAL

if TYPE_CHECKING:
    from mypy_boto3_s3tables import S3TablesClient

STREAM_PROPERTY = "firehose.stream"
POSITION_PROPERTY = "firehose.position"


Layout = tuple[str, int, int]
"""What rows and files are made for: the table's UUID, the id of its schema, the id of its partition spec."""


@dataclass(frozen=True)
class Target:
    """A table that is delivered to.

    Attributes:
        appender: Appends to it.
        converter: Converts records to its schema.
        layout: What its rows and files are made for.
    """

    appender: TableAppender
    converter: RowConverter
    layout: Layout


def layout_of(table: Table) -> Layout:
    """The layout of a table; another table of the same name has another one."""
    metadata = table.metadata
    return str(metadata.table_uuid), metadata.current_schema_id, metadata.default_spec_id


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
                "header.Prefer": MINIMAL,
            },
        )
        self._files = S3FileSystem(
            endpoint_override=endpoint,
            access_key="test",
            secret_key="test",  # noqa: S106
            region=region,
            allow_delayed_open=True,
        )
        self._targets: dict[Destination, Target] = {}

    def target(self, destination: Destination) -> Target:
        """A table as it is now; its metadata is read only where it changed.

        The converter stays the same one as long as the layout does.

        Raises:
            NoSuchTableError: It does not exist.
        """
        location = self._metadata_location(destination)
        known = self._targets.get(destination)
        if known is not None and known.appender.table.metadata_location == location:
            return known
        table = self._catalog.load_table((destination.database, destination.table))
        same = known is not None and known.layout == layout_of(table)
        converter = known.converter if known is not None and same else RowConverter(table.schema())
        target = Target(TableAppender(table, self._files), converter, layout_of(table))
        self._targets[destination] = target
        return target

    def _metadata_location(self, destination: Destination) -> str | None:
        try:
            answer = self._client.get_table_metadata_location(
                tableBucketARN=self._arn, namespace=destination.database, name=destination.table
            )
        except self._client.exceptions.NotFoundException as error:
            raise NoSuchTableError(f"{destination.database}.{destination.table}") from error
        return answer.get("metadataLocation")


def append_once(
    appender: TableAppender,
    files: Sequence[NewDataFile],
    summary: dict[str, str],
    within: Collection[str] = (),
) -> bool:
    """Append data files in one snapshot, unless the table already holds the flush.

    Args:
        appender: The table as it is now.
        files: The files, made for its layout.
        summary: What the snapshot's summary is to say; names the flush.
        within: The flushes that this one is a part of.

    Returns:
        Whether a snapshot was committed.

    Raises:
        CommitFailedException: Somebody else has changed the table.
    """
    if not appender.flushes.isdisjoint((summary[FLUSH_PROPERTY], *within)):
        return False
    appender.append(files, summary)
    return True
