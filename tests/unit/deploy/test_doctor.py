"""How the doctor words what it finds."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.deploy.doctor import _contract, _local_aws, _local_packages, _packages, _python, _row, _versions
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings

NO_SESSION: Any = None
# The package hands out the function of this name.
DOCTOR = importlib.import_module("dynaberg.deploy.doctor")


def test_what_is_fine_needs_no_fix() -> None:
    row = _row("disk", lambda *_: (True, "77 GiB free", "Free some."), NO_SESSION, Settings())
    assert row == ("disk", True, "77 GiB free", "")


def test_an_error_becomes_a_finding_with_its_hint() -> None:
    def check(*_: object) -> tuple[bool, str, str]:
        raise NotFoundError("There is no stack 'x'.", hint="Make it.")

    assert _row("stack", check, NO_SESSION, Settings()) == (
        "stack",
        False,
        "There is no stack 'x'.",
        "Make it.",
    )


def test_what_aws_refuses_becomes_a_finding() -> None:
    def check(*_: object) -> tuple[bool, str, str]:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetWorkGroup")

    _, ok, found, fix = _row("workgroup", check, NO_SESSION, Settings())
    assert (ok, "AccessDenied" in found) == (False, True)
    assert "permission" in fix


def test_this_environment_meets_pyproject() -> None:
    for check in (_python, _packages, _local_packages):
        ok, found, _ = check(NO_SESSION, Settings())
        assert ok, found


# Two environments --------------------------------------------------------------------------------

STUDIO = {"pyiceberg": "0.11.1", "botocore": "1.40.70", "duckdb": "missing", "ministack": "missing"}


def install(monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
    """Let this environment hold what it holds, but for some packages; `missing` takes one away."""
    versions = {name: changed.get(name, version) for name, version in _versions().items()}
    kept = {name: version for name, version in versions.items() if version != "missing"}
    monkeypatch.setattr(DOCTOR, "_versions", lambda python="": _versions(python) if python else kept)


def python_with(path: Path, versions: dict[str, str]) -> str:
    """A Python of another environment, which answers what that holds."""
    path.write_text(f"#!/bin/sh\necho '{json.dumps(versions)}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("target", ["local", "aws"])
def test_a_package_out_of_its_range_is_named_and_no_other_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str
) -> None:
    install(monkeypatch, **STUDIO, pandas="1.5.3", tqdm="missing")
    ok, found, fix = _packages(NO_SESSION, Settings(target=target, root=tmp_path))
    assert not ok
    assert found == "pandas 1.5.3 (needs >=2.3), tqdm missing (needs >=4.66)"
    assert fix == "pip install 'pandas>=2.3' 'tqdm>=4.66'"


def test_our_own_environment_is_made_again_as_it_was_tested(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, pandas="1.5.3", duckdb="missing")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    for check in (_packages, _local_packages):
        assert check(NO_SESSION, Settings(root=tmp_path))[::2] == (False, "make setup.")


def test_the_local_aws_is_never_installed_into_an_environment_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, **STUDIO)
    assert _packages(NO_SESSION, Settings(root=tmp_path))[0]
    ok, found, fix = _local_packages(NO_SESSION, Settings(root=tmp_path))
    assert not ok
    assert "duckdb missing" in found
    assert "pyiceberg 0.11.1 (needs >=0.12)" in found
    assert "pip" not in fix
    assert f"LOCAL_AWS_PYTHON to {tmp_path}/.venv/bin/python" in fix


def test_what_the_local_aws_lacks_is_found_before_it_is_called_not_running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(root=tmp_path)
    assert _local_aws(NO_SESSION, settings)[:2] == (False, "not running")
    install(monkeypatch, **STUDIO)
    assert _local_aws(NO_SESSION, settings) == _local_packages(NO_SESSION, settings)


def test_an_environment_of_the_local_aws_is_looked_at_instead_of_this_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    install(monkeypatch, **STUDIO)
    there = python_with(tmp_path / "python", _versions())
    monkeypatch.setenv("LOCAL_AWS_PYTHON", there)
    ok, found, _ = _local_packages(NO_SESSION, Settings(root=tmp_path))
    assert ok, found
    assert found.endswith(f"of {there}")
    python_with(tmp_path / "python", {**_versions(), "Ministack": "1.0"})
    ok, found, fix = _local_packages(NO_SESSION, Settings(root=tmp_path))
    assert "ministack 1.0 (needs ==" in found
    assert (ok, fix) == (False, f"{there} -m pip install 'dynaberg[local]'")


@pytest.mark.parametrize("words", ["", "#!/bin/sh\nexit 3\n"])
def test_a_python_that_does_not_run_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str
) -> None:
    python = tmp_path / "python"
    if words:
        python.write_text(words)
        python.chmod(0o755)
    monkeypatch.setenv("LOCAL_AWS_PYTHON", str(python))
    ok, found, fix = _local_packages(NO_SESSION, Settings(root=tmp_path))
    assert not ok
    assert str(python) in found
    assert "LOCAL_AWS_PYTHON" in fix


def test_a_missing_contract_is_a_finding(tmp_path: Path) -> None:
    _, ok, found, _ = _row("table contract", _contract, NO_SESSION, Settings(root=tmp_path))
    assert not ok
    assert "transactions" in found


STREAM = "arn:aws:dynamodb:eu-central-1:111122223333:table/orders/stream/2026-01-31T00:00:00.000"
QUEUE = "arn:aws:sqs:eu-central-1:111122223333:queue"
BOTH = {"forwarder": [STREAM, QUEUE], "redrive": [QUEUE]}


@pytest.mark.parametrize(
    ("mappings", "outputs", "expected"),
    [
        (BOTH, {}, True),
        # The forwarder still reads files of exports, but no changes.
        (BOTH | {"forwarder": [QUEUE]}, {}, False),
        (BOTH | {"redrive": []}, {}, False),
        (BOTH | {"forwarder": [QUEUE]}, {"KinesisDeliveryStreamName": "k"}, True),
    ],
)
def test_the_forwarder_must_read_the_stream(
    mappings: dict[str, list[str]], outputs: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(FunctionName: str) -> Any:  # noqa: N803
        return {
            "EventSourceMappings": [
                {"State": "Enabled", "EventSourceArn": arn} for arn in mappings[FunctionName]
            ]
        }

    named = {"ForwarderName": "forwarder", "RedriveName": "redrive", **outputs}
    functions = SimpleNamespace(list_event_source_mappings=listed)
    doctor = importlib.import_module("dynaberg.deploy.doctor")
    monkeypatch.setattr(doctor.stacks, "outputs", lambda *_: named)
    monkeypatch.setattr(doctor.aws, "client", lambda *_: functions)
    fine, words, fix = doctor._event_sources(NO_SESSION, Settings())
    assert fine is expected
    assert ("reads nothing" in words) is not expected
    assert "wb.deploy_firehose()" in fix
