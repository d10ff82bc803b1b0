"""A room on one local AWS: `bench_room.py [PEOPLE]`, 20 by default, each with a kernel and a name.

Each of them runs notebooks 1 to 6 with 600 changes, all at the same time. Nobody may fail, or see what
others wrote, and the local AWS has to stay below 2 GiB.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

import local_aws
from dynaberg.settings import load_settings
from dynaberg.walk import room
from dynaberg.walk.notebooks import Stop, find_notebooks, run_notebook

ROOT = Path(__file__).parents[2]
PEOPLE, MOST_MIB = 20, 2048
NOTEBOOKS = ("01", "02", "03", "04", "05", "06")


@dataclass(frozen=True)
class Lesson:
    """What became of a room: each learner's notebooks, as they ran, and what the local AWS took.

    Attributes:
        stops: By learner, the notebooks in order.
        seconds: From the first cell to the last.
        mib: Memory of the local AWS and its children, at most.
    """

    stops: dict[str, list[Stop]]
    seconds: float
    mib: float

    @property
    def failures(self) -> list[str]:
        """Who failed where, in words."""
        return [
            f"{name}, {stop.name}: {stop.failure}"
            for name, stops in self.stops.items()
            for stop in stops
            if stop.failure
        ]

    def headlines(self, number: str) -> set[str]:
        """What the learners reached in one notebook; one sentence if all of them had the same."""
        return {
            stop.headline for stops in self.stops.values() for stop in stops if stop.name.startswith(number)
        }


def teach(folder: Path, people: int, *, notebooks: Sequence[str] = NOTEBOOKS, changes: int = 600) -> Lesson:
    """Seat people in a copy of the project, and let all of them run the notebooks at once.

    Args:
        folder: An empty folder for the copy.
        people: How many.
        notebooks: The first characters of the notebooks.
        changes: How many changes each of them makes.
    """
    settings = load_settings(copy_project(folder), target="local")
    names = [f"learner{number:02d}" for number in range(1, people + 1)]
    folders = room.seat(settings, names)
    parameters = {
        "03": {"CHANGES": changes},
        "05": {"BURST": changes // 5, "FLAGGED": changes // 25},
        "06": {"FAULTY": 500},
    }
    port = free_port()
    local_aws.start(settings.local_state, port=port)

    def learn(name: str, seat: Path) -> list[Stop]:
        environment = {
            "DYNABERG_LOCAL_PORT": str(port),
            "DYNABERG_NAME": name,
            "DYNABERG_TARGET": "local",
        }
        stops: list[Stop] = []
        for path in find_notebooks(seat, notebooks):
            stops.append(
                run_notebook(path, parameters=parameters.get(path.name[:2]), environment=environment)
            )
            if stops[-1].failure:
                break
        return stops

    begun = time.perf_counter()
    try:
        with watched(settings.local_state) as peak, ThreadPoolExecutor(people) as threads:
            stops = dict(zip(names, threads.map(learn, names, folders), strict=True))
        return Lesson(stops, time.perf_counter() - begun, peak[0])
    finally:
        local_aws.stop(settings.local_state)


@contextmanager
def watched(state_dir: Path) -> Iterator[list[float]]:
    """Look again and again at the memory of a local AWS and its children; holds the most, in MiB."""
    done, peak = threading.Event(), [0.0]

    def look() -> None:
        while not done.wait(0.5):
            status = local_aws.status(state_dir)
            try:
                server = psutil.Process(status.pid) if status else None
                family = [server, *server.children(recursive=True)] if server else []
                peak[0] = max(peak[0], sum(process.memory_info().rss for process in family) / 2**20)
            except psutil.NoSuchProcess:
                continue

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def copy_project(folder: Path) -> Path:
    """What the notebooks need, without anyone's local state."""
    shutil.copy(ROOT / "cdk.context.json", folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    shutil.copytree(ROOT / "data", folder / "data", ignore=shutil.ignore_patterns("local"))
    return folder


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Teach the room, and print what it took."""
    from report import at_most, print_header, print_row

    people = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        lesson = teach(Path(folder), people)
    print_header(f"{people} learners at once, notebooks 1 to 6, 600 changes each")
    print_row("learners who failed", len(lesson.failures), None, at_most(0))
    print_row("memory of the local AWS, MiB", lesson.mib, None, at_most(MOST_MIB))
    print_row("seconds", lesson.seconds, None, None)
    print("\n".join(lesson.failures))
    if lesson.failures or lesson.mib > MOST_MIB or any(len(lesson.headlines(n)) > 1 for n in ("03", "04")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
