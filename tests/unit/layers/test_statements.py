"""The statements of the layers: they parse as Trino SQL and quote every name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from trino_sql_validator import validate

from dynaberg.contracts import Column, Contract
from dynaberg.layers.latest import NO_SEQUENCE_NUMBER
from dynaberg.layers.reach import Reach
from dynaberg.layers.refresh import merge_statement

ROOT = Path(__file__).parents[3]
CONTRACT = Contract(
    table="orders",
    source_table="Orders",
    partition_key="id",
    sort_key="timestamp",
    columns=(Column("id", "string"), Column("timestamp", "long"), Column("date", "date")),
)


FULL_MERGE = f"""\
MERGE INTO "orders" AS t
USING (
  SELECT operation, "id", "timestamp", "date", "unmapped", "changed_at", "sequence_number" FROM (
    SELECT operation, "id", "timestamp", "date", "unmapped", "changed_at", "sequence_number", \
row_number() OVER (
      PARTITION BY "id", "timestamp" ORDER BY moment DESC, sequence_number DESC, change_id DESC
    ) AS newest
    FROM (
      SELECT operation, change_id, "id", "timestamp", "date", "unmapped", "changed_at", "sequence_number", \
CASE WHEN sequence_number = '{NO_SEQUENCE_NUMBER}' THEN changed_at ELSE max(changed_at) OVER (
        PARTITION BY "id", "timestamp", sequence_number = '{NO_SEQUENCE_NUMBER}' ORDER BY sequence_number
      ) END AS moment
      FROM "orders_changes"
    )
  ) WHERE newest = 1
) AS s
ON t."id" = s."id" AND t."timestamp" = s."timestamp"
WHEN MATCHED AND s.operation = 'REMOVE' THEN DELETE
WHEN MATCHED AND (t.changed_at <> s.changed_at OR t.sequence_number <> s.sequence_number)
  THEN UPDATE SET "id" = s."id", "timestamp" = s."timestamp", "date" = s."date", "unmapped" = s."unmapped", \
"changed_at" = s."changed_at", "sequence_number" = s."sequence_number"
WHEN NOT MATCHED AND s.operation <> 'REMOVE' THEN INSERT ("id", "timestamp", "date", "unmapped", \
"changed_at", "sequence_number") VALUES (s."id", s."timestamp", s."date", s."unmapped", s."changed_at", \
s."sequence_number")"""


def test_the_full_merge() -> None:
    assert merge_statement(CONTRACT, Reach()) == FULL_MERGE
    assert validate(FULL_MERGE, dialect="trino").valid


def test_an_incremental_merge_reads_the_log_from_the_first_unmerged_change_on() -> None:
    received, changed = datetime(2026, 1, 31, 12, 0, 0, 7, UTC), datetime(2026, 1, 30, 23, 0, 1, 0, UTC)
    reach = Reach(received, changed, datetime(2026, 2, 1, tzinfo=UTC))
    statement = merge_statement(CONTRACT, reach)
    assert INCREMENTAL in statement
    assert validate(statement, dialect="trino").valid


INCREMENTAL = """\
      FROM "orders_changes"
      JOIN (
        SELECT DISTINCT "id", "timestamp" FROM "orders_changes"
        WHERE received_at >= TIMESTAMP '2026-01-31 12:00:00.000007 UTC' \
AND received_at < TIMESTAMP '2026-02-01 00:00:00.000000 UTC' \
AND changed_at >= TIMESTAMP '2026-01-30 23:00:01.000000 UTC'
      ) AS touched USING ("id", "timestamp")
      WHERE received_at >= TIMESTAMP '2026-01-30 22:00:01.000000 UTC' \
AND received_at < TIMESTAMP '2026-02-01 00:00:00.000000 UTC'
"""


def test_a_column_that_the_contract_gained_is_read_from_what_was_unmapped() -> None:
    kinds = (
        *("string", "long", "double", "decimal(12,2)", "boolean", "date", "timestamptz", "binary", "json"),
        *("list<binary>", "map<string,list<json>>", 'list<list<struct<a from "it\'s": decimal(3,1)>>>'),
    )
    columns = [Column(f"c{n}", kind, attribute=f'it\'s "{n}"') for n, kind in enumerate(kinds)]
    contract = replace(CONTRACT, columns=(*CONTRACT.columns, *columns, Column("tags", "list<string>")))
    names = [column.name for column in columns]
    statement = merge_statement(contract, Reach(), gained=[*names, "tags"], fresh=["c0"])
    assert validate(statement, dialect="trino").valid
    assert """coalesce("c0", json_extract_scalar(unmapped, '$["it''s \\"0\\""].S')) AS "c0\"""" in statement
    assert 't."c0" IS DISTINCT FROM s."c0"' in statement
    assert 'coalesce("tags", coalesce(transform(' in statement


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "sql").rglob("*.sql")), ids=lambda path: path.stem)
def test_every_sql_file_is_one_trino_statement(path: Path) -> None:
    result = validate(path.read_text().replace(":day", "?").replace(":since", "?"), dialect="trino")
    assert result.valid, result.error
    assert result.statement_count == 1
