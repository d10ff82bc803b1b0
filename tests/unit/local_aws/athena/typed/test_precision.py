"""How a column of a result is written."""

from __future__ import annotations

import pytest
import sqlglot

from local_aws.athena.dialect.dialect import AthenaSql
from local_aws.athena.typed.precision import look_of
from local_aws.athena.typed.texts import Look


@pytest.mark.parametrize(
    ("sql", "look"),
    [
        ("SELECT at FROM t", Look(6)),
        ("SELECT * FROM t", Look(6)),
        ("SELECT max(date_trunc('hour', at)) FROM t", Look(6)),
        ("SELECT CAST(at AS timestamp) FROM t", Look(3)),
        ("SELECT now()", Look(3)),
        ("SELECT TIMESTAMP '2026-01-01 00:00:00.123456'", Look(6)),
        ("WITH c AS (SELECT from_unixtime(x) AS at FROM t) SELECT at FROM c", Look(3)),
        ("SELECT at FROM (SELECT at FROM t) s", Look(6)),
        ("SELECT at FROM (SELECT now() AS at UNION ALL SELECT at FROM t)", Look(6)),
        ("SELECT at FROM (SELECT x AT TIME ZONE '+02:00' FROM t) AS s(at)", Look(6, "+02:00")),
        (
            "SELECT max(at) FROM (VALUES TIMESTAMP '2026-01-01 00:00:00 Asia/Tokyo') AS s(at)",
            Look(3, "Asia/Tokyo"),
        ),
        ('SELECT at FROM "t$snapshots"', Look(3)),
        ("SELECT at AT TIME ZONE 'Asia/Tokyo' FROM t", Look(6, "Asia/Tokyo")),
        ("SELECT INTERVAL '1' MONTH", Look(3, "UTC", "interval year to month")),
    ],
)
def test_look_of_a_column(sql: str, look: Look) -> None:
    assert look_of(sqlglot.parse_one(sql, dialect=AthenaSql), 0, "at") == look
