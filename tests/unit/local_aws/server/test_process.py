"""Processes as the door sees them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from local_aws.server import process
from local_aws.server.process import FOLDER, code_digest


def test_this_process_lives_and_is_no_server() -> None:
    assert process.is_alive(os.getpid())
    assert not process.is_server(os.getpid())
    assert "python" in process.command(os.getpid())


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while not process.state(child.pid).startswith("Z"):
        time.sleep(0.01)
    assert not process.is_alive(child.pid)
    child.wait()
    assert not process.is_alive(child.pid)


def test_waiting_for_an_end() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert not process.ends(child.pid, time.monotonic() + 0.05)
    child.kill()
    assert process.ends(child.pid, time.monotonic() + 10)
    child.wait()


def test_what_changes_the_digest_of_the_code(tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code_digest(copy) == code_digest()
    (copy / "notes.txt").write_text("no code")
    assert code_digest(copy) == code_digest()
    file = copy / "athena" / "tables" / "engine.py"
    file.write_text(file.read_text() + "\n# another\n")
    changed = code_digest(copy)
    assert changed != code_digest()
    file.rename(copy / "engine.py")
    assert code_digest(copy) not in (changed, code_digest())
