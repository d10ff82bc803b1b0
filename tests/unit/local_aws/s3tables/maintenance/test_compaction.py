"""Compaction changes no row, whatever the values are and however deep they lie."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pyiceberg.catalog.memory import InMemoryCatalog
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from tests.examples import EXAMPLES

from local_aws.s3tables.maintenance.compaction import compact

TEXTS = st.text(st.sampled_from("aA\x7fé•日\ud7ff\ue000\uffff\U0001f600\U0010ffff"), max_size=20)
SMALL = [
    (pa.string(), st.one_of(TEXTS, st.sampled_from(["", "null", "NULL", "\ud7ff" * 17]))),
    (pa.bool_(), st.booleans()),
    (pa.int32(), st.sampled_from([-(2**31), -1, 0, 2**31 - 1])),
    (pa.int64(), st.sampled_from([-(2**63), 2**53 + 1, 2**63 - 1])),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.decimal128(38, 0), st.sampled_from([Decimal("9" * 38), Decimal("-" + "9" * 38), Decimal(0)])),
    (pa.decimal128(9, 9), st.sampled_from([Decimal("0.999999999"), Decimal("-1E-9")])),
    (pa.date32(), st.sampled_from([dt.date.min, dt.date(1970, 1, 1), dt.date.max])),
    (pa.timestamp("us"), st.sampled_from([dt.datetime.min, dt.datetime.max])),  # noqa: DTZ901 - no zone
    (
        pa.timestamp("us", "UTC"),
        st.sampled_from([dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)]),
    ),
    (pa.time64("us"), st.sampled_from([dt.time.min, dt.time.max])),
    (pa.binary(), st.sampled_from([b"", b"\x00", b"\xff" * 17, b"\xe6\x97"])),
    (pa.binary(4), st.sampled_from([b"\x00" * 4, b"\xff" * 4])),
]
NUMBERS = count()
METRICS, FILE_SIZE = "write.metadata.metrics.default", "write.target-file-size-bytes"
Kind = tuple[pa.DataType, st.SearchStrategy[Any]]


def within(kinds: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    """Lists, maps and structs of some types."""
    return st.one_of(
        kinds.map(lambda k: (pa.list_(k[0]), st.lists(k[1] | st.none(), max_size=3))),
        st.tuples(st.sampled_from([SMALL[0], SMALL[3], SMALL[8]]), kinds).map(
            lambda kv: (
                pa.map_(kv[0][0], kv[1][0]),
                st.dictionaries(kv[0][1], kv[1][1] | st.none(), max_size=2).map(lambda d: list(d.items())),
            )
        ),
        st.lists(kinds, min_size=1, max_size=3).map(
            lambda members: (
                pa.struct([(f"m {i}", kind) for i, (kind, _) in enumerate(members)]),
                st.fixed_dictionaries({f"m {i}": v | st.none() for i, (_, v) in enumerate(members)}),
            )
        ),
    )


KINDS = st.recursive(st.sampled_from(SMALL), within, max_leaves=5)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """A few rows with columns of any types, with nulls."""
    columns = draw(st.lists(KINDS, min_size=1, max_size=3))
    schema = pa.schema([("id", pa.int64()), *((f"c {i}", kind) for i, (kind, _) in enumerate(columns))])
    rows = st.fixed_dictionaries({f"c {i}": value | st.none() for i, (_, value) in enumerate(columns)})
    drawn = draw(st.lists(rows, min_size=2, max_size=8))
    return pa.Table.from_pylist([{"id": number} | row for number, row in enumerate(drawn)], schema=schema)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> InMemoryCatalog:
    """A catalog in a folder, with a namespace."""
    made = InMemoryCatalog("test", warehouse=tmp_path_factory.mktemp("warehouse").as_uri())
    made.create_namespace("n")
    return made


def values(rows: pa.Table) -> list[str]:
    """The rows by their ids, as text in which NaN equals NaN and -0.0 does not equal 0.0."""
    return sorted(map(repr, rows.to_pylist()))


def in_files(table: Table) -> list[str]:
    """The rows as the data files hold them, read without Iceberg."""
    found = []
    for task in table.scan().plan_files():
        with table.io.new_input(task.file.file_path).open() as stream:
            rows = parquet.read_table(stream)
        found += values(rows.rename_columns([field.name for field in table.schema().fields]))
    return sorted(text.replace("_x20", " ") for text in found)


def check(catalog: InMemoryCatalog, rows: pa.Table, *, is_sorted: bool = False) -> None:
    """Append to several files, compact, and compare with what was written."""
    expected = values(rows)
    # pyiceberg's own append cannot write every bound of text.
    properties = {METRICS: "none", FILE_SIZE: str(rows.nbytes // 2)}
    table = catalog.create_table(f"n.t{next(NUMBERS)}", rows.schema, properties=properties)
    with table.transaction() as change:
        if is_sorted:
            with change.update_sort_order() as order:
                order.asc("id", IdentityTransform())
        change.append(rows)
        change.set_properties({METRICS: "truncate(16)"})
    done = compact(table, target_bytes=2**26)
    assert done.files_before > done.files_after == 1
    assert in_files(table) == expected
    assert values(table.scan().to_arrow().cast(rows.schema)) == expected


@settings(max_examples=EXAMPLES // 4)
@given(rows=tables(), is_sorted=st.booleans())
def test_no_value_changes(catalog: InMemoryCatalog, rows: pa.Table, *, is_sorted: bool) -> None:
    check(catalog, rows, is_sorted=is_sorted)
