"""Time zones, compared with Python's: literals, wall clocks, and moments that are moved."""

# ruff: noqa: DTZ001, E501 - wall clocks; a line is a case

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from local_aws.athena.dialect import QueryError

Ask = Callable[[str], tuple[list[tuple[str | None, ...]], list[str]]]
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo", "America/St_Johns")
# Around the days of 2026 on which clocks are changed somewhere.
DAYS = st.sampled_from(
    [datetime(2026, m, d) for m, d in ((3, 8), (3, 29), (4, 5), (10, 4), (10, 25), (11, 1))]
)
MINUTES = st.integers(-1500, 1500)


def shown(moment: datetime, zone: str) -> str:
    """A moment as Athena shows it."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}.000 {zone}"


def moved(wall: datetime, zone: str, before: datetime) -> datetime:
    """The moment of a wall clock: with the offset of another moment if that holds, the first, or past the gap."""
    offset = before.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()
    same = (wall - offset).replace(tzinfo=UTC)
    if same.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) == wall:
        return same
    return wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@settings(max_examples=40)
@given(day=DAYS, minutes=MINUTES, zone=st.sampled_from(ZONES), days=st.integers(-2, 2))
@example(day=datetime(2026, 10, 25), minutes=30, zone="Europe/Berlin", days=0)
@example(day=datetime(2026, 10, 24), minutes=30, zone="Europe/Berlin", days=1)
@example(day=datetime(2026, 10, 26), minutes=90, zone="Europe/Berlin", days=-1)
def test_moments_in_zones(ask: Ask, day: datetime, minutes: int, zone: str, days: int) -> None:
    moment = (day + timedelta(minutes=minutes)).replace(tzinfo=UTC)
    wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    midnight = wall.replace(hour=0, minute=0)
    ((row,), _) = ask(
        f"SELECT at, hour(at), CAST(at AS date), CAST(at AS varchar), date_format(at, '%H:%i'), "
        f"date_add('day', {days}, at), date_trunc('day', at), at + INTERVAL '1' DAY, date_add('hour', 24, at) "
        f"FROM (SELECT TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S} UTC' AT TIME ZONE '{zone}' AS at)"
    )
    later = shown(moment + timedelta(hours=24), zone)
    assert row == (
        shown(moment, zone),
        str(wall.hour),
        f"{wall:%Y-%m-%d}",
        f"{wall:%Y-%m-%d %H:%M:%S} {zone}",
        f"{wall:%H:%M}",
        shown(moved(wall + timedelta(days=days), zone, moment), zone),
        shown(moved(midnight, zone, moment), zone),
        later,
        later,
    )


@settings(max_examples=40)
@given(day=DAYS, minutes=MINUTES, zone=st.sampled_from(ZONES))
@example(day=datetime(2026, 10, 25), minutes=150, zone="Europe/Berlin")
@example(day=datetime(2026, 3, 29), minutes=150, zone="Europe/Berlin")
def test_literals(ask: Ask, day: datetime, minutes: int, zone: str) -> None:
    wall = day + timedelta(minutes=minutes)
    first = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    query = f"SELECT TIMESTAMP '{wall:%Y-%m-%d %H:%M:%S} {zone}' AT TIME ZONE 'UTC'"
    if first.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) != wall:
        with pytest.raises(QueryError, match=r"INVALID_LITERAL: .* is not a valid TIMESTAMP literal"):
            ask(query)
    else:
        assert ask(query)[0] == [(shown(first, "UTC"),)]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("SELECT TIMESTAMP '2026-10-25 02:30:00 Europe/Berlin'", "2026-10-25 02:30:00.000 Europe/Berlin"),
        ("SELECT TIMESTAMP '2026-10-25 02:30:00 +02:00'", "2026-10-25 02:30:00.000 +02:00"),
        ("SELECT CAST('2026-10-25 02:30:00' AS timestamp with time zone)", "2026-10-25 02:30:00.000 UTC"),
        ("SELECT CAST('2026-10-25' AS timestamp with time zone)", "2026-10-25 00:00:00.000 UTC"),
        ("SELECT transform(ARRAY[TIMESTAMP '2026-10-25 02:30:00 Asia/Tokyo'], x -> hour(x))", "[2]"),
        ("SELECT TIMESTAMP '2026-10-25 02:30:00 Z'", "2026-10-25 02:30:00.000 UTC"),
        ("SELECT hour(TIMESTAMP '2026-10-25 02:30:00 UTC' AT TIME ZONE '-03:30')", "23"),
        ("SELECT to_iso8601(TIMESTAMP '2026-10-25 02:30:00.5 Asia/Tokyo')", "2026-10-25T02:30:00.5+09:00"),
        ("SELECT to_iso8601(TIMESTAMP '2026-10-25 02:30:00.123456')", "2026-10-25T02:30:00.123456"),
        (
            "SELECT with_timezone(TIMESTAMP '2026-10-25 02:30:00', 'Europe/Berlin') AT TIME ZONE 'UTC'",
            "2026-10-25 00:30:00.000 UTC",
        ),
        ("SELECT TRY_CAST('2026-03-29 02:30:00 Europe/Berlin' AS timestamp with time zone)", None),
        (
            "SELECT count(*) FROM (SELECT TIMESTAMP '2026-10-25 02:30:00 Asia/Tokyo' AS at) WHERE at = TIMESTAMP '2026-10-24 17:30:00 UTC'",
            "1",
        ),
        (
            "SELECT hour(at AT TIME ZONE z) FROM (VALUES (TIMESTAMP '2026-10-25 02:30:00 UTC', 'Asia/Tokyo')) AS t(at, z)",
            "11",
        ),
    ],
)
def test_zones(ask: Ask, query: str, text: str | None) -> None:
    assert ask(query)[0] == [(text,)]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT at AT TIME ZONE z FROM (VALUES (TIMESTAMP '2026-10-25 02:30:00 UTC', 'Asia/Tokyo')) AS t(at, z)",
        "SELECT * FROM (VALUES TIMESTAMP '2026-10-25 02:30:00 UTC', TIMESTAMP '2026-10-25 02:30:00 Asia/Tokyo') AS t(at)",
        "SELECT TIMESTAMP '2026-10-25 02:30:00 UTC' UNION ALL SELECT TIMESTAMP '2026-10-25 02:30:00 Asia/Tokyo'",
    ],
)
def test_zones_that_differ_by_row_are_refused(ask: Ask, query: str) -> None:
    with pytest.raises(QueryError, match=r"NOT_SUPPORTED: .*cannot keep a time zone that differs"):
        ask(query)
