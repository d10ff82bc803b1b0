"""Time zones: DuckDB's moments have none, so the statement is asked which zone an expression shows.

A value is always a moment; only the statement shows its zone.
What looks at the wall clock (`hour`, CAST AS DATE) gets the clock of that zone, and what gives a
moment back finds it again: Trino keeps the offset where it still holds, and takes the first of two moments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlglot import exp

from local_aws.athena.dialect import WALL_CLOCK, QueryError, call, offset_minutes
from local_aws.athena.typed.origins import branches, column_origins, variable_sources

Node = exp.Expr
T = exp.DataType.Type

CALENDAR = ("day", "week", "month", "quarter", "year")
# The place of the moment among the arguments.
SHOWS_CLOCK: Mapping[str, int] = dict.fromkeys(
    (
        "year", "month", "day", "hour", "minute", "second", "millisecond", "quarter", "week", "week_of_year",
        "day_of_month", "day_of_week", "dow", "day_of_year", "doy", "year_of_week", "yow", "date",
        "last_day_of_month", "date_format", "format_datetime", "to_iso8601",
    ),
    0,
) | {"date_diff": 1}  # fmt: skip
MOVES: Mapping[str, int] = {"date_trunc": 1, "date_add": 2}
# What has the zone of its arguments, or of the first of them.
KEEPS_ZONE = ("coalesce", "greatest", "least", "try")
KEEPS_ZONE_OF_FIRST = (
    "min", "max", "arbitrary", "any_value", "max_by", "min_by", "first_value", "last_value", "nth_value",
    "lag", "lead", "nullif", "element_at", "array_agg", "array_max", "array_min", "array_distinct",
    "array_sort",
)  # fmt: skip
LITERAL = re.compile(
    r"\s*(\d{4}-\d\d?-\d\d?)(?:[ T](\d\d?:\d\d(?::\d\d)?)(\.\d+)?)?\s*([A-Za-z][\w/+-]*|[+-][\d:]+)\s*"
)


def write_zones(tree: Node) -> None:
    """Puts the zone that an expression shows where DuckDB needs it, in place."""
    for called in list(tree.find_all(exp.Anonymous)):
        if called.name.lower() == "at_timezone" and len(called.expressions) == 2:
            called.replace(exp.AtTimeZone(this=called.expressions[0], zone=called.expressions[1]))
    found = [(node, moment, zone_of(moment, select_of(node))) for node, moment in clock_readers(tree)]
    for node, moment, zone in found:
        if zone is not None:
            read_clock(node, moment, zone)
    for cast in list(tree.find_all(exp.Cast, exp.TryCast)):
        if is_moment_literal(cast):
            write_literal(cast)


def select_of(node: Node) -> exp.Select | None:
    """The SELECT that an expression stands in."""
    return node.find_ancestor(exp.Select)


def clock_readers(tree: Node) -> Iterator[tuple[Node, Node]]:
    """What looks at the wall clock of a moment, and the moment."""
    for node in tree.find_all(exp.Anonymous, exp.Cast, exp.TryCast, exp.Extract, exp.Add, exp.Sub):
        if isinstance(node, exp.Anonymous):
            name = node.name.lower()
            place = SHOWS_CLOCK.get(name, MOVES.get(name))
            is_exact = name in ("date_add", "date_diff") and unit_of(node) not in CALENDAR
            if place is not None and place < len(node.expressions) and not is_exact:
                yield node, node.expressions[place]
        elif isinstance(node, exp.Extract):
            yield node, node.expression
        elif isinstance(node, exp.Cast):
            if node.to.this in (T.DATE, T.TIMESTAMP, T.TIME, T.VARCHAR, T.TEXT):
                yield node, node.this
        elif is_month_interval(node.expression):
            yield node, node.this


def unit_of(node: Node) -> str:
    """The unit of a date function, where it is written."""
    units = [first.name.lower() for first in node.expressions[:1] if isinstance(first, exp.Literal)]
    return units[0] if units else ""


def is_month_interval(node: Node) -> bool:
    """Whether an interval is of months; one of days is of 24 hours each, in every zone."""
    return isinstance(node, exp.Interval) and str(node.args.get("unit")).upper() in ("YEAR", "MONTH")


def read_clock(node: Node, moment: Node, zone: Node) -> None:
    """Gives a function the wall clock of a moment, and makes a moment of what moves it."""
    original = moment.copy()
    clock = exp.AtTimeZone(this=original, zone=zone.copy())
    clock.meta[WALL_CLOCK] = True
    moment.replace(clock)
    name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
    if name == "date_diff":
        other = exp.AtTimeZone(this=node.expressions[2].copy(), zone=zone.copy())
        other.meta[WALL_CLOCK] = True
        node.expressions[2].replace(other)
    elif name in MOVES or isinstance(node, (exp.Add, exp.Sub)):
        around(node, lambda inner: call("trino_moved", inner, zone.copy(), original.copy()))
    elif name == "to_iso8601":
        around(node, lambda inner: joined(inner, call("trino_offset", original.copy(), zone.copy())))
    elif isinstance(node, exp.Cast) and node.to.this in (T.VARCHAR, T.TEXT):
        around(node, lambda inner: joined(inner, joined(exp.Literal.string(" "), zone.copy())))


def around(node: Node, make: Callable[[Node], Node]) -> None:
    """Puts something around a node, which stays the same object."""
    holder = exp.Paren(this=exp.Null())
    node.replace(holder)
    holder.set("this", make(node))


def joined(left: Node, right: Node) -> Node:
    """Two texts as one."""
    return exp.Paren(this=exp.DPipe(this=left, expression=right))


def zone_of(node: Node | None, select: exp.Select | None) -> Node | None:
    """The zone that an expression shows, None where that is UTC or it has none."""
    if isinstance(node, exp.AtTimeZone):
        return not_utc(node.args["zone"])
    if isinstance(node, (exp.Cast, exp.TryCast)):
        if is_moment_literal(node):
            return not_utc(exp.Literal.string(literal_parts(node)[2]))
        return zone_of(node.this, select) if node.to.this == T.TIMESTAMPTZ else None
    if isinstance(node, exp.Column):
        origins = list(column_origins(node, select))
        zones = [None if isinstance(n, exp.Table) else zone_of(n, inner) for n, inner in origins]
        return one_zone(zones, node, is_far=True)
    if isinstance(node, exp.Subquery):
        inner = [zone_of(query.expressions[0].unalias(), query) for query in branches(node)]
        return one_zone(inner, node, is_far=True)
    sources = [part for part in zone_sources(node) if not isinstance(part, exp.Null)]
    return one_zone([zone_of(part, select) for part in sources], node)


def zone_sources(node: Node | None) -> Sequence[Node]:
    """The parts of an expression that have its zone."""
    if isinstance(node, (exp.Paren, exp.Window, exp.Filter, exp.IgnoreNulls, exp.Distinct, exp.Ordered)):
        return [node.this] if node.this else node.expressions
    if isinstance(node, (exp.Add, exp.Sub)):
        return [part for part in (node.this, node.expression) if not isinstance(part, exp.Interval)][:1]
    if isinstance(node, exp.Case):
        results = [branch.args["true"] for branch in node.args["ifs"]]
        return [*results, *filter(None, [node.args.get("default")])]
    if isinstance(node, exp.If):
        return [part for part in (node.args.get("true"), node.args.get("false")) if part]
    if isinstance(node, exp.Identifier):
        return variable_sources(node)
    if isinstance(node, (exp.Bracket, exp.Array)):
        return [node.this] if node.this else node.expressions
    if isinstance(node, exp.Anonymous) and node.expressions:
        name = node.name.lower()
        if name in ("at_timezone", "with_timezone", "trino_moved"):
            return [exp.AtTimeZone(this=exp.Null(), zone=node.expressions[1])]
        if name.startswith("from_iso8601_timestamp") or name == "parse_datetime":
            return text_zone(node.expressions[0])
        place = MOVES.get(name, 0 if name in KEEPS_ZONE_OF_FIRST else None)
        if place is not None:
            return node.expressions[place : place + 1]
        return node.expressions if name in KEEPS_ZONE else []
    return []


def text_zone(text: Node) -> list[Node]:
    """The zone of a moment that is read from a text that is written out."""
    found = re.search(r"T.*?(Z|[+-]\d\d(?::?\d\d)?)$", text.name) if isinstance(text, exp.Literal) else None
    return [exp.AtTimeZone(this=exp.Null(), zone=exp.Literal.string(found[1]))] if found else []


def one_zone(zones: Sequence[Node | None], node: Node | None, *, is_far: bool = False) -> Node | None:
    """The zone that all parts have; refused where they differ or it is worked out in another scope."""
    first = zones[0] if zones else None
    if any(zone != first for zone in zones) or (is_far and first is not None and not first.is_string):
        message = (
            "The local Athena cannot keep a time zone that differs from row to row; apply AT TIME ZONE last"
        )
        raise QueryError("NOT_SUPPORTED", message, node)
    return first


def zone_name(zones: Sequence[Node | None]) -> str:
    """The zone of a result's column."""
    zone = one_zone(zones, None, is_far=True)
    return "UTC" if zone is None else zone.name


def not_utc(zone: Node) -> Node | None:
    """A zone, None for the names of UTC."""
    plain = zone.name.lower() if isinstance(zone, exp.Literal) else ""
    return None if plain in UTC_NAMES or offset_minutes(plain) == 0 else zone


UTC_NAMES = ("utc", "z", "ut", "uct", "gmt", "zulu", "universal", "greenwich", "etc/utc", "etc/gmt")


def is_moment_literal(node: Node) -> bool:
    """Whether a cast makes a moment with a zone of a text that is written out."""
    is_text = isinstance(node.this, exp.Literal) and node.this.is_string
    return (
        isinstance(node, exp.Cast)
        and node.to.this == T.TIMESTAMPTZ
        and is_text
        and bool(literal_parts(node)[2])
    )


def literal_parts(node: Node) -> tuple[str, str, str]:
    """The wall clock to the second, the rest of it, and the zone of a text."""
    found = LITERAL.fullmatch(node.this.name)
    return (f"{found[1]} {found[2] or '00:00'}", found[3] or "", found[4]) if found else ("", "", "")


def write_literal(node: exp.Cast) -> None:
    """Writes a moment in UTC: the first of two that have its wall clock."""
    clock, fraction, zone = literal_parts(node)
    try:
        date, _, time = clock.partition(" ")
        year, month, day = map(int, date.split("-"))
        hour, minute, second = map(int, f"{time}:0".split(":")[:3])
        local = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - a wall clock
        moment = first_moment(local, zone_named(zone))
    except (ValueError, OverflowError, ZoneInfoNotFoundError):
        moment = None
    if moment is not None:
        node.this.set("this", f"{moment.replace(tzinfo=None).isoformat(' ')}{fraction}+00")
    elif isinstance(node, exp.TryCast):
        node.set("this", exp.Null())
    elif node.to.expressions:
        raise QueryError("INVALID_LITERAL", f"'{node.this.name}' is not a valid TIMESTAMP literal", node)
    else:
        message = f"Value cannot be cast to timestamp with time zone: {node.this.name}"
        raise QueryError("INVALID_CAST_ARGUMENT", message, node)


def zone_named(name: str) -> tzinfo:
    """A time zone by its name or its offset."""
    minutes = 0 if name.lower() in UTC_NAMES else offset_minutes(name)
    return ZoneInfo(name) if minutes is None else timezone(timedelta(minutes=minutes))


def first_moment(local: datetime, zone: tzinfo) -> datetime | None:
    """The first moment at which clocks of a zone show a time, None where they never do."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None, fold=0) == local else None
