"""What a refresh reads and how long it takes, with a short and a long history; and rebuilding a table.

python tests/benchmarks/bench_refresh.py [--rows SHORT LONG] [--changes N]

| figure | compared with | at most |
|---|---|---|
| bytes that the log's part of the MERGE reads, long history | the same, short history | 1.2x |
| time of a refresh, long history | the same, short history | 2.5x |
| | pyiceberg's `upsert` of as many rows by the table's key, into a copy of the table | 0.1x |
| rebuild of a curated table of as many rows as the short history | CREATE TABLE AS of the same | 3x |

History is merged already, and the current table compacted. The short history has ten changes of each item in
30 days, the long one goes on like that. By default they have 1 M and 10 M rows; the longer one needs 5 GB of
disk.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import transaction_rows
from bench_analyst import Bench, bench
from pyiceberg.io.pyarrow import schema_to_pyarrow
from report import at_most, print_header, print_row

from dynaberg import catalog, layers, upkeep
from dynaberg.curated import build
from dynaberg.layers.log_progress import unmerged_changes
from dynaberg.layers.reach import plan_merges
from dynaberg.layers.refresh import MERGED_SNAPSHOT, merge_statement
from dynaberg.sql.query import query
from local_aws.firehose.append.appender import TableAppender
from local_aws.firehose.append.data_files import DataFiles

ROUNDS, UPSERTS, PORTION = 5, 3, 1_000
SHARE_OF_ITEMS = 10
"""History holds ten changes of each item in the short one."""
CURATED = "SELECT transaction_id, timestamp, status, amount, region FROM {log}"


@cache
def drawn(short: int) -> pa.Table:
    """A batch of rows of the log."""
    return transaction_rows.changes(0, transaction_rows.BATCH_ROWS, short)


def changes(begin: int, end: int, short: int) -> pa.Table:
    """Rows of the log as many as the short history in each 30 days, of a tenth as many items.

    Drawing rows is slow, so that what is no key, moment or id is the same in each batch.
    """
    count, numbers = end - begin, np.arange(begin, end)
    items = numbers * 7_919 % (short // SHARE_OF_ITEMS)
    received = transaction_rows.moments(begin, end, short) + 1_500_000
    values = {
        "transaction_id": transaction_rows.digits(items, 16),
        "timestamp": pa.array(items),
        "changed_at": pa.array(received - 500_000).cast(pa.timestamp("us", "UTC")),
        "received_at": pa.array(received).cast(pa.timestamp("us", "UTC")),
        "sequence_number": transaction_rows.digits(numbers),
        "change_id": transaction_rows.digits(numbers, 32),
    }
    rows = drawn(short).slice(0, count)
    for name, column in values.items():
        rows = rows.set_column(rows.column_names.index(name), name, column)
    return rows


def append(made: Bench, begin: int, end: int, short: int) -> None:
    """Rows in commits of a day, as their partitions have it."""
    log = load(made, made.contract.log_name)
    schema = schema_to_pyarrow(log.schema(), include_field_ids=False)
    appender = TableAppender(log, log.io.fs_by_scheme("s3", made.settings.table_bucket_name))
    for first in range(begin, end, transaction_rows.BATCH_ROWS):
        rows = changes(first, min(first + transaction_rows.BATCH_ROWS, end), short)
        files = DataFiles(appender.table)
        files.add(rows.select(schema.names).cast(schema).combine_chunks().to_batches()[0])
        appender.append(files.finish(), {})


def load(made: Bench, name: str) -> Any:
    return catalog.load_table(catalog.open_catalog(made.session, made.settings), made.settings, name)


def refresh(made: Bench, rows: int, short: int, count: int) -> dict[str, float]:
    """Figures of the refreshes after a history: what is read of the log and in all, and seconds."""
    layers.create_tables(made.session, made.settings, made.contract)
    # As it is lived: the first refresh of so many rows at once would not fit the local engine's memory.
    for first in range(0, rows, short):
        append(made, first, min(first + short, rows), short)
        layers.refresh(made.session, made.settings, made.contract)
    # S3 Tables does that by itself.
    current = load(made, made.contract.table)
    upkeep.maintain(made.session, made.settings, current, target_mb=512, wait_seconds=120)
    seconds, log_bytes, all_bytes = [], [], []
    for number in range(ROUNDS):
        append(made, rows + number * count, rows + (number + 1) * count, short)
        log_bytes.append(read_of_log(made))
        began = time.perf_counter()
        report = layers.refresh(made.session, made.settings, made.contract).iloc[0]
        seconds.append(time.perf_counter() - began)
        all_bytes.append(int(report["bytes_scanned"]))
    size = sum(task.file.file_size_in_bytes for task in load(made, made.contract.table).scan().plan_files())
    return {
        "log": statistics.median(log_bytes),
        "current": (statistics.median(all_bytes) - statistics.median(log_bytes)) / size,
        "seconds": statistics.median(seconds),
    }


def upserts(made: Bench, begin: int, short: int, count: int) -> dict[str, float]:
    """Seconds of pyiceberg's `upsert` of the rows that a refresh merges, into a copy of the current table.

    Once by the table's key, and several times by one column of it, which says as much for these rows. For two
    columns, pyiceberg makes a condition for each row; with ten thousand of those pyarrow crashes, so that
    these rows come in portions.
    """
    opened = catalog.open_catalog(made.session, made.settings)
    peer = opened.create_table((made.settings.namespace, "peer"), made.contract.current_schema())
    peer.append(load(made, made.contract.table).scan().to_arrow())
    schema = schema_to_pyarrow(peer.schema(), include_field_ids=False)
    key = [column.name for column in made.contract.key_columns]
    seconds: dict[str, list[float]] = {"its key": [], "one column": []}
    for number, by in enumerate(["its key", *["one column"] * UPSERTS]):
        first = begin + number * count
        rows = changes(first, first + count, short)
        last = {name: place for place, name in enumerate(rows["transaction_id"].to_pylist())}
        latest = rows.take(pa.array(sorted(last.values()))).select(schema.names).cast(schema)
        portion = PORTION if by == "its key" else count
        began = time.perf_counter()
        for place in range(0, len(latest), portion):
            peer.upsert(latest.slice(place, portion), join_cols=key if by == "its key" else key[:1])
        seconds[by].append(time.perf_counter() - began)
    return {by: statistics.median(some) for by, some in seconds.items()}


def read_of_log(made: Bench) -> int:
    """Bytes that the MERGE's source reads, run by itself."""
    log, current = load(made, made.contract.log_name), load(made, made.contract.table)
    unmerged = unmerged_changes(log, current.properties[MERGED_SNAPSHOT])
    [reach] = plan_merges(log, unmerged)
    statement = merge_statement(made.contract, reach)
    source = statement.partition("USING (\n")[2].partition("\n) AS s")[0]
    return query(made.session, made.settings, source, progress=False).bytes_scanned


def rebuild(made: Bench) -> tuple[float, float]:
    """Seconds of a rebuild, and of the CREATE TABLE AS that made the table."""
    file = made.settings.root / "data" / "sql" / "curated" / "payments.sql"
    file.parent.mkdir(parents=True)
    file.write_text(CURATED.format(log=made.contract.log_name))
    created = timed(lambda: build(made.session, made.settings, "payments"))
    again = [timed(lambda: build(made.session, made.settings, "payments")) for _ in range(2)]
    return min(again), created


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="What a refresh costs with a long history.")
    parser.add_argument("--rows", type=int, nargs=2, default=(1_000_000, 10_000_000), help="short and long")
    parser.add_argument("--changes", type=int, default=10_000, help="that a refresh merges")
    options = parser.parse_args()
    short, long = options.rows
    figures = {}
    print_header("")
    for rows in (short, long):
        with bench(f"of_{rows}", rows) as made:
            figures[rows] = refresh(made, rows, short, options.changes)
            ms = {each: found["seconds"] * 1e3 for each, found in figures.items()}
            if rows == short:
                for by, taken in upserts(made, rows, short, options.changes).items():
                    limit = at_most(0.1) if by == "its key" else None
                    print_row(f"refresh and upsert by {by}, ms", ms[short], taken * 1e3, limit)
                curated = [seconds * 1e3 for seconds in rebuild(made)]
                print_row("rebuild and create, ms", *curated, at_most(3))
    print_row("log bytes, long and short", figures[long]["log"], figures[short]["log"], at_most(1.2))
    print_row("refresh, ms", ms[long], ms[short], at_most(2.5))
    print(f"share of the current table that is read: {figures[long]['current']:.2f}")


if __name__ == "__main__":
    main()
