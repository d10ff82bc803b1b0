"""The local AWS is not taken away from others, and advice says what can be done where it is read."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
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


# The local AWS is gone ------------------------------------------------------------------------------

PLACE = "http://127.0.0.1:4599"


class Shell:
    """A notebook's shell, which shows what it is given."""

    kernel = "a kernel"

    def __init__(self) -> None:
        self.shown: list[BaseException] = []

    def set_custom_exc(self, kinds: tuple[type[Exception], ...], show: Callable[..., None]) -> None:
        self.kinds, self.show = kinds, show

    def showtraceback(self, exception: tuple[object, BaseException, object], **_: object) -> None:
        self.shown.append(exception[1])

    def met(self, error: Exception) -> BaseException:
        """What a cell shows that met an error."""
        assert isinstance(error, self.kinds)
        self.show(self, type(error), error, None, tb_offset=1)
        return self.shown[-1]


@pytest.fixture
def shell(mine: Settings, monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = Shell()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: made))
    local.explain_silence_in_notebook(mine, PLACE)
    return made


def caused(error: Exception, by: Exception) -> Exception:
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError("AWS Error NETWORK_CONNECTION: Failed to connect to 127.0.0.1:4599 after 0 ms"),
        RuntimeError(f'Could not connect to the endpoint URL: "{PLACE}/"'),
        caused(ValueError("It failed."), by=ConnectionError(f"no answer from {PLACE}")),
    ],
)
def test_whatever_names_the_address_of_a_local_aws_that_is_gone_is_explained(
    shell: Shell, error: Exception
) -> None:
    shown = shell.met(error)
    assert isinstance(shown, LocalAwsError)
    assert str(shown) == (
        f"The local AWS at {PLACE} does not answer.\nHint: Start it: `wb = dynaberg.connect()`."
    )
    assert shown.__cause__ is error


def test_what_has_nothing_to_do_with_it_is_shown_as_it_is(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (FileNotFoundError("nowhere.csv"), ConnectionError("no answer from example.org:443")):
        assert shell.met(error) is error
    ours = LocalAwsError(f"Something else at {PLACE}.")
    assert shell.met(ours) is ours
    monkeypatch.setattr(local, "status", lambda _: "it runs")
    refused = OSError(f"{PLACE} refused it")
    assert shell.met(refused) is refused


def test_outside_of_a_notebook_nothing_is_watched(mine: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    local.explain_silence_in_notebook(mine, PLACE)
    assert not local.in_notebook()
