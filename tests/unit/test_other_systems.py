"""What only Linux has is not needed: BSD's tools and no /proc do on macOS; Windows is sent to WSL 2."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from dynaberg import local
from dynaberg.errors import LocalAwsError
from dynaberg.settings import Settings
from dynaberg.walk import room
from local_aws.server import process

ROOT = Path(__file__).parents[2]
SCRIPTS = [ROOT / "Makefile", ROOT / ".ci" / "run", *(ROOT / "tests").rglob("*.sh")]
# By the option that BSD's tools lack or read otherwise; long options are GNU's.
ONLY_GNU = {
    "sed in place": r"\bsed\b[^|;]* -i(?! '')",
    "readlink -f": r"\breadlink -[a-z]*f",
    "date from words": r"\bdate\b[^|;]* (-d|--date)",
    "Perl's patterns": r"\bgrep\b[^|;]* -[a-zA-Z]*P",
    "stat -c": r"\bstat\b[^|;]* (-c|--format)",
    "find -printf": r"\bfind\b[^|;]* -printf",
    "xargs -r": r"\bxargs\b[^|;]* -[a-z]*r",
    "base64 -w": r"\bbase64\b[^|;]* -w",
    "head to the last but n": r"\bhead\b[^|;]* -n ?-\d",
    "sort by version": r"\bsort\b[^|;]* -[a-zA-Z]*V",
    "long options": r"\b(cp|mv|rm|ln|mkdir|ls|du|sort|head|tail|tar|xargs|mktemp) [^|;]*--[a-z]",
    "a program of Linux": r"(?<![\w./-])(nproc|timeout|setsid|flock|sha256sum|md5sum|realpath|tac|free) ",
}
# The parts of Python's library that exist on Linux alone.
ONLY_LINUX = r"\bepoll\b|inotify|sched_[gs]etaffinity|\bprctl\b|memfd_|pidfd_|os\.sendfile|/dev/shm|/sys/"
# Each has a test below of what it does without.
ASK_PROC = {"dynaberg/local.py", "dynaberg/walk/room.py", "local_aws/server/process.py"}


def sources() -> dict[str, str]:
    lib = ROOT / "lib"
    return {path.relative_to(lib).as_posix(): path.read_text(encoding="utf-8") for path in lib.rglob("*.py")}


@pytest.mark.parametrize("what", ONLY_GNU)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_uses_what_every_tool_has(script: Path, what: str) -> None:
    text = re.sub(r"\\\n", " ", script.read_text(encoding="utf-8"))
    commands = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in commands if re.search(ONLY_GNU[what], line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "sed -i s/a/b/ file",
        "cp --parents a b",
        "cd $(readlink -f x)",
        "date -d yesterday",
        "ls | xargs -r rm",
        "N=$(nproc )",
    ],
)
def test_the_scan_sees_what_it_looks_for(line: str) -> None:
    assert any(re.search(pattern, line) for pattern in ONLY_GNU.values())


def test_only_these_look_into_proc_and_nothing_needs_linux() -> None:
    found = sources()
    assert {name for name, text in found.items() if re.search(r"[\"']/proc\b", text)} == ASK_PROC
    assert {name for name, text in found.items() if re.search(ONLY_LINUX, text)} == set()


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without /proc, such as macOS."""

    def hide(name: str) -> None:
        real = getattr(Path, name)

        def asked(path: Path, *arguments: Any, **options: Any) -> Any:
            if path.parts[:2] == ("/", "proc"):
                if name == "exists":
                    return False
                raise FileNotFoundError(path)
            return real(path, *arguments, **options)

        monkeypatch.setattr(Path, name, asked)

    for name in ("exists", "read_text"):
        hide(name)


@pytest.mark.skipif(not shutil.which("ps"), reason="no ps on this machine")
@pytest.mark.usefixtures("no_proc")
def test_a_process_is_known_without_proc() -> None:
    assert process.state(os.getpid())[0] in "RSU"
    assert "python" in process.command(os.getpid()).lower()
    assert process.is_alive(os.getpid())
    assert not process.is_server(os.getpid())


@pytest.mark.usefixtures("no_proc")
def test_who_is_connected_is_known_without_proc(tmp_path: Path) -> None:
    ada, bob = (Settings(root=tmp_path, name=name) for name in ("ada", "bob"))
    local.register(ada)
    assert local.in_use_by(bob) == ["ada"]
    assert local.in_use_by(ada) == []


@pytest.mark.usefixtures("no_proc")
def test_a_room_is_checked_without_proc() -> None:
    ok, found, _ = room._memory(20)
    assert ok
    assert re.fullmatch(r"not known; [\d.]+ GiB are needed", found)


def test_windows_is_sent_to_wsl_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(LocalAwsError, match="does not run on Windows itself") as caught:
        local.start(Settings(root=tmp_path))
    assert "WSL 2" in caught.value.hint
