"""Where columns come from: each SELECT is read once, and again when it has changed."""

from __future__ import annotations

from sqlglot import exp, parse_one

from local_aws.athena.typed import origins


def select(sql: str) -> exp.Select:
    tree = parse_one(sql, dialect="trino")
    assert isinstance(tree, exp.Select)
    return tree


def test_a_select_is_read_once_for_all_its_columns() -> None:
    query = select("SELECT a, b AS c, t.*, a FROM t")
    found = origins.by_name(query)
    assert {name: len(expressions) for name, expressions in found.items()} == {"a": 2, "c": 1, "*": 1}
    assert origins.by_name(query) is found


def test_what_changes_is_read_again() -> None:
    query = select("SELECT a FROM t")
    before = origins.by_name(query)
    query.expressions[0].replace(exp.alias_(exp.Literal.number(1), "b"))
    assert set(before) == {"a"}
    assert set(origins.by_name(query)) == {"b"}
    query.append("expressions", exp.column("c"))
    assert set(origins.by_name(query)) == {"b", "c"}
    copied = query.copy()
    assert origins.by_name(copied)["c"][0] is copied.expressions[1]


def test_what_is_kept_is_little() -> None:
    queries = [select(f"SELECT a{number} FROM t") for number in range(3 * origins.MOST_KNOWN)]
    assert [list(origins.by_name(query)) for query in queries] == [[f"a{n}"] for n in range(len(queries))]
    assert len(origins.KNOWN) <= origins.MOST_KNOWN


def test_a_column_stands_for_all_that_it_may_mean() -> None:
    query = select(
        "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT y AS x FROM t) AS s, LATERAL (SELECT 2) AS u"
    )
    stands_for = [node.sql() for node, _ in origins.column_origins(query.expressions[0], query)]
    assert stands_for[:2] == ["1", "y"]
