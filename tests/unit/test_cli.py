"""The command line, without a local AWS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynaberg.cli import main
from dynaberg.errors import NotFoundError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cdk.context.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("arguments", [[], ["fly"], ["local"], ["local", "fly"], ["clean-up"], ["sql"]])
def test_wrong_usage_exits_with_2_and_shows_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: dynaberg")


def test_an_error_is_a_sentence_and_a_hint_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "env"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "The local AWS is not running.\nHint: Start it: `dynaberg local start`.\n"


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        (
            "Create it with wb.enable_cdc() (01_enable_cdc).",
            "Create it with `dynaberg deploy` (01_enable_cdc).",
        ),
        ("Run 01, or `wb.enable_cdc()`: it makes it.", "Run 01, or `dynaberg deploy`: it makes it."),
        (
            'Add it: wb.adopt("orders"), then wb.deploy_firehose().',
            "Add it: `dynaberg adopt orders`, then `dynaberg deploy`.",
        ),
        ("See wb.iceberg_table('orders').", "See wb.iceberg_table('orders')."),
    ],
)
def test_a_hint_names_the_command_where_there_is_one(
    hint: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NotFoundError("It is not there.", hint=hint)

    monkeypatch.setattr("dynaberg.cli.load_settings", fail)
    assert main(["local", "status"]) == 1
    assert capsys.readouterr().err == f"It is not there.\nHint: {shown}\n"


def test_a_malformed_context_is_explained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "cdk.context.json").write_text('{"table_name": "transactions",}')
    assert main(["local", "status"]) == 1
    assert "Hint: Remove the comma" in capsys.readouterr().err


def test_a_port_that_is_none_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DYNABERG_LOCAL_PORT", "http")
    assert main(["local", "start"]) == 1
    assert "DYNABERG_LOCAL_PORT is 'http'" in capsys.readouterr().err


def test_what_does_not_run_can_be_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["local", "stop"]) == 0
    assert "was not running" in capsys.readouterr().out
    assert main(["local", "status"]) == 1


def test_the_clean_up_wants_the_right_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNABERG_TARGET", "mars")
    assert main(["clean-up", "--confirm", "dynaberg"]) == 1
    assert "`target` is 'mars'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("work", "heavy"),
    [
        ("from dynaberg.cli import main; main(['local', 'env'])", "boto3 pandas pyarrow pyiceberg"),
        ("import dynaberg; dynaberg.connect", "matplotlib pyiceberg pyathena IPython"),
    ],
)
def test_what_begins_imports_nothing_heavy(project: Path, work: str, heavy: str) -> None:
    script = f"import sys; {work}; print(set('{heavy}'.split()) & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout == "set()\n"
