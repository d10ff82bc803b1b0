"""NULL and empty lists and maps are two things, at every depth, also for who reads with pyiceberg."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import parquet_file_to_data_file

from dynaberg.contracts import Column, Contract
from dynaberg.null_lists import keep_null_lists

TYPES = {
    "a": "list<struct<x: string, y: long>>",
    "b": "map<string,struct<x: list<long>>>",
    "c": "struct<l: list<struct<x: string>>, m: map<string,string>>",
    "d": "list<list<struct<x: string>>>",
    "e": "list<string>",
}
CONTRACT = Contract(
    "t", "s-1", "id", None, (Column("id", "string"), *(Column(n, t) for n, t in TYPES.items()))
)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


TEXT, LONG = optional(st.sampled_from(["", "x"])), optional(st.integers(0, 3))
STRUCT = optional(st.fixed_dictionaries({"x": TEXT}))
ROWS = st.fixed_dictionaries(
    {
        "a": optional(st.lists(optional(st.fixed_dictionaries({"x": TEXT, "y": LONG})), max_size=2)),
        "b": optional(
            st.dictionaries(
                st.sampled_from("pq"),
                optional(st.fixed_dictionaries({"x": optional(st.lists(LONG, max_size=2))})),
                max_size=2,
            ).map(lambda found: list(found.items()))
        ),
        "c": optional(
            st.fixed_dictionaries(
                {
                    "l": optional(st.lists(STRUCT, max_size=2)),
                    "m": optional(
                        st.dictionaries(st.sampled_from("pq"), TEXT, max_size=2).map(
                            lambda found: list(found.items())
                        )
                    ),
                }
            )
        ),
        "d": optional(st.lists(optional(st.lists(STRUCT, max_size=2)), max_size=2)),
        "e": optional(st.lists(TEXT, max_size=2)),
    }
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    keep_null_lists()
    keep_null_lists()
    folder = tmp_path_factory.mktemp("warehouse")
    catalog = SqlCatalog("c", uri="sqlite://", warehouse=f"file://{folder}")
    catalog.create_namespace("n")
    catalog.create_table("n.t", CONTRACT.current_schema())
    return catalog


@settings(max_examples=10, deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=12))
def test_what_was_written_is_read(rows: list[dict[str, Any]], catalog: Catalog) -> None:
    table = catalog.load_table("n.t")
    wanted = [{"id": f"{number:02d}", **row} for number, row in enumerate(rows)]
    file = Path(str(table.location()).removeprefix("file://"), "data", f"{uuid.uuid4()}.parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(wanted, table.schema().as_arrow()), file)
    with table.transaction() as transaction, transaction.update_snapshot().overwrite() as snapshot:
        for task in table.scan().plan_files():
            snapshot.delete_data_file(task.file)
        snapshot.append_data_file(parquet_file_to_data_file(table.io, table.metadata, f"file://{file}"))
    found = catalog.load_table("n.t").scan(selected_fields=("id", *TYPES)).to_arrow()
    assert sorted(found.to_pylist(), key=lambda row: row["id"]) == wanted
