"""The local AWS is not taken away from others, and advice says what can be done where it is read."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import dynaberg
from dynaberg import cli, local
from dynaberg.errors import LocalAwsError
from dynaberg.settings import Settings
from dynaberg.workbench import Workbench


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The state folders whose local AWS was stopped."""
    import local_aws

    folders: list[Path] = []
    monkeypatch.setattr(local_aws, "stop", lambda folder: folders.append(folder) or True)
    return folders


@pytest.fixture
def mine(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path, name="ada")


@pytest.fixture
def other(mine: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Another person's kernel, connected until it ends."""
    code = (
        "import sys, pathlib\nfrom dynaberg import local\nfrom dynaberg.settings import Settings\n"
        "local.register(Settings(root=pathlib.Path(sys.argv[1]), name='grace'))\nprint(1, flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(mine.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_it_is_not_stopped_while_somebody_else_is_connected_unless_told(
    mine: Settings, other: subprocess.Popen[bytes], stopped: list[Path]
) -> None:
    with pytest.raises(LocalAwsError, match=r"in use by others: grace\. It was not stopped\.") as caught:
        local.stop(mine)
    assert "dynaberg local stop --force" in caught.value.hint
    assert stopped == []
    assert local.stop(mine, force=True)
    assert stopped == [mine.local_state]


def test_a_workbench_says_so_and_goes_on(
    mine: Settings,
    other: subprocess.Popen[bytes],
    stopped: list[Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    wb = Workbench(mine, SimpleNamespace(region_name="us-east-1"), SimpleNamespace())  # type: ignore[arg-type]
    wb.stop()
    assert capsys.readouterr().out == "The local AWS runs on for grace; wb.stop(force=True) stops it.\n"
    assert stopped == []
    wb.stop(force=True)
    assert stopped == [mine.local_state]


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_who_has_gone_does_not_count(
    mine: Settings, other: subprocess.Popen[bytes], stopped: list[Path], how: str
) -> None:
    assert local.in_use_by(mine) == ["grace"]
    getattr(other, how)()
    other.wait(timeout=60)
    assert local.in_use_by(mine) == []
    assert local.stop(mine)


def test_a_number_of_a_process_that_was_given_away_again_is_nobody(mine: Settings) -> None:
    folder = mine.local_state / local.USERS
    folder.mkdir(parents=True)
    (folder / f"{os.getpid()}.json").write_text(json.dumps({"name": "old", "began": "0"}))
    (folder / "1.json").write_text("{")
    assert local.in_use_by(mine) == []


def test_ones_own_notebooks_and_practice_pipelines_do_not_count(mine: Settings, tmp_path: Path) -> None:
    local.register(mine)
    local.register(Settings(root=tmp_path, name="ada-practice"))
    assert local.in_use_by(mine) == []
    assert local.in_use_by(Settings(root=tmp_path, name="ada-practice")) == []
    assert local.in_use_by(Settings(root=tmp_path, name="linus")) == ["ada"], "under the first name"


def test_the_command_refuses_and_can_be_told(
    mine: Settings,
    other: subprocess.Popen[bytes],
    stopped: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "load_settings", lambda **_: mine)
    assert cli.main(["local", "stop"]) == 1
    assert "grace" in capsys.readouterr().err
    assert cli.main(["local", "stop", "--force"]) == 0


def test_advice_is_a_cell_in_a_notebook_and_a_command_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local.start_hint() == "Start it: `dynaberg local start`."
    assert "`dynaberg local stop`" in local.restart_hint()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert local.start_hint() == "Start it: `wb = dynaberg.connect()`."
    assert "`wb.stop()`" in local.restart_hint()
    assert hasattr(dynaberg, "connect")
