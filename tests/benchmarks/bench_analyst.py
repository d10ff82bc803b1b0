"""An analyst's questions against DuckDB on the same Parquet files, in one run on one local AWS.

python tests/benchmarks/bench_analyst.py [rows]

The data is made once: a change log and a current table of the same transactions, of which one in a hundred
changes between two snapshots. Ours and its peer take turns, medians of three are printed with their ratio:

- an aggregate through Athena, against DuckDB (at most 1.3);
- SELECT 1 through `query` (at most 60 ms);
- 100,000 rows into a DataFrame, against DuckDB's own (at most 4);
- `changes_between`, against a full outer join in DuckDB (at most 0.5);
- `item_history`, against a scan of the whole log in DuckDB (at most 0.3);
- `profile_columns`, against SUMMARIZE in DuckDB (at most 0.6).

The limits hold for a million rows and more: below, the way to the local AWS weighs more than the work. The
log has no partitions here, so that pyiceberg alone can write it.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

import local_aws
from dynaberg import catalog, profiling, time_travel
from dynaberg.contract import Contract, load_contract
from dynaberg.query import query
from dynaberg.settings import Settings

CONTRACT = Path(__file__).parents[2] / "data" / "tables" / "transactions.yaml"
ROUNDS = 3
APPENDS = 10
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_MS = int(BEGIN.timestamp() * 1000)
AGGREGATE = "SELECT region, status, count(*) AS n, sum(amount) AS total FROM {table} GROUP BY region, status"
ROWS_READ = 100_000
Call = Callable[[], Any]


@dataclass(frozen=True)
class Bench:
    """What is measured against: tables on the local AWS, and copies of their files on disk."""

    session: boto3.Session
    settings: Settings
    contract: Contract
    rows: int
    log: Table
    current: Table
    snapshots: tuple[int, int]
    folder: Path

    def duckdb(self, sql: str) -> Any:
        """A statement over the copied files, into a DataFrame; `{log}`, `{before}` and `{after}` are they."""
        files = {
            name: f"read_parquet('{self.folder}/{name}/*.parquet')" for name in ("log", "before", "after")
        }
        return duckdb.sql(sql.format(**files)).df()

    def ask(self, sql: str) -> Any:
        return query(self.session, self.settings, sql, progress=False).df


def column(field: pa.Field, begin: int, count: int) -> pa.Array:
    """Values of one column for the rows from `begin` on: keys rise, other text has a few hundred values."""
    numbers = np.arange(begin, begin + count)
    few = (numbers * 7919) % 311
    moments = pa.array(BEGIN_MS * 1000 + numbers * 1_000_000).cast(pa.timestamp("us", "UTC"))
    if field.name in ("transaction_id", "change_id", "sequence_number"):
        return pa.array([f"{field.name}-{number:020d}" for number in numbers])
    if field.name == "timestamp":
        return pa.array(BEGIN_MS + numbers * 1000)
    if field.name == "operation":
        return pa.array(np.full(count, "INSERT"))
    if field.name in ("old_image", "unmapped"):
        return pa.array([f'{{"note":{{"S":"{number}"}}}}' for number in few])
    if pa.types.is_timestamp(field.type):
        return moments.cast(field.type)
    if pa.types.is_decimal(field.type):
        return pa.array([Decimal(int(number) % 99_991).scaleb(-2) for number in numbers], field.type)
    if pa.types.is_date(field.type):
        return pa.array(
            [BEGIN.date() + timedelta(days=int(number) // 86_400) for number in numbers], field.type
        )
    if pa.types.is_integer(field.type):
        return pa.array(few).cast(field.type)
    return pa.array(
        [f"{field.name}-{number % 9 if field.name in ('region', 'status') else number}" for number in few]
    )


def batch(schema: pa.Schema, begin: int, count: int) -> pa.Table:
    return pa.table([column(field, begin, count).cast(field.type) for field in schema], schema=schema)


def fill(table: Table, rows: int) -> None:
    """Append the rows in a few commits, as a delivery would."""
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    for begin in range(0, rows, -(-rows // APPENDS)):
        table.append(batch(schema, begin, min(-(-rows // APPENDS), rows - begin)))


def copy_files(table: Table, folder: Path) -> None:
    """The same Parquet files, on disk."""
    folder.mkdir()
    for number, task in enumerate(table.scan().plan_files()):
        (folder / f"{number}.parquet").write_bytes(table.io.new_input(task.file.file_path).open().read())


def make(rows: int, folder: Path) -> Bench:
    """The tables, their past, and the copies."""
    session, contract = boto3.Session(), load_contract(CONTRACT)
    settings = Settings(name="bench", table_bucket_name="bench-tables", namespace="analytics", root=folder)
    s3tables = session.client("s3tables")
    arn = s3tables.create_table_bucket(name=settings.table_bucket_name)["arn"]
    s3tables.create_namespace(tableBucketARN=arn, namespace=[settings.namespace])
    session.client("s3").create_bucket(Bucket="bench-results")
    location = {"ResultConfiguration": {"OutputLocation": "s3://bench-results/"}}
    session.client("athena").create_work_group(Name=settings.name, Configuration=location)
    iceberg = catalog.open_catalog(session, settings)
    log = iceberg.create_table((settings.namespace, contract.log_name), contract.log_schema())
    current = iceberg.create_table((settings.namespace, contract.table), contract.current_schema())
    fill(log, rows)
    fill(current, rows)
    copy_files(log, folder / "log")
    copy_files(current, folder / "before")
    first = current.current_snapshot()
    changed = f"UPDATE {contract.table} SET status = 'REVIEWED' WHERE mod(\"timestamp\" / 1000, 100) = 0"
    query(session, settings, changed, progress=False)
    current.refresh()
    second = current.current_snapshot()
    assert first is not None
    assert second is not None
    (folder / "after").mkdir()
    parquet.write_table(current.scan().to_arrow(), folder / "after" / "0.parquet")
    snapshots = first.snapshot_id, second.snapshot_id
    return Bench(session, settings, contract, rows, log, current, snapshots, folder)


def questions(bench: Bench) -> Iterator[tuple[str, float | None, Call, Call | None]]:
    """Each question: its words, its limit, ours, and its peer."""
    contract = bench.contract
    some = min(ROWS_READ, bench.rows)
    number = bench.rows // 2
    key = {"transaction_id": f"transaction_id-{number:020d}", "timestamp": BEGIN_MS + number * 1000}
    both = " AND ".join(f'a."{name}" = b."{name}"' for name in contract.key)
    others = [field.name for field in bench.current.schema().fields if field.name not in contract.key]
    differ = " OR ".join(f'a."{name}" IS DISTINCT FROM b."{name}"' for name in others)
    join = f"SELECT * FROM {{before}} a FULL OUTER JOIN {{after}} b ON {both} WHERE {differ}"
    reading = f"SELECT * FROM {{table}} LIMIT {some}"
    arguments = bench.session, bench.settings
    yield (
        "aggregate",
        1.3,
        lambda: bench.ask(AGGREGATE.format(table=contract.log_name)),
        lambda: bench.duckdb(AGGREGATE.format(table="{log}")),
    )
    yield "SELECT 1", None, lambda: bench.ask("SELECT 1"), None
    yield (
        f"{some:,} rows",
        4,
        lambda: bench.ask(reading.format(table=contract.log_name)),
        lambda: bench.duckdb(reading.format(table="{log}")),
    )
    yield (
        "changes_between",
        0.5,
        lambda: time_travel.changes_between(bench.current, contract, *bench.snapshots),
        lambda: bench.duckdb(join),
    )
    yield (
        "item_history",
        0.3,
        lambda: time_travel.item_history(*arguments, contract, key),
        lambda: bench.duckdb("SELECT max(COLUMNS(*)) FROM {log}"),
    )
    yield (
        "profile_columns",
        0.6,
        lambda: profiling.profile_columns(*arguments, bench.log),
        lambda: bench.duckdb("SUMMARIZE SELECT * FROM {log}"),
    )


def seconds(call: Call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def report(words: str, limit: float | None, ours: Call, peer: Call | None) -> None:
    """Take turns, and print the medians."""
    ours()
    times = [(seconds(ours), seconds(peer) if peer else 0.0) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(side) for side in zip(*times, strict=True))
    if peer is None:
        print(f"{words:<20}{mine * 1000:>10,.0f} ms{'':>15}   (at most 60 ms)")
    else:
        ratio = f"{mine / theirs:.2f}x"
        print(f"{words:<20}{mine * 1000:>10,.0f} ms{theirs * 1000:>10,.0f} ms{ratio:>9}   (at most {limit}x)")


def main() -> None:
    warnings.simplefilter("ignore")
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        status = local_aws.start(folder / "state", port=int(os.environ.get("PORT", "4898")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            bench = make(rows, folder)
            print(f"{rows:,} rows{'':>14}ours      DuckDB    ratio")
            for question in questions(bench):
                report(*question)
        finally:
            local_aws.stop(folder / "state")


if __name__ == "__main__":
    main()
