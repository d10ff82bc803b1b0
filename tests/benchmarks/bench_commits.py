"""What a commit costs when a table has many snapshots, against what it cost when the table was new.

python tests/benchmarks/bench_commits.py [commits]

One record is put into a Firehose stream and its commit is awaited, again and again. Commits around the last
are compared with those around the tenth: the median time from the put to the snapshot, and the processor
time of the local AWS, which other work on the machine does not change much.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
from bench_firehose import DataPlane, bodies, change_rows, make_pipeline
from report import at_most, print_header, print_row

import local_aws

AROUND = 9
EARLY = 10


def processor_ms(processes: Sequence[psutil.Process]) -> float:
    """Processor time that processes took since they began."""
    times = [process.cpu_times() for process in processes]
    return 1000 * sum(time.user + time.system for time in times)


def measure(status: local_aws.Status, commits: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each commit, and what the local AWS's processor time was after each."""
    data_plane, requests = DataPlane(status), bodies(change_rows(1))
    data_plane.deliver(requests, 1)
    server = psutil.Process(status.pid)
    processes = [server, *server.children(recursive=True)]
    taken_ms, after_ms = [], []
    for _ in range(commits + AROUND):
        taken_ms.append(1000 * data_plane.deliver(requests, 1))
        after_ms.append(processor_ms(processes))
    return taken_ms, after_ms


def main() -> None:
    last = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory() as name:
        state_dir = Path(name) / "state"
        status = local_aws.start(state_dir, port=int(os.environ.get("PORT", "4896")))
        os.environ.update(local_aws.env(status.endpoint, status.region))
        try:
            make_pipeline(status)
            taken_ms, after_ms = measure(status, last)
        finally:
            local_aws.stop(state_dir)

    def time_of(commit: int) -> float:
        return statistics.median(taken_ms[commit - AROUND : commit + AROUND])

    def work_of(commit: int) -> float:
        return (after_ms[commit + AROUND - 1] - after_ms[commit - AROUND]) / (2 * AROUND - 1)

    print_header(f"commit {last} against commit {EARLY}, ms")
    print_row("from put to snapshot", time_of(last), time_of(EARLY), at_most(1.5))
    print_row("processor time of the local AWS", work_of(last), work_of(EARLY), at_most(1.5))


if __name__ == "__main__":
    main()
