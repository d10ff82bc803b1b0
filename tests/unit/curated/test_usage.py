"""Curated SQL that reads a column is found, whatever way it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynaberg.curated.usage import files_naming
from dynaberg.settings import Settings

CASES = {
    "SELECT total FROM orders": True,
    'SELECT o."total" FROM orders AS o': True,
    "SELECT TOTAL FROM analytics.orders_changes": True,
    "WITH a AS (SELECT * FROM orders) SELECT max(total) FROM a": True,
    "SELECT * FROM orders": False,
    "SELECT o.*, 1 AS n FROM orders AS o": False,
    "SELECT count(*) FROM orders": None,
    "SELECT 2 * pieces FROM orders": None,
    "SELECT 'total' AS text FROM orders -- total": None,
    "SELECT total FROM others": None,
}


@pytest.mark.parametrize("select", CASES)
def test_a_file_names_a_column_or_takes_all_of_them(tmp_path: Path, select: str) -> None:
    settings = Settings(root=tmp_path, namespace="analytics", table_name="orders")
    folder = tmp_path / "data" / "sql" / "curated"
    folder.mkdir(parents=True)
    (folder / "it.sql").write_text(f"-- build: full\n{select}\n")
    (folder / "broken.sql").write_text("-- build: whatever\nSELECT total FROM orders\n")
    found = dict(files_naming(settings, ("orders", "orders_changes"), "total"))
    assert found == ({} if CASES[select] is None else {"it.sql": CASES[select]})
