"""What is read back of a CSV result, page by page, is what was written, whatever stands in it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.athena.api.results import Page, joined, read_page, row_of_record
from local_aws.athena.dialect import quoted
from local_aws.athena.statements.results import Row

TEXTS = (
    st.none()
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from([",", '","', '"', "\\", "\n"])
)
ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width)))


def values_of(page: Page) -> list[Row]:
    rows: list[dict[str, Any]] = orjson.loads(orjson.dumps(joined(page.rows)))
    return [[datum.get("VarCharValue") for datum in row["Data"]] for row in rows]


@given(rows=ROWS, count=st.integers(1, 5))
def test_pages_hold_what_was_written(rows: list[Row], count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.csv"
        lines = [",".join("" if value is None else quoted(value) for value in row) + "\n" for row in rows]
        file.write_bytes("".join(lines).encode())
        found: list[Row] = []
        offset: int | None = 0
        while offset is not None:
            page = read_page(file, offset, count)
            assert len(page.rows) <= count
            found += values_of(page)
            offset = page.following
    assert found == rows


def test_duckdbs_csv_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    duckdb.execute(
        "COPY (SELECT * FROM (VALUES ('a', NULL, ''), ('x\"y', 'p,q', 'r\ns'), (NULL, NULL, NULL))) "
        f"TO '{file}' (FORMAT csv, HEADER false, FORCE_QUOTE *, NULLSTR '')"
    )
    assert values_of(read_page(file, 0, 10)) == [["a", None, ""], ['x"y', "p,q", "r\ns"], [None, None, None]]


@pytest.mark.parametrize("record", [b'"a","b"', b'"","b"', b'"a\tb"', b'"a""b"', b'"a",', b"", b'"\\"'])
def test_a_null_has_no_value_and_json_stays_json(record: bytes) -> None:
    data = orjson.loads(row_of_record(record))["Data"]
    assert len(data) == record.count(b",") + 1
    assert [bool(datum) for datum in data] == [bool(part) for part in record.split(b",")]
