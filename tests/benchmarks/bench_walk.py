"""The figures of pages/figures.md: printed, and with `--write` put into that page (`make figures`).

Runs in a copy of the project with a local AWS of its own. Wants a quiet machine.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from report import at_most, print_header, print_row

import local_aws
from dynaberg.settings import load_settings
from dynaberg.walk.notebooks import find_notebooks, run_in_order

ROOT = Path(__file__).parents[2]
# The package loads its parts when they are first asked for, so the workbench is asked for.
IMPORTS = {"ours": "import dynaberg; dynaberg.connect", "base": "import boto3, pandas"}
REPEATS = 5


@dataclass(frozen=True)
class Figure:
    """One line of the table: in words, and as numbers; the limit is for the ratio where there is a peer."""

    what: str
    measured: str
    wanted: str
    ours: float
    limit: float
    peer: float | None = None


def main() -> None:
    """Measure everything, print the table, and write it where that is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        project = copy_project(Path(folder))
        figures = [start_seconds(project), import_ratio(), *walk(project)]
    cores, memory = os.cpu_count(), psutil.virtual_memory().total / 2**30
    machine = f"{cores} cores, {memory:.0f} GiB of memory, Python {platform.python_version()}"
    print_header("the walk, in the units named")
    for figure in figures:
        print_row(figure.what, figure.ours, figure.peer, at_most(figure.limit))
    rows = [f"| {figure.what} | {figure.measured} | {figure.wanted} |" for figure in figures]
    table = "\n".join(["| What | Measured | Wanted |", "|---|---|---|", *rows])
    print(f"\n{machine}, load {os.getloadavg()[0]:.1f}\n\n{table}")
    if "--write" in sys.argv:
        write(f"{table}\n\n{machine}.")


def copy_project(folder: Path) -> Path:
    """What the notebooks need, without anyone's local state."""
    shutil.copy(ROOT / "cdk.context.json", folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("local"))
    return folder


def start_seconds(project: Path) -> Figure:
    """How long the local AWS takes from nothing to its first answer."""
    taken = []
    for number in range(REPEATS):
        state_dir = project / f"start-{number}"
        begun = time.perf_counter()
        local_aws.start(state_dir, port=free_port())
        taken.append(time.perf_counter() - begun)
        local_aws.stop(state_dir)
    seconds = statistics.median(taken)
    return Figure(f"local AWS up, median of {REPEATS}", f"{seconds:.1f} s", "3 s", seconds, 3)


def import_ratio() -> Figure:
    """How long the library takes to import, against what it stands on."""
    taken: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(REPEATS + 1):
        for name, statement in IMPORTS.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            taken[name].append(time.perf_counter() - begun)
    # The first round fills the page cache and the bytecode cache.
    ours, base = (statistics.median(taken[name][1:]) for name in IMPORTS)
    words = f"{ours / base:.2f} times `import boto3, pandas` ({ours:.2f} s)"
    what = f"`import dynaberg; dynaberg.connect`, median of {REPEATS}"
    return Figure(what, words, "1.5 times", ours, 1.5, base)


def walk(project: Path) -> list[Figure]:
    """How long the notebooks take with 10,000 changes, and what the local AWS takes meanwhile."""
    environment = {"DYNABERG_LOCAL_PORT": str(free_port()), "DYNABERG_TARGET": "local"}
    done, peak, checkpoints = threading.Event(), [0.0], dict[str, float]()
    state_dir = load_settings(project).local_state
    watcher = threading.Thread(target=watch, args=(state_dir, done, peak, checkpoints))
    watcher.start()
    paths, begun = find_notebooks(project / "notebooks"), time.perf_counter()
    try:
        for stop in run_in_order(paths, parameters={}, environment=environment):
            if stop.failure:
                raise SystemExit(f"{stop.name}: {stop.failure}")
            print(f"{stop.name:<20} {stop.seconds:6.1f} s   {stop.headline}")
        seconds = time.perf_counter() - begun
    finally:
        done.set()
        watcher.join()
        local_aws.stop(state_dir)
    return [
        Figure("the walk, 10,000 changes", f"{seconds:.0f} s", "120 s", seconds, 120),
        Figure(
            "memory of the local AWS during the walk, at most",
            f"{peak[0]:,.0f} MiB",
            "1,024 MiB",
            peak[0],
            1024,
        ),
        share_of(seconds, checkpoints),
    ]


def share_of(seconds: float, checkpoints: Mapping[str, float]) -> Figure:
    """How much of the walk the checkpoints of the local AWS took."""
    share = 100 * sum(checkpoints.values()) / seconds
    what = "checkpoints of the local AWS during the walk"
    return Figure(what, f"{share:.1f} % of its time ({len(checkpoints)})", "3 %", share, 3)


def watch(state_dir: Path, done: threading.Event, peak: list[float], checkpoints: dict[str, float]) -> None:
    """Look again and again at the memory of the local AWS and its children, and at its last checkpoint."""
    while not done.wait(0.5):
        status = local_aws.status(state_dir)
        if status is None:
            continue
        try:
            server = psutil.Process(status.pid)
            family = [server, *server.children(recursive=True)]
            peak[0] = max(peak[0], sum(process.memory_info().rss for process in family) / 2**20)
            with urllib.request.urlopen(f"{status.endpoint}/_local_aws/health") as answer:
                health = json.load(answer)
            if health.get("checkpoint_at"):
                checkpoints[health["checkpoint_at"]] = health["checkpoint_seconds"]["all"]
        except (psutil.NoSuchProcess, OSError):
            continue


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(table: str) -> None:
    """Put the table between its marks in pages/figures.md."""
    path = ROOT / "lib" / "dynaberg" / "pages" / "figures.md"
    marks = r"(<!-- figures: begin -->\n).*?(<!-- figures: end -->)"
    text = re.sub(marks, rf"\g<1>{table}\n\g<2>", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
