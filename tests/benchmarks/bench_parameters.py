"""Every notebook alone, from nothing, with each parameter at 50,000 where its comment allows that many.

`bench_parameters.py [NOTEBOOK …]`, all of them by default: `03` or `03_generate_traffic`. None may fail, or
take longer than five minutes.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from bench_room import copy_project, free_port, watched
from report import at_most, print_header, print_row

import local_aws
from dynaberg.settings import load_settings
from dynaberg.walk.notebooks import find_notebooks, run_notebook, tagged

ROOT = Path(__file__).parents[2]
LARGE, MOST_SECONDS, MOST_MIB = 50_000, 300, 2048


def main() -> None:
    """Run the notebooks, each in a project of its own, and print what they took."""
    print_header(f"each notebook alone, its parameters at {LARGE:,} or their most")
    failures = [
        words for path in find_notebooks(ROOT / "notebooks", sys.argv[1:]) if (words := measure(path))
    ]
    print("\n".join(failures))
    if failures:
        raise SystemExit(1)


def measure(path: Path) -> str:
    """Run one notebook, print its figures, and return what went wrong; empty if nothing did."""
    given = largest(path)
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(copy_project(Path(folder)), target="local")
        port = free_port()
        local_aws.start(settings.local_state, port=port)
        begun = time.perf_counter()
        try:
            with watched(settings.local_state) as peak:
                environment = {"DYNABERG_LOCAL_PORT": str(port), "DYNABERG_TARGET": "local"}
                stop = run_notebook(
                    settings.root / "notebooks" / path.name, parameters=given, environment=environment
                )
        finally:
            local_aws.stop(settings.local_state)
    seconds = time.perf_counter() - begun
    words = ", ".join(f"{name} {value:,}" for name, value in given.items())
    print_row(f"{path.stem[:2]} {words}: seconds"[:60], seconds, None, at_most(MOST_SECONDS))
    print_row(f"{path.stem[:2]} memory of the local AWS, MiB", peak[0], None, at_most(MOST_MIB))
    if stop.failure:
        return f"{path.stem}: {stop.failure}"
    over = seconds > MOST_SECONDS or peak[0] > MOST_MIB
    return f"{path.stem}: {seconds:.0f} s, {peak[0]:.0f} MiB" if over else ""


def largest(path: Path) -> dict[str, int]:
    """A notebook's numbers, each at 50,000 or the most that its comment allows; buffers stay as they are."""
    (cell,) = tagged(nbformat.read(path, as_version=4), "parameters")
    found = re.findall(r"^(\w+) = [\d_]+  # (.+)$", cell.source, re.MULTILINE)
    return {name: min(LARGE, _most(comment)) for name, comment in found if not name.endswith("_SECONDS")}


def _most(comment: str) -> int:
    bounds = re.search(r"[\d,]+ to ([\d,]+)", comment)
    return int(bounds[1].replace(",", "")) if bounds else LARGE


if __name__ == "__main__":
    main()
