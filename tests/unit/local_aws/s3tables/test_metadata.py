"""How table metadata is made and changed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from local_aws.s3tables.metadata import (
    apply_commit,
    create_metadata,
    dump_metadata,
    next_metadata_location,
    outdated_files,
    parse_commit,
    parse_metadata,
    without_history,
)
from local_aws.wire import IcebergError

LOCATION = "s3://lake/raw/t"
SCHEMA = {
    "type": "struct",
    "schema-id": 0,
    "fields": [{"id": 1, "name": "id", "type": "long", "required": False}],
}
IDENTIFIER = {"namespace": ["raw"], "name": "t"}


def commit(*updates: dict[str, Any], requirements: tuple[dict[str, Any], ...] = ()) -> Any:
    return parse_commit({"identifier": IDENTIFIER, "requirements": requirements, "updates": updates})


def add_snapshot(number: int, parent: int | None) -> dict[str, Any]:
    return {
        "action": "add-snapshot",
        "snapshot": {
            "snapshot-id": number,
            "parent-snapshot-id": parent,
            "sequence-number": number,
            "timestamp-ms": 1_700_000_000_000 + number,
            "manifest-list": f"{LOCATION}/metadata/snap-{number}.avro",
            "summary": {"operation": "append"},
            "schema-id": 0,
        },
    }


def set_main(number: int) -> dict[str, Any]:
    return {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": number}


def history(count: int) -> Any:
    """A table with some snapshots, each of a commit of its own."""
    metadata = create_metadata({"schema": SCHEMA}, LOCATION)
    location = next_metadata_location(LOCATION, None)
    for number in range(1, count + 1):
        change = commit(add_snapshot(number, number - 1 or None), set_main(number))
        metadata = apply_commit(change, metadata, location, LOCATION)
        location = next_metadata_location(LOCATION, location)
    return metadata


def test_a_new_table_survives_being_stored() -> None:
    metadata = create_metadata({"schema": SCHEMA, "properties": {"count": 5}}, LOCATION)
    assert parse_metadata(dump_metadata(metadata)) == metadata
    assert (metadata.location, metadata.format_version, metadata.properties) == (LOCATION, 2, {"count": "5"})


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {
            "schema": {
                "type": "struct",
                "fields": [{"id": 1, "name": "x", "type": "colour", "required": False}],
            }
        },
        {
            "schema": SCHEMA,
            "partition-spec": {"fields": [{"source-id": 9, "field-id": 1, "transform": "day", "name": "d"}]},
        },
    ],
)
def test_a_table_that_makes_no_sense_is_refused(request_body: dict[str, Any]) -> None:
    with pytest.raises(IcebergError) as error:
        create_metadata(request_body, LOCATION)
    assert (error.value.status, error.value.code) == (400, "BadRequestException")


def test_commits_write_both_logs() -> None:
    metadata = history(3)
    assert [entry.snapshot_id for entry in metadata.snapshot_log] == [1, 2, 3]
    assert [entry.metadata_file[len(LOCATION) + 10 :][:5] for entry in metadata.metadata_log] == [
        "00000",
        "00001",
        "00002",
    ]


def test_a_commit_copies_nothing_of_the_history() -> None:
    before = parse_metadata(dump_metadata(history(20)))
    after = apply_commit(commit(add_snapshot(21, 20), set_main(21)), before, "x", LOCATION)
    for old, new in (
        (before.snapshots, after.snapshots),
        (before.snapshot_log, after.snapshot_log),
        (before.metadata_log, after.metadata_log),
    ):
        assert len(new) == len(old) + 1
        assert all(one is same for one, same in zip(old, new, strict=False))
    assert parse_metadata(dump_metadata(after)) == after


def test_the_metadata_file_is_what_pyiceberg_writes() -> None:
    metadata = history(3)
    dump_metadata(metadata)
    orphan = commit({"action": "remove-snapshots", "snapshot-ids": [1]})
    for one in (metadata, apply_commit(orphan, metadata, "x", LOCATION)):
        assert orjson.loads(dump_metadata(one)) == orjson.loads(one.model_dump_json())


def test_without_history_the_snapshots_of_branches_and_tags_stay() -> None:
    tag = {"action": "set-snapshot-ref", "ref-name": "audit", "type": "tag", "snapshot-id": 2}
    metadata = apply_commit(commit(tag), history(4), "x", LOCATION)
    recent = without_history(metadata)
    assert [snapshot.snapshot_id for snapshot in recent.snapshots] == [2, 4]
    assert (recent.snapshot_log, recent.metadata_log) == ([], [])
    assert parse_metadata(dump_metadata(recent)).refs == metadata.refs


def test_removed_snapshots_leave_the_log() -> None:
    metadata = apply_commit(
        commit({"action": "remove-snapshots", "snapshot-ids": [1]}), history(3), "x", LOCATION
    )
    assert [snapshot.snapshot_id for snapshot in metadata.snapshots] == [2, 3]
    assert [entry.snapshot_id for entry in metadata.snapshot_log] == [2, 3]


def test_a_requirement_that_does_not_hold_is_a_conflict() -> None:
    stale = commit(requirements=({"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 1},))
    with pytest.raises(IcebergError, match="branch main has changed: expected id 1, found 2") as error:
        apply_commit(stale, history(2), "x", LOCATION)
    assert (error.value.status, error.value.code) == (409, "CommitFailedException")


def test_a_schema_declared_again_is_not_added_again() -> None:
    again = {"action": "add-schema", "schema": SCHEMA, "last-column-id": 1}
    metadata = apply_commit(
        commit(again, {"action": "set-properties", "updates": {"a": "b"}}), history(1), "x", LOCATION
    )
    assert len(metadata.schemas) == 1


def test_a_table_made_by_a_commit_lies_where_the_table_bucket_puts_it() -> None:
    updates = [
        {"action": "assign-uuid", "uuid": "0fdc3ad7-1d4d-4f8e-8c43-9b9c6a1a4a55"},
        {"action": "upgrade-format-version", "format-version": 2},
        {"action": "add-schema", "schema": SCHEMA, "last-column-id": 1},
        {"action": "set-current-schema", "schema-id": -1},
        {"action": "add-spec", "spec": {"spec-id": 0, "fields": []}},
        {"action": "set-default-spec", "spec-id": -1},
        {"action": "add-sort-order", "sort-order": {"order-id": 0, "fields": []}},
        {"action": "set-default-sort-order", "sort-order-id": -1},
        {"action": "set-location", "location": "s3://elsewhere/t"},
    ]
    metadata = apply_commit(commit(*updates), None, None, LOCATION)
    assert (metadata.location, metadata.format_version) == (LOCATION, 2)


@pytest.mark.parametrize(
    ("before", "number"),
    [
        (None, "00000"),
        ("s3://b/n/t/metadata/v0.metadata.json", "00001"),
        ("s3://b/n/t/metadata/00099-0fdc3ad7.metadata.json", "00100"),
        ("s3://b/n/t/metadata/99999-0fdc3ad7.metadata.json", "100000"),
        ("s3://b/n/t/metadata/whatever.json", "00000"),
    ],
)
def test_metadata_files_are_numbered(before: str | None, number: str) -> None:
    location = next_metadata_location("s3://b/n/t/", before)
    assert location.startswith(f"s3://b/n/t/metadata/{number}-")
    assert location != next_metadata_location("s3://b/n/t/", before)


@pytest.mark.parametrize(("asked", "count"), [("true", 1), ("false", 0), (None, 0)])
def test_old_metadata_files_go_only_where_the_table_says_so(asked: str | None, count: int) -> None:
    properties = {"write.metadata.previous-versions-max": "2"}
    if asked:
        properties["write.metadata.delete-after-commit.enabled"] = asked
    before = apply_commit(
        commit({"action": "set-properties", "updates": properties}), history(1), "s3://m/1", LOCATION
    )
    after = apply_commit(
        commit({"action": "set-properties", "updates": {"a": "b"}}), before, "s3://m/2", LOCATION
    )
    assert len(after.metadata_log) == 2
    assert len(outdated_files(before, after)) == count
