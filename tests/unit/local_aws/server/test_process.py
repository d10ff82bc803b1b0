"""Processes as the door sees them."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from local_aws.server import process


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
