"""The server process as seen from outside: start it, know whether it lives, wait for its end."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

MODULE = "local_aws.server.serve"
FOLDER = Path(__file__).resolve().parents[1]
# A server that this process started is its child: until it is asked for its end, it lingers as a zombie.
_children: dict[int, subprocess.Popen[bytes]] = {}


def interpreter() -> str:
    """The Python that runs the server; `LOCAL_AWS_PYTHON` names one of another environment."""
    return os.environ.get("LOCAL_AWS_PYTHON") or sys.executable


def spawn(options: Sequence[str], log: Path) -> int:
    """Start the server in a session of its own, so that it outlives this process."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [interpreter(), "-P", "-m", MODULE, *options],
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    _children[server.pid] = server
    return server.pid


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    if pid in _children:
        return _children[pid].poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not state(pid).startswith("Z")


def is_server(pid: int) -> bool:
    """Whether a process is a server of the local AWS, and not one that has got its number since."""
    return is_alive(pid) and MODULE in command(pid)


def ends(pid: int, deadline: float) -> bool:
    """Wait for the end of a process until a moment of the monotonic clock; whether it came."""
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def state(pid: int) -> str:
    """The state letter of a process, as `ps` prints it."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.read_text().rpartition(") ")[2] if stat.exists() else ps(pid, "stat")


def command(pid: int) -> str:
    """The command line of a process."""
    words = Path(f"/proc/{pid}/cmdline")
    return words.read_text().replace("\0", " ") if words.exists() else ps(pid, "command")


def ps(pid: int, column: str) -> str:
    """A column of `ps`, for systems without /proc."""
    words = ["ps", "-ww", "-p", str(pid), "-o", f"{column}="]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def code_digest(folder: Path = FOLDER) -> str:
    """A short digest of all Python files in and below a folder, by their names and what is in them.

    A running server keeps the code that it started with, even if the files change.
    """
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]
