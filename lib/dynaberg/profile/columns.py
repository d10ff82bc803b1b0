"""Profiles of columns: all columns of a table in one Athena statement."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from dynaberg.contracts import LOG_COLUMNS
from dynaberg.past import Moment, resolve_snapshot
from dynaberg.profile.histograms import SHARES, histogram, histogram_of_counts
from dynaberg.profile.paths import Path, paths
from dynaberg.sql import query

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table

    from dynaberg.settings import Settings

Counts = list[tuple[str, int]]

_QUANTILES = {"approx_p25": 0.25, "approx_p50": 0.5, "approx_p75": 0.75}
_METRICS = ("nulls", "approx_distinct", "min", *_QUANTILES, "max", "mean")
# Those that have an order; all their values are returned if there are few.
_COUNTABLE: dict[str, Callable[[str], Any]] = {"int": int, "date": date.fromisoformat}
_TOLD, _MOST_COUNTED = 5, 400
# Athena's sketch accepts only numbers, so moments become seconds; dates become timestamps first.
_MOMENTS = {
    "date": "to_unixtime(CAST({0} AS timestamp))",
    "timestamp": "to_unixtime({0})",
    "timestamptz": "to_unixtime({0})",
}
_INTEGERS, _FLOATS = ("int", "long"), ("float", "double")
# Columns of these types may have frequent values; key columns have none.
_FREQUENT, _UNIQUE = ("string", "boolean", "int", "date"), ("sequence_number", *LOG_COLUMNS)


def profile_columns(
    session: boto3.Session, settings: Settings, table: Table, *, snapshot: Moment | None = None
) -> pd.DataFrame:
    """Profile the columns of a table in one Athena statement; nested ones by path.

    Rows, nulls, min, max, mean and the most frequent values are exact. Approximate values say so in their
    names: on Athena, distinct counts have a standard error of 2.3 %, and quantiles and histograms come from a
    sketch. The local AWS uses another sketch, whose distinct counts can be less accurate.
    Source: Trino documentation, "Aggregate functions". Where `top` is given, every value was counted, and the
    distinct count is exact, too; so is the histogram of a column of whole numbers or dates with at most 400
    different values.

    Below a struct are its fields (`place.city`), below a list `length` and `element`, below a map `length`,
    `key` and `value`; for elements, keys and values, `rows` is their number.

    Args:
        session: Open boto3 session.
        settings: Names of the workgroup, the table bucket and the namespace.
        table: Native pyiceberg table.
        snapshot: Timezone-aware moment or snapshot id to profile; by default the current one.

    Returns:
        One row per column and nested path: column, type, rows, nulls, approx_distinct, min, approx_p25,
        approx_p50, approx_p75, max, mean, top: the five most frequent values as a list of (value as text,
        count); empty for keys, moments and numbers with fractions; approx_histogram: of numbers, dates and
        moments a list of (low, high, rows): of equal width if it is exact, else each with about a twentieth
        of the rows that have a value.

    Raises:
        NotFoundError: There is no such snapshot.

    Example:
        >>> profile_columns(session, settings, table)[["column", "nulls", "approx_distinct"]]
    """
    import pandas as pd

    fields = table.schema().fields
    version = ""
    if snapshot is not None:
        chosen = resolve_snapshot(table, snapshot)
        version = f" FOR VERSION AS OF {chosen.snapshot_id}"
        fields = table.schemas()[chosen.schema_id or 0].fields
    source, profiled = f'"{table.name()[-1]}"{version}', paths(fields)
    found = query(session, settings, _statement(profiled, source, table.schema().identifier_field_names())).df
    values: Any = found.astype(object).iloc[0].to_dict()
    counts = _read_counts(values.get("counts"))
    frame = pd.DataFrame(
        [_profile(i, path, values, counts.get(i, [])) for i, path in enumerate(profiled)], dtype=object
    )
    return frame.astype({"rows": "Int64", "nulls": "Int64", "approx_distinct": "Int64"})


def _statement(profiled: Sequence[Path], source: str, keys: set[str]) -> str:
    """One row of aggregates: those of the rows, of the elements of each array, and of the values' counts."""
    unique = {*keys, *_UNIQUE}
    frequent = {
        index: path
        for index, path in enumerate(profiled)
        if path.type in _FREQUENT and path.name not in unique and not path.nested
    }
    arrays = list(dict.fromkeys(path.array for path in profiled))
    scans = [_scan(profiled, array, source, number, frequent) for number, array in enumerate(arrays)]
    selected = ",\n  ".join(
        ["*", *(part for index, path in enumerate(profiled) for part in _unpacked(index, path))]
    )
    if not frequent:
        return _BESIDE.format(selected=selected, scans="\nCROSS JOIN ".join(scans))
    in_rows = {index: path for index, path in frequent.items() if not path.array}
    ordered = [f"'{index}'" for index, path in frequent.items() if path.type in _COUNTABLE]
    kept = f" OR different <= {_MOST_COUNTED} AND place IN ({', '.join(ordered)})" if ordered else ""
    of_counts = ",\n  ".join(
        [
            _KEPT_COUNTS.format(told=_TOLD, or_kept=kept),
            *(part for index in in_rows for part in _from_counts(index, in_rows[index])),
        ]
    )
    counted = _COUNTED.format(counts=_counts(frequent, source))
    scans.append(f"(SELECT {of_counts}\nFROM ranked) AS counts_of_values")
    return counted + _BESIDE.format(selected=selected, scans="\nCROSS JOIN ".join(scans))


def _scan(profiled: Sequence[Path], array: str, source: str, number: int, frequent: Container[int]) -> str:
    """The aggregates over the rows, or over the elements of one array."""
    indexes = [index for index, path in enumerate(profiled) if path.array == array]
    rows = [f'count(*) AS "rows_{index}"' for index in indexes]
    aggregates = [
        part
        for index in indexes
        for part in _aggregates(index, profiled[index], is_counted=not array and index in frequent)
    ]
    selected = ",\n  ".join([*rows, *aggregates])
    return f"(SELECT {selected}\nFROM {source}{_unnested(array)}) AS scan_{number}"


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
  FROM (SELECT {columns} FROM {source}) AS rows_of_table GROUP BY GROUPING SETS ({sets})"""
_BESIDE = "SELECT {selected}\nFROM {scans}"
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
    'FILTER (WHERE number <= {told}{or_kept}) AS json)) AS "counts"'
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


def _read_counts(text: str | None) -> dict[int, Counts]:
    """The values of each column with their rows, by its place, the most frequent first."""
    counts: dict[int, Counts] = {}
    for place, value, count in json.loads(text or "[]"):
        counts.setdefault(int(place), []).append((value, int(count)))
    return {place: sorted(values, key=lambda pair: (-pair[1], pair[0])) for place, values in counts.items()}


def _aggregates(index: int, path: Path, *, is_counted: bool) -> Iterator[str]:
    """What a scan computes for one path, each named by metric and position; the counts give some of it."""
    name, kind = path.expression, path.type
    if not is_counted:
        yield f'count_if({name} IS NULL) AS "nulls_{index}"'
    if path.nested or kind == "binary":
        return
    if not is_counted:
        yield f'approx_distinct({name}) AS "approx_distinct_{index}"'
        yield f'min({name}) AS "min_{index}"'
        yield f'max({name}) AS "max_{index}"'
    if _is_number(kind):
        # Athena's sketch accepts only bigint and double.
        yield _sketch(f"CAST({name} AS {'bigint' if kind in _INTEGERS else 'double'})", index)
        if not is_counted:
            yield f'avg({name}) AS "mean_{index}"'
    elif kind in _MOMENTS:
        yield _sketch(_MOMENTS[kind].format(name), index)


def _sketch(value: str, index: int) -> str:
    shares = ", ".join(f"{share}e0" for share in SHARES)
    return f'approx_percentile({value}, ARRAY[{shares}]) AS "quantiles_{index}"'


def _unpacked(index: int, path: Path) -> Iterator[str]:
    """The quantiles one by one; those of a decimal are decimals again."""
    for metric, share in _QUANTILES.items() if _is_number(path.type) else ():
        quantile = f'"quantiles_{index}"[{SHARES.index(share) + 1}]'
        shown = f"CAST({quantile} AS {path.type})" if path.type.startswith("decimal") else quantile
        yield f'{shown} AS "{metric}_{index}"'


def _is_number(kind: str) -> bool:
    return kind in _INTEGERS + _FLOATS or kind.startswith("decimal")


def _profile(index: int, path: Path, found: dict[str, Any], counts: Counts) -> dict[str, Any]:
    import pandas as pd

    values: dict[str, Any] = {metric: found.get(f"{metric}_{index}") for metric in ("rows", *_METRICS)}
    values = {
        metric: None if value is pd.NA or value is pd.NaT else value for metric, value in values.items()
    }
    if (valid := found.get(f"valid_{index}")) is not None:
        values["nulls"] = values["rows"] - valid
    if values["approx_distinct"] is not None:
        values["approx_distinct"] = min(values["approx_distinct"], values["rows"] - values["nulls"])
    filled = values["rows"] - (values["nulls"] or 0)
    if path.type in _COUNTABLE and counts and sum(count for _, count in counts) == filled:
        bins = histogram_of_counts({_COUNTABLE[path.type](value): count for value, count in counts})
    else:
        bins = histogram(values["min"], values["max"], found.get(f"quantiles_{index}"), filled)
    told = {"top": counts[:_TOLD], "approx_histogram": bins}
    return {"column": path.name, "type": path.type, **values, **told}
