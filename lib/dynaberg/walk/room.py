"""A room of learners: is this machine enough, a seat for each, and one seat as on the first day."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dynaberg import local
from dynaberg.errors import DynabergError, NotFoundError, SettingsError, require_whole
from dynaberg.settings import Settings
from dynaberg.walk.notebooks import find_notebooks

# Measured with 20 learners on one local AWS; a kernel holds pandas, pyarrow and pyiceberg.
SERVER_MIB, LEARNER_MIB, KERNEL_MIB = 200, 90, 350
LEARNERS_PER_CORE = 10
DISK_GIB = 2
# What the notebooks on faults and on a table of one's own add to a learner's name.
PIPELINES = ("practice", "shop")
COLUMNS = ["check", "ok", "found", "fix"]

Found = tuple[bool, str, str]


def check(settings: Settings, people: int) -> pd.DataFrame:
    """Check whether a machine can seat a number of people at once, before they come.

    Args:
        settings: The project's folder and name.
        people: How many will work at the same time, 1 or more.

    Returns:
        One row per check: check, ok, found, fix (empty if there is nothing to do).

    Raises:
        SettingsError: There are no people.

    Example:
        >>> check(load_settings(), people=20)
    """
    hint = "Use the number of those who work at the same time."
    people = require_whole("people", people, least=1, hint=hint)
    checks: dict[str, Callable[[], Found]] = {
        "cores": lambda: _cores(people),
        "memory": lambda: _memory(people),
        "disk": lambda: _disk(settings.root),
        "JupyterLab": _jupyterlab,
        "port": lambda: _port(settings),
        "local AWS": lambda: _local_aws(settings),
        "notebooks": lambda: _notebooks(settings),
    }
    rows = [(name, *_found(one)) for name, one in checks.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def seat(settings: Settings, names: Sequence[str]) -> list[Path]:
    """Give each learner a copy of the notebooks, in a folder of their own beside those of the project.

    Args:
        settings: The project's folder.
        names: The learners' names: what is theirs on the local AWS begins with it.

    Returns:
        The folders; one that exists keeps what the learner wrote.

    Raises:
        SettingsError: A name that AWS does not accept, or that the project itself has.
    """
    for name in names:
        check_name(settings, name)
    folders = [folder_of(settings, name) for name in names]
    for folder in folders:
        if not folder.exists():
            _copy_notebooks(settings, folder)
    return folders


def require_seat(settings: Settings, name: str) -> Path:
    """The folder of a learner who has one.

    Raises:
        SettingsError: A name that AWS does not accept, or that the project itself has.
        NotFoundError: Nobody of this name has a seat; the message names those who have.
    """
    check_name(settings, name)
    folder = folder_of(settings, name)
    if not folder.is_dir():
        seated = sorted(path.name.removeprefix("room-") for path in settings.root.glob("room-*"))
        raise NotFoundError.among("seat", name, seated, hint=f"`dynaberg room seat {name}` gives one.")
    return folder


def clear_seat(settings: Settings, name: str) -> Path:
    """Give a learner fresh notebooks; what was written into the old ones is lost.

    Raises:
        NotFoundError: Nobody of this name has a seat.
    """
    folder = require_seat(settings, name)
    shutil.rmtree(folder)
    _copy_notebooks(settings, folder)
    return folder


def folder_of(settings: Settings, name: str) -> Path:
    """A learner's folder. It lies in the project's, so that all of them share one local AWS."""
    return settings.root / f"room-{name}"


def check_name(settings: Settings, name: str) -> None:
    """Refuse a name under which a learner's pipelines could not be deployed.

    Raises:
        SettingsError: The name, and what would be accepted.
    """
    if name == Settings.name:
        msg = f"{name!r} is the name that nobody has chosen; a learner needs another."
        raise SettingsError(msg, hint="Use first names, or learner01, learner02, …")
    for pipeline in ("", *(f"-{pipeline}" for pipeline in PIPELINES)):
        replace(settings, name=f"{name}{pipeline}")


def _copy_notebooks(settings: Settings, folder: Path) -> None:
    folder.mkdir()
    for path in (*find_notebooks(settings.root / "notebooks"), *(settings.root / "notebooks").glob("*.md")):
        shutil.copy(path, folder)


def _found(one: Callable[[], Found]) -> Found:
    try:
        ok, found, fix = one()
    except DynabergError as error:
        return False, error.message, error.hint
    return ok, found, "" if ok else fix


def _cores(people: int) -> Found:
    cores, needed = os.cpu_count() or 1, max(2, -(-people // LEARNERS_PER_CORE))
    return (
        cores >= needed,
        f"{cores} for {people} people",
        f"Use a machine with {needed} cores, or more machines.",
    )


def _memory(people: int) -> Found:
    needed = SERVER_MIB + people * (LEARNER_MIB + KERNEL_MIB)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # not Linux
        return True, f"not known; {needed / 1024:.1f} GiB are needed", ""
    found = f"{free / 2**30:.1f} GiB available, {needed / 1024:.1f} GiB needed"
    return free / 2**20 >= needed, found, "Close other programs, or use a larger machine, or more of them."


def _disk(root: Path) -> Found:
    free = shutil.disk_usage(root).free / 2**30
    return free >= DISK_GIB, f"{free:.1f} GiB free", f"Free {DISK_GIB} GiB on the disk of {root}."


def _jupyterlab() -> Found:
    there = importlib.util.find_spec("jupyterlab") is not None
    return there, "installed" if there else "missing", "Run `make setup`."


def _port(settings: Settings) -> Found:
    port, running = local.port(), local.status(settings)
    if running is not None:
        return True, f"{running.endpoint} is our local AWS", ""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False, f"{port} is in use", "Set DYNABERG_LOCAL_PORT to a free port, for everybody alike."
    return True, f"{port} is free", ""


def _local_aws(settings: Settings) -> Found:
    running = local.status(settings) is not None
    status = local.start(settings)
    if not running:
        local.stop(settings, force=True)
    return True, f"{'runs' if running else 'starts'} at {status.endpoint}", ""


def _notebooks(settings: Settings) -> Found:
    return True, f"{len(find_notebooks(settings.root / 'notebooks'))} notebooks", ""
