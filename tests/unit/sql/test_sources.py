"""Which tables a statement reads: every place where one can stand, and none where another word stands."""

from __future__ import annotations

import pytest
import sqlglot
from sqlglot.optimizer.scope import traverse_scope

from dynaberg.errors import QueryError
from dynaberg.sql.sources import column_names, tables_read

CASES = {
    "SELECT 1": "",
    "SELECT * FROM a": "a",
    'SELECT * FROM "A" AS x, b y, c': "a b c",
    "SELECT * FROM a -- FROM z\n/* JOIN y */ WHERE t = 'FROM x'": "a",
    "SELECT extract(day FROM d), trim(both ' ' FROM s) FROM a": "a",
    "SELECT p IS DISTINCT FROM q, r IS NOT DISTINCT FROM s, t FROM a": "a",
    "SELECT DISTINCT x FROM a": "a",
    "SELECT * FROM a LEFT JOIN b USING (id), c CROSS JOIN UNNEST(l, m) AS u (x, y), d": "a b c d",
    "SELECT * FROM ((a JOIN b ON true) JOIN c ON true)": "a b c",
    "SELECT * FROM (SELECT * FROM a) JOIN (VALUES 1, 2) AS v (n) ON true": "a",
    "SELECT (SELECT max(x) FROM b), c FROM a WHERE y IN (SELECT y FROM d) ORDER BY c, y": "b a d",
    "SELECT * FROM a UNION ALL (SELECT * FROM b) EXCEPT SELECT * FROM c": "a b c",
    "WITH w AS (SELECT * FROM a), v (x) AS (SELECT x FROM w) SELECT * FROM v JOIN b USING (x)": "a b",
    "WITH w AS (SELECT * FROM w) SELECT * FROM w": "w",
    "WITH RECURSIVE w (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w) SELECT * FROM w, a": "a",
    "SELECT * FROM (WITH w AS (SELECT * FROM a) SELECT * FROM w) JOIN w ON true": "a w",
    "SELECT * FROM n.a JOIN c.n.b ON true": "n.a c.n.b",
    'SELECT * FROM "a$snapshots" FOR VERSION AS OF 7, b FOR TIMESTAMP AS OF now(), c': "a b c",
    "SELECT * FROM a, LATERAL (SELECT * FROM b) AS l": "a b",
}


@pytest.mark.parametrize("statement", CASES)
def test_each_table_is_found_once(statement: str) -> None:
    assert tables_read(statement) == CASES[statement].split()


@pytest.mark.parametrize("statement", CASES)
def test_sqlglot_finds_the_same(statement: str) -> None:
    scopes = traverse_scope(sqlglot.parse_one(statement, dialect="athena"))
    found = {
        ".".join(part.name.lower().partition("$")[0] for part in source.parts)
        for scope in scopes
        for source in scope.sources.values()
        if isinstance(source, sqlglot.exp.Table)
    }
    assert set(tables_read(statement)) == found


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM TABLE(f(1))", "SELECT * FROM", "SELECT * FROM 'a'", "DELETE FROM a", "VALUES 1", ""],
)
def test_what_is_not_understood_is_refused(statement: str) -> None:
    with pytest.raises(QueryError) as caught:
        tables_read(statement)
    assert caught.value.hint


def test_names_that_may_be_columns() -> None:
    names = column_names("""SELECT o.Total, "Other", 'text' FROM orders AS o -- comment""")
    assert {"total", "other"} <= names
    assert not {"text", "comment", "*"} & names
