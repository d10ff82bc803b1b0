"""The statements of a refresh, as SQL: a notebook and the schedule send the same.

No statement names a snapshot of the change log. A MERGE that another commit interrupts is sent again, and
then reads what came meanwhile, so two refreshes at once never bring a row back to an earlier state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from textwrap import indent
from typing import Any

from .reach import Reach

MERGED_SNAPSHOT = "dynaberg.merged-snapshot-id"
MERGED_SEQUENCE_NUMBER = "dynaberg.merged-sequence-number"
MERGED_COLUMNS = "dynaberg.merged-columns"
KEEPS_LATEST = "dynaberg.keeps-latest"
"""Marks a snapshot that removed rows, of which none was the latest change of a key that remains."""
NO_SEQUENCE_NUMBER = "0" * 40
"""The sequence number of a Kinesis record, which has none."""
CONFLICTS = ("ICEBERG_COMMIT_ERROR", "COMMIT_CONFLICT", "ConflictException")
"""What Athena's error has in it if another commit came in between."""
_MOMENT = f"""\
CASE WHEN sequence_number = '{NO_SEQUENCE_NUMBER}' THEN changed_at ELSE max(changed_at) OVER (
      PARTITION BY {{keys}}, sequence_number = '{NO_SEQUENCE_NUMBER}' ORDER BY sequence_number
    ) END"""
_LATEST = """\
SELECT operation, {names} FROM (
  SELECT operation, {names}, row_number() OVER (
    PARTITION BY {keys} ORDER BY moment DESC, sequence_number DESC, change_id DESC
  ) AS newest
  FROM (
    SELECT operation, change_id, {values}, {moment} AS moment
    FROM {source}
  ){condition}
) WHERE newest = 1"""
_TOUCHED = """
    JOIN (
      SELECT DISTINCT {keys} FROM {source}
      WHERE {touched}
    ) AS touched USING ({keys})
    WHERE {read}"""
_MERGE = """\
MERGE INTO "{table}" AS t
USING (
{latest}
) AS s
ON {same_key}
WHEN MATCHED AND s.operation = 'REMOVE' THEN DELETE
WHEN MATCHED AND (t.changed_at <> s.changed_at OR t.sequence_number <> s.sequence_number{others})
  THEN UPDATE SET {assignments}
WHEN NOT MATCHED AND s.operation <> 'REMOVE' THEN INSERT ({columns}) VALUES ({values})"""


@dataclass(frozen=True)
class Merge:
    """What the MERGE of a table is made from.

    Attributes:
        table: The current table.
        log: The change log.
        key: Names of the key columns.
        columns: Columns that the current table takes from the change log, without those that order changes.
        filled: By column, the SQL of its value in rows that are older than the column.
    """

    table: str
    log: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    filled: Mapping[str, str]

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Merge:
        """A merge that `to_json` wrote."""
        lists = {name: tuple(given[name]) for name in ("key", "columns")}
        return cls(given["table"], given["log"], **lists, filled=given["filled"])

    def to_json(self) -> dict[str, Any]:
        """The merge as JSON for a function's package."""
        return asdict(self)


def latest_select(
    key: Sequence[str],
    names: Sequence[str],
    source: str,
    *,
    filled: Mapping[str, str],
    condition: str = "",
) -> str:
    """The SELECT of the latest change of each key, including a REMOVE.

    Args:
        key: Names of the key columns.
        names: Columns to select in addition to `operation`.
        source: What follows FROM.
        filled: By column, SQL that takes the place of its name.
        condition: A condition on `moment`, the effective time of the change.
    """
    keys = _listed(key)
    wanted = list(dict.fromkeys([*key, *names, "changed_at", "sequence_number"]))
    return _LATEST.format(
        names=_listed(wanted),
        keys=keys,
        values=", ".join(filled.get(name, f'"{name}"') for name in wanted),
        moment=_MOMENT.format(keys=keys),
        source=source,
        condition=f"\n  WHERE {condition}" if condition else "",
    )


def merge_sql(
    merge: Merge, reach: Reach, *, gained: Collection[str] = (), fresh: Collection[str] = ()
) -> str:
    """The MERGE that brings a current table up to date with its change log.

    Args:
        merge: The table.
        reach: The part of the change log to merge.
        gained: Columns that were added to the contract after the change log's first rows.
        fresh: Columns that rows of the current table may lack, though their change was merged.
    """
    columns = [*merge.columns, "changed_at", "sequence_number"]
    source = f'"{merge.log}"'
    touched = _conditions(received_from=reach.since, until=reach.until, changed_from=reach.changed_since)
    if touched:
        read = _conditions(received_from=reach.read_from, until=reach.until)
        source += _TOUCHED.format(source=source, keys=_listed(merge.key), touched=touched, read=read)
    filled = {name: sql for name, sql in merge.filled.items() if name in gained}
    return _MERGE.format(
        table=merge.table,
        latest=indent(latest_select(merge.key, columns, source, filled=filled), "  "),
        columns=_listed(columns),
        values=", ".join(f's."{name}"' for name in columns),
        assignments=", ".join(f'"{name}" = s."{name}"' for name in columns),
        same_key=" AND ".join(f't."{name}" = s."{name}"' for name in merge.key),
        others="".join(f' OR t."{name}" IS DISTINCT FROM s."{name}"' for name in fresh),
    )


def _conditions(
    *, received_from: datetime | None, until: datetime | None, changed_from: datetime | None = None
) -> str:
    bounds = [
        ("received_at >=", received_from),
        ("received_at <", until),
        ("changed_at >=", changed_from),
    ]
    return " AND ".join(
        f"{compared} TIMESTAMP '{bound.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC'"
        for compared, bound in bounds
        if bound is not None
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
