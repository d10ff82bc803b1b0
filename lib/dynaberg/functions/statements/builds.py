"""The SQL of curated builds, and why a table is built: a notebook and the schedule do the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

STAGING = "__staging_"
"""What follows a table's name in the name of its staging table."""
BUILT, FAILED = "dynaberg.built", "dynaberg.build-failed"
"""Properties of a curated table: how it was built the last time, and how a later build failed."""
MASKED = "dynaberg.masked"
"""Property of a curated table: which masking of rows that it reads was the last."""
_CASTS = {
    "date": "date",
    "int": "integer",
    "long": "bigint",
    "string": "varchar",
    "timestamp": "timestamp(6)",
    "timestamptz": "timestamp(6) with time zone",
}
_REPLACE = """\
MERGE INTO "{table}" AS t
USING (
  SELECT 0 AS old, {columns} FROM (
{select}
  )
  UNION ALL SELECT 1, {nulls}
) AS s
ON s.old = {one}
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND s.old = 0 THEN INSERT ({columns}) VALUES ({values})"""
_MERGE = """\
MERGE INTO "{table}" AS t
USING (
  SELECT {both}, {others}n.present AS present
  FROM (SELECT *, true AS present FROM "{staging}") AS n
  FULL JOIN (SELECT {key} FROM "{table}" WHERE {watermark} >= {bound}) AS o ON {same}
) AS s
ON {matched}
WHEN MATCHED AND s.present IS NULL THEN DELETE
WHEN MATCHED AND s.present THEN UPDATE SET {sets}
WHEN NOT MATCHED AND s.present THEN INSERT ({columns}) VALUES ({values})"""


class CannotBuildError(Exception):
    """What the SQL file says does not fit the table, or a check failed; the table stays as it was."""


@dataclass(frozen=True)
class Build:
    """What the statements of a curated table are made from.

    Attributes:
        name: The curated table.
        select: Its SELECT.
        digest: What changes with the SELECT, the way of building or the checks.
        inputs: Tables of the namespace that it reads.
        elsewhere: Tables in other namespaces that it reads.
        key: Columns that identify a row, if it is built incrementally.
        watermark: Column whose greatest value says from where on rows are computed again; empty if it is
            built as a whole.
        lookback: How far before that value, as SQL.
        checks: Texts of the checks, with a SELECT of what breaks each, from `{new}`.
    """

    name: str
    select: str
    digest: str
    inputs: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    watermark: str = ""
    lookback: str = ""
    checks: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Build:
        """A build that `to_json` wrote."""
        lists = {name: tuple(given[name]) for name in ("inputs", "elsewhere", "key")}
        checks = tuple((text, broken) for text, broken in given["checks"])
        return cls(**{**given, **lists, "checks": checks})

    def to_json(self) -> dict[str, Any]:
        """The build as JSON for a function's package."""
        return asdict(self)


@dataclass(frozen=True)
class Built:
    """How a table was built the last time.

    Attributes:
        digest: `Build.digest`.
        inputs: Id of the content of each input; none if another build came in between.
        outcome: `created`, `replaced` or `merged`.
        at: When, in ISO 8601.
        rows: How many rows were written.
        masked: The last masking when it began; if there was another since, all rows are to be made again.
    """

    digest: str
    inputs: Mapping[str, int] = field(default_factory=dict)
    outcome: str = ""
    at: str = ""
    rows: int = 0
    masked: str = ""

    def to_json(self) -> str:
        """As a table property."""
        return json.dumps(asdict(self), separators=(",", ":"))


def reason(
    build: Build,
    built: Built | None,
    contents: Mapping[str, int | None],
    *,
    exists: bool,
    masked: str = "",
    above: Collection[str] = (),
) -> tuple[str, bool]:
    """Why a table is built, empty if it is up to date, and whether as a whole.

    Args:
        build: The table.
        built: How it was built the last time.
        contents: By input, the id of its content now.
        exists: Whether the table exists.
        masked: The last masking of rows that it reads.
        above: Inputs that are about to be built.
    """
    if built is None:
        return ("nobody knows what it was built from" if exists else "it does not exist"), True
    if built.masked != masked:
        return "values that it reads were masked", True
    if built.digest != build.digest:
        return "its SQL changed", True
    changed = [n for n in build.inputs if n not in above and built.inputs.get(n) != contents[n]]
    parts = (
        f"{', '.join(above)} {'is' if len(above) == 1 else 'are'} built" if above else "",
        f"{', '.join(changed)} changed" if changed else "",
        f"nobody knows whether {', '.join(build.elsewhere)} changed" if build.elsewhere else "",
    )
    return "; ".join(filter(None, parts)), not build.watermark


def quoted(name: str) -> str:
    """An identifier as SQL."""
    return '"' + name.lower().replace('"', '""') + '"'


def create_sql(name: str, select: str) -> str:
    """The statement that creates a table with the rows of a SELECT, in one commit."""
    return f"CREATE TABLE \"{name}\" WITH (format = 'PARQUET') AS\n{select}"


def replace_sql(name: str, select: str, columns: Sequence[str]) -> str:
    """The MERGE that replaces all rows of a table in one commit.

    One row of its source has `old` = 1. It matches every row of the table, which is deleted. All other rows
    of the source match none, and are inserted. An array of one element has the cardinality 1, also if the
    element is NULL. No engine computes this in advance, so it remains an equality of both sides, by which
    Athena joins with a hash table. Under `ON s.old = 1`, it would compare every new row with every old one.

    Args:
        name: The table.
        select: The SELECT that fills it.
        columns: The columns of the existing table.
    """
    return _REPLACE.format(
        table=name,
        select=select,
        columns=", ".join(f'"{column}"' for column in columns),
        nulls=", ".join("NULL" for _ in columns),
        one=f'cardinality(ARRAY[t."{columns[0]}"])',
        values=", ".join(f's."{column}"' for column in columns),
    )


def check_columns(name: str, wanted: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse to replace the content of a table by rows with other columns.

    Raises:
        CannotBuildError: The columns differ.
    """
    if sorted(wanted) != sorted(columns):
        msg = f"{name}.sql gives the columns {', '.join(wanted)}; the table has {', '.join(columns)}."
        raise CannotBuildError(msg)


def bound_sql(build: Build) -> str:
    """The SELECT of the value from which on rows are computed again, as text."""
    back = f" - {build.lookback}" if build.lookback else ""
    return f'SELECT CAST(max({quoted(build.watermark)}){back} AS varchar) AS bound FROM "{build.name}"'  # noqa: S608


def bound_type(build: Build, types: Mapping[str, str]) -> str:
    """The type of a bound in SQL.

    Args:
        build: An incremental build.
        types: The Iceberg types of the table's columns.

    Raises:
        CannotBuildError: The table has no such column, or its type has no order that can be written as text.
    """
    missing = [column for column in (*build.key, build.watermark) if column not in types]
    if missing:
        msg = f"{build.name} has no column {', '.join(missing)}. Its columns: {', '.join(types)}."
        raise CannotBuildError(msg)
    cast = _CASTS.get(types[build.watermark])
    if cast is None:
        msg = f"{build.name} has the watermark {build.watermark}, a {types[build.watermark]}."
        raise CannotBuildError(f"{msg} Types that can be one: {', '.join(_CASTS)}.")
    return cast


def bound_literal(text: str, cast: str) -> str:
    """A bound as SQL, from its text."""
    written = text.replace("'", "''")
    return f"CAST('{written}' AS {cast})"


def region_sql(build: Build, bound: str) -> str:
    """The SELECT of a build's rows from a bound on."""
    return f"SELECT * FROM (\n{build.select}\n) WHERE {quoted(build.watermark)} >= {bound}"  # noqa: S608


def content_after(namespace: str, build: Build, staging: str, bound: str) -> str:
    """What the table will hold after the MERGE, as a subquery.

    Args:
        namespace: The namespace.
        build: An incremental build.
        staging: The table that has the rows from the bound on.
        bound: The bound as SQL.
    """
    same = " AND ".join(f"n.{quoted(column)} = t.{quoted(column)}" for column in build.key)
    kept = (
        f'SELECT t.* FROM "{namespace}"."{build.name}" AS t '  # noqa: S608
        f'LEFT JOIN (SELECT *, true AS present FROM "{staging}") AS n ON {same} '
        f"WHERE n.present IS NULL AND t.{quoted(build.watermark)} < {bound}"
    )
    return f'({kept} UNION ALL SELECT * FROM "{staging}")'  # noqa: S608


def put_sql(build: Build, names: Sequence[str], staging: str, bound: str) -> str:
    """The MERGE after which the table has, from a bound on, exactly the rows of a staging table.

    Args:
        build: An incremental build.
        names: The columns of the table.
        staging: The table that has the rows from the bound on.
        bound: The bound as SQL.
    """
    key = [quoted(column) for column in build.key]
    others = [quoted(name) for name in names if name not in build.key]
    columns = [quoted(name) for name in names]
    return _MERGE.format(
        table=build.name,
        staging=staging,
        bound=bound,
        watermark=quoted(build.watermark),
        key=", ".join(key),
        both=", ".join(f"coalesce(n.{column}, o.{column}) AS {column}" for column in key),
        others="".join(f"n.{column}, " for column in others),
        same=" AND ".join(f"n.{column} = o.{column}" for column in key),
        matched=" AND ".join(f"t.{column} = s.{column}" for column in key),
        sets=", ".join(f"{column} = s.{column}" for column in columns),
        columns=", ".join(columns),
        values=", ".join(f"s.{column}" for column in columns),
    )


def checks_sql(build: Build, source: str) -> str:
    """The SELECT that counts for each check what breaks it.

    Args:
        build: The table.
        source: What follows FROM: the content to check.
    """
    counts = ", ".join(
        f"(SELECT count(*) FROM (\n{broken.replace('{new}', source)}\n)) AS c{n}"  # noqa: S608
        for n, (_, broken) in enumerate(build.checks)
    )
    return f"SELECT {counts}"


def broken_checks(build: Build, counts: Sequence[int]) -> str:
    """Which checks failed, in words; empty if none did."""
    return "; ".join(
        f"{text}: {n:,} {'row' if n == 1 else 'rows'}"
        for (text, _), n in zip(build.checks, counts, strict=True)
        if n
    )
