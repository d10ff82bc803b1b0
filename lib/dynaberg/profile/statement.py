"""The statement of a profile: one row of aggregates for some of a table's columns and nested paths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date
from typing import Any

from dynaberg.contracts import LOG_COLUMNS
from dynaberg.profile.histograms import SHARES
from dynaberg.profile.paths import Path

MEASURES = ("sketch", "order")
"""What a statement may leave out: quantiles and mean; and distinct values, min, max, frequent values."""
COUNTABLE: dict[str, Callable[[str], Any]] = {"int": int, "date": date.fromisoformat}
"""Types that have an order; all their values are returned if there are few."""
MOST_SHOWN, MOST_COUNTED = 5, 400
# Athena's sketch accepts only numbers, so moments become seconds; dates become timestamps first.
_MOMENTS = {
    "date": "to_unixtime(CAST({0} AS timestamp))",
    "timestamp": "to_unixtime({0})",
    "timestamptz": "to_unixtime({0})",
}
_INTEGERS, _FLOATS = ("int", "long"), ("float", "double")
FREQUENT = ("string", "boolean", "int", "date")
"""Types of columns that may have frequent values; key columns have none."""
UNIQUE = ("sequence_number", *LOG_COLUMNS)
"""Columns of ours, whose values are not counted."""


def statement(
    profiled: Sequence[Path], source: str, uncounted: Collection[str], measures: Collection[str] = MEASURES
) -> str:
    """One row of aggregates: those of the rows, of the elements of each array, and of the values' counts.

    Args:
        profiled: The paths; an aggregate's name ends with the position of its path.
        source: What follows FROM, without an alias.
        uncounted: Names of columns whose values are not counted, such as key columns.
        measures: Which of `MEASURES` to compute; or `distinct`, for the approximate number of values alone.
    """
    frequent = {
        index: path
        for index, path in enumerate(profiled)
        if "order" in measures and path.type in FREQUENT and path.name not in uncounted and not path.nested
    }
    # With a name of its own: in a table that is called place, `place.city` would be the column city.
    source = f"{source} AS rows_of_table"
    arrays = list(dict.fromkeys(path.array for path in profiled))
    scans = [
        _scan(
            [(i, path) for i, path in enumerate(profiled) if path.array == array], source, frequent, measures
        )
        for array in arrays
    ]
    beside = [f"({scan}) AS scan_{number}" for number, scan in enumerate(scans)]
    if not frequent:
        return _BESIDE.format(scans="\nCROSS JOIN ".join(beside))
    in_rows = {index: path for index, path in frequent.items() if not path.array}
    ordered = [f"'{index}'" for index, path in frequent.items() if path.type in COUNTABLE]
    kept = f" OR different <= {MOST_COUNTED} AND place IN ({', '.join(ordered)})" if ordered else ""
    of_counts = ",\n  ".join(
        [
            _KEPT_COUNTS.format(shown=MOST_SHOWN, or_kept=kept),
            *(part for index in in_rows for part in _from_counts(index, in_rows[index])),
        ]
    )
    counted = _COUNTED.format(counts=_counts(frequent, source))
    beside.append(f"(SELECT {of_counts}\nFROM ranked) AS counts_of_values")
    return counted + _BESIDE.format(scans="\nCROSS JOIN ".join(beside))


def length(path: Path) -> int:
    """About how many characters a path adds to the statement."""
    parts = [*_aggregates(0, path, is_counted=False, measures=MEASURES)]
    if path.type in FREQUENT:
        parts += [*_from_counts(0, path), path.expression * 2]
    return sum(len(part) + 4 for part in parts) + len(path.array) + 100


def _scan(
    paths: Sequence[tuple[int, Path]], source: str, frequent: Collection[int], measures: Collection[str]
) -> str:
    """The aggregates over the rows, or over the elements of one array."""
    array = paths[0][1].array
    rows = [f'count(*) AS "rows_{index}"' for index, _ in paths]
    aggregates = [
        part
        for index, path in paths
        for part in _aggregates(index, path, is_counted=not array and index in frequent, measures=measures)
    ]
    selected = ",\n  ".join([*rows, *aggregates])
    return f"SELECT {selected}\nFROM {source}{_unnested(array)}"


def _unnested(array: str) -> str:
    return f' CROSS JOIN UNNEST({array}) AS u("value")' if array else ""


def _counts(frequent: dict[int, Path], source: str) -> str:
    """How often each value occurs: those of the rows in one scan, those of each array in a separate one."""
    in_rows = {index: path for index, path in frequent.items() if not path.array}
    others = "".join(f", NULL AS v{index}" for index in in_rows)
    parts = [
        f"SELECT '{index}' AS place, CAST({path.expression} AS varchar) AS value, count(*) AS n{others}\n"  # noqa: S608
        f"  FROM {source}{_unnested(path.array)} WHERE {path.expression} IS NOT NULL GROUP BY 1, 2"
        for index, path in frequent.items()
        if path.array
    ]
    if in_rows:
        counted = _ROWS_COUNTED.format(
            places=" ".join(f"WHEN v{index} IS NOT NULL THEN '{index}'" for index in in_rows),
            values=", ".join([*(f"CAST(v{index} AS varchar)" for index in in_rows), "NULL"]),
            names="".join(f", v{index}" for index in in_rows),
            sets=", ".join(f"(v{index})" for index in in_rows),
            columns=", ".join(f"{path.expression} AS v{index}" for index, path in in_rows.items()),
            source=source,
        )
        parts.insert(0, counted)
    return "\n  UNION ALL ".join(parts)


# One scan counts the values of all columns: in each grouping set all columns but one are NULL.
_ROWS_COUNTED = """\
SELECT CASE {places} END AS place, coalesce({values}) AS value, count(*) AS n{names}
  FROM (SELECT {columns} FROM {source}) AS values_of_rows GROUP BY GROUPING SETS ({sets})"""
_BESIDE = "SELECT *\nFROM {scans}"
# Each is named once: Athena runs a WITH query as often as it is named.
_COUNTED = """\
WITH counted AS (
  {counts}
), ranked AS (
  SELECT *, row_number() OVER (PARTITION BY place ORDER BY n DESC, value) AS number,
    count(*) OVER (PARTITION BY place) AS different
  FROM counted WHERE place IS NOT NULL
)
"""
_KEPT_COUNTS = (
    "json_format(CAST(array_agg(ARRAY[place, value, CAST(n AS varchar)]) "
    'FILTER (WHERE number <= {shown}{or_kept}) AS json)) AS "counts"'
)


def _from_counts(index: int, path: Path) -> Iterator[str]:
    """The metrics that follow from the counts of a column's values: each value occurs once, with its rows."""
    yield f'coalesce(sum(n) FILTER (WHERE v{index} IS NOT NULL), 0) AS "valid_{index}"'
    yield f'count(v{index}) AS "approx_distinct_{index}"'
    yield f'min(v{index}) AS "min_{index}"'
    yield f'max(v{index}) AS "max_{index}"'
    if path.type in _INTEGERS:
        valid = f"sum(n) FILTER (WHERE v{index} IS NOT NULL)"
        yield f'CAST(sum(v{index} * n) AS double) / {valid} AS "mean_{index}"'


def _aggregates(index: int, path: Path, *, is_counted: bool, measures: Collection[str]) -> Iterator[str]:
    """What a scan computes for one path, each named by metric and position; the counts give some of it."""
    name, kind = path.expression, path.type
    if "distinct" in measures:
        yield f'approx_distinct({name}) AS "approx_distinct_{index}"'
        return
    if not is_counted:
        yield f'count_if({name} IS NULL) AS "nulls_{index}"'
    if path.nested or kind == "binary" or "order" not in measures:
        return
    if not is_counted:
        yield f'approx_distinct({name}) AS "approx_distinct_{index}"'
        yield f'min({name}) AS "min_{index}"'
        yield f'max({name}) AS "max_{index}"'
    if "sketch" not in measures:
        return
    if is_number(kind):
        yield _sketch(_sketched(name, kind), index)
        if not is_counted:
            yield f'avg({name}) AS "mean_{index}"'
    elif kind in _MOMENTS:
        yield _sketch(_MOMENTS[kind].format(name), index)


def _sketched(name: str, kind: str) -> str:
    """A number as Athena's sketch accepts it: bigint or double, and finite."""
    if kind in _INTEGERS:
        return f"CAST({name} AS bigint)"
    return f"CAST(IF(is_finite({name}), {name}) AS double)" if kind in _FLOATS else f"CAST({name} AS double)"


def _sketch(value: str, index: int) -> str:
    """The quantiles as JSON: an array would be text that cannot be read back."""
    shares = ", ".join(f"{share}e0" for share in SHARES)
    return f'json_format(CAST(approx_percentile({value}, ARRAY[{shares}]) AS json)) AS "quantiles_{index}"'


def is_number(kind: str) -> bool:
    """Whether a type has a mean."""
    return kind in _INTEGERS + _FLOATS or kind.startswith("decimal")
