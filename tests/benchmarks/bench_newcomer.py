"""A newcomer: from `git clone` to the first picture, in a fresh folder, with a warm cache of packages.

What is cloned is the last commit of this repository. The packages are fetched before the clock starts, into
`build/wheels`; that wants a package index once.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from report import at_most, print_header, print_row

ROOT = Path(__file__).parents[2]
WHEELS = ROOT / "build" / "wheels"
MOST_SECONDS = 180
PICTURE = Path("build", "gallery", "images", "foundation.png")
STEPS: Mapping[str, Sequence[str]] = {
    "git clone": ("git", "clone", "--quiet", str(ROOT), "dynaberg"),
    "make setup": ("make", "setup", f"PYTHON={Path(sys.base_prefix, 'bin', 'python3')}"),
    "dynaberg walk 01": (".venv/bin/dynaberg", "walk", "01", "--html", "build/gallery"),
}


def main() -> None:
    """Take the steps one after the other, and print how long each took."""
    warm_cache()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "dynaberg")
        environment = newcomers_environment()
        print_header("from git clone to the first picture, s")
        taken = 0.0
        try:
            for name, command in STEPS.items():
                place = clone if clone.exists() else Path(folder)
                begun = time.perf_counter()
                subprocess.run(command, cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL)
                seconds = time.perf_counter() - begun
                taken += seconds
                print_row(name, seconds, None, None)
            if not (clone / PICTURE).stat().st_size:
                raise SystemExit(f"{PICTURE} is empty.")
        finally:
            stop = [".venv/bin/dynaberg", "local", "stop", "--force"]
            if (clone / stop[0]).exists():
                subprocess.run(stop, cwd=clone, env=environment, check=False, stdout=subprocess.DEVNULL)
        print_row("all", taken, None, at_most(MOST_SECONDS))


def warm_cache() -> None:
    """Fetch what the lock names, once for each lock."""
    lock, fetched = ROOT / "requirements.lock", WHEELS / "requirements.lock"
    if fetched.is_file() and fetched.read_bytes() == lock.read_bytes():
        return
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*fetch, "--dest", str(WHEELS), "--require-hashes", "-r", str(lock)], check=True)
    shutil.copy(lock, fetched)


def newcomers_environment() -> dict[str, str]:
    """No environment of Python, no settings of Dynaberg, a warm cache, and a port of its own."""
    ours = ("DYNABERG_", "AWS_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return {**kept, "PIP_FIND_LINKS": str(WHEELS), "DYNABERG_LOCAL_PORT": port, "TQDM_DISABLE": "1"}


if __name__ == "__main__":
    main()
