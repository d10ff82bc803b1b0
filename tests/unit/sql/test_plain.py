"""Only a SELECT of one table's columns is plain; whatever else there is, is not."""

from __future__ import annotations

import pytest

from dynaberg.sql.plain import plain_select

PLAIN = {
    "SELECT * FROM t": ("*",),
    "select id, Tags from T;": ("id", "tags"),
    'SELECT "id", "a""b" AS x, tags u FROM "t"': ("id", 'a"b', "tags"),
    "SELECT id, upper(id), a + b c, * FROM ns.t AS u WHERE x IN (SELECT y FROM z) LIMIT 5": (
        "id",
        "",
        "",
        "*",
    ),
    "SELECT tags -- FROM x, y\n FROM /* JOIN */ t ORDER BY 'UNION', tags": ("tags",),
    "SELECT count(*), tags FROM t OFFSET 5 FETCH FIRST 2 ROWS ONLY": ("", "tags"),
    "SELECT extract(day FROM at), tags FROM t": ("", "tags"),
    "SELECT place.city, tags FROM t": ("", "tags"),
    "SELECT id FROM t WHERE a = ? AND b = 'GROUP BY'": ("id",),
}


@pytest.mark.parametrize(("statement", "items"), PLAIN.items())
def test_a_plain_select(statement: str, items: tuple[str, ...]) -> None:
    plain = plain_select(statement, "ns")
    assert plain
    assert (plain.items, plain.table, plain.version) == (items, "t", None)
    assert statement[plain.end :].upper().startswith("FROM")


def test_a_version_and_an_alias() -> None:
    plain = plain_select("SELECT * FROM t FOR VERSION AS OF 17 AS Place WHERE true", "ns")
    assert plain
    assert (plain.table, plain.alias, plain.version) == ("t", "place", 17)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "SELECT",
        "SELECT 1",
        "SHOW TABLES",
        "INSERT INTO t SELECT * FROM u",
        "WITH t AS (SELECT 1 AS tags) SELECT * FROM t",
        "(SELECT * FROM t)",
        "SELECT DISTINCT tags FROM t",
        "SELECT upper(id) FROM t",
        "SELECT t.* FROM t",
        "SELECT place.* FROM t",
        "SELECT *, * FROM t",
        "SELECT * FROM t, u",
        "SELECT * FROM t JOIN u ON true",
        "SELECT * FROM t CROSS JOIN UNNEST(tags) AS x (tag)",
        "SELECT * FROM t x (a, b)",
        "SELECT * FROM (SELECT * FROM t)",
        "SELECT * FROM UNNEST(ARRAY[1]) AS t (tags)",
        "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
        "SELECT tags, count(*) FROM t GROUP BY tags",
        "SELECT tags FROM t WHERE true GROUP BY tags",
        "SELECT tags FROM t UNION ALL SELECT tags FROM u",
        "SELECT tags FROM t LIMIT 5 INTERSECT SELECT tags FROM u",
        "SELECT * FROM other.t",
        "SELECT * FROM lake.ns.t",
        'SELECT * FROM "t$files"',
        "SELECT * FROM t FOR TIMESTAMP AS OF current_timestamp",
        "SELECT * FROM t FOR VERSION AS OF 'tag'",
    ],
)
def test_what_is_no_plain_select(statement: str) -> None:
    assert plain_select(statement, "ns") is None
