from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)
from pyiceberg.types import DateType, LongType, NestedField, StringType, StructType, TimestamptzType

from local_aws.firehose.append.partitions import partitions

SCHEMA = Schema(
    NestedField(1, "at", TimestamptzType()),
    NestedField(2, "name", StringType()),
    NestedField(3, "number", LongType()),
    NestedField(4, "day", DateType()),
    NestedField(5, "inner", StructType(NestedField(6, "name", StringType()))),
)
START = datetime(1969, 12, 31, 22, 30, tzinfo=UTC)
ROWS = pa.table(
    {
        "at": pa.array(
            [START + timedelta(minutes=40 * n) if n % 7 else None for n in range(60)],
            pa.timestamp("us", "UTC"),
        ),
        "name": pa.array([f"name-{n % 3}" if n % 5 else None for n in range(60)], pa.large_string()),
        "number": pa.array([n - 30 for n in range(60)], pa.int64()),
        "day": pa.array([(START + timedelta(days=n)).date() for n in range(60)], pa.date32()),
        "inner": pa.array(
            [{"name": f"{n % 2}"} for n in range(60)], pa.struct([("name", pa.large_string())])
        ),
    }
)


def internal(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    if hasattr(value, "toordinal"):
        return value.toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
    return value


@pytest.mark.parametrize(
    ("source_id", "column", "transform"),
    [
        (1, "at", HourTransform()),
        (1, "at", DayTransform()),
        (1, "at", MonthTransform()),
        (1, "at", YearTransform()),
        (4, "day", MonthTransform()),
        (4, "day", IdentityTransform()),
        (2, "name", IdentityTransform()),
        (2, "name", TruncateTransform(3)),
        (2, "name", BucketTransform(4)),
        (3, "number", BucketTransform(4)),
    ],
)
def test_rows_lie_where_icebergs_transform_puts_them(
    source_id: int, column: str, transform: Transform[Any, Any]
) -> None:
    spec = PartitionSpec(PartitionField(source_id, 1000, transform, "p"))
    convert = transform.transform(SCHEMA.find_type(source_id))
    seen = 0
    for key, rows in partitions(ROWS, spec, SCHEMA):
        assert rows.num_rows
        assert {convert(internal(value)) for value in rows[column].to_pylist()} == {key.partition[0]}
        seen += rows.num_rows
    assert seen == ROWS.num_rows


def test_several_fields_and_fields_in_structs() -> None:
    spec = PartitionSpec(
        PartitionField(6, 1000, IdentityTransform(), "inner"),
        PartitionField(2, 1001, IdentityTransform(), "name"),
    )
    found = {tuple(key.partition): rows.num_rows for key, rows in partitions(ROWS, spec, SCHEMA)}
    pairs = [(row["inner"]["name"], row["name"]) for row in ROWS.to_pylist()]
    assert found == {pair: pairs.count(pair) for pair in pairs}


def test_rows_of_one_partition_are_handed_on_as_they_are() -> None:
    spec = PartitionSpec(PartitionField(1, 1000, DayTransform(), "day"))
    rows = ROWS.slice(1, 1)
    [(key, part)] = partitions(rows, spec, SCHEMA)
    assert part is rows
    assert key.to_path() == "day=1969-12-31"
