"""How the doctor words what it finds."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dynaberg.deploy.doctor import _contract, _packages, _python, _row
from dynaberg.errors import NotFoundError
from dynaberg.settings import Settings

NO_SESSION: Any = None


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
    for check in (_python, _packages):
        ok, found, _ = check(NO_SESSION, Settings())
        assert ok, found


def test_a_package_out_of_its_range_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"pandas": "1.5.3", "tqdm": "missing"}
    module = importlib.import_module("dynaberg.deploy.doctor")
    monkeypatch.setattr(module, "_version", lambda name: versions.get(name, "9999"))
    ok, found, fix = _packages(NO_SESSION, Settings(target="aws"))
    assert not ok
    assert "pandas 1.5.3 (needs >=2.3)" in found
    assert "tqdm missing" in found
    assert "ministack" not in found
    assert fix


def test_a_missing_contract_is_a_finding(tmp_path: Path) -> None:
    _, ok, found, _ = _row("table contract", _contract, NO_SESSION, Settings(root=tmp_path))
    assert not ok
    assert "transactions" in found
