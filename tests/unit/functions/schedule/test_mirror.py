"""Which files of a change log can be copied as they are, and where to."""

from __future__ import annotations

from typing import Any

import pytest

from dynaberg.functions.schedule.mirror import conflict, day_of, fields_of, partition_of

NOW = {"1": ["id", '"string"'], "2": ["state", '"long"']}


@pytest.mark.parametrize(
    ("older", "differs"),
    [
        (NOW, False),
        ({"1": ["id", '"string"']}, False),  # a column came
        ({**NOW, "3": ["gone", '"int"']}, False),  # a column went
        ({"2": ["status", '"long"']}, True),  # renamed
        ({"2": ["state", '"int"']}, True),  # wider
        ({"3": ["state", '"long"']}, True),  # went, and another one has its name
    ],
)
def test_files_are_read_by_the_names_of_their_columns(older: Any, differs: bool) -> None:
    assert conflict(older, NOW) is differs


def test_members_of_structs_count_as_a_type() -> None:
    def metadata(member: str) -> dict[str, Any]:
        struct = {"type": "struct", "fields": [{"id": 3, "name": member, "type": "int", "required": False}]}
        fields = [{"id": 1, "name": "place", "type": struct}]
        return {"current-schema-id": 0, "schemas": [{"schema-id": 0, "fields": fields}]}

    assert conflict(fields_of(metadata("zip")), fields_of(metadata("postal")))
    assert not conflict(fields_of(metadata("zip")), fields_of(metadata("zip")))


def test_folders_bear_no_name_that_a_column_has() -> None:
    """Glue takes no partition that is called like a column."""
    assert partition_of(["id", "status"]) == "day"
    assert partition_of(["id", "day"]) == "received_day"
    assert partition_of(["received_day", "day"]) == "received_at_day"
    assert day_of("orders_changes/received_day=2026-11-30/a.parquet") == "2026-11-30"
