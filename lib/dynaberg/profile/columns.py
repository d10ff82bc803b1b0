"""Profiles of columns: all columns of a small table in one Athena statement, those of a wide one in parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dynaberg.errors import QueryCancelledError, QueryError
from dynaberg.past import Moment, resolve_snapshot
from dynaberg.profile.histograms import SHARES, from_sketch, histogram, histogram_of_counts
from dynaberg.profile.paths import Path, paths
from dynaberg.profile.statement import (
    COUNTABLE,
    FREQUENT,
    MEASURES,
    MOST_SHOWN,
    UNIQUE,
    is_number,
    length,
    statement,
)
from dynaberg.sql import query, quote

if TYPE_CHECKING:
    import boto3
    import pandas as pd
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot

    from dynaberg.settings import Settings

Counts = list[tuple[str, int]]
Ask = Callable[[Sequence[Path], Sequence[str]], dict[str, Any]]

_QUANTILES = {"approx_p25": 0.25, "approx_p50": 0.5, "approx_p75": 0.75}
_METRICS = ("nulls", "approx_distinct", "min", *_QUANTILES, "max", "mean")
# Far below Athena's 262,144: a short statement is planned quickly, and few columns fail together.
_MOST_CHARACTERS = 14_000
# In a larger table, only columns with few different values have each of them counted.
_MANY_ROWS, _MANY_VALUES = 1_000_000, 10_000


def profile_columns(
    session: boto3.Session, settings: Settings, table: Table, *, snapshot: Moment | None = None
) -> pd.DataFrame:
    """Profile the columns of a table, nested ones by path; a wide table in several Athena statements.

    Rows, nulls, min, max, mean and the most frequent values are exact. Approximate values say so in their
    names: on Athena, distinct counts have a standard error of 2.3 %, and quantiles and histograms come from a
    sketch.
    Source: Trino documentation, "Aggregate functions". Where `top` is given, every value was counted, and the
    distinct count is exact, too; so is the histogram of a column of whole numbers or dates with at most 400
    different values.

    What Athena cannot compute for a column is missing, and the rest of the profile is there: the mean of
    numbers that overflow, the histogram of values without an order. Quantiles of floats are those of their
    finite numbers.

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
        count); empty for keys, moments and numbers with fractions, and in a table of more than a million rows
        for columns with more than about 10,000 different values; approx_histogram: of numbers, dates and
        moments a list of (low, high, rows): of equal width if it is exact, else each with about a twentieth
        of the rows that have a value.

    Raises:
        NotFoundError: There is no such snapshot.

    Example:
        >>> profile_columns(session, settings, table)[["column", "nulls", "approx_distinct"]]
    """
    import pandas as pd

    fields, keys = table.schema().fields, table.schema().identifier_field_names()
    version, chosen = "", None
    if snapshot is not None:
        chosen = resolve_snapshot(table, snapshot)
        version = _version(chosen.snapshot_id)
        fields = table.schemas()[chosen.schema_id or 0].fields
    parts = list(_parts(paths(fields)))
    is_large = _rows(chosen or table.current_snapshot()) > _MANY_ROWS
    uncounted = {*keys, *UNIQUE}

    def ask(part: Sequence[Path], measures: Sequence[str]) -> dict[str, Any]:
        source = f"{quote(table.name()[-1])}{version}"
        found = query(session, settings, statement(part, source, uncounted, measures)).df
        values: Any = found.astype(object).iloc[0].to_dict()
        return dict(values)

    if not version and (is_large or len(parts) > 1):
        version = _newest(table)
    lines: list[dict[str, Any]] = []
    for part in parts:
        if is_large:
            uncounted |= {*_of_many_values(ask, part, uncounted)}
        lines += _lines(ask, part)
    frame = pd.DataFrame(lines, dtype=object)
    return frame.astype({"rows": "Int64", "nulls": "Int64", "approx_distinct": "Int64"})


def _rows(snapshot: Snapshot | None) -> int:
    return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0


def _of_many_values(ask: Ask, part: Sequence[Path], known: Collection[str]) -> Iterator[str]:
    """Names of more columns with too many different values to count each; what cannot be asked is not either.

    With 100 million different texts, Athena would give up: "Query exhausted resources at this scale factor".
    """
    countable = [p for p in part if p.type in FREQUENT and not p.nested and p.name not in known]
    for path, found in zip(countable, _estimates(ask, countable), strict=True):
        if found is None or found > _MANY_VALUES:
            yield path.name


def _estimates(ask: Ask, part: Sequence[Path]) -> list[Any]:
    if not part:
        return []
    try:
        found = ask(part, ["distinct"])
    except QueryCancelledError:
        raise
    except QueryError:
        return [None] * len(part)
    return [found[f"approx_distinct_{index}"] for index in range(len(part))]


def _version(snapshot_id: int) -> str:
    return f" FOR VERSION AS OF {snapshot_id}"


def _newest(table: Table) -> str:
    """The newest snapshot: several statements have to see the same rows."""
    current = table.catalog.load_table(table.name()).current_snapshot()
    return _version(current.snapshot_id) if current else ""


def _parts(profiled: Sequence[Path]) -> Iterator[list[Path]]:
    """The paths, as many at a time as one statement profiles."""
    part: list[Path] = []
    characters = 0
    for path in profiled:
        added = length(path)
        if part and characters + added > _MOST_CHARACTERS:
            yield part
            part, characters = [], 0
        part.append(path)
        characters += added
    yield part


def _lines(ask: Ask, part: Sequence[Path]) -> list[dict[str, Any]]:
    """The profile of some paths; one that Athena cannot profile whole has fewer measures."""
    try:
        return _profiles(part, ask(part, MEASURES))
    except QueryCancelledError:
        raise
    except QueryError:
        if len(part) > 1:
            half = len(part) // 2
            return _lines(ask, part[:half]) + _lines(ask, part[half:])
    return _profiles(part, _fewer(ask, part))


def _fewer(ask: Ask, part: Sequence[Path]) -> dict[str, Any]:
    """What can be computed for a path; if even its nulls cannot be counted, the fault is another one."""
    for measures in (["order"], []):
        try:
            return ask(part, measures)
        except QueryCancelledError:
            raise
        except QueryError:
            if not measures:
                raise
    raise AssertionError


def _profiles(part: Sequence[Path], values: dict[str, Any]) -> list[dict[str, Any]]:
    counts = _read_counts(values.get("counts"))
    return [_profile(index, path, values, counts.get(index, [])) for index, path in enumerate(part)]


def _read_counts(text: Any) -> dict[int, Counts]:
    """The values of each column with their rows, by its place, the most frequent first."""
    counts: dict[int, Counts] = {}
    for place, value, count in json.loads(text if isinstance(text, str) else "[]"):
        counts.setdefault(int(place), []).append((value, int(count)))
    return {place: sorted(values, key=lambda pair: (-pair[1], pair[0])) for place, values in counts.items()}


def _read_quantiles(text: Any) -> list[float]:
    """The values at `SHARES` of the rows; JSON has no number that is infinite."""
    found: list[Any] = json.loads(text) if isinstance(text, str) else []
    return [float(value) if isinstance(value, str) else value for value in found]


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
    quantiles = _read_quantiles(found.get(f"quantiles_{index}"))
    if quantiles and is_number(path.type):
        read = from_sketch(values["min"], values["max"])
        values |= {metric: read(quantiles[SHARES.index(share)]) for metric, share in _QUANTILES.items()}
    if path.type in COUNTABLE and counts and sum(count for _, count in counts) == filled:
        bins = histogram_of_counts({COUNTABLE[path.type](value): count for value, count in counts})
    else:
        bins = histogram(values["min"], values["max"], quantiles, filled)
    shown = {"top": counts[:MOST_SHOWN], "approx_histogram": bins}
    return {"column": path.name, "type": path.type, **values, **shown}
