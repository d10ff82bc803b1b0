"""The two whole paths, from an item written to its row committed, against a table that has no stream.

python tests/benchmarks/bench_patterns.py [changes] [rounds]

The same writer, a process of its own, makes the same changes in a DynamoDB table without a stream, in one
with DynamoDB Streams (pattern 1) and in one with Kinesis Data Streams (pattern 2), both with the whole
pipeline as it is deployed, and some changes made before. Each has a fresh local AWS. A rate counts from the
first put to the last one's answer, or to the snapshot that brought the last row into the change log, where
every change must be, once. With fewer than the 100,000 changes that are promised, the second for which
Firehose gathers the last rows weighs more.

Memory is that of the local AWS and all that it started, when a share of the rows was in the log. The items of
a table lie in it, with and without a stream; flat is what a pattern takes beyond that, but for the rows of
the flush in hand, a tenth of it. Medians of the rounds.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import boto3
import psutil
from pyiceberg.table import Table
from report import at_least, at_most, print_header, print_row

import local_aws
from dynaberg import catalog, deploy, layers
from dynaberg.contracts.contract import Contract, load_contract
from dynaberg.settings import Settings
from dynaberg.source.traffic import generate_traffic

CONTRACT = load_contract(Path(__file__).parents[2] / "data" / "tables" / "transactions.yaml")
CHANGES, ROUNDS = 100_000, 1
WARM_UP_CHANGES = 1_000
BUFFER_SECONDS = 1
IDLE_SECONDS = 0.1
SHARES = (0.25, 0.5, 0.75, 1.0)
MOMENTS = (*(f"{share:.0%}" for share in SHARES), "the end")
PLAIN = "plain table"
MODULES = {"server": "local_aws.server.serve", "delivery": "local_aws.firehose.delivery"}
KINDS = (*MODULES, "functions")
PATTERNS = {"pattern 1": "dynamodb", "pattern 2": "kinesis"}
MOST_MIB, GROWTH = 1.2 * 1024, 1.2


class Sample(NamedTuple):
    """The local AWS at a moment.

    Attributes:
        moment: Epoch seconds.
        memory_mib: Resident memory, by what the process does.
        cpu_seconds: CPU time so far, by what the process does.
    """

    moment: float
    memory_mib: dict[str, float]
    cpu_seconds: dict[str, float]


class Writing(NamedTuple):
    """What the writer did.

    Attributes:
        began: Before the first put, epoch seconds.
        ended: After the last answer.
        cpu_seconds: What it took.
    """

    began: float
    ended: float
    cpu_seconds: float


@dataclass(frozen=True)
class Run:
    """What one run of the writer gave.

    Attributes:
        rate: Changes a second.
        cpu_ms: CPU milliseconds for each thousand changes, by what the process does.
        memory_mib: Memory when each of `SHARES` was done and at the end, by what the process does.
    """

    rate: float
    cpu_ms: dict[str, float]
    memory_mib: list[dict[str, float]]


class Watch(threading.Thread):
    """Looks at the local AWS and all that it started, several times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._server = psutil.Process(pid)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.25):
            self.samples.append(self.look())

    def stop(self) -> None:
        self._over.set()
        self.join()

    def look(self) -> Sample:
        memory_mib, cpu_seconds = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0.0)
        for process in (self._server, *self._server.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                times, command = process.cpu_times(), " ".join(process.cmdline())
                kind = next((kind for kind, module in MODULES.items() if module in command), "functions")
                memory_mib[kind] += process.memory_info().rss / 2**20
                cpu_seconds[kind] += times.user + times.system
        return Sample(time.time(), memory_mib, cpu_seconds)

    def settle(self) -> Sample:
        """Wait until what was started is done with starting, and look."""
        before = self.look()
        while True:
            time.sleep(1)
            now = self.look()
            if sum(now.cpu_seconds.values()) - sum(before.cpu_seconds.values()) < IDLE_SECONDS:
                return now
            before = now

    def memory_mib(self, moment: float) -> dict[str, float]:
        """Memory at a moment, or at the first look after it."""
        return next(sample.memory_mib for sample in self.samples if sample.moment >= moment)


class Pipeline:
    """A pattern as it is deployed."""

    def __init__(self, stream_type: str) -> None:
        self.session = boto3.Session()
        name = f"bench-{stream_type}"
        self.settings = Settings(
            name=name, table_bucket_name=name, bucket_name=name, namespace="bench", stream_type=stream_type
        )
        self.contract: Contract = replace(CONTRACT, source_table=f"{name}-transactions")
        deploy.enable_cdc(self.session, self.settings, self.contract)
        layers.create_tables(self.session, self.settings, self.contract)
        deploy.deploy_firehose(self.session, self.settings, self.contract, buffer_seconds=BUFFER_SECONDS)
        self._catalog = catalog.open_catalog(self.session, self.settings)

    def log(self) -> Table:
        return catalog.load_table(self._catalog, self.settings, self.contract.log_name)

    def wait(self, rows: int) -> dict[int, float]:
        """Wait for rows in the log: how many it had after each commit, and when that was."""
        while max(commits := commits_of(self.log()), default=0) < rows:
            time.sleep(0.5)
        return commits

    def check(self, changes: int) -> None:
        """The log holds every change, each once."""
        ids = self.log().scan(selected_fields=("change_id",)).to_arrow()["change_id"]
        assert (len(ids), len(ids.unique())) == (changes, changes), (len(ids), len(ids.unique()), changes)


def commits_of(log: Table) -> dict[int, float]:
    """The number of rows after each commit, and its moment in epoch seconds."""
    return {
        int(snapshot.summary["total-records"] or 0): snapshot.timestamp_ms / 1000
        for snapshot in log.snapshots()
        if snapshot.summary
    }


def make_plain_table(name: str) -> None:
    """A table as the source table, without a stream."""
    hash_key, range_key = CONTRACT.key
    boto3.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": hash_key, "AttributeType": "S"},
            {"AttributeName": range_key, "AttributeType": "N"},
        ],
        KeySchema=[
            {"AttributeName": hash_key, "KeyType": "HASH"},
            {"AttributeName": range_key, "KeyType": "RANGE"},
        ],
    )


def write(table: str, changes: int, seed: int) -> Writing:
    """The writer, in its own process."""
    before = time.process_time()
    report = generate_traffic(boto3.Session(), table, changes=changes, seed=seed, progress=False)
    moments = report.started_at.timestamp(), report.finished_at.timestamp()
    return Writing(*moments, time.process_time() - before)


@contextmanager
def fresh_local_aws() -> Iterator[Watch]:
    """A local AWS of its own, this process's clients pointed at it, and a watch on it."""
    with tempfile.TemporaryDirectory() as folder:
        state_dir = Path(folder)
        status = local_aws.start(state_dir, port=int(os.environ.get("PORT", "4897")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        watch = Watch(status.pid)
        try:
            watch.start()
            yield watch
        finally:
            watch.stop()
            local_aws.stop(state_dir)


def run(name: str, changes: int) -> Run:
    """Run the writer in a fresh local AWS."""
    with fresh_local_aws() as watch, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pipeline = Pipeline(PATTERNS[name]) if name in PATTERNS else None
        table = pipeline.contract.source_table if pipeline else "plain"
        if pipeline is None:
            make_plain_table(table)
        pool.submit(write, table, WARM_UP_CHANGES, 1).result()
        if pipeline:
            pipeline.wait(WARM_UP_CHANGES)
        before = watch.settle()
        writing = pool.submit(write, table, changes, 2).result()
        took = writing.ended - writing.began
        done = {WARM_UP_CHANGES + round(share * changes): writing.began + share * took for share in SHARES}
        if pipeline:
            done = pipeline.wait(WARM_UP_CHANGES + changes)
            pipeline.check(WARM_UP_CHANGES + changes)
        after = watch.look()
        cpu_seconds = {kind: after.cpu_seconds[kind] - before.cpu_seconds[kind] for kind in after.cpu_seconds}
        at_the_end = watch.settle()
    cpu_seconds["writer"] = writing.cpu_seconds
    return Run(
        rate=changes / (max(done.values()) - writing.began),
        cpu_ms={kind: 1e6 * seconds / changes for kind, seconds in cpu_seconds.items()},
        memory_mib=[
            *(watch.memory_mib(moment_of(done, share, changes)) for share in SHARES),
            at_the_end.memory_mib,
        ],
    )


def moment_of(done: dict[int, float], share: float, changes: int) -> float:
    """When a share of the changes was done."""
    return min(moment for rows, moment in done.items() if rows >= WARM_UP_CHANGES + share * changes)


def print_memory(runs: dict[str, list[Run]]) -> None:
    """Print the memory that each run took, and whether it stays within its limits."""
    taken = {
        name: [
            {kind: statistics.median(each.memory_mib[at][kind] for each in of_name) for kind in KINDS}
            for at in range(len(MOMENTS))
        ]
        for name, of_name in runs.items()
    }
    print("memory of the local AWS, MiB")
    for name, at_moments in taken.items():
        for moment, of_kinds in zip(MOMENTS, at_moments, strict=True):
            parts = ", ".join(f"{kind} {mib:,.0f}" for kind, mib in of_kinds.items() if mib)
            print(f"{name} at {moment}: {sum(of_kinds.values()):,.0f} ({parts})")
    for name in PATTERNS:
        totals = [sum(of_kinds.values()) for of_kinds in taken[name]]
        beyond = [mib - sum(plain.values()) for mib, plain in zip(totals, taken[PLAIN], strict=True)]
        print_row(f"{name}, at most", max(totals), None, at_most(MOST_MIB))
        print_row(f"{name}, beyond the table, 100 % to 50 %", beyond[3], beyond[1], at_most(GROWTH))


def main() -> None:
    changes = int(sys.argv[1]) if len(sys.argv) > 1 else CHANGES
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    runs: dict[str, list[Run]] = {name: [] for name in (PLAIN, *PATTERNS)}
    for _ in range(rounds):
        for name, of_name in runs.items():
            of_name.append(run(name, changes))
    rates = {name: statistics.median(each.rate for each in of_name) for name, of_name in runs.items()}
    print_header(f"{changes:,} changes, changes/s")
    print_row("pattern 1 against a table without stream", rates["pattern 1"], rates[PLAIN], at_least(0.7))
    print_row("pattern 2 against pattern 1", rates["pattern 2"], rates["pattern 1"], at_least(0.7))
    print("CPU milliseconds for each thousand changes")
    for name, of_name in runs.items():
        cpu_ms = {
            kind: statistics.median(each.cpu_ms[kind] for each in of_name) for kind in of_name[0].cpu_ms
        }
        print(f"{name}: " + ", ".join(f"{kind} {ms:,.0f}" for kind, ms in cpu_ms.items() if ms))
    print_memory(runs)


if __name__ == "__main__":
    main()
