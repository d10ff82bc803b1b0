"""An analyst's questions against DuckDB on the same Parquet files, in one run on one local AWS.

python tests/benchmarks/bench_analyst.py [question …] [--rows N]

| question | rows | measured | peer, on copies of the files on disk | at most |
|---|---|---|---|---|
| sql | 5 M | the published query of risk by region, through PyAthena | the same in DuckDB | 1.3x |
| | | SELECT 1 through `wb.query` | | 60 ms |
| | | 100,000 rows into a DataFrame | DuckDB's own DataFrame | 4x |
| changes | 1 M | `changes_between`, 10,000 changed | a full outer join in DuckDB | 0.5x |
| history | 1 M | `item_history` | a scan of every column of the log in DuckDB | 0.3x |
| profile | 10 M | `profile_columns` | SUMMARIZE in DuckDB | 0.6x |
| | | resident memory of the local AWS's server at its peak | | 500 MB |
| report | 1 M | `profile_columns` | ydata-profiling, minimal | 0.02x |
| memory | 1 M | growth of the server's memory by 200 queries | | 100 MB |

Without a question all are asked. Ours and its peer take turns, after one turn that does not count; medians
are printed. ydata-profiling does not go with pandas 3: it runs in an environment of its own, whose Python
DYNABERG_YDATA_PYTHON names, and is left out where that is not set.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import duckdb
import psutil
import pyathena
import transaction_rows
from pyarrow import parquet
from pyiceberg.io.pyarrow import PyArrowFileIO, schema_to_pyarrow
from pyiceberg.table import Table

import local_aws
from dynaberg import catalog, past, profile
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.settings import Settings
from dynaberg.sql.query import query
from local_aws.firehose.append.appender import TableAppender
from local_aws.firehose.append.data_files import DataFiles

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "data" / "tables" / "transactions.yaml"
ROUNDS = 3
QUICK_ROUNDS = 15
"""Of what takes a fraction of a second, and so is as long as what else happens on the machine."""
RISK_BY_REGION = (
    (ROOT / "data" / "sql" / "risk_by_region.sql").read_text().replace(":since", "DATE '2026-01-01'")
)
ROWS_READ = 100_000
ONE_IN_A_HUNDRED = "mod(CAST(substr(sequence_number, -9) AS bigint), 100) = 0"
QUERIES = 200
MEBIBYTE = 2**20
Call = Callable[[], Any]


@dataclass(frozen=True)
class Bench:
    """One question's tables on the local AWS, and copies of their files on disk."""

    session: boto3.Session
    settings: Settings
    contract: Contract
    server: psutil.Process
    rows: int
    folder: Path

    def create(self, name: str, *, is_log: bool = False) -> Table:
        """A table that holds the rows, in appends like those of the local Firehose."""
        contract = self.contract
        schema = contract.log_schema() if is_log else contract.current_schema()
        spec = {"partition_spec": contract.log_partition_spec()} if is_log else {}
        table = catalog.open_catalog(self.session, self.settings).create_table(
            (self.settings.namespace, name), schema, **spec
        )
        make = transaction_rows.changes if is_log else transaction_rows.transactions
        arrow = schema_to_pyarrow(table.schema(), include_field_ids=False)
        assert isinstance(table.io, PyArrowFileIO)
        appender = TableAppender(table, table.io.fs_by_scheme("s3", self.settings.table_bucket_name))
        for begin, end in transaction_rows.in_batches(self.rows):
            rows = make(begin, end, self.rows).select(arrow.names).cast(arrow).combine_chunks()
            files = DataFiles(appender.table)
            files.add(rows.to_batches()[0])
            appender.append(files.finish(), {})
        return table

    def copy(self, table: Table, name: str) -> str:
        """The table's files on disk, as DuckDB reads them."""
        folder = self.folder / name
        folder.mkdir()
        for number, task in enumerate(table.scan().plan_files()):
            (folder / f"{number:05d}.parquet").write_bytes(
                table.io.new_input(task.file.file_path).open().read()
            )
        return f"read_parquet('{folder}/*.parquet')"

    def ask(self, sql: str) -> Any:
        return query(self.session, self.settings, sql, progress=False).df


@contextmanager
def bench(name: str, rows: int) -> Iterator[Bench]:
    """A local AWS with nothing on it but a table bucket, for one question."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        status = local_aws.start(folder / "state", port=int(os.environ.get("PORT", "4898")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            yield prepare(name, rows, folder, psutil.Process(status.pid))
        finally:
            local_aws.stop(folder / "state")


def prepare(name: str, rows: int, folder: Path, server: psutil.Process) -> Bench:
    session = boto3.Session()
    settings = Settings(name="bench", table_bucket_name="bench-tables", namespace=name, root=folder)
    tables = session.client("s3tables")
    arn = tables.create_table_bucket(name=settings.table_bucket_name)["arn"]
    tables.create_namespace(tableBucketARN=arn, namespace=[settings.namespace])
    session.client("s3").create_bucket(Bucket="bench-results")
    location = {"ResultConfiguration": {"OutputLocation": "s3://bench-results/"}}
    session.client("athena").create_work_group(Name=settings.name, Configuration=location)
    return Bench(session, settings, load_contract(CONTRACT), server, rows, folder)


def frame(sql: str) -> Any:
    """DuckDB's answer as a DataFrame."""
    return duckdb.sql(sql).df()


def ask_sql(bench: Bench) -> None:
    """SQL: an aggregate, nothing at all, and many rows."""
    files = bench.copy(bench.create("transactions"), "files")
    connection = pyathena.connect(
        work_group=bench.settings.name,
        catalog_name=f"s3tablescatalog/{bench.settings.table_bucket_name}",
        schema_name=bench.settings.namespace,
        poll_interval=0.005,
    )
    some = min(ROWS_READ, bench.rows)
    reading = f"SELECT * FROM {{}} LIMIT {some}"
    compare(
        "aggregate",
        1.3,
        lambda: connection.cursor().execute(RISK_BY_REGION).fetchall(),
        lambda: duckdb.sql(RISK_BY_REGION.replace("FROM transactions", f"FROM {files}")).fetchall(),
        QUICK_ROUNDS,
    )
    tell("SELECT 1", median(lambda: bench.ask("SELECT 1"), 20) * 1000, "ms", 60)
    compare(
        f"{some:,} rows",
        4,
        lambda: bench.ask(reading.format("transactions")),
        lambda: frame(reading.format(files)),
    )


def ask_changes(bench: Bench) -> None:
    """What changed between two snapshots, of which the second differs in one row of a hundred."""
    contract, table = bench.contract, bench.create("transactions")
    before, first = bench.copy(table, "before"), table.refresh().current_snapshot()
    bench.ask(f"UPDATE transactions SET status = 'REVIEWED' WHERE {ONE_IN_A_HUNDRED}")
    second = table.refresh().current_snapshot()
    assert first is not None
    assert second is not None
    (bench.folder / "after").mkdir()
    parquet.write_table(table.scan().to_arrow(), bench.folder / "after" / "0.parquet")
    after = f"read_parquet('{bench.folder}/after/*.parquet')"
    both = " AND ".join(f'a."{name}" = b."{name}"' for name in contract.key)
    others = [field.name for field in table.schema().fields if field.name not in contract.key]
    differ = " OR ".join(f'a."{name}" IS DISTINCT FROM b."{name}"' for name in others)
    join = f"SELECT * FROM {before} a FULL OUTER JOIN {after} b ON {both} WHERE {differ}"
    ids = first.snapshot_id, second.snapshot_id
    found = past.changes_between(table, *ids)
    assert len(found) == len(frame(join)) == bench.rows // 100
    compare(
        "changes_between",
        0.5,
        lambda: past.changes_between(table, *ids),
        lambda: frame(join),
    )


def ask_history(bench: Bench) -> None:
    """The versions of one item, against a scan of the whole log."""
    contract = bench.contract
    log = bench.create(contract.log_name, is_log=True)
    files = bench.copy(log, "log")
    chosen = frame(
        f"SELECT transaction_id, timestamp FROM {files} WHERE operation = 'MODIFY' "
        f"LIMIT 1 OFFSET {bench.rows // 8}"
    )
    key = {"transaction_id": str(chosen["transaction_id"][0]), "timestamp": int(chosen["timestamp"][0])}
    compare(
        "item_history",
        0.3,
        lambda: past.item_history(bench.session, bench.settings, contract, key),
        lambda: frame(f"SELECT max(COLUMNS(*)) FROM {files}"),
        QUICK_ROUNDS,
    )


def ask_profile(bench: Bench) -> None:
    """A profile of every column."""
    table = bench.create("transactions")
    files = bench.copy(table, "files")
    with peak_memory(bench.server) as peak:
        compare(
            "profile_columns",
            0.6,
            lambda: profile.profile_columns(bench.session, bench.settings, table),
            lambda: frame(f"SUMMARIZE SELECT * FROM {files}"),
        )
    tell("memory while profiling", peak["bytes"] / MEBIBYTE, "MB", 500)


YDATA = """
import sys, warnings, importlib.metadata as m
warnings.simplefilter("ignore")
import pyarrow.parquet as parquet, time
from ydata_profiling import ProfileReport
frame = parquet.read_table(sys.argv[1]).to_pandas()
for name in frame:
    if type(frame[name].iloc[0]).__name__ == "Decimal":
        frame[name] = frame[name].astype(float)
began = time.perf_counter()
ProfileReport(frame, minimal=True, progress_bar=False).to_json()
versions = " ".join(f"{name} {m.version(name)}" for name in ("ydata-profiling", "pandas"))
print(time.perf_counter() - began, versions)
"""


def ask_report(bench: Bench) -> None:
    """A profile of every column, against a report of ydata-profiling from a DataFrame at hand."""
    python = os.environ.get("DYNABERG_YDATA_PYTHON")
    if not python:
        print("report: left out, DYNABERG_YDATA_PYTHON names no Python that has ydata-profiling")
        return
    table = bench.create("transactions")
    bench.copy(table, "files")
    command = [python, "-c", YDATA, str(bench.folder / "files")]
    taken, _, versions = (
        subprocess.run(command, capture_output=True, text=True, check=True)
        .stdout.strip()
        .rpartition("\n")[2]
        .partition(" ")
    )
    mine = median(lambda: profile.profile_columns(bench.session, bench.settings, table), ROUNDS)
    show("profile_columns", mine, float(taken), 0.02, f"  {versions}")


def ask_memory(bench: Bench) -> None:
    """Two hundred queries in a row, some of many rows."""
    bench.create("transactions")
    asked = [
        "SELECT 1",
        "SELECT region, count(*) FROM transactions GROUP BY region",
        "SELECT * FROM transactions LIMIT 20000",
    ]
    for sql in asked * 3:
        bench.ask(sql)
    before = bench.server.memory_info().rss
    for number in range(QUERIES):
        bench.ask(asked[number % len(asked)])
    tell(f"{QUERIES} queries, memory", (bench.server.memory_info().rss - before) / MEBIBYTE, "MB", 100)


QUESTIONS: Mapping[str, tuple[Callable[[Bench], None], int]] = {
    "sql": (ask_sql, 5_000_000),
    "changes": (ask_changes, 1_000_000),
    "history": (ask_history, 1_000_000),
    "profile": (ask_profile, 10_000_000),
    "report": (ask_report, 1_000_000),
    "memory": (ask_memory, 1_000_000),
}


@contextmanager
def peak_memory(process: psutil.Process) -> Iterator[dict[str, int]]:
    """The most resident memory of a process, looked at 50 times a second."""
    peak, stop = {"bytes": 0}, threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            peak["bytes"] = max(peak["bytes"], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def seconds(call: Call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def median(call: Call, rounds: int) -> float:
    call()
    return statistics.median(seconds(call) for _ in range(rounds))


def compare(words: str, limit: float, ours: Call, peer: Call, rounds: int = ROUNDS) -> None:
    """Take turns, and print the medians."""
    ours()
    peer()
    times = [(seconds(ours), seconds(peer)) for _ in range(rounds)]
    show(words, *(statistics.median(side) for side in zip(*times, strict=True)), limit)


def show(words: str, mine: float, theirs: float, limit: float, note: str = "") -> None:
    ratio = f"{mine / theirs:.3f}x" if limit < 0.1 else f"{mine / theirs:.2f}x"
    print(
        f"{words:<24}{mine * 1000:>10,.0f} ms{theirs * 1000:>10,.0f} ms{ratio:>9}   (at most {limit}x){note}",
        flush=True,
    )


def tell(words: str, value: float, unit: str, limit: float) -> None:
    print(f"{words:<24}{value:>10,.0f} {unit}{'':>22}   (at most {limit} {unit})", flush=True)


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description="An analyst's questions against DuckDB.")
    parser.add_argument("question", nargs="*", help=f"some of: {', '.join(QUESTIONS)}")
    parser.add_argument("--rows", type=int, help="of each table, instead of each question's own")
    options = parser.parse_args()
    for name in options.question or QUESTIONS:
        ask, rows = QUESTIONS[name]
        print(f"-- {name}, {options.rows or rows:,} rows: ours, peer, ratio", flush=True)
        with bench(name, options.rows or rows) as made:
            ask(made)


if __name__ == "__main__":
    main()
