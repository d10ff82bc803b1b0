"""Every notebook alone, from nothing, with each parameter at 50,000, or as near as its comment allows.

`bench_parameters.py [NOTEBOOK …] [--at NUMBER …] [--times TIMES]`, all of them by default: `03` or
`03_generate_traffic`. `--at 0 1 --times 2` runs each twice in one project with its parameters at 0, then in
another at 1. None may fail, or take longer than five minutes.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("notebooks", nargs="*", help="`03` or `03_generate_traffic`; all by default")
    parser.add_argument("--at", type=int, nargs="+", default=[LARGE], help="what parameters are set to")
    parser.add_argument("--times", type=int, default=1, help="how often each runs, in one project")
    options = parser.parse_args()
    print_header("each notebook alone")
    paths = find_notebooks(ROOT / "notebooks", options.notebooks)
    measured = [measure(path, near(path, at), options.times) for at in options.at for path in paths]
    failures = list(filter(None, measured))
    print("\n".join(failures))
    if failures:
        raise SystemExit(1)


def measure(path: Path, given: Mapping[str, int], times: int) -> str:
    """Run one notebook, print its figures, and return what went wrong; empty if nothing did."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(copy_project(Path(folder)), target="local")
        port = free_port()
        local_aws.start(settings.local_state, port=port)
        place = settings.root / "notebooks" / path.name
        environment = {"DYNABERG_LOCAL_PORT": str(port), "DYNABERG_TARGET": "local"}
        seconds, failure = 0.0, ""
        try:
            with watched(settings.local_state) as peak:
                for _ in range(times):
                    stop = run_notebook(place, parameters=given, environment=environment)
                    seconds, failure = max(seconds, stop.seconds), failure or stop.failure
        finally:
            local_aws.stop(settings.local_state)
    words = ", ".join(f"{name} {value:,}" for name, value in given.items())
    print_row(f"{path.stem[:2]} {words}: seconds"[:60], seconds, None, at_most(MOST_SECONDS))
    print_row(f"{path.stem[:2]} memory of the local AWS, MiB", peak[0], None, at_most(MOST_MIB))
    if failure:
        return f"{path.stem} {words}: {failure}"
    over = seconds > MOST_SECONDS or peak[0] > MOST_MIB
    return f"{path.stem}: {seconds:.0f} s, {peak[0]:.0f} MiB" if over else ""


def near(path: Path, number: int) -> dict[str, int]:
    """A notebook's numbers, each as near to one as its comment allows; buffers stay as they are."""
    (cell,) = tagged(nbformat.read(path, as_version=4), "parameters")
    found = re.findall(r"^(\w+) = [\d_]+  # (.+)$", cell.source, re.MULTILINE)
    return {name: within(comment, number) for name, comment in found if not name.endswith("_SECONDS")}


def within(comment: str, number: int) -> int:
    """A number, or the nearest that a comment such as `1 to 10` or `20 or more` allows."""
    bounds = re.search(r"([\d,]+) (?:to ([\d,]+)|or more)", comment)
    if not bounds:
        return number
    least, most = (int(text.replace(",", "")) if text else number for text in bounds.groups())
    return max(least, min(most, number))


if __name__ == "__main__":
    main()
