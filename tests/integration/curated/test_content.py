"""Replacing the whole content of a table, whatever its columns hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynaberg.curated.content import create_content, replace_content
from dynaberg.sql import query

VALUES = {
    "text": "'one'",
    "binary": "X'00ff'",
    "list": "ARRAY['x']",
    "map": "MAP(ARRAY['a'], ARRAY[DECIMAL '1.00'])",
    "struct": "CAST(ROW('Bern') AS ROW(city varchar))",
}


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    return make_pipeline("contents", is_delivered=False)


@pytest.mark.parametrize("kind", VALUES)
def test_rows_of_nulls_and_of_every_type_are_replaced(pipeline: Any, kind: str) -> None:
    place = (pipeline.session, pipeline.settings)
    select = f"SELECT {VALUES[kind]} AS found, 1 AS n UNION ALL SELECT NULL, 2 UNION ALL SELECT NULL, 3"
    create_content(*place, kind, select)
    before = query(*place, f'SELECT found, n FROM "{kind}" ORDER BY n').df
    assert before["n"].tolist() == [1, 2, 3]
    for _ in range(2):
        replace_content(*place, kind, select)
        assert query(*place, f'SELECT found, n FROM "{kind}" ORDER BY n').df.equals(before)
    replace_content(*place, kind, f"{select} UNION ALL SELECT NULL, 4")
    assert query(*place, f'SELECT n FROM "{kind}" ORDER BY n').df["n"].tolist() == [1, 2, 3, 4]
