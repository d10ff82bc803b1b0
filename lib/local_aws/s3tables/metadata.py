"""Table metadata: how it is made, how a commit changes it. Pure functions over pyiceberg's models.

Importing this module imports pyiceberg (half a second, 35 MB), so `rest` does it on first use.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Self

from pydantic import ValidationError
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableRequest
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil, TableMetadataV1, new_table_metadata
from pyiceberg.table.snapshots import MetadataLogEntry, Snapshot, SnapshotLogEntry
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder
from pyiceberg.table.update import AddSchemaUpdate, SetLocationUpdate, TableUpdate, update_table_metadata
from pyiceberg.typedef import IcebergBaseModel

from local_aws.wire import IcebergError

_VERSION = re.compile(r"/v?(\d+)(?:-[^/]*)?\.metadata\.json$")
_DELETE_AFTER_COMMIT = "write.metadata.delete-after-commit.enabled"


class Shared(IcebergBaseModel):
    """Part of a table's history: nothing changes it, so a copy of the metadata may hold the same one.

    pyiceberg copies the whole metadata with every commit and makes text of all of it, so that commits
    would cost more and more.
    """

    @cached_property
    def text(self) -> str:
        """Its JSON, made once."""
        return self.model_dump_json(exclude={"text"})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self

    def __copy__(self) -> Self:
        """A copy that may get other values: it makes its own text."""
        copied = super().__copy__()
        copied.__dict__.pop("text", None)
        return copied


class SharedSnapshot(Shared, Snapshot):
    """A snapshot that is not copied."""


class SharedSnapshotLogEntry(Shared, SnapshotLogEntry):
    """An entry of the snapshot log that is not copied."""


class SharedMetadataLogEntry(Shared, MetadataLogEntry):
    """An entry of the metadata log that is not copied."""


_HISTORY: Mapping[str, type[Shared]] = {
    "snapshots": SharedSnapshot,
    "snapshot_log": SharedSnapshotLogEntry,
    "metadata_log": SharedMetadataLogEntry,
}


def share_history(metadata: TableMetadata) -> TableMetadata:
    """The same metadata, its history shared by all copies."""
    shared = {
        name: [one if isinstance(one, kind) else kind.model_construct(**dict(one)) for one in entries]
        for name, kind in _HISTORY.items()
        if (entries := getattr(metadata, name, None))
    }
    return metadata.model_copy(update=shared)


def without_history(metadata: TableMetadata) -> TableMetadata:
    """The same metadata with the snapshots that a branch or a tag refers to only, and without the logs."""
    referenced = {ref.snapshot_id for ref in metadata.refs.values()}
    snapshots = [snapshot for snapshot in metadata.snapshots if snapshot.snapshot_id in referenced]
    return metadata.model_copy(update={"snapshots": snapshots, "snapshot_log": [], "metadata_log": []})


def parse_metadata(text: bytes) -> TableMetadata:
    """The table metadata that a metadata file holds."""
    return share_history(TableMetadataUtil.parse_raw(text.decode()))


def dump_metadata(metadata: TableMetadata) -> bytes:
    """The metadata file of a table metadata."""
    if metadata.format_version == 1:
        return metadata.model_dump_json().encode()  # its snapshots have no sequence number
    shared = share_history(metadata)
    head = shared.model_dump_json(exclude=set(_HISTORY)).removesuffix("}")
    lists = (f'"{name.replace("_", "-")}":[{entry_texts(getattr(shared, name))}]' for name in _HISTORY)
    return f"{head},{','.join(lists)}}}".encode()


def entry_texts(entries: Sequence[Shared]) -> str:
    """The JSON of history entries."""
    return ",".join(entry.text for entry in entries)


def create_metadata(request: Mapping[str, Any], location: str) -> TableMetadata:
    """The metadata of a new table, from the body of a `createTable` request."""
    spec, order = request.get("partition-spec"), request.get("write-order")
    try:
        return new_table_metadata(
            schema=Schema.model_validate(request["schema"]),
            partition_spec=PartitionSpec.model_validate(spec) if spec else UNPARTITIONED_PARTITION_SPEC,
            sort_order=SortOrder.model_validate(order) if order else UNSORTED_SORT_ORDER,
            location=location,
            properties={key: str(value) for key, value in (request.get("properties") or {}).items()},
        )
    except (ValueError, KeyError) as error:
        raise bad_request(error) from error


def parse_commit(payload: Mapping[str, Any]) -> CommitTableRequest:
    """The requirements and updates of a commit."""
    try:
        return CommitTableRequest.model_validate(payload)
    except ValidationError as error:
        raise bad_request(error) from error


def apply_commit(
    commit: CommitTableRequest, base: TableMetadata | None, base_location: str | None, location: str
) -> TableMetadata:
    """Check a commit's requirements and apply its updates; without a base, it creates the table."""
    try:
        for requirement in commit.requirements:
            requirement.validate(base)
    except CommitFailedException as error:
        raise IcebergError(409, "CommitFailedException", str(error)) from error
    created = base is None
    updates = [u for u in commit.updates if base is None or not repeats_schema(u, base)]
    moves = [u.location for u in updates if isinstance(u, SetLocationUpdate)]
    if created:
        updates = [u for u in updates if not isinstance(u, SetLocationUpdate)]
        updates.append(SetLocationUpdate(location=location))
    elif any(base is not None and move.rstrip("/") != base.location for move in moves):
        raise IcebergError(
            400, "BadRequestException", f"A table of a table bucket cannot move to {moves[-1]}."
        )
    try:
        updated = update_table_metadata(
            base_metadata=base or TableMetadataV1.model_construct(last_column_id=-1, schema=Schema()),
            updates=tuple(updates),
            enforce_validation=created,
            metadata_location=base_location,
        )
    except (ValueError, NotImplementedError) as error:
        raise bad_request(error) from error
    return share_history(updated)


def repeats_schema(update: TableUpdate, base: TableMetadata) -> bool:
    """Whether an update adds a schema that the table has; some writers declare theirs with every commit."""
    return isinstance(update, AddSchemaUpdate) and any(
        schema.schema_id == update.schema_.schema_id and schema == update.schema_ for schema in base.schemas
    )


def next_metadata_location(table_location: str, base_location: str | None) -> str:
    """Where the metadata file after `base_location` goes: `00007-<uuid>.metadata.json`."""
    match = _VERSION.search(base_location or "")
    version = int(match[1]) + 1 if match else 0
    return f"{table_location.rstrip('/')}/metadata/{version:05d}-{uuid.uuid4()}.metadata.json"


def outdated_files(base: TableMetadata | None, metadata: TableMetadata) -> Sequence[str]:
    """Metadata files that fell out of the log and that the table's properties say to delete."""
    if base is None or metadata.properties.get(_DELETE_AFTER_COMMIT, "").lower() != "true":
        return ()
    kept = {entry.metadata_file for entry in metadata.metadata_log}
    return [entry.metadata_file for entry in base.metadata_log if entry.metadata_file not in kept]


def bad_request(error: Exception) -> IcebergError:
    """What was wrong with a request, as an Iceberg error."""
    return IcebergError(400, "BadRequestException", f"{error}")
