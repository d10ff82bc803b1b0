"""Bounds of text in the manifests that DuckDB writes, made valid before a table gets them.

DuckDB cuts a bound after sixteen bytes, within a character too, and readers that decode it fail. The whole
characters of a lower bound are a lower bound still; those of an upper one, with the last character raised,
are an upper bound.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from pyiceberg.io import FileIO, InputFile
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntryStatus,
    ManifestFile,
    read_manifest_list,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.types import StringType
from pyiceberg.utils.truncate import truncate_upper_bound_text_string

from local_aws.s3tables.snapshots import MemoryFile


class Files(dict[str, bytes]):
    """Files by their locations, as much of a FileIO as reading manifests needs."""

    def new_input(self, location: str) -> InputFile:
        """A file."""
        return MemoryFile(location, self[location])


def new_manifests(manifest_list: bytes, snapshot: Snapshot) -> list[ManifestFile]:
    """The manifests of data files that a snapshot adds."""
    listed = read_manifest_list(MemoryFile(snapshot.manifest_list, manifest_list))
    return [m for m in listed if is_new(m, snapshot)]


def is_new(manifest: ManifestFile, snapshot: Snapshot) -> bool:
    """Whether a manifest of data files came with a snapshot."""
    return manifest.added_snapshot_id == snapshot.snapshot_id and manifest.content == ManifestContent.DATA


def valid_files(files: Mapping[str, bytes], metadata: TableMetadata, snapshot: Snapshot) -> dict[str, bytes]:
    """The manifests of a snapshot and its list that must be written again, with valid bounds."""
    texts = {
        i for i, field in metadata.schema()._lazy_id_to_field.items() if field.field_type == StringType()
    }
    manifests = list(read_manifest_list(MemoryFile("", files[snapshot.manifest_list])))
    written: dict[str, bytes] = {}
    for place, manifest in enumerate(manifests):
        if is_new(manifest, snapshot) and (made := valid_manifest(manifest, files, metadata, texts)):
            manifests[place], written[manifest.manifest_path] = made
    if written:
        file = MemoryFile(snapshot.manifest_list)
        with write_manifest_list(
            format_version=metadata.format_version,
            output_file=file,
            snapshot_id=snapshot.snapshot_id,
            parent_snapshot_id=snapshot.parent_snapshot_id,
            sequence_number=snapshot.sequence_number,
            avro_compression="deflate",
        ) as writer:
            writer.add_manifests(manifests)
        written[snapshot.manifest_list] = file.content.to_pybytes()
    return written


def valid_manifest(
    manifest: ManifestFile, files: Mapping[str, bytes], metadata: TableMetadata, texts: Collection[int]
) -> tuple[ManifestFile, bytes] | None:
    """A manifest with valid bounds, and what it says; None where all its bounds are valid."""
    entries = manifest.fetch_manifest_entry(cast("FileIO", Files(files)), discard_deleted=False)
    changed = [entry for entry in entries if make_valid(entry.data_file, texts)]
    if not changed:
        return None
    file = MemoryFile(manifest.manifest_path)
    with write_manifest(
        format_version=metadata.format_version,
        spec=metadata.specs()[manifest.partition_spec_id],
        schema=metadata.schema(),
        output_file=file,
        snapshot_id=manifest.added_snapshot_id or 0,
        avro_compression="deflate",
    ) as writer:
        for entry in entries:
            if entry.status == ManifestEntryStatus.ADDED:
                # The table's next sequence number, which is inherited.
                entry.sequence_number = entry.file_sequence_number = cast("int", None)
            writer.add_entry(entry)
    return writer.to_manifest_file(), file.content.to_pybytes()


def make_valid(file: DataFile, texts: Collection[int]) -> bool:
    """Make the bounds of text of a data file valid; whether one of them was not."""
    changed = False
    for bounds, is_upper in ((file.lower_bounds, False), (file.upper_bounds, True)):
        for field_id in texts & (bounds or {}).keys():
            try:
                bounds[field_id].decode()
            except UnicodeDecodeError as error:
                changed = True
                whole = bounds.pop(field_id)[: error.start].decode()
                if (valid := raised(whole) if is_upper else whole) is not None:
                    bounds[field_id] = valid.encode()
    return changed


def raised(text: str) -> str | None:
    """The text with its last character raised; None where there is none after it."""
    try:
        above = truncate_upper_bound_text_string(f"{text}.", len(text))
        return above if above is None or above.encode() else None
    except UnicodeEncodeError:  # there are no characters between U+D7FF and U+E000
        return None
