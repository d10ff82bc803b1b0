"""What a SQL file declares: read as it is meant, and refused when it cannot be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from trino_sql_validator import validate

from dynaberg.curated.checks import read_check
from dynaberg.curated.files import Incremental, implied_checks, parse_file, read_file, read_files
from dynaberg.errors import BuildError, NotFoundError
from dynaberg.settings import Settings

ROOT = Path(__file__).parents[3]
SELECT = (
    "SELECT status, day, count(*) AS items FROM orders JOIN n.sizes USING (id), other.things GROUP BY 1, 2"
)
WHOLE = f"""\
-- Orders by status.
-- build: incremental, key(status, day), watermark(day), lookback(2 days)
-- check: rows > 0
-- check: unique(status, day)
-- check: SELECT * FROM by_status
--        WHERE items < 0
-- chart: plot_hourly, plot_merchants

{SELECT};
"""


def test_a_header_is_read() -> None:
    file = parse_file("by_status", WHOLE, "n")
    assert file.select == SELECT
    assert (file.inputs, file.elsewhere) == (("orders", "sizes"), ("other.things",))
    assert file.incremental == Incremental(("status", "day"), "day", "INTERVAL '2' DAY")
    assert [check.text for check in file.checks][:2] == ["rows > 0", "unique(status, day)"]
    assert file.checks[2].text == "SELECT * FROM by_status\nWHERE items < 0"
    assert file.charts == ("plot_hourly", "plot_merchants")


def test_an_incremental_build_is_checked_for_what_it_relies_on() -> None:
    texts = [check.text for check in implied_checks(parse_file("by_status", WHOLE, "n"))]
    assert texts[:2] == ['unique("status", "day")', 'not_null("status", "day", "day")']


def test_inputs_that_are_declared_are_not_searched_for() -> None:
    text = "-- inputs: Orders, n.sizes\nSELECT * FROM TABLE(f(1))"
    assert parse_file("x", text, "n").inputs == ("orders", "sizes")


def test_comments_do_not_change_the_digest_and_everything_else_does() -> None:
    file = parse_file("by_status", WHOLE, "n")
    assert parse_file("by_status", WHOLE.replace("Orders by", "All by"), "n").digest == file.digest
    for old, new in (("count(*)", "sum(1)"), ("2 days", "3 days"), ("rows > 0", "rows > 1")):
        assert parse_file("by_status", WHOLE.replace(old, new), "n").digest != file.digest


@pytest.mark.parametrize(
    "text",
    [
        "-- build: sometimes\nSELECT 1",
        "-- build: incremental, key(a)\nSELECT 1",
        "-- build: incremental, key(a), watermark(b, c)\nSELECT 1",
        "-- build: incremental, key(a), watermark(b), lookback(2 weeks)\nSELECT 1",
        "-- build: incremental, key(a), watermark(b), every(day)\nSELECT 1",
        "-- check: rows\nSELECT 1",
        "-- check: unique()\nSELECT 1",
        "-- check: not_null(a, 'b')\nSELECT 1",
        "-- check: accepted(a)\nSELECT 1",
        "-- check: DELETE FROM a\nSELECT 1",
        "-- checks: rows > 0\nSELECT 1",
        "SELECT * FROM TABLE(f(1))",
        "-- only a comment",
        "INSERT INTO a SELECT 1",
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BuildError) as caught:
        parse_file("odd", text, "n")
    assert "odd" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("rows >= 10", "WHERE NOT n >= 10"),
        ('unique(a, "B c")', 'GROUP BY "a", "b c" HAVING count(*) > 1'),
        ("not_null(a, b)", 'WHERE "a" IS NULL OR "b" IS NULL'),
        ("accepted(a, 'x', 'it''s')", "WHERE \"a\" NOT IN ('x', 'it''s')"),
        ("accepted(a, true, false)", 'WHERE "a" NOT IN (true, false)'),
        ("SELECT * FROM t WHERE a < 0", 'WITH "t" AS (SELECT * FROM "staging") SELECT'),
        ("WITH x AS (SELECT 1 AS a) SELECT * FROM x, t", "WITH x AS"),
    ],
)
def test_a_check_selects_what_breaks_it(text: str, part: str) -> None:
    statement = read_check(text, "t").on('"staging"')
    assert part in statement
    assert validate(f"SELECT (SELECT count(*) FROM (\n{statement}\n)) AS c0", dialect="trino").valid


def test_every_curated_file_of_the_project_is_read_and_athenas_sql() -> None:
    files = read_files(Settings(root=ROOT))
    assert {path.stem for path in (ROOT / "data" / "sql" / "curated").glob("*.sql")} == set(files)
    for file in files.values():
        assert file.inputs
        assert file.checks
        assert validate(file.select, dialect="trino").valid
        for check in implied_checks(file):
            assert validate(check.on(f'"{file.name}"'), dialect="trino").valid


def test_a_curated_table_without_a_file_is_an_error() -> None:
    with pytest.raises(NotFoundError, match="hourly_activity"):
        read_file(Settings(root=ROOT), "hourly_activty")


@pytest.mark.parametrize("name", ["transactions", "transactions_changes", "By_Status", "a__staging_b"])
def test_a_name_that_a_curated_table_cannot_have_is_refused(name: str, tmp_path: Path) -> None:
    settings = replace(Settings(), root=tmp_path)
    folder = tmp_path / "data" / "sql" / "curated"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "data" / "sql" / "curated" / "hourly_activity.sql", folder / f"{name}.sql")
    with pytest.raises(BuildError, match=name):
        read_file(settings, name)
